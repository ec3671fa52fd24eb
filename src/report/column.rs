//! The columns of the tables that are written: names and what their cells hold.
//!
//! A CSV file shows only the names; Parquet keeps the kinds too.

use std::borrow::Cow;

use crate::report::format::csv_field;

/// What the cells of a column hold. Any of them may be empty, which says that there is no such value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// A number that may have a fraction: seconds, dollars, figures.
    Number,
    /// A whole number.
    Count,
    /// `true` or `false`.
    Truth,
}

impl Kind {
    /// The narrowest kind that holds all these texts unchanged; empty ones fit any.
    ///
    /// `007` is a text and no number, for it would not come back.
    pub fn of<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        let is_count = |text: &str| text.parse::<i64>().is_ok_and(|count| count.to_string() == text);
        let is_number = |text: &str| {
            let plain = text.bytes().all(|byte| byte.is_ascii_digit() || b".-".contains(&byte));
            let padded =
                text.trim_start_matches('-').starts_with('0') && !text.trim_start_matches('-').starts_with("0.");
            plain && !padded && text.parse::<f64>().is_ok_and(f64::is_finite)
        };
        let texts: Vec<&str> = texts.into_iter().filter(|text| !text.is_empty()).collect();
        let all = |holds: &dyn Fn(&str) -> bool| texts.iter().all(|text| holds(text));
        if texts.is_empty() {
            Self::Text
        } else if all(&is_count) {
            Self::Count
        } else if all(&|text| is_count(text) || is_number(text)) {
            Self::Number
        } else if all(&|text| matches!(text, "true" | "false")) {
            Self::Truth
        } else {
            Self::Text
        }
    }
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its heading.
    pub name: Cow<'static, str>,
    /// What its cells hold.
    pub kind: Kind,
}

impl Column {
    /// A column of texts.
    pub const fn text(name: &'static str) -> Self {
        Self { name: Cow::Borrowed(name), kind: Kind::Text }
    }

    /// A column of numbers.
    pub const fn number(name: &'static str) -> Self {
        Self { name: Cow::Borrowed(name), kind: Kind::Number }
    }

    /// A column of whole numbers.
    pub const fn count(name: &'static str) -> Self {
        Self { name: Cow::Borrowed(name), kind: Kind::Count }
    }

    /// A column of yes and no.
    pub const fn truth(name: &'static str) -> Self {
        Self { name: Cow::Borrowed(name), kind: Kind::Truth }
    }

    /// A column of numbers under a name that is only known when it is written.
    pub fn figure(name: impl Into<String>) -> Self {
        Self { name: Cow::Owned(name.into()), kind: Kind::Number }
    }

    /// The column of a varied path: of the narrowest kind that holds all its values.
    pub fn of_values<'a>(path: &str, values: impl IntoIterator<Item = &'a str>) -> Self {
        Self { name: Cow::Owned(path.to_owned()), kind: Kind::of(values) }
    }
}

/// The first line of a CSV file with these columns.
pub fn heading(columns: &[Column]) -> String {
    let names: Vec<String> = columns.iter().map(|column| csv_field(&column.name)).collect();
    names.join(",") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_of_texts_is_the_narrowest_that_keeps_them() {
        let table: [(&[&str], Kind); 12] = [
            (&["4", "8", "16"], Kind::Count),
            (&["4", "", "-16"], Kind::Count),
            (&["0.5", "1", "20"], Kind::Number),
            (&["0", "-0.25"], Kind::Number),
            (&["true", "false"], Kind::Truth),
            (&["true", "1"], Kind::Text),
            (&["007", "8"], Kind::Text),
            (&["00.7", "8"], Kind::Text),
            (&["5m", "90s"], Kind::Text),
            (&["1e3", "inf", "NaN"], Kind::Text),
            (&["m5.large", "4"], Kind::Text),
            (&["", ""], Kind::Text),
        ];
        for (texts, expected) in table {
            assert_eq!(Kind::of(texts.iter().copied()), expected, "{texts:?}");
        }
    }
}
