//! Rows for people and for pipes.

use super::visible;

/// Between two columns on a terminal.
const GAP: &str = "  ";

/// A table: what its columns are called, and its rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    /// The names of the columns.
    pub columns: Vec<&'static str>,
    /// The rows, each as long as there are columns.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    #[must_use]
    pub fn new(columns: &[&'static str]) -> Self {
        Self {
            columns: columns.to_vec(),
            rows: Vec::new(),
        }
    }

    /// For a pipe: no header, a tab between cells, separators inside cells escaped.
    #[must_use]
    pub fn for_pipe(&self) -> String {
        let line = |row: &Vec<String>| {
            row.iter()
                .map(|c| visible::cell(c))
                .collect::<Vec<_>>()
                .join("\t")
                + "\n"
        };
        self.rows.iter().map(line).collect()
    }

    /// For a terminal: a header, columns in line, the last one as long as it is.
    #[must_use]
    pub fn for_terminal(&self) -> String {
        let header = self.columns.iter().map(|name| name.to_uppercase()).collect();
        let shown = |row: &Vec<String>| row.iter().map(|c| visible::one_line(c)).collect::<Vec<_>>();
        let rows: Vec<Vec<String>> = std::iter::once(header)
            .chain(self.rows.iter().map(shown))
            .collect();
        let widths = widths(&rows, self.columns.len());
        rows.iter().map(|row| aligned(row, &widths)).collect()
    }

    /// One record for a terminal: names and values in two columns, without header.
    #[must_use]
    pub fn as_record(pairs: &[(&'static str, String)]) -> String {
        let rows: Vec<Vec<String>> = pairs
            .iter()
            .map(|(name, value)| vec![(*name).to_owned(), visible::one_line(value)])
            .collect();
        let widths = widths(&rows, 2);
        rows.iter().map(|row| aligned(row, &widths)).collect()
    }
}

fn widths(rows: &[Vec<String>], columns: usize) -> Vec<usize> {
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|c| c.chars().count())
            .max()
    };
    (0..columns).map(|column| width(column).unwrap_or(0)).collect()
}

fn aligned(row: &[String], widths: &[usize]) -> String {
    let mut line = String::new();
    for (cell, width) in row.iter().zip(widths) {
        line.push_str(cell);
        line.push_str(&" ".repeat(width - cell.chars().count()));
        line.push_str(GAP);
    }
    line.truncate(line.trim_end().len());
    line + "\n"
}
