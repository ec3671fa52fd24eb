//! HTML by hand: escaped texts, tables, data for the page's script.

use std::fmt::Write as _;

use serde::Serialize;

/// A text as HTML shows it, in an element or in a quoted attribute.
pub(super) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            // Control characters are no part of HTML.
            letter if letter.is_control() && !"\n\t".contains(letter) => safe.push('\u{fffd}'),
            letter => safe.push(letter),
        }
    }
    safe
}

/// Data for the script of the page. No `<` is left in it, so that no text can end the element it is in.
pub(super) fn data(id: &str, value: &impl Serialize) -> serde_json::Result<String> {
    let json = serde_json::to_string(value)?.replace('<', "\\u003c");
    Ok(format!("<script type=\"application/json\" id=\"{id}\">{json}</script>\n"))
}

/// A table with a caption, a heading a column, and cells that are HTML already.
#[derive(Debug)]
pub(super) struct Table {
    caption: String,
    headings: Vec<(String, bool)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table; `>` before a heading aligns its column to the right. Caption and headings are plain text.
    pub(super) fn new<T: AsRef<str>>(caption: &str, headings: impl IntoIterator<Item = T>) -> Self {
        let headings = headings
            .into_iter()
            .map(|heading| match heading.as_ref().strip_prefix('>') {
                Some(rest) => (rest.to_owned(), true),
                None => (heading.as_ref().to_owned(), false),
            })
            .collect();
        Self { caption: caption.to_owned(), headings, rows: Vec::new() }
    }

    /// Adds a row of HTML; the first cell is its heading.
    pub(super) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// The table as HTML, in a frame that scrolls where it is too wide; nothing without rows.
    pub(super) fn html(&self) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        let caption = escaped(&self.caption);
        let mut html = format!(
            "<div class=\"table\" role=\"region\" tabindex=\"0\" aria-label=\"{caption}\"><table><caption>{caption}</caption>\n"
        );
        let class = |right: bool| if right { " class=\"n\"" } else { "" };
        if self.headings.iter().any(|(heading, _)| !heading.is_empty()) {
            html.push_str("<thead><tr>");
            for (heading, right) in &self.headings {
                if heading.is_empty() {
                    html.push_str("<td></td>");
                } else {
                    let _ = write!(html, "<th scope=\"col\"{}>{}</th>", class(*right), escaped(heading));
                }
            }
            html.push_str("</tr></thead>\n");
        }
        html.push_str("<tbody>\n");
        for row in &self.rows {
            html.push_str("<tr>");
            for (place, (cell, (_, right))) in row.iter().zip(&self.headings).enumerate() {
                let _ = if place == 0 {
                    write!(html, "<th scope=\"row\">{cell}</th>")
                } else {
                    write!(html, "<td{}>{cell}</td>", class(*right))
                };
            }
            html.push_str("</tr>\n");
        }
        html.push_str("</tbody></table></div>\n");
        html
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_gets_out_of_where_it_is_put() {
        let nasty = "</script><script>alert('1')</script> \"&\u{1}";
        let safe = escaped(nasty);
        assert!(!safe.contains(['<', '>', '"', '\'', '\u{1}']), "{safe}");
        let data = data("data", &[nasty, "<!--"]).unwrap();
        assert_eq!(data.matches('<').count(), 2, "the element's own tags: {data}");
        let json = &data[data.find('>').unwrap() + 1..data.rfind("</script>").unwrap()];
        let back: Vec<String> = serde_json::from_str(json).unwrap();
        assert_eq!(back[0], nasty, "the script reads what was said");
    }

    #[test]
    fn a_table_names_its_rows_and_columns() {
        let mut table = Table::new("A <b>", ["", ">USD"]);
        assert_eq!(table.html(), "");
        table.row(vec!["hosts".into(), "$1.20".into()]);
        let html = table.html();
        assert!(
            html.contains("<caption>A &lt;b&gt;</caption>") && html.contains("<th scope=\"col\" class=\"n\">USD</th>")
        );
        assert!(html.contains("<th scope=\"row\">hosts</th><td class=\"n\">$1.20</td>"), "{html}");
    }
}
