//! The row of an entry, and how recipients are split into entries.

use std::collections::HashMap;

use mail::{Begins, DelayNotice, Envelope, ReasonClass, Recipient, State};
use smtp::MailboxDomain;

use crate::claim::ByHand;

use crate::rows::codec::{Decoder, Encoder, Malformed};
use crate::rows::envelope::{decode_recipient, encode_recipient};
use crate::rows::reason::{ReasonNumber, class_byte, class_of};

/// An entry's recipients take at most this many bytes at first; three more for each whose sender was
/// told of a delay, and the row is still no longer than a value may be.
const ENTRY_BYTES: usize = 3584;

/// An entry has at most this many recipients, so that it fits one transaction with any server
/// (RFC 5321 §4.5.3.1.8).
const ENTRY_RECIPIENTS: usize = 100;

/// How many recipients entries have together.
#[must_use]
pub fn count_recipients(entries: &[EntryRow]) -> usize {
    entries.iter().map(|entry| entry.recipients.len()).sum()
}

/// The state of a new message that has these entries.
#[must_use]
pub fn first_state(entries: &[EntryRow]) -> State {
    let is_due = entries.iter().any(|entry| entry.due.is_some());
    if is_due { State::Queued } else { State::HeldByStaging }
}

/// A recipient within an entry.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RowRecipient {
    /// Its place among all recipients of the message.
    pub index: u32,
    /// Which of the entry's reasons it was last deferred for.
    pub reason: Option<ReasonNumber>,
    /// Whether the sender knows that the mail is late.
    pub delay: DelayNotice,
    /// The recipient.
    pub recipient: Recipient,
}

/// An entry's row: recipients of one message at one destination.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EntryRow {
    /// When it is due, in milliseconds since 1970; none while the message is on hold, held by staging or quarantined.
    pub due: Option<u64>,
    /// How many attempts have failed.
    pub attempts: u32,
    /// What operators have done to its schedule.
    pub by_hand: ByHand,
    /// How many reasons are kept for it.
    pub reasons: u16,
    /// The recipients that are left; never empty.
    pub recipients: Vec<RowRecipient>,
}

impl EntryRow {
    /// Where the entry goes.
    pub fn destination(&self) -> Result<&MailboxDomain, Malformed> {
        let first = self.recipients.first().ok_or(Malformed("entry"))?;
        Ok(first.recipient.mailbox.domain())
    }

    /// What each recipient waits for who was deferred, unless the entry is held.
    pub fn waits_for(&self) -> impl Iterator<Item = ReasonClass> {
        let waiting = self.recipients.iter().filter(|_| self.due.is_some());
        waiting.filter_map(|one| one.reason).map(|reason| reason.class)
    }

    /// The row as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::default();
        let is_by_hand = self.by_hand != ByHand::default();
        out.u8(if is_by_hand { 2 } else { 1 });
        encode_time(&mut out, self.due);
        out.u32(self.attempts).u16(self.reasons);
        if is_by_hand {
            encode_time(&mut out, self.by_hand.planned);
            out.u32(self.by_hand.attempts);
        }
        write_recipients(&mut out, &self.recipients);
        out.finish()
    }

    /// Reads the row back.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut input = Decoder::new(bytes, "entry row");
        let version = input.u8()?;
        if !(1..=2).contains(&version) {
            return Err(input.fault());
        }
        let due = decode_time(&mut input)?;
        let (attempts, reasons) = (input.u32()?, input.u16()?);
        let by_hand = match version {
            1 => ByHand::default(),
            _ => ByHand { planned: decode_time(&mut input)?, attempts: input.u32()? },
        };
        let recipients = read_recipients(&mut input)?;
        input.end()?;
        Ok(Self { due, attempts, by_hand, reasons, recipients })
    }
}

/// The recipients of an entry as bytes, for a row that has the rest in columns.
#[must_use]
pub fn encode_recipients(recipients: &[RowRecipient]) -> Vec<u8> {
    let mut out = Encoder::default();
    out.u8(1);
    write_recipients(&mut out, recipients);
    out.finish()
}

/// Reads them back.
///
/// # Errors
///
/// [`Malformed`] where they are none, or there is none.
pub fn decode_recipients(bytes: &[u8]) -> Result<Vec<RowRecipient>, Malformed> {
    let mut input = Decoder::new(bytes, "recipients of an entry");
    if input.u8()? != 1 {
        return Err(input.fault());
    }
    let recipients = read_recipients(&mut input)?;
    input.end()?;
    Ok(recipients)
}

/// Writes recipients behind their number.
fn write_recipients(out: &mut Encoder, recipients: &[RowRecipient]) {
    out.u16(u16::try_from(recipients.len()).unwrap_or(u16::MAX));
    for one in recipients {
        encode_row_recipient(out, one);
    }
}

