//! Tables for people: columns as wide as what is in them, or as the terminal lets them be.

use std::io;

use super::output::Output;

/// How many blanks stand between two columns.
const GAP: usize = 2;

/// Stands where text was cut off.
const CUT: char = '\u{2026}';

/// What becomes of a column where the terminal is too narrow for all.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Room {
    /// It is cut, to so many characters at least.
    AtLeast(usize),
    /// It is left out.
    IfThereIs,
    /// It stays.
    Whole,
}

/// Rows under a heading.
#[derive(Debug)]
pub(super) struct Table {
    rooms: Vec<Room>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table with these columns.
    pub(super) fn new<const N: usize>(columns: [(&str, Room); N]) -> Self {
        let heading = columns.map(|(name, _)| name.to_owned()).to_vec();
        Self { rooms: columns.map(|(_, room)| room).to_vec(), rows: vec![heading] }
    }

    /// Adds a row.
    pub(super) fn row<const N: usize>(&mut self, cells: [String; N]) {
        // What others sent may hold characters that steer a terminal.
        self.rows.push(cells.map(|cell| printable(&cell)).to_vec());
    }

    /// Writes the table, no line longer than `most`, if that is given.
    pub(super) fn print(&self, most: Option<usize>, output: &mut Output) -> io::Result<()> {
        for line in self.lines(most) {
            output.line(line)?;
        }
        Ok(())
    }

    /// The lines of the table.
    fn lines(&self, most: Option<usize>) -> Vec<String> {
        let mut widths = self.widths();
        if let Some(most) = most {
            self.fit(&mut widths, most);
        }
        let line = |row: &Vec<String>| {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                let Some(width) = *width else { continue };
                let cell = cut(cell, width);
                line.push_str(&cell);
                let used = cell.chars().count();
                line.extend(std::iter::repeat_n(
                    ' ',
                    width.saturating_sub(used).saturating_add(GAP),
                ));
            }
            let line = line.trim_end();
            most.map_or_else(|| line.to_owned(), |most| cut(line, most))
        };
        self.rows.iter().map(line).collect()
    }

    /// How wide each column would be.
    fn widths(&self) -> Vec<Option<usize>> {
        let mut widths = vec![Some(0); self.rooms.len()];
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(Some(cell.chars().count()));
            }
        }
        widths
    }

    /// Leaves columns out, and then makes others narrower, from the left, until all fit.
    fn fit(&self, widths: &mut [Option<usize>], most: usize) {
        for place in 0..self.rooms.len() {
            let excess = total(widths).saturating_sub(most);
            if let (Some(Room::IfThereIs), Some(width), true) =
                (self.rooms.get(place), widths.get_mut(place), excess > 0)
            {
                *width = None;
            }
        }
        for place in 0..self.rooms.len() {
            let excess = total(widths).saturating_sub(most);
            if let (Some(Room::AtLeast(least)), Some(Some(width))) =
                (self.rooms.get(place), widths.get_mut(place))
            {
                *width = width.saturating_sub(excess).max((*least).min(*width));
            }
        }
    }
}

/// How wide the columns that are shown are together.
fn total(widths: &[Option<usize>]) -> usize {
    let each = widths.iter().flatten().map(|width| width.saturating_add(GAP));
    each.sum::<usize>().saturating_sub(GAP)
}

/// `text`, cut to `most` characters where it is longer.
fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept = text.chars().take(most.saturating_sub(1));
    kept.chain((most > 0).then_some(CUT)).collect()
}

/// `text` without control characters.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new([
            ("ID", Room::Whole),
            ("SENDER", Room::IfThereIs),
            ("RECIPIENTS", Room::AtLeast(8)),
            ("REASON", Room::AtLeast(10)),
        ]);
        let reason = "4.7.10 mx.example: STARTTLS was not offered";
        let cells = ["1mcc5rm000003", "ann@sender.example", "bob@recipient.example", reason];
        table.row(cells.map(str::to_owned));
        table
    }

    #[test]
    fn a_table_is_as_wide_as_its_cells_where_there_is_room() {
        let whole = [
            "ID             SENDER              RECIPIENTS             REASON",
            "1mcc5rm000003  ann@sender.example  bob@recipient.example  \
             4.7.10 mx.example: STARTTLS was not offered",
        ];
        for most in [None, Some(101), Some(500)] {
            assert_eq!(table().lines(most), whole, "{most:?}");
        }
    }

    #[test]
    fn where_a_terminal_is_narrow_columns_go_and_cells_are_cut_at_their_ends() {
        let rows = |most| table().lines(Some(most)).remove(1);
        assert_eq!(
            rows(100),
            "1mcc5rm000003  bob@recipient.example  4.7.10 mx.example: STARTTLS was not offered"
        );
        let cut = "1mcc5rm000003  bob@rec\u{2026}  4.7.10 mx.example: STARTTLS was not offered";
        assert_eq!(rows(68), cut);
        assert_eq!(rows(50), "1mcc5rm000003  bob@rec\u{2026}  4.7.10 mx.example: START\u{2026}");
        for most in 0..120 {
            for line in table().lines(Some(most)) {
                assert!(line.chars().count() <= most, "{most}: {line}");
            }
        }
    }

    #[test]
    fn what_steers_a_terminal_is_not_shown() {
        let mut table = Table::new([("A", Room::Whole)]);
        table.row(["\u{1b}[2J\n".to_owned()]);
        assert_eq!(table.lines(None), ["A", "\u{fffd}[2J\u{fffd}"]);
    }
}
