//! `sts-relay user`: the lines of the users file.

use std::io::{self, BufRead as _, IsTerminal as _, Stdin, Write as _};

use access::{Operators, Role, Users, hash_password};
use anyhow::{Context as _, ensure};
use clap::Subcommand;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use serde::Serialize;
use settings::Settings;
use smtp::{Mailbox, ReversePath};

use crate::cli::ending::Ending;
use crate::cli::output::{Format, Output};
use crate::cli::table::{Room, Table};

/// What can be done for users.
#[derive(Debug, Subcommand)]
pub(super) enum UserCommand {
    /// Check a user's password, as a listener would.
    ///
    /// At a terminal the password is asked for and not shown; otherwise it is the first line of
    /// standard input. The relay itself is not asked.
    Check {
        /// The name to log in with.
        name: String,
        /// An address: whether the user may send from it is checked as well.
        #[arg(long = "sender", value_name = "ADDRESS")]
        sender: Option<String>,
    },
    /// Print a line for the users file.
    ///
    /// At a terminal the password is asked for twice and not shown; otherwise it is the first line of
    /// standard input.
    Hash {
        /// The name to log in with.
        name: String,
        /// An address (ann@example.org) or a domain (@example.org) that the user may send from, or
        /// * for all; may be given several times [default: NAME, if it is an address].
        #[arg(long = "sender", value_name = "SENDER", conflicts_with = "admin")]
        senders: Vec<String>,
        /// Print a line for `admin.users_file` instead, for an operator in this role: viewer or
        /// operator.
        #[arg(long, value_name = "ROLE")]
        admin: Option<Role>,
    },
    /// List the users of `access.users_file`.
    List {
        #[command(flatten)]
        format: Format,
    },
}

/// Does what was typed.
pub(super) fn run(
    command: &UserCommand,
    settings: impl FnOnce() -> anyhow::Result<Settings>,
    output: &mut Output,
) -> anyhow::Result<Ending> {
    match command {
        UserCommand::Check { name, sender } => {
            check(&settings()?.users, name, sender.as_deref(), output)
        }
        UserCommand::Hash { name, admin: Some(role), .. } => operator(name, *role, output),
        UserCommand::Hash { name, senders, admin: None } => hash(name, senders, output),
        UserCommand::List { format } => list(&settings()?, *format, output),
    }
}

/// Prints a line for the users file.
fn hash(name: &str, senders: &[String], output: &mut Output) -> anyhow::Result<Ending> {
    let senders = if senders.is_empty() { usual_sender(name)? } else { senders.join(",") };
    let password = read_password(Typed::Twice).context("the password cannot be read")?;
    ensure!(!password.is_empty(), "the password is empty");
    let line = format!("{name}:{}:{senders}", hash_password(&password)?);
    // What cannot be read back is better refused here than at the relay's start.
    let users = Users::parse(&line).map_err(|error| error.problem)?;
    ensure!(users.knows(name), "`{name}` cannot be a user's name");
    output.line(line)?;
    Ok(Ending::Done)
}

/// Prints a line for the file of operators.
fn operator(name: &str, role: Role, output: &mut Output) -> anyhow::Result<Ending> {
    let password = read_password(Typed::Twice).context("the password cannot be read")?;
    ensure!(!password.is_empty(), "the password is empty");
    let line = format!("{name}:{}:{role}", hash_password(&password)?);
    let operators = Operators::parse(&line).map_err(|error| error.problem)?;
    ensure!(operators.role(name).is_some(), "`{name}` cannot be an operator's name");
    output.line(line)?;
    Ok(Ending::Done)
}

/// Says whether a password is right, and whether its user may send from an address.
fn check(
    users: &Users,
    name: &str,
    sender: Option<&str>,
    output: &mut Output,
) -> anyhow::Result<Ending> {
    let sender = sender.map(|text| Mailbox::parse(text).with_context(|| format!("`{text}`")));
    let sender = sender.transpose()?;
    let password = read_password(Typed::Once).context("the password cannot be read")?;
    let Some(user) = users.prove(name, &password) else {
        output.line(format!("{name}: no such user, or another password"))?;
        return Ok(Ending::Refused);
    };
    match sender {
        Some(sender) if !user.senders().allow(&ReversePath::Mailbox(sender.clone())) => {
            let senders = user.senders();
            output.line(format!("{name}: may not send from {sender}, but from {senders}"))?;
            Ok(Ending::Refused)
        }
        Some(sender) => {
            output.line(format!("{name}: the password is right; may send from {sender}"))?;
            Ok(Ending::Done)
        }
        None => {
            let senders = user.senders();
            output.line(format!("{name}: the password is right; may send from {senders}"))?;
            Ok(Ending::Done)
        }
    }
}

/// A user as `user list` shows one.
#[derive(Debug, Serialize)]
struct Listed {
    name: String,
    password: String,
    senders: String,
}

/// Lists the users.
fn list(settings: &Settings, format: Format, output: &mut Output) -> anyhow::Result<Ending> {
    ensure!(settings.users_file.is_some(), "there are no users: access.users_file is empty");
    let listed: Vec<_> = settings
        .users
        .list()
        .map(|(name, scheme, senders)| Listed {
            name: name.to_owned(),
            password: scheme.to_string(),
            senders: senders.to_string(),
        })
        .collect();
    let width = output.width();
    format.write(&listed, output, |listed, output| {
        let mut table = Table::new([
            ("NAME", Room::Whole),
            ("PASSWORD", Room::Whole),
            ("SENDERS", Room::AtLeast(20)),
        ]);
        for Listed { name, password, senders } in listed {
            table.row([name.clone(), password.clone(), senders.clone()]);
        }
        table.print(width, output)
    })?;
    Ok(Ending::Done)
}

/// The name, if one can send from it.
fn usual_sender(name: &str) -> anyhow::Result<String> {
    let text = format!("`{name}` is not an address; say with --sender what the user may send from");
    Mailbox::parse(name).context(text)?;
    Ok(name.to_owned())
}

/// How often a password is typed at a terminal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Typed {
    /// Once: a mistake is found at once.
    Once,
    /// Twice: a mistake would be kept.
    Twice,
}

/// A password: typed without echo at a terminal, or the first line of a pipe or file.
fn read_password(typed: Typed) -> anyhow::Result<String> {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        return Ok(first_line()?);
    }
    let _hidden = Hidden::at(&stdin)?;
    let first = ask("Password: ")?;
    match typed {
        Typed::Once => {}
        Typed::Twice => {
            let second = ask("Password again: ")?;
            ensure!(first == second, "the two passwords differ");
        }
    }
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
