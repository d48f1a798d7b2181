//! The program: hands what was typed to the library, and what came of it to the shell.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use sts_relay::cli::{CommandLine, Ending, Output};
use sts_relay::settings::SettingsError;

/// The settings cannot be used: `EX_CONFIG` of sysexits.h. Trying again changes nothing, so the unit
/// does not restart the relay for it (`RestartPreventExitStatus=`).
const SETTINGS_UNUSABLE: u8 = 78;

fn main() -> ExitCode {
    match CommandLine::parse().run(&mut Output::stdout()) {
        Ok(Ending::Done) => ExitCode::SUCCESS,
        Ok(Ending::Refused) => ExitCode::FAILURE,
        Err(error) => {
            // Nobody is left to be told if this cannot be written either.
            let _unheard = writeln!(std::io::stderr(), "sts-relay: {error:#}").is_err();
            match error.downcast_ref::<SettingsError>() {
                Some(_) => ExitCode::from(SETTINGS_UNUSABLE),
                None => ExitCode::FAILURE,
            }
        }
    }
}
