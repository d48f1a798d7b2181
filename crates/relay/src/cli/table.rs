//! Tables for people: columns as wide as what is in them.

use std::io;

use super::Output;

/// How many blanks stand between two columns.
const GAP: usize = 2;

/// Rows under a heading.
#[derive(Debug)]
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table with these columns.
    pub(super) fn new<const N: usize>(heading: [&str; N]) -> Self {
        Self { rows: vec![heading.map(str::to_owned).to_vec()] }
    }

    /// Adds a row.
    pub(super) fn row<const N: usize>(&mut self, cells: [String; N]) {
        // What others sent may hold characters that steer a terminal.
        self.rows.push(cells.map(|cell| printable(&cell)).to_vec());
    }

    /// Writes the table; the last column may be of any length.
    pub(super) fn print(&self, output: &mut Output) -> io::Result<()> {
        let widths = self.widths();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(cell);
                let used = cell.chars().count();
                line.extend(std::iter::repeat_n(' ', width.saturating_sub(used) + GAP));
            }
            output.line(line.trim_end())?;
        }
        Ok(())
    }

    /// How wide each column must be.
    fn widths(&self) -> Vec<usize> {
        let mut widths = Vec::new();
        for row in &self.rows {
            widths.resize(widths.len().max(row.len()), 0);
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.chars().count().max(*width);
            }
        }
        widths
    }
}

/// `text` without control characters.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
