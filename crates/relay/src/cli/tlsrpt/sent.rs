//! `sts-relay tlsrpt preview`, `send` and `status`: the reports that the running relay sends.

use std::io;

use admin::api::report_answers::{
    CountedDomain, PreviewedReport, PreviewedTo, ReportsStatus, SentTo,
};
use admin::client::Client;
use anyhow::Context as _;
use clap::Args;
use settings::RelayPaths;
use tls_rpt::{Day, DomainName};

use crate::cli::ending::Ending;
use crate::cli::output::{Format, Output};
use crate::cli::relay_or_disk::{AnswerError, RelayOrDisk};
use crate::cli::table::{Room, Table, printable};

/// What would be sent.
#[derive(Args, Debug)]
pub(crate) struct Preview {
    /// The domain; without it, every domain that something was counted for.
    domain: Option<String>,
    /// The day in UTC, as 2026-11-30 [default: today, or yesterday if nothing was counted today].
    #[arg(long, value_name = "DAY")]
    date: Option<String>,
    #[command(flatten)]
    format: Format,
    /// Print the message that would be sent, without its signature.
    #[arg(long, conflicts_with = "json", requires = "domain")]
    message: bool,
}

/// What is sent now.
#[derive(Args, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct Send {
    /// The domain; without it, every domain whose report is not sent yet.
    domain: Option<String>,
    /// The day in UTC, as 2026-11-30 [default: yesterday].
    #[arg(long, value_name = "DAY", requires = "domain")]
    date: Option<String>,
    /// Send what was counted today as well; what is counted later is another report.
    #[arg(long)]
    today: bool,
    /// Print what would be sent, and send nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    format: Format,
}

/// The running relay, for what it alone may do.
pub(super) struct Sender {
    relay: RelayOrDisk,
    /// The day that is not over, as the relay has it.
    today: Day,
}

impl Sender {
    /// Reaches the relay.
    pub(super) async fn reach(paths: &RelayPaths) -> anyhow::Result<Self> {
        let mut relay = RelayOrDisk::running(paths).await?;
        let status = reports_status(relay.client()?).await?;
        Ok(Self { relay, today: status.today })
    }

    /// `tlsrpt status`
    pub(super) async fn status(
        &mut self,
        format: Format,
        output: &mut Output,
    ) -> anyhow::Result<Ending> {
        let status = reports_status(self.client()?).await?;
        format.write(&status, output, print_status)?;
        Ok(Ending::Done)
    }

    /// `tlsrpt preview`
    pub(super) async fn preview(
        &mut self,
        wanted: &Preview,
        output: &mut Output,
    ) -> anyhow::Result<Ending> {
        let date = wanted.date.as_deref().map(day).transpose()?;
        let Some(name) = &wanted.domain else {
            let all = self.previews(|counted| date.is_none_or(|day| counted == day)).await?;
            wanted.format.write(&all, output, |all, output| print_list(all, output))?;
            return Ok(Ending::Done);
        };
        let domain = domain(name)?;
        let mut preview = self.previewed(date.unwrap_or(self.today), &domain).await?;
        if date.is_none() && preview.report.is_none() {
            preview = self.previewed(self.today.before(), &domain).await?;
        }
        if wanted.message {
            let message = preview.message.context("there is no message: no report goes by mail")?;
            output.bytes(message.as_bytes())?;
        } else {
            wanted.format.write(&preview, output, print_preview)?;
        }
        Ok(if preview.why_not.is_none() { Ending::Done } else { Ending::Refused })
    }

    /// `tlsrpt send`
    pub(super) async fn send(
        &mut self,
        wanted: &Send,
        output: &mut Output,
    ) -> anyhow::Result<Ending> {
        let today = self.today;
        let meant = self.meant(wanted).await?;
        if wanted.dry_run {
            let mut all = Vec::with_capacity(meant.len());
            for CountedDomain { day, domain } in meant {
                all.push(self.previewed(day, &domain).await?);
            }
            wanted.format.write(&all, output, |all, output| print_list(all, output))?;
            return Ok(Ending::Done);
        }
        if wanted.domain.is_none() {
            let path = "/tls-reports/send-finished";
            let _status: ReportsStatus =
                self.client()?.post_slowly(path).await?.ok_or(AnswerError::TooOld)?;
        }
        let by_hand = |one: &&CountedDomain| wanted.domain.is_some() || one.day >= today;
        for CountedDomain { day, domain } in meant.iter().filter(by_hand) {
            let path = format!("/tls-reports/send?day={day}&domain={domain}");
            let sent: Option<ReportsStatus> = self.client()?.post_slowly(&path).await?;
            if sent.is_none() && wanted.domain.is_some() {
                let why = self.previewed(*day, domain).await?.why_not;
                let why = why.unwrap_or_else(|| "its record cannot be looked up".to_owned());
                anyhow::bail!("no report about {day} is sent to {domain}: {why}");
            }
        }
        self.status(wanted.format, output).await
    }

    /// The days and domains that are to be reported now.
    async fn meant(&mut self, wanted: &Send) -> anyhow::Result<Vec<CountedDomain>> {
        let today = self.today;
        let Some(name) = &wanted.domain else {
            let counted = self.counted().await?;
            let is_meant = |one: &CountedDomain| one.day < today || wanted.today;
            return Ok(counted.into_iter().filter(is_meant).collect());
        };
        let domain = domain(name)?;
        let date = wanted.date.as_deref().map(day).transpose()?;
        let day = match (date, wanted.today) {
            (Some(day), _) => day,
            (None, true) => today,
            (None, false) => today.before(),
        };
        Ok(vec![CountedDomain { day, domain }])
    }

