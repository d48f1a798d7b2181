//! `sts-relay sendmail`, and the names `sendmail`, `mailq` and `newaliases`: how programs of this
//! machine send.
//!
//! It is a small SMTP client of the relay's socket for them. It reads no secret and keeps nothing, so it
//! needs no more rights than whoever calls it has; the relay asks the kernel who that is.
//!
//! The reasons: `docs/decisions/0026-local-programs.md`.

mod bridge;
mod client;
mod failure;
mod header;
mod input;
mod mailq;
mod options;

use std::collections::HashSet;
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use access::SystemUser;
use admin::client::ClientError;
use clap::Args;
use settings::RelayPaths;
use smtp::{BodyType, Domain, Mailbox, ReversePath};

use self::client::{Envelope, Relay};
use self::failure::Failure;
use self::header::Author;
use self::input::Input;
use self::options::{FromHeader, Options, Task};
use crate::cli::ending::in_words;
use crate::cli::output::Output;
use crate::cli::relay_or_disk::AnswerError;
use crate::cli::runtime::runtime;
use crate::cli::sysexit::Sysexit;

/// Where the relay's socket is looked for if no settings that can be read say so.
const USUAL_SOCKET: &str = "/run/sts-relay/submit.sock";

/// What sendmail was called with, and by which name.
#[derive(Args, Debug)]
#[command(disable_help_flag = true)]
pub(super) struct SendmailCommand {
    /// Print this help.
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    #[arg(skip)]
    name: CalledBy,
    /// Options and recipients.
    #[arg(
        value_name = "ARGUMENT",
        trailing_var_arg = true,
        allow_hyphen_values = true,
        num_args = 0..
    )]
    arguments: Vec<OsString>,
}

/// The name that the program was called by, which says what to do.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum CalledBy {
    /// `sendmail`: what the options say.
    #[default]
    Sendmail,
    /// `mailq`: `sendmail -bp`.
    Mailq,
    /// `newaliases`: `sendmail -bi`.
    Newaliases,
}

impl CalledBy {
    /// The name in the first word of a command line, if it is one of these.
    fn of(program: &OsString) -> Option<Self> {
        match Path::new(program).file_name()?.to_str()? {
            "sendmail" => Some(Self::Sendmail),
            "mailq" => Some(Self::Mailq),
            "newaliases" => Some(Self::Newaliases),
            _ => None,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Sendmail => "sendmail",
            Self::Mailq => "mailq",
            Self::Newaliases => "newaliases",
        }
    }
}

impl SendmailCommand {
    /// What was typed, if the program was called by one of its other names.
    pub(super) fn called(words: &[OsString]) -> Option<Self> {
        let (program, arguments) = words.split_first()?;
        let name = CalledBy::of(program)?;
        Some(Self { help: None, name, arguments: arguments.to_vec() })
    }
}

/// The words of a command line, those behind `sendmail` marked as not for the usual reading of options:
/// theirs are of another kind, and `--` has a meaning of its own among them.
pub(super) fn with_its_own_options(mut words: Vec<OsString>) -> Vec<OsString> {
    let own = |word: &OsString| word.to_str().is_some_and(|word| word.starts_with("--config="));
    let at = match words.get(1..).unwrap_or_default() {
        [command, ..] if command == "sendmail" => 2,
        [config, command, ..] if own(config) && command == "sendmail" => 3,
        [config, _file, command, ..] if config == "--config" && command == "sendmail" => 4,
        _ => return words,
    };
    if words.get(at).is_some_and(|word| word != "--help") {
        words.insert(at, "--".into());
    }
    words
}

/// Does what was typed. Whatever keeps it from being done is said here, for the status is sendmail's.
pub(super) fn run(command: &SendmailCommand, paths: &RelayPaths, output: &mut Output) -> Sysexit {
    let name = command.name.as_str();
    let done = Options::parse(&command.arguments).map_err(Failure::from).and_then(|options| {
        let task = match command.name {
            CalledBy::Sendmail => options.task,
            CalledBy::Mailq => Task::Mailq,
            CalledBy::Newaliases => Task::Newaliases,
        };
        let socket = paths.submit_socket.clone().unwrap_or_else(|| PathBuf::from(USUAL_SOCKET));
        match task {
            Task::Send => send(&options, &socket),
            Task::Smtp => bridge::bridge(&socket),
            Task::Mailq => print_queue(paths, output),
            // There is no database of aliases to make.
            Task::Newaliases => Ok(()),
        }
    });
    match done {
        Ok(()) => Sysexit::Ok,
        Err(failure) => {
            let status = failure.status();
            let words = in_words(&failure.into());
            // Nobody can be told if this cannot be written either.
            let _unheard = writeln!(io::stderr(), "{name}: {words}").is_err();
            status
        }
    }
}

