//! The program: hands what was typed to the library, and what came of it to the shell.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use sts_relay::cli::{CommandLine, Ending, Output};

fn main() -> ExitCode {
    match CommandLine::parse().run(&mut Output::stdout()) {
        Ok(Ending::Done) => ExitCode::SUCCESS,
        Ok(Ending::Refused) => ExitCode::FAILURE,
        Err(error) => {
            // Nobody is left to be told if this cannot be written either.
            let _unheard = writeln!(std::io::stderr(), "sts-relay: {error:#}").is_err();
            ExitCode::FAILURE
        }
    }
}
