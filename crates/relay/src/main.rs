//! The program: hands what was typed to the library, and what came of it to the shell.

use std::io::Write as _;
use std::process::ExitCode;

use sts_relay::cli::{CommandLine, Output, in_words, status_of};

fn main() -> ExitCode {
    let typed = match CommandLine::typed() {
        Ok(typed) => typed,
        Err(usage) => {
            // Nobody can be told if this cannot be written either.
            let _unheard = usage.print().is_err();
            return ExitCode::from(u8::try_from(usage.exit_code()).unwrap_or(2));
        }
    };
    match typed.run(&mut Output::stdout()) {
        Ok(ending) => ExitCode::from(ending.status()),
        Err(error) => {
            // Nobody can be told if this cannot be written either.
            let _unheard = writeln!(std::io::stderr(), "sts-relay: {}", in_words(&error)).is_err();
            ExitCode::from(status_of(&error))
        }
    }
}
