//! Lists as CSV (RFC 4180), fit for a spreadsheet: no cell is taken for a formula.

/// What begins a formula in spreadsheets, or hides one.
const FORMULA: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// A line of these cells.
pub(super) fn csv_line(cells: &[String]) -> String {
    let cells: Vec<_> = cells.iter().map(|cell| quoted(cell)).collect();
    cells.join(",")
}

/// A cell that is no formula, in quotes where it needs them.
fn quoted(cell: &str) -> String {
    let defused = if cell.starts_with(FORMULA) { format!("'{cell}") } else { cell.to_owned() };
    if defused.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", defused.replace('"', "\"\""))
    } else {
        defused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_taken_for_a_formula_or_for_two() {
        for (cell, written) in [
            ("plain", "plain"),
            ("=HYPERLINK(\"http://x\")", "\"'=HYPERLINK(\"\"http://x\"\")\""),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "'\t=1"),
            ("a,b", "\"a,b\""),
            ("two\nlines", "\"two\nlines\""),
        ] {
            assert_eq!(quoted(cell), written);
        }
    }
}
