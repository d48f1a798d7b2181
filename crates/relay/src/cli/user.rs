//! `sts-relay user`: the lines of the users file.

use std::io::{self, BufRead as _, IsTerminal as _, Stdin, Write as _};

use access::{Users, hash_password};
use anyhow::{Context as _, ensure};
use clap::Subcommand;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use smtp::Mailbox;

use crate::cli::ending::Ending;
use crate::cli::output::Output;

/// What can be done for users.
#[derive(Debug, Subcommand)]
pub(super) enum UserCommand {
    /// Print a line for the users file.
    ///
    /// At a terminal the password is asked for twice and not shown; otherwise it is the first line of
    /// standard input.
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
    let text = format!("`{name}` is not an address; say with --sender what the user may send from");
    Mailbox::parse(name).context(text)?;
    Ok(name.to_owned())
}

/// A password: typed twice without echo at a terminal, or the first line of a pipe or file.
fn read_password() -> anyhow::Result<String> {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        return Ok(first_line()?);
    }
    let _hidden = Hidden::at(&stdin)?;
    let first = ask("Password: ")?;
    let second = ask("Password again: ")?;
    ensure!(first == second, "the two passwords differ");
    Ok(first)
}

/// Asks at the terminal. The question goes to standard error: standard output may be the users file.
fn ask(question: &str) -> io::Result<String> {
    let mut terminal = io::stderr();
    write!(terminal, "{question}")?;
    terminal.flush()?;
    let line = first_line();
    // The line end that was typed is not shown either.
    writeln!(terminal)?;
    line
}

/// One line of standard input, without its end.
fn first_line() -> io::Result<String> {
    let mut line = String::new();
    let _length = io::stdin().lock().read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// A terminal that does not show what is typed; dropping it shows it again, after an error as well.
struct Hidden<'a> {
    terminal: &'a Stdin,
    shown: Termios,
}

impl<'a> Hidden<'a> {
    fn at(terminal: &'a Stdin) -> io::Result<Self> {
        let shown = tcgetattr(terminal)?;
        let mut hidden = shown.clone();
        hidden.local_modes -= LocalModes::ECHO;
        // What was typed before the question is no answer to it.
        tcsetattr(terminal, OptionalActions::Flush, &hidden)?;
        Ok(Self { terminal, shown })
    }
}

impl Drop for Hidden<'_> {
    fn drop(&mut self) {
        if let Err(error) = tcsetattr(self.terminal, OptionalActions::Now, &self.shown) {
            tracing::debug!(%error, "terminal not restored");
        }
    }
}
