//! The command line: what an operator types, and what comes back.
//!
//! Names, JSON and exit statuses are others' scripts' business too: they change only with the
//! CHANGELOG. Tables are for people, and change as people like.

mod activity;
mod check;
mod check_config;
mod csv;
mod dane;
#[cfg(feature = "demo")]
mod demo;
mod dkim;
mod domains;
mod ending;
mod exception;
mod exceptions;
mod explain;
mod generated;
mod healthy;
mod help;
mod history;
mod notify;
mod output;
mod policy;
mod queue;
mod records_csv;
mod relay_or_disk;
mod runtime;
mod sendmail;
mod serve;
mod service_manager;
mod shared_store;
mod signals;
mod status;
mod sysexit;
mod table;
mod tlsrpt;
mod trace;
mod typed;
mod ui;
mod user;
mod words;

use std::path::PathBuf;
use std::time::SystemTime;

use admin::client::Client;
use anyhow::Context as _;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use clock::{Clock as _, SystemClock};
use settings::{FILE_VARIABLE, RawStoreKind, RelayPaths, Settings, Source};

use self::runtime::runtime;
use self::sendmail::SendmailCommand;

use crate::relay::Desk;

pub use ending::{Ending, in_words, status_of};
pub use output::Output;
pub use sysexit::Sysexit;

/// Where the settings are looked for unless the command line names a file.
const USUAL_FILE: &str = "/etc/sts-relay/sts-relay.toml";

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
    /// Run the relay (the default without a command).
    Serve,
    /// Show what happens to mail for a domain, and why; no mail is sent.
    Check(check::CheckCommand),
    /// Check the settings and this machine, and print what differs from the defaults.
    CheckConfig(check_config::CheckConfigCommand),
    /// Check the relay's health.
    Healthy,
    /// Inspect and manage the queue.
    #[command(subcommand)]
    Queue(queue::QueueCommand),
    /// Show which relays share the queue, where it is in a database.
    #[command(subcommand)]
    Node(shared_store::NodeCommand),
    /// Check or make the tables, where the queue is in a database.
    #[command(subcommand)]
    Store(shared_store::StoreCommand),
    /// Inspect cached policies, and check those that are to be published.
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// Set a domain's policy or TLSA records aside for a while, without a restart.
    #[command(subcommand)]
    Exception(exception::ExceptionCommand),
    /// Make keys that sign mail, and check their DNS records (DKIM).
    #[command(subcommand)]
    Dkim(dkim::DkimCommand),
    /// Look up TLSA records, and check certificates against them (DANE).
    #[command(subcommand)]
    Dane(dane::DaneCommand),
    /// Demonstrate the relay with simulated mail domains, some of them attacked.
    #[cfg(feature = "demo")]
    Demo(demo::DemoCommand),
    /// Read TLS reports (RFC 8460), and manage those that are sent.
    #[command(subcommand, name = "tlsrpt")]
    TlsRpt(tlsrpt::TlsRptCommand),
    /// Send mail as programs of this machine do; also called as sendmail, mailq or newaliases.
    ///
    /// The message at standard input goes to the relay by the socket that submission.socket names, or
    /// else /run/sts-relay/submit.sock. It is durable when this ends with status 0. With any other
    /// nobody gets it, unless the connection was lost after all of it was sent.
    ///
    ///   -t           recipients are those of To, Cc and Bcc as well; Bcc is removed
    ///   -i, -oi      a line with a dot alone does not end the message
    ///   -f ADDRESS   who it is from [default: NAME@hostname of the user]; also -r, and <> for nobody
    ///   -F NAME      what the sender is called in a From field that is added
    ///   -N WHEN      reports: never, or a list of success, failure and delay
    ///   -R full      how much a report returns: full or hdrs
    ///   -V ENVID     the sender's own id of the message, for reports
    ///   -B 8BITMIME  what the body holds: 7BIT or 8BITMIME (the default)
    ///   -bs          speak SMTP at standard input and output
    ///   -bp          print the queue, as mailq does; for those who may open the admin socket
    ///   -bi, -I      make the database of aliases, of which there is none, as newaliases does
    ///   -bm          send a message (the default)
    ///   --           what follows are recipients
    ///
    /// Other options of Postfix's sendmail (-A -C -G -L -O -U -X -c -d -e -h -m -n -o -p -v -x) are
    /// passed over. Names without domain are at the relay's hostname.
    #[command(verbatim_doc_comment)]
    Sendmail(SendmailCommand),
    /// Test who is told when a person is needed.
    #[command(subcommand)]
    Notify(notify::NotifyCommand),
    /// Find what became of mail: each attempt, what was proved, and what came of it.
    Trace(trace::TraceCommand),
    /// Show what flows, what protects it, and who needs a person; status 1 if somebody does.
    Status(status::StatusCommand),
    /// List domains: what protects mail to them and since when.
    Domains(domains::DomainsCommand),
    /// Show what is known of one domain: protection, policy, certificates, days and events.
    Domain(domains::DomainCommand),
    /// Explain a message or a domain to its postmaster: a text to forward.
    ///
    /// It says what the domain publishes, what its host showed, what to change, and since when. It is
    /// about the last attempt that is kept.
    Explain(explain::ExplainCommand),
    /// List what operators have done: to mail, policies, exceptions and settings.
    Activity(activity::ActivityCommand),
    /// Read, export and verify the history of attempts.
    #[command(subcommand)]
    History(history::HistoryCommand),
    /// Open the operators' page for this machine: prints a link, and serves it until it is ended.
    Ui(ui::UiCommand),
    /// List and check users, and print lines for the users file.
    #[command(subcommand)]
    User(user::UserCommand),
    /// Print completions for a shell.
    Completions(generated::CompletionsCommand),
    /// Write manual pages.
    Man(generated::ManCommand),
}

