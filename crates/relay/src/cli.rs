//! The command line: what an operator types, and what comes back.
//!
//! Names, JSON and exit statuses are others' scripts' business too: they change only with the
//! CHANGELOG. Tables are for people, and change as people like.

mod check;
mod check_config;
#[cfg(feature = "demo")]
mod demo;
mod exceptions;
mod healthy;
mod output;
mod policy;
mod queue;
mod serve;
mod service_manager;
mod table;
mod user;
mod words;

use std::io;
use std::path::PathBuf;
use std::time::SystemTime;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use clock::{Clock as _, SystemClock};
use tokio::runtime::Runtime;

use crate::settings::{Settings, Source};

pub use output::Output;

/// Where the settings are looked for unless the command line names a file.
const USUAL_FILE: &str = "/etc/sts-relay/sts-relay.toml";

/// The variable that names another: one word for the relay and for all that asks it, such as a
/// container's health check.
const FILE_VARIABLE: &str = "STS_RELAY_CONFIG";

/// An SMTP relay that enforces MTA-STS on outbound mail.
#[derive(Debug, Parser)]
#[command(name = "sts-relay", version, about, max_term_width = 100)]
pub struct CommandLine {
    /// What to do.
    #[command(subcommand)]
    command: Option<Command>,
    /// The settings file [default: what `STS_RELAY_CONFIG` names, or else
    /// /etc/sts-relay/sts-relay.toml, if there is one].
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// What can be done.
#[derive(Debug, Subcommand)]
enum Command {
    /// Run the relay (this is what happens without a command).
    Serve,
    /// Tell what would happen to mail for a domain, and why; no mail is sent.
    Check(check::CheckCommand),
    /// Read the settings, look at this machine, and print what differs from the defaults.
    CheckConfig(check_config::CheckConfigCommand),
    /// Ask the running relay whether all is well; status 0 if it is, 1 if not.
    Healthy,
    /// Look at the queue, and have it tried again.
    #[command(subcommand)]
    Queue(queue::QueueCommand),
    /// Look at policies, and try out those that are to be published.
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// Show the relay at work in a private internet, in which some hosts are under attack.
    #[cfg(feature = "demo")]
    Demo(demo::DemoCommand),
    /// Make the lines of the users file.
    #[command(subcommand)]
    User(user::UserCommand),
}

/// How a command ended, for the exit status.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ending {
    /// It did what was asked: status 0.
    Done,
    /// The answer is no: status 1.
    Refused,
}

impl CommandLine {
    /// Does what was typed.
    ///
    /// # Errors
    ///
    /// Whatever kept it from being done, in words for the one who typed it.
    pub fn run(self, output: &mut Output) -> anyhow::Result<Ending> {
        match &self.command {
            None | Some(Command::Serve) => serve::run(|| self.settings(), output),
            Some(Command::Check(command)) => {
                let settings = self.settings()?.0;
                runtime()?.block_on(Box::pin(check::run(command, &settings, output)))
            }
            Some(Command::CheckConfig(command)) => match command.as_user() {
                Some(user) => check_config::run_as(user, command, self.config.as_deref()),
                None => check_config::run(command, &self.source()?, now(), output),
            },
            Some(Command::Healthy) => {
                let settings = self.settings()?.0;
                runtime()?.block_on(healthy::run(&settings, output))
            }
            Some(Command::Queue(command)) => {
                let settings = self.settings()?.0;
                runtime()?.block_on(queue::run(command, &settings, output))
            }
            Some(Command::Policy(command)) => {
                runtime()?.block_on(policy::run(command, || self.settings(), output))
            }
            #[cfg(feature = "demo")]
            Some(Command::Demo(command)) => demo::run(command, output),
            Some(Command::User(command)) => user::run(command, output),
        }
    }

    /// What the settings file and the environment say.
    fn source(&self) -> anyhow::Result<Source> {
        let usual = PathBuf::from(USUAL_FILE);
        let named = std::env::var_os(FILE_VARIABLE).filter(|file| !file.is_empty());
        let file = self.config.clone().or_else(|| named.map(PathBuf::from));
        let file = file.or_else(|| usual.exists().then_some(usual));
        Source::read(file.as_deref(), std::env::vars_os()).context("the settings cannot be used")
    }

    /// The settings, checked, and where they come from.
    fn settings(&self) -> anyhow::Result<(Settings, Source)> {
        let source = self.source()?;
        let settings = Settings::check(&source, now()).context("the settings cannot be used")?;
        Ok((settings, source))
    }
}

/// What runs a command that asks and goes.
fn runtime() -> io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// The time on the wall.
fn now() -> SystemTime {
    SystemClock.now()
}
