//! The budget: the table of `docs/performance.md` under the heading "Cost of one message".

use std::collections::BTreeMap;
use std::fmt;

use crate::internet::Kind;

/// The page with the table.
const PAGE: &str = include_str!("../../docs/performance.md");

/// The heading above the table.
const HEADING: &str = "## Cost of one message";

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

/// What one message may cost.
#[derive(Debug)]
pub(crate) struct Budget {
    /// What of each row may be used in clear, and with enforced TLS.
    rows: BTreeMap<&'static str, [f64; 2]>,
}

impl Budget {
    /// Reads the table.
    pub(crate) fn read() -> Self {
        let (_, section) = PAGE.split_once(HEADING).expect("the page has the heading");
        let rows = section.lines().map(str::trim).skip_while(|line| !line.starts_with("|---"));
        let rows = rows.skip(1).take_while(|line| line.starts_with('|')).map(row).collect();
        Self { rows }
    }

    /// What is wrong with a figure: it is not in the table, or more than the table says.
    pub(crate) fn fault(&self, kind: Kind, figure: &Figure) -> Option<String> {
        let Figure { what, amount } = *figure;
        let Some([clear, tls]) = self.rows.get(what) else {
            return Some(format!("{what}: no row has it"));
        };
        let budget = match kind {
            Kind::Clear => clear,
            Kind::Tls => tls,
        };
        let is_over = amount > budget * TOLERANCE && amount > budget + SLACK;
        is_over.then(|| format!("{kind:?}: {what}: {amount:.2}, and the page says {budget}"))
    }
}

/// One row: what, in clear, with TLS.
fn row(line: &'static str) -> (&'static str, [f64; 2]) {
    let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
    let [what, clear, tls] = cells[..] else { panic!("a row of three cells: {line}") };
    let number = |cell: &str| cell.replace(',', "").parse().unwrap();
    (what, [number(clear), number(tls)])
}
