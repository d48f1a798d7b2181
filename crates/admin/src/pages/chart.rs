//! Charts as SVG paths, in whole numbers: each has a table beside it that says the same.

use std::fmt::Write as _;

use history::{DayBar, Figures};
use mail::Protection;

use crate::pages::moment::{Calendar, Moment};
use crate::pages::parts::{count, share};

/// The height of a chart, in its own units.
const HEIGHT: u64 = 1_000;

/// The width of a column with the space beside it, in the chart's own units.
const COLUMN: u64 = 10;

/// What protected mail, the best first: as it is stacked.
const STACK: [(Protection, &str, &str); 4] = [
    (Protection::Verified, "f-sts", "MTA-STS"),
    (Protection::Dane, "f-dane", "DANE"),
    (Protection::Tls, "f-tls", "TLS, unproved"),
    (Protection::Plaintext, "f-clear", "In clear"),
];

/// What was delivered over time, by what protected it, and what waited.
#[derive(Debug)]
pub(crate) struct FlowChart {
    /// The width, in the chart's own units.
    pub(crate) width: u64,
    pub(crate) layers: Vec<Layer>,
    /// The highest number of the scale, and half of it.
    pub(crate) top: String,
    pub(crate) middle: String,
    pub(crate) times: Vec<String>,
    /// The queue: its area, and the highest number of its scale.
    pub(crate) queue: String,
    pub(crate) queue_top: String,
    pub(crate) rows: Vec<FlowRow>,
    /// What the chart shows, in a sentence.
    pub(crate) label: String,
}

/// One kind of protection in a chart.
#[derive(Debug)]
pub(crate) struct Layer {
    pub(crate) class: &'static str,
    pub(crate) name: &'static str,
    pub(crate) share: String,
    pub(crate) path: String,
}

/// Some columns in the table.
#[derive(Debug)]
pub(crate) struct FlowRow {
    pub(crate) from: Moment,
    pub(crate) counts: [String; 4],
    pub(crate) queue: String,
}

/// So many columns are one row of the table.
const ROW: usize = 8;

/// So many times are written below.
const TIMES: usize = 7;

impl FlowChart {
    /// The chart of these columns.
    pub(crate) fn of(columns: &[Figures], calendar: &Calendar) -> Self {
        let totals = columns.iter().map(delivered);
        let top = scale(totals.max().unwrap_or(0));
        let all: u64 = columns.iter().map(delivered).fold(0, u64::saturating_add);
        let queue_top = scale(columns.iter().filter_map(|one| one.queue).max().unwrap_or(0));
        Self {
            width: length(columns.len()).saturating_mul(COLUMN),
            layers: layers(columns, top, all),
            top: count(top),
            middle: count(half(top)),
            times: times(columns, calendar),
            queue: queue_area(columns, queue_top),
            queue_top: count(queue_top),
            rows: columns.chunks(ROW).filter_map(|part| FlowRow::of(part, calendar)).collect(),
            label: label(columns, all),
        }
    }
}

/// The layers of a chart, from the bottom up.
fn layers(columns: &[Figures], top: u64, all: u64) -> Vec<Layer> {
    let mut heights = vec![0_u64; columns.len()];
    let mut layers = Vec::new();
    for (protection, class, name) in STACK {
        let (mut path, mut sum) = (String::new(), 0_u64);
        for (place, (column, height)) in columns.iter().zip(&mut heights).enumerate() {
            let own = of(column, protection);
            sum = sum.saturating_add(own);
            let (below, above) = (scaled(*height, top), scaled(height.saturating_add(own), top));
            *height = height.saturating_add(own);
            let tall = above.saturating_sub(below);
            if tall > 0 {
                let (x, y) = (left(place), HEIGHT.saturating_sub(above));
                push(&mut path, format_args!("M{x} {y}h8v{tall}h-8z"));
            }
        }
        layers.push(Layer { class, name, share: share(sum, all), path });
    }
    layers
}

impl FlowRow {
    fn of(part: &[Figures], calendar: &Calendar) -> Option<Self> {
        let first = part.first()?;
        let sum =
            |protection| part.iter().map(|one| of(one, protection)).fold(0, u64::saturating_add);
        Some(Self {
            from: calendar.minute(clock::time(first.at)),
            counts: STACK.map(|(protection, _, _)| count(sum(protection))),
            queue: part.iter().filter_map(|one| one.queue).max().map_or_else(String::new, count),
        })
    }
}

/// The area below the queue's length.
fn queue_area(columns: &[Figures], top: u64) -> String {
    let mut path = format!("M0 {HEIGHT}");
    for (place, column) in columns.iter().enumerate() {
        let y = HEIGHT.saturating_sub(scaled(column.queue.unwrap_or(0), top));
        let right = length(place).saturating_add(1).saturating_mul(COLUMN);
        push(&mut path, format_args!("V{y}H{right}"));
    }
    push(&mut path, format_args!("V{HEIGHT}z"));
    path
}

/// What a chart shows, in a sentence.
fn label(columns: &[Figures], all: u64) -> String {
    let highest = columns.iter().map(delivered).max().unwrap_or(0);
    format!(
        "{} recipients reached, at most {} in one column, by what protected the mail",
        count(all),
        count(highest)
    )
}