/// Sends the message at standard input.
fn send(options: &Options, socket: &Path) -> Result<(), Failure> {
    if options.recipients.is_empty() && options.from_header == FromHeader::No {
        return Err(Failure::NoRecipient);
    }
    let Input { header, body } = Input::read(io::stdin().lock(), options.end)?;
    let relay = Relay::connect(socket)?;
    let home = relay.hostname().clone();
    let recipients = recipients(options, &header, &home)?;
    let user = SystemUser::of(rustix::process::getuid().as_raw());
    let own = user.address(&home);
    let sender = match &options.sender {
        Some(text) => sender(text, &home)?,
        None => own.clone().map_or(ReversePath::Null, ReversePath::Mailbox),
    };
    let header = match sender.mailbox().cloned().or(own) {
        Some(mailbox) => {
            let author = Author { mailbox, full_name: full_name(options, &user) };
            header::completed(&header, options.from_header, &author, &home)
        }
        None => header,
    };
    let envelope = Envelope {
        sender,
        recipients,
        body: options.body.unwrap_or(BodyType::EightBitMime),
        notify: options.notify,
        ret: options.ret,
        envid: options.envid.clone(),
    };
    relay.send(&envelope, &header, body)
}

/// Whom the message is for, each once.
fn recipients(options: &Options, header: &[u8], home: &Domain) -> Result<Vec<Mailbox>, Failure> {
    let mut recipients = Vec::new();
    for text in &options.recipients {
        recipients.append(&mut header::recipients_in(text.as_bytes(), home)?);
    }
    if options.from_header == FromHeader::Yes {
        recipients.append(&mut header::recipients(header, home)?);
    }
    let mut named = HashSet::new();
    recipients.retain(|recipient| named.insert(recipient.clone()));
    if recipients.is_empty() { Err(Failure::NoRecipient) } else { Ok(recipients) }
}

/// Who the message is from, as the command line says.
fn sender(text: &str, home: &Domain) -> Result<ReversePath, Failure> {
    if matches!(text, "" | "<>") {
        return Ok(ReversePath::Null);
    }
    let named = smtp::local_addr_specs(text.as_bytes(), home).unwrap_or_default();
    match <[_; 1]>::try_from(named) {
        Ok([address]) => Ok(ReversePath::Mailbox(address.mailbox)),
        Err(_none_or_many) => Err(Failure::NotASender(text.to_owned())),
    }
}

/// What whoever calls is called by people: as the command line says, or the environment, or the system.
fn full_name(options: &Options, user: &SystemUser) -> Option<String> {
    let named = || std::env::var_os("NAME")?.into_string().ok();
    options.full_name.clone().or_else(named).or_else(|| user.full_name().map(str::to_owned))
}

/// Prints the queue.
fn print_queue(paths: &RelayPaths, output: &mut Output) -> Result<(), Failure> {
    let printed = runtime().map_err(AnswerError::Write);
    let printed = printed.and_then(|runtime| runtime.block_on(mailq::print(paths, output)));
    printed.map_err(|error| {
        let forbidden = matches!(
            error,
            AnswerError::Forbidden { .. } | AnswerError::Client(ClientError::Forbidden { .. })
        );
        if forbidden { Failure::NotAnOperator(error) } else { Failure::NoAnswer(error) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_behind_sendmail_is_its_own() {
        for (line, expected) in [
            ("x sendmail -t -- -a", "x sendmail -- -t -- -a"),
            ("x --config f sendmail -t", "x --config f sendmail -- -t"),
            ("x --config=f sendmail -h 3", "x --config=f sendmail -- -h 3"),
            ("x sendmail", "x sendmail"),
            ("x sendmail --help", "x sendmail --help"),
            ("x --config sendmail queue list", "x --config sendmail queue list"),
            ("x queue list", "x queue list"),
            ("x", "x"),
        ] {
            let words = line.split(' ').map(OsString::from).collect();
            let marked = with_its_own_options(words);
            let marked: Vec<_> = marked.iter().map(|word| word.to_str().unwrap()).collect();
            assert_eq!(marked.join(" "), expected, "{line}");
        }
    }
}
