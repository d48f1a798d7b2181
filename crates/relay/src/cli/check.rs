//! `sts-relay check`: what happens to mail for a domain, and why.

use std::io;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use clock::SystemClock;
use mail::in_full;
use mta_sts::PolicyDomain;
use settings::Settings;

use super::output::{Format, Reader};
use super::table::printable;
use crate::check::{self, Extent, Host, Kept, Report, Stage, State, Verdict};
use crate::cli::ending::Ending;
use crate::cli::output::Output;
use crate::cli::relay_or_disk::{AnswerError, RelayOrDisk};

/// What is to be checked.
#[derive(Args, Debug)]
pub(super) struct CheckCommand {
    /// The recipients' domain, or an address at it.
    #[arg(value_name = "DOMAIN")]
    domain: String,
    /// Check only the next hop of the [[route]] that the settings have for the domain: connection, TLS
    /// and login at its own port.
    #[arg(long)]
    route: bool,
    #[command(flatten)]
    format: Format,
}

/// Whether the answer is coloured.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Colours {
    Off,
    On,
}

/// Checks a domain; the status is 0 where mail leaves verified, or needs no verification.
pub(super) async fn run(
    command: &CheckCommand,
    settings: &Settings,
    output: &mut Output,
) -> anyhow::Result<Ending> {
    let typed = command.domain.rsplit_once('@').map_or(&*command.domain, |(_, domain)| domain);
    let domain = PolicyDomain::parse(typed)
        .with_context(|| format!("{} is not a domain", command.domain))?;
    let kept = kept(&domain, settings).await;
    let extent = if command.route { Extent::Route } else { Extent::All };
    let clock = Arc::new(SystemClock);
    let report = Box::pin(check::check(&domain, extent, kept, settings, clock)).await?;
    let colours = Colours::for_reader(output.reader());
    command.format.write(&report, output, |report, output| print(report, colours, output))?;
    Ok(match report.verdict {
        Verdict::Verified | Verdict::NoPolicy => Ending::Done,
        Verdict::Waiting => Ending::Waiting,
        Verdict::Unverified => Ending::Unverified,
        Verdict::CannotTell => Ending::CannotTell,
    })
}

/// What the running relay, or its directory, has of the domain.
async fn kept(domain: &PolicyDomain, settings: &Settings) -> Kept {
    let mut answers = match RelayOrDisk::reach(&settings.paths()).await {
        Ok(answers) => answers,
        Err(AnswerError::NoQueue { .. }) => return Kept::Known(None),
        Err(error) => return Kept::Unknown(in_full(&error)),
    };
    let policy = answers.policy(domain.clone()).await;
    policy.map_or_else(|error| Kept::Unknown(in_full(&error)), Kept::Known)
}

impl Colours {
    /// Colours for a person who has not refused them (<https://no-color.org>).
    fn for_reader(reader: Reader) -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        match reader {
            Reader::Person if !refused => Self::On,
            Reader::Person | Reader::Program => Self::Off,
        }
    }

    /// The word for a state, as wide as the widest.
    fn word(self, state: State) -> String {
        let (word, colour) = match state {
            State::Good => ("ok", 32),
            State::None => ("-", 2),
            State::Warning => ("warning", 33),
            State::Wrong => ("wrong", 31),
        };
        self.paint(&format!("{word:<7}"), colour)
    }

    fn paint(self, text: &str, colour: u8) -> String {
        match self {
            Self::Off => text.to_owned(),
            Self::On => format!("\x1b[{colour}m{text}\x1b[0m"),
        }
    }
}

fn print(report: &Report, colours: Colours, output: &mut Output) -> io::Result<()> {
    output.line(&report.domain)?;
    print_stages(&report.stages, colours, output)?;
    for host in &report.route {
        print_host(host, " (next hop of the route)", colours, output)?;
    }
    for host in &report.hosts {
        let preference = host.preference.map(|number| format!(" (preference {number})"));
        print_host(host, &preference.unwrap_or_default(), colours, output)?;
    }
    let colour = match report.verdict {
        Verdict::Verified | Verdict::NoPolicy => 32,
        Verdict::Unverified | Verdict::CannotTell => 33,
        Verdict::Waiting => 31,
    };
    output.line("")?;
    output.line(colours.paint(&printable(&report.summary), colour))
}

fn print_host(host: &Host, remark: &str, colours: Colours, output: &mut Output) -> io::Result<()> {
    output.line("")?;
    output.line(format_args!("{}{remark}", printable(&host.name)))?;
    print_stages(&host.stages, colours, output)
}

fn print_stages(stages: &[Stage], colours: Colours, output: &mut Output) -> io::Result<()> {
    for stage in stages {
        let (name, word) = (stage.name, colours.word(stage.state));
        output.line(format_args!("  {name:<11}  {word}  {}", printable(&stage.text)))?;
        if let Some(fix) = &stage.fix {
            output.line(format_args!("  {:<11}  {:<7}  -> {}", "", "", printable(fix)))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_coloured_for_a_program() {
        assert_eq!(Colours::for_reader(Reader::Program), Colours::Off);
        assert_eq!(Colours::Off.word(State::Good), "ok     ");
        assert_eq!(Colours::On.word(State::Wrong), "\x1b[31mwrong  \x1b[0m");
    }
}
