//! Times of the queue as the wall clock shows them, for people.

use clock::Clock;
use queue::{Details, EntryDetails, Message, Summary};

/// A message in short.
pub(crate) fn summary(summary: Summary, clock: &dyn Clock) -> Summary {
    let next_attempt = summary.next_attempt.map(|time| clock.on_wall(time));
    Summary { message: message(summary.message, clock), next_attempt, ..summary }
}

/// A message in full.
pub(crate) fn details(details: Details, clock: &dyn Clock) -> Details {
    let entries = details.entries.into_iter().map(|entry| EntryDetails {
        next_attempt: entry.next_attempt.map(|time| clock.on_wall(time)),
        ..entry
    });
    Details { entries: entries.collect(), message: message(details.message, clock), ..details }
}

fn message(message: Message, clock: &dyn Clock) -> Message {
    Message { received_at: clock.on_wall(message.received_at), ..message }
}
