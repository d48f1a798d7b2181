//! `sendmail -bp` and `mailq`: the queue as Postfix prints it, for scripts that read that.

use std::fmt;

use admin::api::answers::FullMessage;
use admin::api::state_word::state_kind;
use clock::Timestamp;
use jiff::tz::TimeZone;
use queue::{Filter, QueueId, StateKind};
use settings::RelayPaths;

use crate::cli::output::Output;
use crate::cli::relay_or_disk::{AnswerError, RelayOrDisk};
use crate::cli::table::printable;

/// What stands above the list.
const HEAD: &str = "----Queue ID----- --Size-- ---Arrival Time---- --Sender/Recipient------";

/// Where the recipients stand.
const INDENT: usize = 47;

/// How wide the reasons are.
const WIDTH: usize = 78;

/// Prints the queue, of the relay that runs or at rest.
///
/// # Errors
///
/// [`AnswerError`] where nobody can be asked.
pub(super) async fn print(paths: &RelayPaths, output: &mut Output) -> Result<(), AnswerError> {
    let mut answers = RelayOrDisk::reach(paths).await?;
    let (mut after, mut bytes, mut count) = (None, 0_u64, 0_u64);
    loop {
        let page = answers.messages(&Filter::default(), after).await?;
        let Some(last) = page.last() else { break };
        let Ok(next) = last.headline.id.parse::<QueueId>() else { break };
        after = Some(next);
        for listed in &page {
            let Ok(id) = listed.headline.id.parse() else { continue };
            // One that has left meanwhile is not there.
            let Some(message) = answers.message(id).await? else { continue };
            if count == 0 {
                output.line(HEAD)?;
            }
            output.line(Entry(&message))?;
            bytes = bytes.saturating_add(message.headline.size);
            count = count.saturating_add(1);
        }
    }
    output.line(total(bytes, count))?;
    Ok(())
}

/// The line at the end.
fn total(bytes: u64, count: u64) -> String {
    let requests = if count == 1 { "Request" } else { "Requests" };
    match count {
        0 => "Mail queue is empty".to_owned(),
        _ => format!("-- {} Kbytes in {count} {requests}.", bytes / 1024),
    }
}

/// One message: a line of its own, then why recipients wait, and who they are.
struct Entry<'a>(&'a FullMessage);

impl fmt::Display for Entry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FullMessage { headline, destinations, .. } = self.0;
        let id = format!("{}{}", headline.id, mark(&headline.state));
        let sender = headline.sender.as_deref().unwrap_or("MAILER-DAEMON");
        let (size, at) = (headline.size, arrival(headline.received_at));
        writeln!(f, "{id:<17} {size:>8} {at:<19} {}", printable(sender))?;
        let mut before = None;
        for recipient in destinations.iter().flat_map(|destination| &destination.recipients) {
            let reason = recipient.reason.as_ref().map(|reason| reason.text.as_str());
            if let Some(reason) = reason.filter(|_| reason != before) {
                writeln!(f, "{:>WIDTH$}", format!("({})", printable(reason)))?;
            }
            before = reason;
            writeln!(f, "{:INDENT$}{}", "", printable(&recipient.address))?;
        }
        Ok(())
    }
}

/// What stands behind the id: an exclamation mark says that the message is held.
fn mark(state: &str) -> &'static str {
    match state_kind(state) {
        Ok(StateKind::HeldByStaging | StateKind::OnHold | StateKind::Quarantined) => "!",
        Ok(StateKind::Queued) | Err(_) => "",
    }
}

/// When the message came, as ctime(3) writes it without the year, in UTC.
fn arrival(at: Timestamp) -> String {
    let at = jiff::Timestamp::try_from(at.time()).unwrap_or_default();
    at.to_zoned(TimeZone::UTC).strftime("%a %b %e %H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_what_scripts_look_for() {
        assert_eq!(total(0, 0), "Mail queue is empty");
        assert_eq!(total(2047, 1), "-- 1 Kbytes in 1 Request.");
        assert_eq!(total(9000, 2), "-- 8 Kbytes in 2 Requests.");
    }
}