/// Reads them back.
fn read_recipients(input: &mut Decoder<'_>) -> Result<Vec<RowRecipient>, Malformed> {
    let count = input.u16()?;
    let mut recipients = Vec::new();
    for _ in 0..count {
        let index = input.u32()?;
        let reason = match [input.u8()?, input.u8()?] {
            NO_REASON => None,
            [class, number] => Some(ReasonNumber { number, class: class_of(class) }),
        };
        let (recipient, delay) = decode_recipient(input)?;
        recipients.push(RowRecipient { index, reason, delay, recipient });
    }
    if recipients.is_empty() {
        return Err(input.fault());
    }
    Ok(recipients)
}

/// Writes a time, or that there is none.
fn encode_time(out: &mut Encoder, time: Option<u64>) {
    match time {
        Some(time) => out.u8(1).u64(time),
        None => out.u8(0),
    };
}

/// Reads it back.
fn decode_time(input: &mut Decoder<'_>) -> Result<Option<u64>, Malformed> {
    match input.u8()? {
        0 => Ok(None),
        1 => Ok(Some(input.u64()?)),
        _ => Err(input.fault()),
    }
}

/// What stands for no reason where a class and a number would be.
const NO_REASON: [u8; 2] = [u8::MAX; 2];

/// Writes one recipient of an entry.
fn encode_row_recipient(out: &mut Encoder, one: &RowRecipient) {
    let reason = one.reason.map(|ReasonNumber { number, class }| [class_byte(class), number]);
    out.u32(one.index).raw(&reason.unwrap_or(NO_REASON));
    encode_recipient(out, &one.recipient, one.delay);
}

/// Splits recipients into entries: one destination each, few enough and short enough for one row.
///
/// The same recipients always make the same entries: a lease outlives an index that is rebuilt.
pub fn split_entries(envelope: &Envelope, due: u64) -> Vec<EntryRow> {
    let due = match envelope.begins() {
        Begins::Due => Some(due),
        Begins::HeldByStaging => None,
    };
    let mut groups: Vec<(usize, EntryRow)> = Vec::new();
    let mut open: HashMap<&MailboxDomain, usize> = HashMap::new();
    for (index, recipient) in (0_u32..).zip(envelope.recipients()) {
        let (delay, copy) = (DelayNotice::Due, recipient.clone());
        let one = RowRecipient { index, reason: None, delay, recipient: copy };
        let mut measured = Encoder::default();
        encode_row_recipient(&mut measured, &one);
        let size = measured.len();
        let fitting = open
            .get(recipient.mailbox.domain())
            .and_then(|place| groups.get_mut(*place))
            .filter(|(bytes, entry)| {
                bytes.saturating_add(size) <= ENTRY_BYTES
                    && entry.recipients.len() < ENTRY_RECIPIENTS
            });
        if let Some((bytes, entry)) = fitting {
            *bytes = bytes.saturating_add(size);
            entry.recipients.push(one);
        } else {
            open.insert(recipient.mailbox.domain(), groups.len());
            let by_hand = ByHand::default();
            let (due, recipients) = (due, vec![one]);
            let entry = EntryRow { due, attempts: 0, by_hand, reasons: 0, recipients };
            groups.push((size, entry));
        }
    }
    groups.into_iter().map(|(_, entry)| entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An entry of one recipient with this reason.
    fn entry(reason: Option<ReasonNumber>) -> EntryRow {
        let recipient = Recipient::new(smtp::Mailbox::parse("a@example.org").unwrap());
        let one = RowRecipient { index: 0, reason, delay: DelayNotice::Due, recipient };
        EntryRow {
            due: Some(7),
            attempts: 1,
            by_hand: ByHand::default(),
            reasons: 1,
            recipients: vec![one],
        }
    }

    #[test]
    fn an_entry_is_read_back_with_the_classes_of_its_reasons() {
        let numbered = |class| Some(ReasonNumber { number: 99, class });
        for reason in ReasonClass::ALL.into_iter().map(numbered).chain([None]) {
            let entry = entry(reason);
            assert_eq!(EntryRow::decode(&entry.encode()), Ok(entry));
        }
    }

    #[test]
    fn an_entry_is_read_back_with_what_was_done_by_hand() {
        for by_hand in [
            ByHand { planned: Some(9), attempts: 0 },
            ByHand { planned: None, attempts: 3 },
            ByHand { planned: Some(u64::MAX), attempts: u32::MAX },
        ] {
            let entry = EntryRow { by_hand, ..entry(None) };
            let row = entry.encode();
            assert_eq!((row.first(), EntryRow::decode(&row)), (Some(&2), Ok(entry)));
        }
    }

    #[test]
    fn an_entry_of_a_version_without_classes_has_reasons_of_none_that_is_known() {
        let known = Some(ReasonNumber { number: 3, class: ReasonClass::Reply });
        let mut row = entry(known).encode();
        // Version, due, attempts, reasons, recipients, place: then two bytes for the number alone.
        let at = 1 + 9 + 4 + 2 + 2 + 4;
        row[at..at + 2].copy_from_slice(&3_u16.to_be_bytes());
        let unknown = Some(ReasonNumber { number: 3, class: ReasonClass::Unknown });
        assert_eq!(EntryRow::decode(&row).unwrap().recipients[0].reason, unknown);
    }
}