impl CommandLine {
    /// What was typed.
    ///
    /// # Errors
    ///
    /// What clap prints: usage, help or the version.
    pub fn typed() -> Result<Self, clap::Error> {
        let words: Vec<_> = std::env::args_os().collect();
        if let Some(command) = SendmailCommand::called(&words) {
            return Ok(Self { command: Some(Command::Sendmail(command)), config: None });
        }
        let words = sendmail::with_its_own_options(words);
        Self::from_arg_matches(&Self::described().try_get_matches_from(words)?)
    }

    /// The command line's definition, with examples and exit statuses.
    fn described() -> clap::Command {
        help::with_help(Self::command(), "")
    }

    /// Does what was typed.
    ///
    /// # Errors
    ///
    /// Whatever kept it from being done, in words for the one who typed it.
    pub fn run(self, output: &mut Output) -> anyhow::Result<Ending> {
        let settings = || Ok(self.settings()?.0);
        match &self.command {
            None | Some(Command::Serve) => serve::run(|| self.settings(), output),
            Some(Command::Check(command)) => {
                let settings = self.settings()?.0;
                runtime()?.block_on(Box::pin(check::run(command, &settings, output)))
            }
            Some(Command::CheckConfig(command)) => match command.as_user() {
                Some(user) => check_config::run_as(user, command, self.config.as_deref()),
                None => check_config::run(command, &self.source(), now(), output),
            },
            Some(Command::Dane(command)) => {
                runtime()?.block_on(Box::pin(dane::run(command, settings, now(), output)))
            }
            Some(Command::Dkim(command)) => {
                runtime()?.block_on(Box::pin(dkim::run(command, settings, now(), output)))
            }
            Some(Command::Exception(command)) => {
                let run = async |paths| exception::run(command, &paths, output).await;
                runtime()?.block_on(Box::pin(self.answered(run)))
            }
            Some(Command::Healthy) => runtime()?.block_on(healthy::run(&self.paths(), output)),
            Some(Command::Queue(command)) => {
                let run = async |paths| queue::run(command, &paths, output).await;
                runtime()?.block_on(Box::pin(self.answered(run)))
            }
            Some(Command::Node(command)) => {
                shared_store::node(command, &self.settings()?.0, output)
            }
            Some(Command::Store(command)) => {
                shared_store::store(command, &self.settings()?.0, output)
            }
            Some(Command::Policy(command)) => self.policy(command, output),
            #[cfg(feature = "demo")]
            Some(Command::Demo(command)) => demo::run(command, output),
            Some(Command::TlsRpt(command)) => {
                let paths = || self.paths();
                runtime()?.block_on(Box::pin(tlsrpt::run(command, paths, output)))
            }
            Some(Command::Sendmail(command)) => {
                Ok(Ending::Sendmail(sendmail::run(command, &self.paths(), output)))
            }
            Some(Command::Notify(command)) => notify::run(command, &self.paths(), output),
            Some(Command::Trace(command)) => trace::run(command, &self.paths().history, output),
            Some(Command::Status(command)) => status::run(command, &self.paths(), output),
            Some(Command::Domains(command)) => {
                runtime()?.block_on(domains::list(command, &self.paths(), now(), output))
            }
            Some(Command::Domain(command)) => {
                runtime()?.block_on(domains::show(command, &self.paths(), now(), output))
            }
            Some(Command::Explain(command)) => {
                let hostname = self.settings()?.0.delivery.hostname;
                explain::run(command, &self.paths(), hostname.as_str(), output)
            }
            Some(Command::Activity(command)) => {
                activity::run(command, &self.paths().history, output)
            }
            Some(Command::History(command)) => {
                history::run(command, || self.paths().history, output)
            }
            Some(Command::Ui(command)) => {
                runtime()?.block_on(Box::pin(ui::run(command, &self.paths(), output)))
            }
            Some(Command::User(command)) => user::run(command, settings, output),
            Some(Command::Completions(command)) => {
                generated::completions(command, Self::described(), output)
            }
            Some(Command::Man(command)) => generated::man(command, Self::described(), output),
        }
    }

