//! The one writer of tables on the terminal.

use owo_colors::{OwoColorize as _, Style};

/// How a column is aligned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Figures.
    Right,
}

/// What a cell means; colour only repeats what its text says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    /// Nothing in particular.
    #[default]
    Plain,
    /// The figure to look at.
    Strong,
    /// Secondary.
    Dim,
    /// A promise held, a change for the better.
    Good,
    /// A promise missed, a change for the worse.
    Bad,
}

impl Tone {
    /// `text` in the colour of this tone, or as it is.
    pub fn paint(self, text: &str, colour: bool) -> String {
        let style = match self {
            Self::Plain => return text.to_owned(),
            Self::Strong => Style::new().bold(),
            Self::Dim => Style::new().dimmed(),
            Self::Good => Style::new().green(),
            Self::Bad => Style::new().red().bold(),
        };
        if colour { text.style(style).to_string() } else { text.to_owned() }
    }
}

/// One cell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// A cell with a tone.
    pub fn new(text: impl Into<String>, tone: Tone) -> Self {
        Self { text: text.into(), tone }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: text.into(), tone: Tone::Plain }
    }
}

/// Columns as wide as their widest cell, two spaces apart, under dim headings.
#[derive(Clone, Debug)]
pub struct Table {
    columns: Vec<(String, Align)>,
    rows: Vec<Vec<Cell>>,
    indent: usize,
}

impl Table {
    /// An empty table; headings that are all empty print no line.
    pub fn new<'a>(columns: impl IntoIterator<Item = (&'a str, Align)>) -> Self {
        let columns = columns.into_iter().map(|(title, align)| (title.to_owned(), align)).collect();
        Self { columns, rows: Vec::new(), indent: 2 }
    }

    /// An empty table from the left margin on; `>` before a title aligns its column to the right.
    pub fn flush(titles: &[&str]) -> Self {
        let columns = titles.iter().map(|title| match title.strip_prefix('>') {
            Some(title) => (title.to_owned(), Align::Right),
            None => ((*title).to_owned(), Align::Left),
        });
        Self { columns: columns.collect(), rows: Vec::new(), indent: 0 }
    }

    /// Adds a row; cells that are missing are empty, those too many are dropped.
    pub fn row<C: Into<Cell>>(&mut self, cells: impl IntoIterator<Item = C>) {
        let mut row: Vec<Cell> = cells.into_iter().map(Into::into).collect();
        row.resize(self.columns.len(), Cell::default());
        self.rows.push(row);
    }

    /// True when it has no row.
    pub const fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The lines, each with its newline and without trailing spaces.
    pub fn render(&self, colour: bool) -> String {
        let width_of = |text: &str| text.chars().count();
        let widths: Vec<usize> = self
            .columns
            .iter()
            .enumerate()
            .map(|(column, (title, _))| {
                let cells = self.rows.iter().map(|row| width_of(&row[column].text));
                cells.chain([width_of(title)]).max().unwrap_or(0)
            })
            .collect();
        let mut lines = String::new();
        let mut write = |cells: &mut dyn Iterator<Item = (&str, Tone)>| {
            let mut line = String::new();
            // Padding that is owed: written only when something follows it.
            let mut gap = self.indent;
            for ((text, tone), (width, (_, align))) in cells.zip(widths.iter().zip(&self.columns)) {
                let padding = width - width_of(text);
                let (before, after) = if *align == Align::Right { (padding, 0) } else { (0, padding) };
                gap += before;
                if !text.is_empty() {
                    line.extend(std::iter::repeat_n(' ', gap));
                    line.push_str(&tone.paint(text, colour));
                    gap = 0;
                }
                gap += after + 2;
            }
            lines.push_str(&line);
            lines.push('\n');
        };
        if self.columns.iter().any(|(title, _)| !title.is_empty()) {
            write(&mut self.columns.iter().map(|(title, _)| (title.as_str(), Tone::Dim)));
        }
        for row in &self.rows {
            write(&mut row.iter().map(|cell| (cell.text.as_str(), cell.tone)));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Table {
        let mut table = Table::new([("item", Align::Left), ("cost", Align::Right), ("", Align::Left)]);
        table.row([Cell::from("EC2"), Cell::new("$12.40", Tone::Strong), Cell::default()]);
        table.row([Cell::from("load balancers"), Cell::from("$0.54"), Cell::new("missed", Tone::Bad)]);
        table.row(["short"]);
        table
    }

    #[test]
    fn columns_line_up_without_trailing_spaces() {
        insta::assert_snapshot!(sample().render(false), @r"
  item              cost
  EC2             $12.40
  load balancers   $0.54  missed
  short
");
    }

    #[test]
    fn a_flush_table_starts_at_the_margin() {
        let mut table = Table::flush(&["type", ">vCPU", "GPU"]);
        table.row(["m5.large", "2"]);
        table.row(["p5.48xlarge", "192", "8 × NVIDIA H100"]);
        insta::assert_snapshot!(table.render(false), @r"
type         vCPU  GPU
m5.large        2
p5.48xlarge   192  8 × NVIDIA H100
");
    }

    #[test]
    fn colour_is_on_only_when_told_and_never_moves_a_column() {
        let coloured = sample().render(true);
        assert!(coloured.contains('\u{1b}') && !sample().render(false).contains('\u{1b}'));
        let bare = regex::Regex::new("\u{1b}\\[[0-9;]*m").unwrap().replace_all(&coloured, "").into_owned();
        assert_eq!(bare, sample().render(false));
    }
}
