//! `sts-relay status`: what flows, what protects it, and who needs a person.

mod print;
mod seen;

use std::thread;
use std::time::Duration;

use clap::Args;
use clock::{Clock as _, SystemClock};
use settings::RelayPaths;

use super::ending::Ending;
use super::output::{Format, Output, Reader};
use super::runtime::runtime;

/// How often it is looked again.
const WATCH: Duration = Duration::from_secs(5);

/// How it is shown.
#[derive(Args, Debug)]
pub(super) struct StatusCommand {
    /// Look again every five seconds, until it is interrupted.
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    format: Format,
}

/// `sts-relay status`
pub(super) fn run(
    command: &StatusCommand,
    paths: &RelayPaths,
    output: &mut Output,
) -> anyhow::Result<Ending> {
    loop {
        let status = runtime()?.block_on(Box::pin(seen::look(paths, SystemClock.now())))?;
        if command.watch && output.reader() == Reader::Person {
            output.bytes(b"\x1b[H\x1b[2J")?;
        }
        command.format.write(&status, output, print::status)?;
        if !command.watch {
            let needed = status.needs_a_person();
            return Ok(if needed { Ending::Refused } else { Ending::Done });
        }
        thread::sleep(WATCH);
    }
}
