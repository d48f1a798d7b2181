//! The budget: two tables of `docs/performance.md`.

use std::collections::BTreeMap;
use std::fmt;

/// The page with the tables.
const PAGE: &str = include_str!("../../docs/performance.md");

/// By how much a figure may grow.
const TOLERANCE: f64 = 1.1;

/// What is no growth: less than one call more in so many messages.
const SLACK: f64 = 0.25;

/// One figure, of one message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figure {
    /// What was counted, as the table calls it.
    pub(crate) what: &'static str,
    /// How much of it.
    pub(crate) amount: f64,
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:.2}", self.what, self.amount)
    }
}

/// A table of the page, of rows with two figures each.
#[derive(Debug)]
pub(crate) struct Budget {
    heading: &'static str,
    rows: BTreeMap<&'static str, [f64; 2]>,
}

/// Which of the two figures of a row.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Column {
    First,
    Second,
}

impl Budget {
    /// Reads the table under this heading.
    pub(crate) fn read(heading: &'static str) -> Self {
        let (_, section) = PAGE.split_once(&format!("## {heading}\n")).expect("the page has it");
        let rows = section.lines().map(str::trim).skip_while(|line| !line.starts_with("|---"));
        let rows = rows.skip(1).take_while(|line| line.starts_with('|')).map(row).collect();
        Self { heading, rows }
    }

    /// Prints these figures; what is wrong with them: they are not in the table, or more than it says.
    pub(crate) fn faults(&self, column: Column, figures: &[Figure]) -> Vec<String> {
        let faults = figures.iter().filter_map(|figure| {
            println!("{}, {column:?}: {figure}", self.heading);
            self.fault(column, figure)
        });
        faults.collect()
    }

    fn fault(&self, column: Column, figure: &Figure) -> Option<String> {
        let Figure { what, amount } = *figure;
        let Some([first, second]) = self.rows.get(what) else {
            return Some(format!("{}: {what}: no row has it", self.heading));
        };
        let budget = match column {
            Column::First => first,
            Column::Second => second,
        };
        is_over(amount, *budget).then(|| {
            format!("{}, {column:?}: {what}: {amount:.2}, and the page says {budget}", self.heading)
        })
    }
}

/// Whether `amount` is more than `budget` by more than may be.
fn is_over(amount: f64, budget: f64) -> bool {
    amount > budget * TOLERANCE && amount > budget + SLACK
}

/// One row: what, and its two figures.
fn row(line: &'static str) -> (&'static str, [f64; 2]) {
    let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
    let [what, first, second] = cells[..] else { panic!("a row of three cells: {line}") };
    let number = |cell: &str| cell.replace(',', "").parse().unwrap();
    (what, [number(first), number(second)])
}