    /// What would be sent of the days that are meant.
    async fn previews(
        &mut self,
        is_meant: impl Fn(Day) -> bool,
    ) -> anyhow::Result<Vec<PreviewedReport>> {
        let mut all = Vec::new();
        for CountedDomain { day, domain } in self.counted().await? {
            if is_meant(day) {
                all.push(self.previewed(day, &domain).await?);
            }
        }
        Ok(all)
    }

    /// All days and domains that are not reported yet.
    async fn counted(&mut self) -> anyhow::Result<Vec<CountedDomain>> {
        let (mut all, mut after) = (Vec::new(), String::new());
        loop {
            let path = format!("/tls-reports/counted{after}");
            let page: Option<Vec<CountedDomain>> = self.client()?.get(&path).await?;
            let page = page.ok_or(AnswerError::TooOld)?;
            let Some(CountedDomain { day, domain }) = page.last() else { return Ok(all) };
            after = format!("?day={day}&domain={domain}");
            all.extend(page);
        }
    }

    /// What would be sent to a domain about a day.
    async fn previewed(
        &mut self,
        day: Day,
        domain: &DomainName,
    ) -> anyhow::Result<PreviewedReport> {
        let path = format!("/tls-reports/preview?day={day}&domain={domain}");
        Ok(self.client()?.get(&path).await?.ok_or(AnswerError::TooOld)?)
    }

    fn client(&mut self) -> Result<&mut Client, AnswerError> {
        self.relay.client()
    }
}

/// How reports stand.
async fn reports_status(client: &mut Client) -> anyhow::Result<ReportsStatus> {
    Ok(client.get("/tls-reports").await?.ok_or(AnswerError::TooOld)?)
}

/// A day as it is typed.
fn day(text: &str) -> anyhow::Result<Day> {
    Day::parse(text).with_context(|| format!("`{text}` is not a day, such as 2026-11-30"))
}

/// A domain as it is typed.
fn domain(text: &str) -> anyhow::Result<DomainName> {
    DomainName::parse(text).with_context(|| format!("`{text}` is not a domain"))
}

fn print_status(status: &ReportsStatus, output: &mut Output) -> io::Result<()> {
    let Some(contact) = &status.contact else {
        return output.line("no reports are sent: tls_rpt.contact is empty");
    };
    output.line(format_args!("reports are sent from {contact}"))?;
    match (&status.oldest_due, status.due) {
        (Some(oldest), due) => {
            output.line(format_args!("{due} to be made, the first at {oldest}"))?;
        }
        (None, _) => output.line("none to be made")?,
    }
    if status.on_their_way.is_empty() {
        return output.line("none on their way");
    }
    let mut table = Table::new([
        ("DAY", Room::Whole),
        ("DOMAIN", Room::AtLeast(16)),
        ("STATE", Room::Whole),
        ("TRIES", Room::IfThereIs),
        ("NEXT", Room::Whole),
        ("DESTINATION", Room::AtLeast(24)),
        ("PROBLEM", Room::AtLeast(16)),
    ]);
    for report in &status.on_their_way {
        for sent in &report.destinations {
            let SentTo { destination, state, attempts, problem, next_try, queue_id } = sent;
            let next = next_try.map(|next| next.to_string()).or_else(|| queue_id.clone());
            table.row([
                report.day.to_string(),
                report.domain.to_string(),
                state.clone(),
                attempts.to_string(),
                next.unwrap_or_default(),
                destination.clone(),
                problem.clone().unwrap_or_default(),
            ]);
        }
    }
    table.print(output.width(), output)
}

fn print_list(all: &[PreviewedReport], output: &mut Output) -> io::Result<()> {
    if all.is_empty() {
        return output.line("nothing is counted that is not reported");
    }
    let mut table = Table::new([
        ("DAY", Room::Whole),
        ("DOMAIN", Room::AtLeast(16)),
        ("DUE", Room::Whole),
        ("DESTINATIONS", Room::AtLeast(24)),
    ]);
    for report in all {
        let due = report.due.map_or_else(String::new, |due| due.to_string());
        table.row([report.day.to_string(), report.domain.to_string(), due, whereto(report)]);
    }
    table.print(output.width(), output)
}

/// Where a report goes, or why it does not.
fn whereto(report: &PreviewedReport) -> String {
    if let Some(why_not) = &report.why_not {
        return format!("none: {why_not}");
    }
    report.destinations.iter().map(in_words).collect::<Vec<_>>().join(", ")
}

/// A destination, and why it would not be tried.
fn in_words(to: &PreviewedTo) -> String {
    match &to.why_not {
        None => to.destination.clone(),
        Some(why_not) => format!("{} (not tried: {why_not})", to.destination),
    }
}

fn print_preview(preview: &PreviewedReport, output: &mut Output) -> io::Result<()> {
    let PreviewedReport { day, domain, report_id, due, warnings, report, .. } = preview;
    output.line(format_args!("TLS report to {domain} about {day} (UTC)"))?;
    if let Some(report_id) = report_id {
        output.line(format_args!("  report-id: {report_id}"))?;
    }
    if let Some(due) = due {
        output.line(format_args!("  due: {due}"))?;
    }
    output.line(format_args!("  goes to: {}", printable(&whereto(preview))))?;
    for warning in warnings {
        output.line(format_args!("  record: {warning}"))?;
    }
    let Some(report) = report else { return Ok(()) };
    let text = serde_json::to_string_pretty(report)?;
    output.line("")?;
    output.line(text)
}
