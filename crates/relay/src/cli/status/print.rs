//! What `status` prints for people.

use std::io;

use clock::{Timestamp, time};
use history::{Figures, Need, NeedKind};
use mail::Protection;

use super::seen::{Status, Waiting};
use crate::cli::output::Output;
use crate::cli::table::printable;
use crate::cli::words::span;

/// Everything on a screen.
pub(super) fn status(status: &Status, output: &mut Output) -> io::Result<()> {
    let Status { at, running, not_ready, queue, hour, day, domains, needs } = status;
    let mut field = |name: &str, text: String| output.line(format_args!("{name:<11}{text}"));
    field(
        "relay",
        match (running, not_ready.is_empty()) {
            (false, _) => "not running".to_owned(),
            (true, true) => "running, ready".to_owned(),
            (true, false) => "running, not ready".to_owned(),
        },
    )?;
    field("queue", waiting(queue.as_ref()))?;
    field("last hour", flowed(hour))?;
    field("last day", flowed(day))?;
    let counts: Vec<_> = Protection::ALL
        .iter()
        .rev()
        .filter_map(|protection| {
            Some(format!("{} {}", domains.get(protection)?, protection.label()))
        })
        .collect();
    let all = domains.values().copied().fold(0, u64::saturating_add);
    field("domains", if counts.is_empty() { all.to_string() } else { counts.join(", ") })?;
    if !status.needs_a_person() {
        return output.line("nobody is needed");
    }
    output.line("")?;
    output.line("needs a person:")?;
    if !running {
        output.line("  relay: it does not run")?;
    }
    for check in not_ready {
        output.line(printable(&format!("  {}: {}", check.name, check.detail)))?;
    }
    needs.iter().try_for_each(|need| output.line(printable(&format!("  {}", in_words(need, *at)))))
}

/// What waits, in words.
fn waiting(queue: Option<&Waiting>) -> String {
    let Some(Waiting { messages, recipients, oldest_seconds }) = queue else {
        return "cannot be read".to_owned();
    };
    if *messages == 0 {
        return "empty".to_owned();
    }
    format!(
        "{messages} messages for {recipients} recipients, the oldest for {}",
        span(*oldest_seconds)
    )
}

/// What has flowed, in words.
fn flowed(figures: &Figures) -> String {
    let Figures { accepted, delivered, deferred, bounced, .. } = figures;
    let sum = |counts: &mut dyn Iterator<Item = u64>| counts.fold(0, u64::saturating_add);
    let by: Vec<_> = delivered
        .iter()
        .rev()
        .map(|(protection, count)| format!("{count} {}", protection.label()))
        .collect();
    let by = if by.is_empty() { String::new() } else { format!(" ({})", by.join(", ")) };
    format!(
        "{accepted} accepted, {} delivered{by}, {} deferred, {} bounced",
        sum(&mut delivered.values().copied()),
        sum(&mut deferred.values().copied()),
        sum(&mut bounced.values().copied()),
    )
}

/// Why somebody should look, in words.
fn in_words(need: &Need, now: u64) -> String {
    let Need { domain, since, why } = need;
    let ago = span(now.saturating_sub(*since) / 1_000);
    match why {
        NeedKind::CertificateEnding { host, not_after } => {
            let end = Timestamp::of(time(*not_after));
            format!("{domain}: the certificate of {host} ends {end}")
        }
        NeedKind::Held { cause, error } => {
            let why = error.as_deref().unwrap_or_else(|| cause.word());
            format!("{domain}: mail is not delivered for {ago}: {why}")
        }
        NeedKind::PolicyEnding => format!("{domain}: the policy cannot be fetched again for {ago}"),
        NeedKind::ProtectionFell { from, to } => {
            format!("{domain}: protection fell from {} to {} {ago} ago", from.label(), to.label())
        }
        NeedKind::TlsaGone => format!("{domain}: its TLSA records were gone {ago} ago"),
        NeedKind::Weakened { from, to } => {
            let to = to.map_or("none", |to| to.word());
            format!("{domain}: the policy was weakened from {} to {to} {ago} ago", from.word())
        }
    }
}
