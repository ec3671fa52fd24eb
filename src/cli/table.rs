//! Aligned plain-text tables.

use std::io::{self, Write};

/// A table under construction: text to the left, numbers to the right, two spaces between columns.
#[derive(Clone, Debug)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

#[derive(Clone, Debug)]
struct Column {
    title: String,
    right: bool,
}

impl Table {
    /// A table with these column titles; `>` before a title aligns its column to the right.
    pub fn new(titles: &[&str]) -> Self {
        let columns = titles.iter().map(|title| match title.strip_prefix('>') {
            Some(title) => Column { title: title.to_owned(), right: true },
            None => Column { title: (*title).to_owned(), right: false },
        });
        Self { columns: columns.collect(), rows: Vec::new() }
    }

    /// Adds a row; a cell too few is empty, one too many is left out.
    pub fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        let mut row: Vec<String> = cells.into_iter().map(Into::into).collect();
        row.resize(self.columns.len(), String::new());
        self.rows.push(row);
    }

    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Writes the titles and every row, without trailing blanks.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let titles: Vec<String> = self.columns.iter().map(|column| column.title.clone()).collect();
        let lines = || std::iter::once(&titles).chain(&self.rows);
        let widths: Vec<usize> = (0..self.columns.len())
            .map(|column| lines().map(|line| line[column].chars().count()).max().unwrap_or(0))
            .collect();
        for line in lines() {
            let mut text = String::new();
            for ((cell, column), width) in line.iter().zip(&self.columns).zip(&widths) {
                if !text.is_empty() {
                    text.push_str("  ");
                }
                let blank = " ".repeat(width - cell.chars().count());
                let (before, after) = if column.right { (blank.as_str(), "") } else { ("", blank.as_str()) };
                text.extend([before, cell, after]);
            }
            writeln!(out, "{}", text.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_end_clean() {
        let mut table = Table::new(&["type", ">vCPU", "GPU"]);
        table.row(["m5.large", "2", ""]);
        table.row(["p5.48xlarge", "192", "8 × NVIDIA H100"]);
        table.row(["short"]);
        let mut text = Vec::new();
        table.write(&mut text).unwrap();
        let expected = "\
type         vCPU  GPU
m5.large        2
p5.48xlarge   192  8 × NVIDIA H100
short
";
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }
}