    /// Answers `policy`.
    fn policy(
        &self,
        command: &policy::PolicyCommand,
        output: &mut Output,
    ) -> anyhow::Result<Ending> {
        let settings = || Ok(self.settings()?.0);
        if command.asks_nobody() {
            let paths = || self.paths();
            return runtime()?.block_on(policy::run(command, paths, settings, output));
        }
        let run = async |paths| policy::run(command, || paths, settings, output).await;
        runtime()?.block_on(Box::pin(self.answered(run)))
    }

    /// Runs a command that asks a relay. Where mail is in a database and no relay answers on this machine, this
    /// process asks the database.
    async fn answered(
        &self,
        run: impl AsyncFnOnce(RelayPaths) -> anyhow::Result<Ending>,
    ) -> anyhow::Result<Ending> {
        let mut paths = self.paths();
        let is_shared = paths.store == RawStoreKind::Postgres;
        if !is_shared || Client::connect(&paths.admin_socket).await?.is_some() {
            return run(paths).await;
        }
        let desk = Desk::open(self.settings()?.0).await?;
        paths.admin_socket = desk.socket().to_owned();
        let ran = run(paths).await;
        desk.close().await;
        ran
    }

    /// What the settings file and the environment say, with all that is wrong with it.
    fn source(&self) -> Source {
        let usual = PathBuf::from(USUAL_FILE);
        let named = std::env::var_os(FILE_VARIABLE).filter(|file| !file.is_empty());
        let file = self.config.clone().or_else(|| named.map(PathBuf::from));
        // A file that is there and cannot be seen is not as good as none: its settings count.
        let is_there = || usual.try_exists().unwrap_or(true);
        let file = file.or_else(|| is_there().then(|| usual.clone()));
        Source::gather(file.as_deref(), std::env::vars_os())
    }

    /// The settings, checked, and where they come from.
    fn settings(&self) -> anyhow::Result<(Settings, Source)> {
        let source = self.source();
        let settings = Settings::check(&source, now()).context("the settings cannot be used")?;
        Ok((settings, source))
    }

    /// Where the relay is that runs by these settings, whatever else is wrong with them.
    fn paths(&self) -> RelayPaths {
        RelayPaths::of(&self.source(), now())
    }
}

/// The time on the wall.
fn now() -> SystemTime {
    SystemClock.now()
}
