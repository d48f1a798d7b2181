//! What one message costs, counted and not timed: allocations, bytes, system calls, syncs.
//!
//! The relay of the first part runs in this process, whose allocator counts; everything it talks to
//! but the client runs in a process of its own, and the client allocates nothing while it is
//! counted. In the second part strace writes down the system calls of the program itself.
//!
//! The figures in `docs/performance.md` are the budget: the test fails where a figure has grown by
//! more than a tenth. The reasons: `docs/decisions/0020-cost-per-message.md`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test may stop at the first surprise"
)]

mod budget;
mod client;
mod counted;
mod internet;
mod off;
mod system_calls;
mod trace;
mod workload;

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

use crate::budget::{Budget, Column, Figure};
use crate::internet::Kind;
use crate::workload::{Connections, History, Reports, Workload};

/// The system's allocator, which counts for the whole process.
#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Runs the internet, where this is asked for, or else everything.
///
/// `--list` and names of tests are what `cargo test` may say; there is one test, and no names.
fn main() {
    let asked = std::env::args().nth(1);
    match asked.as_deref() {
        Some(internet::ROLE) => internet::serve(),
        Some("--list") => {}
        Some(_) | None => keep_to_the_budget(),
    }
}

/// Counts everything, prints it, and holds it to the budget.
fn keep_to_the_budget() {
    let mut faults = off::faults();
    faults.extend(of_one_message());
    faults.extend(of_counting());
    faults.extend(of_history());
    assert!(
        faults.is_empty(),
        "it costs more than docs/performance.md says\n{}",
        faults.join("\n")
    );
}

/// Messages over connections that are there, in clear and under TLS.
fn of_one_message() -> Vec<String> {
    let budget = Budget::read("Cost of one message");
    let (connections, reports, history) = (Connections::Kept, Reports::Off, History::Off);
    let columns = [(Kind::Clear, Column::First), (Kind::Tls, Column::Second)];
    let faults = columns.map(|(kind, column)| {
        budget.faults(column, &figures(Workload { kind, connections, reports, history }))
    });
    faults.concat()
}

/// A connection for each message, which is counted for TLS reports or not.
fn of_counting() -> Vec<String> {
    let budget = Budget::read("Cost of counting for TLS reports");
    let (kind, connections, history) = (Kind::Tls, Connections::New, History::Off);
    let columns = [(Reports::Off, Column::First), (Reports::On, Column::Second)];
    let faults = columns.map(|(reports, column)| {
        budget.faults(column, &figures(Workload { kind, connections, reports, history }))
    });
    faults.concat()
}

/// Messages over connections that are there, with the history and the ledger that are kept unless something
/// else is set. They are written as time passes, so their system calls are not counted.
fn of_history() -> Vec<String> {
    let budget = Budget::read("Cost of the history");
    let (connections, reports, history) = (Connections::Kept, Reports::Off, History::Kept);
    let columns = [(Kind::Clear, Column::First), (Kind::Tls, Column::Second)];
    let faults = columns.map(|(kind, column)| {
        let workload = Workload { kind, connections, reports, history };
        budget.faults(column, &counted::figures(workload))
    });
    faults.concat()
}

fn figures(workload: Workload) -> Vec<Figure> {
    let mut figures = counted::figures(workload);
    figures.extend(system_calls::figures(workload).into_iter().flatten());
    figures
}
