//! What outcomes make of an entry's recipients and reasons.

use mail::{Outcome, Reason};

use crate::rows::codec::Malformed;
use crate::rows::entry::{EntryRow, RowRecipient};
use crate::rows::reason::ReasonNumber;

/// Leaves an entry those recipients who are deferred, each with the number of its reason; the reasons, each
/// different one once.
///
/// # Errors
///
/// [`Malformed`] where there are more reasons than numbers.
pub fn leave_deferred<'r>(
    entry: &mut EntryRow,
    deferred: Vec<(RowRecipient, &'r Reason)>,
) -> Result<Vec<&'r Reason>, Malformed> {
    let mut known: Vec<&Reason> = Vec::new();
    entry.recipients.clear();
    for (mut recipient, reason) in deferred {
        let number = known.iter().position(|other| *other == reason).unwrap_or(known.len());
        let row_number = u8::try_from(number).map_err(|_cause| Malformed("number of reasons"))?;
        if number == known.len() {
            known.push(reason);
        }
        recipient.reason = Some(ReasonNumber { number: row_number, class: reason.class });
        entry.recipients.push(recipient);
    }
    entry.reasons = u16::try_from(known.len()).map_err(|_cause| Malformed("number of reasons"))?;
    Ok(known)
}

/// Who is deferred, with the reason, and whose place is free now.
#[must_use]
pub fn divide<'o>(
    recipients: &[RowRecipient],
    outcomes: &'o [Outcome],
) -> (Vec<(RowRecipient, &'o Reason)>, Vec<u32>) {
    let (mut deferred, mut done) = (Vec::new(), Vec::new());
    for (recipient, outcome) in recipients.iter().zip(outcomes) {
        match outcome {
            Outcome::Deferred(reason) => deferred.push((recipient.clone(), reason)),
            Outcome::Delivered { .. } | Outcome::Bounced(_) => done.push(recipient.index),
        }
    }
    (deferred, done)
}
