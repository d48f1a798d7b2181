//! `sts-relay activity`: what operators have done.

use std::io;
use std::path::Path;
use std::time::SystemTime;

use anyhow::Context as _;
use clap::Args;
use clock::{Timestamp, millis, time};
use history::{Activity, Between, activities};

use super::csv::csv_line;
use super::ending::Ending;
use super::output::{ListFormat, Output};
use super::table::{Room, Table};
use super::typed::moment;

/// Which acts are listed, and how.
#[derive(Args, Debug)]
pub(super) struct ActivityCommand {
    /// Acts at this time or later: a day, an RFC 3339 time, or so long ago (7d).
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<SystemTime>,
    /// Acts before.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<SystemTime>,
    /// How many are listed at most.
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    limit: usize,
    #[command(flatten)]
    format: ListFormat,
}

/// `sts-relay activity`
pub(super) fn run(
    command: &ActivityCommand,
    dir: &Path,
    output: &mut Output,
) -> anyhow::Result<Ending> {
    let within = Between {
        since: command.since.map_or(Between::ALWAYS.since, millis),
        until: command.until.map_or(Between::ALWAYS.until, millis),
    };
    let unreadable = || format!("{}: the activity cannot be read", dir.display());
    let acts = activities(dir, within, command.limit).with_context(unreadable)?;
    let width = output.width();
    command.format.write(
        &acts,
        output,
        |acts| {
            let heading = "at,by,act,what".to_owned();
            [heading].into_iter().chain(acts.iter().map(|one| csv_line(&cells(one)))).collect()
        },
        |acts, output| print(acts, width, output),
    )?;
    Ok(Ending::Done)
}

/// Acts as a table, the newest first.
fn print(acts: &[Activity], width: Option<usize>, output: &mut Output) -> io::Result<()> {
    if acts.is_empty() {
        return output.line("nothing is known to have been done");
    }
    let mut table = Table::new([
        ("TIME", Room::Whole),
        ("WHO", Room::Whole),
        ("ACT", Room::Whole),
        ("WHAT", Room::AtLeast(20)),
    ]);
    for act in acts {
        table.row(cells(act));
    }
    table.print(width, output)
}

/// The cells of an act.
fn cells(Activity { at, by, act }: &Activity) -> [String; 4] {
    let at = Timestamp::of(time(*at)).to_string();
    [at, by.clone(), act.word().to_owned(), act.to_string()]
}