/// The times below a chart.
fn times(columns: &[Figures], calendar: &Calendar) -> Vec<String> {
    let step = columns.len().checked_div(TIMES).unwrap_or(1).max(1);
    let shown = columns.iter().step_by(step).take(TIMES);
    shown.map(|column| calendar.minute(clock::time(column.at)).to_string()).collect()
}

/// A line that goes up and down with these numbers, as a path of 960 by 240.
pub(crate) fn spark(numbers: &[u64]) -> String {
    let top = numbers.iter().copied().max().unwrap_or(0).max(1);
    let gaps = length(numbers.len().saturating_sub(1)).max(1);
    let mut path = String::new();
    for (place, number) in numbers.iter().enumerate() {
        let x = length(place).saturating_mul(960).checked_div(gaps).unwrap_or(0);
        let y = 220_u64.saturating_sub(number.saturating_mul(200).checked_div(top).unwrap_or(0));
        push(&mut path, format_args!("{}{x} {y}", if place == 0 { 'M' } else { 'L' }));
    }
    path
}

/// Days as bars, by the least that protected mail on each.
#[derive(Debug)]
pub(crate) struct DayChart {
    pub(crate) width: u64,
    pub(crate) layers: Vec<(&'static str, String)>,
    pub(crate) label: String,
}

impl DayChart {
    /// The last `length_of` days up to `today`, of which `days` had mail.
    pub(crate) fn of(days: &[DayBar], today: history::Day, length_of: u32) -> Self {
        let first = today.number().saturating_sub(length_of.saturating_sub(1));
        let within = days.iter().filter(|bar| bar.day.number() >= first);
        let mut layers: Vec<(&'static str, String)> =
            ["f-sts", "f-dane", "f-tls", "f-clear", "f-held"]
                .map(|class| (class, String::new()))
                .into();
        let mut with_mail = 0_u64;
        for bar in within {
            with_mail = with_mail.saturating_add(1);
            let class = class_of(bar.worst);
            let x = u64::from(bar.day.number().saturating_sub(first)).saturating_mul(4);
            if let Some((_, path)) = layers.iter_mut().find(|(name, _)| *name == class) {
                push(path, format_args!("M{x} 0h3v20h-3z"));
            }
        }
        layers.retain(|(_, path)| !path.is_empty());
        let label = format!(
            "{with_mail} of the last {length_of} days had mail; the table has what protected it"
        );
        Self { width: u64::from(length_of).saturating_mul(4), layers, label }
    }
}

/// How a day is drawn on which this was the least that protected mail.
const fn class_of(worst: Option<Protection>) -> &'static str {
    match worst {
        Some(Protection::Verified) => "f-sts",
        Some(Protection::Dane) => "f-dane",
        Some(Protection::Tls) => "f-tls",
        Some(Protection::Plaintext) => "f-clear",
        None => "f-held",
    }
}

/// All that was delivered.
pub(crate) fn delivered(figures: &Figures) -> u64 {
    figures.delivered.values().copied().fold(0, u64::saturating_add)
}

/// What was delivered with this protection.
pub(crate) fn of(figures: &Figures, protection: Protection) -> u64 {
    figures.delivered.get(&protection).copied().unwrap_or(0)
}

/// The highest number of a scale for numbers up to `most`: 1, 2 or 5 and noughts.
fn scale(most: u64) -> u64 {
    let mut unit = 1_u64;
    loop {
        for step in [1, 2, 5] {
            let top = unit.saturating_mul(step);
            // An even number, for its half is written as well.
            if top >= most && top >= 2 {
                return top;
            }
        }
        unit = unit.saturating_mul(10);
    }
}

fn half(number: u64) -> u64 {
    number.checked_div(2).unwrap_or(0)
}

fn scaled(number: u64, top: u64) -> u64 {
    number.saturating_mul(HEIGHT).checked_div(top).unwrap_or(0).min(HEIGHT)
}

fn left(place: usize) -> u64 {
    length(place).saturating_mul(COLUMN).saturating_add(1)
}

fn length(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// Writing to a text cannot fail.
fn push(path: &mut String, part: std::fmt::Arguments<'_>) {
    let _written = path.write_fmt(part).is_ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_ends_at_a_round_number() {
        for (most, top) in [(0, 2), (1, 2), (2, 2), (3, 5), (11, 20), (47, 50), (501, 1_000)] {
            assert_eq!(scale(most), top, "{most}");
        }
        assert_eq!(scale(u64::MAX), u64::MAX);
    }

    #[test]
    fn layers_are_stacked_upon_each_other() {
        let delivered = [(Protection::Verified, 3), (Protection::Plaintext, 2)].into();
        let column = Figures { delivered, ..Figures::beginning(0) };
        let layers = layers(&[Figures::beginning(0), column], 10, 5);
        let paths: Vec<_> = layers.iter().map(|layer| layer.path.as_str()).collect();
        assert_eq!(paths, ["M11 700h8v300h-8z", "", "", "M11 500h8v200h-8z"]);
        assert_eq!(layers[0].share, "60.0\u{a0}%");
    }
}
