//! `sts-relay user`: the lines of the users file.

use std::io::{self, BufRead as _, IsTerminal as _};

use anyhow::{Context as _, ensure};
use clap::Subcommand;
use queue::{Users, hash_password};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use smtp::Mailbox;

use super::{Ending, Output};

/// What can be done about users.
#[derive(Debug, Subcommand)]
pub(super) enum UserCommand {
    /// Print a line for the users file; the password is read from standard input.
    Hash {
        /// The name to log in with.
        name: String,
        /// An address (ann@example.org) or a domain (@example.org) that the user may send from, or
        /// * for all; may be given several times [default: NAME, if it is an address].
        #[arg(long = "sender", value_name = "SENDER")]
        senders: Vec<String>,
    },
}

/// Does what was typed.
pub(super) fn run(command: &UserCommand, output: &mut Output) -> anyhow::Result<Ending> {
    let UserCommand::Hash { name, senders } = command;
    let senders = if senders.is_empty() { usual_sender(name)? } else { senders.join(",") };
    let password = read_password().context("the password cannot be read")?;
    ensure!(!password.is_empty(), "the password is empty");
    let line = format!("{name}:{}:{senders}", hash_password(&password)?);
    // What cannot be read back is better refused here than at the relay's start.
    let users = Users::parse(&line).map_err(|error| error.problem)?;
    ensure!(users.knows(name), "`{name}` cannot be a user's name");
    output.line(line)?;
    Ok(Ending::Done)
}

/// The name, if one can send from it.
fn usual_sender(name: &str) -> anyhow::Result<String> {
    let text = format!("`{name}` is no address; say with --sender what the user may send from");
    Mailbox::parse(name).context(text)?;
    Ok(name.to_owned())
}

/// The first line of standard input; at a terminal it is not shown.
fn read_password() -> io::Result<String> {
    let stdin = io::stdin();
    let mut line = String::new();
    if stdin.is_terminal() {
        let shown = tcgetattr(&stdin)?;
        let mut hidden = shown.clone();
        hidden.local_modes -= LocalModes::ECHO;
        tcsetattr(&stdin, OptionalActions::Now, &hidden)?;
        let read = stdin.lock().read_line(&mut line);
        tcsetattr(&stdin, OptionalActions::Now, &shown)?;
        let _length = read?;
    } else {
        let _length = stdin.lock().read_line(&mut line)?;
    }
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
