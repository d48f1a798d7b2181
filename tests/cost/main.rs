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
mod system_calls;
mod trace;

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

use crate::budget::{Budget, Figure};
use crate::internet::Kind;

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
    let budget = Budget::read();
    let mut found: Vec<(Kind, Vec<Figure>)> = Vec::new();
    for kind in [Kind::Clear, Kind::Tls] {
        let mut figures = counted::figures(kind);
        figures.extend(system_calls::figures(kind).into_iter().flatten());
        found.push((kind, figures));
    }
    let mut faults = Vec::new();
    for (kind, figures) in &found {
        for figure in figures {
            println!("{kind:?}: {figure}");
            faults.extend(budget.fault(*kind, figure));
        }
    }
    assert!(
        faults.is_empty(),
        "one message costs more than docs/performance.md says\n{}",
        faults.join("\n")
    );
}
