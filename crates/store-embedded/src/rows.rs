//! The index's values: messages, entries, reasons, segments and the store itself.

use std::collections::HashMap;
use std::time::SystemTime;

use clock::{millis, time};
use mail::{DelayNotice, Envelope, Message, QueueId, Reason, ReasonClass, Recipient, State};
use smtp::{EnhancedCode, MailboxDomain};
use store::ByHand;

use crate::codec::{Decoder, Encoder, Malformed, shortened};
use crate::record::{
    body_byte, decode_body, decode_dsn, decode_purpose, decode_recipient, decode_reverse_path,
    decode_smtputf8, encode_dsn, encode_recipient, purpose_byte, reverse_path_text, smtputf8_byte,
};

/// An entry's recipients take at most this many bytes at first; three more for each whose sender was
/// told of a delay, and the row is still no longer than a value may be.
const ENTRY_BYTES: usize = 3584;

/// An entry has at most this many recipients, so that it fits one transaction with any server
/// (RFC 5321 §4.5.3.1.8).
const ENTRY_RECIPIENTS: usize = 100;

/// The longest text of a reason that is kept.
const REASON_TEXT: usize = 900;

/// The longest cause that is kept: with it a reason still fits one row.
const REASON_CAUSE: usize = 200;

/// Where a record is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum RecordLocation {
    /// In a file of its own, named by the message's id.
    Big,
    /// In a segment, at an offset.
    Segment {
        /// Which segment.
        segment: u32,
        /// Where in it the header begins.
        offset: u64,
    },
}

/// A message's row.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct MessageRow {
    /// Where its record is.
    pub(crate) place: RecordLocation,
    /// The length of the envelope in the record.
    pub(crate) envelope_size: u32,
    /// What is the same for all recipients.
    pub(crate) message: Message,
    /// Whether it is on its way.
    pub(crate) state: State,
    /// How many entries it was split into; their numbers are below this.
    pub(crate) entries: u32,
    /// How many entries are left.
    pub(crate) open_entries: u32,
    /// How many recipients are left.
    pub(crate) open_recipients: u32,
}

impl MessageRow {
    /// The length of the whole record.
    pub(crate) fn record_size(&self) -> u64 {
        crate::record::HEADER_BYTES
            .saturating_add(u64::from(self.envelope_size))
            .saturating_add(self.message.size)
    }

    /// The row as bytes.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::default();
        out.u8(1);
        match self.place {
            RecordLocation::Big => out.u8(0),
            RecordLocation::Segment { segment, offset } => out.u8(1).u32(segment).u64(offset),
        };
        out.u32(self.envelope_size).u64(self.message.size);
        out.u64(millis(self.message.received_at));
        out.u8(body_byte(self.message.body)).u8(smtputf8_byte(self.message.smtputf8));
        out.u8(purpose_byte(self.message.purpose));
        out.maybe_text(reverse_path_text(&self.message.reverse_path).as_deref());
        match &self.state {
            State::Queued => out.u8(0),
            State::OnHold => out.u8(1),
            State::Quarantined { why } => out.u8(2).text(shortened(why, REASON_TEXT)),
        };
        out.u32(self.entries).u32(self.open_entries).u32(self.open_recipients);
        encode_dsn(&mut out, &self.message.dsn);
        out.finish()
    }

    /// Reads the row back.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut input = Decoder::new(bytes, "message row");
        if input.u8()? != 1 {
            return Err(input.fault());
        }
        let place = match input.u8()? {
            0 => RecordLocation::Big,
            1 => RecordLocation::Segment { segment: input.u32()?, offset: input.u64()? },
            _ => return Err(input.fault()),
        };
        let envelope_size = input.u32()?;
        let (size, received_at) = (input.u64()?, time(input.u64()?));
        let body = decode_body(&mut input)?;
        let smtputf8 = decode_smtputf8(&mut input)?;
        let purpose = decode_purpose(&mut input)?;
        let reverse_path = decode_reverse_path(&mut input)?;
        let state = match input.u8()? {
            0 => State::Queued,
            1 => State::OnHold,
            2 => State::Quarantined { why: input.text()?.to_owned() },
            _ => return Err(input.fault()),
        };
        let (entries, open_entries, open_recipients) = (input.u32()?, input.u32()?, input.u32()?);
        let dsn = decode_dsn(&mut input)?;
        input.end()?;
        let message = Message { reverse_path, body, smtputf8, received_at, size, dsn, purpose };
        Ok(Self { place, envelope_size, message, state, entries, open_entries, open_recipients })
    }
}

/// What is the same for all recipients of `envelope`, taken at `received_at`.
pub(crate) fn message_of(envelope: &Envelope, received_at: SystemTime, size: u64) -> Message {
    Message {
        reverse_path: envelope.reverse_path().clone(),
        body: envelope.body(),
        smtputf8: envelope.smtputf8(),
        received_at,
        size,
        dsn: envelope.dsn().clone(),
        purpose: envelope.purpose(),
    }
}

/// A recipient within an entry.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct RowRecipient {
    /// Its place among all recipients of the message.
    pub(crate) index: u32,
    /// Which of the entry's reasons it was last deferred for.
    pub(crate) reason: Option<ReasonNumber>,
    /// Whether the sender knows that the mail is late.
    pub(crate) delay: DelayNotice,
    /// The recipient.
    pub(crate) recipient: Recipient,
}

/// Which of an entry's reasons, and its class, which is beside the number so that it can be counted
/// without the reason's own row.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct ReasonNumber {
    /// Its number: below [`ENTRY_RECIPIENTS`].
    pub(crate) number: u8,
    /// Its class.
    pub(crate) class: ReasonClass,
}

/// An entry's row: recipients of one message at one destination.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct EntryRow {
    /// When it is due, in milliseconds since 1970; none while the message is held.
    pub(crate) due: Option<u64>,
    /// How many attempts have failed.
    pub(crate) attempts: u32,
    /// What operators have done to its schedule.
    pub(crate) by_hand: ByHand,
    /// How many reasons are kept for it.
    pub(crate) reasons: u16,
    /// The recipients that are left; never empty.
    pub(crate) recipients: Vec<RowRecipient>,
}

impl EntryRow {
    /// Where the entry goes.
    pub(crate) fn destination(&self) -> Result<&MailboxDomain, Malformed> {
        let first = self.recipients.first().ok_or(Malformed("entry"))?;
        Ok(first.recipient.mailbox.domain())
    }

    /// The row as bytes.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::default();
        let is_by_hand = self.by_hand != ByHand::default();
        out.u8(if is_by_hand { 2 } else { 1 });
        encode_time(&mut out, self.due);
        out.u32(self.attempts).u16(self.reasons);
        if is_by_hand {
            encode_time(&mut out, self.by_hand.planned);
            out.u32(self.by_hand.attempts);
        }
        out.u16(u16::try_from(self.recipients.len()).unwrap_or(u16::MAX));
        for one in &self.recipients {
            encode_row_recipient(&mut out, one);
        }
        out.finish()
    }

    /// Reads the row back.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
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
        let count = input.u16()?;
        let mut recipients = Vec::new();
        for _ in 0..count {
            let index = input.u32()?;
            let reason = match [input.u8()?, input.u8()?] {
                NO_REASON => None,
                [class, number] => Some(ReasonNumber { number, class: class_of(class) }),
            };
            let (recipient, delay) = decode_recipient(&mut input)?;
            recipients.push(RowRecipient { index, reason, delay, recipient });
        }
        if recipients.is_empty() {
            return Err(input.fault());
        }
        input.end()?;
        Ok(Self { due, attempts, by_hand, reasons, recipients })
    }
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
/// The same recipients always make the same entries: a lease outlives an index that is built anew.
pub(crate) fn split_entries(recipients: &[Recipient], due: u64) -> Vec<EntryRow> {
    let mut groups: Vec<(usize, EntryRow)> = Vec::new();
    let mut open: HashMap<&MailboxDomain, usize> = HashMap::new();
    for (index, recipient) in (0_u32..).zip(recipients) {
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
            let (due, recipients) = (Some(due), vec![one]);
            let entry = EntryRow { due, attempts: 0, by_hand, reasons: 0, recipients };
            groups.push((size, entry));
        }
    }
    groups.into_iter().map(|(_, entry)| entry).collect()
}

/// A class as a byte. Nought stood where it is now before there were classes.
const fn class_byte(class: ReasonClass) -> u8 {
    match class {
        ReasonClass::Unknown => 0,
        ReasonClass::Policy => 1,
        ReasonClass::Tls => 2,
        ReasonClass::Dns => 3,
        ReasonClass::Connect => 4,
        ReasonClass::Reply => 5,
        ReasonClass::Other => 6,
        ReasonClass::Dane => 7,
    }
}

/// The class that a byte stands for; of a version to come, none that is known.
fn class_of(byte: u8) -> ReasonClass {
    let found = ReasonClass::ALL.into_iter().find(|class| class_byte(*class) == byte);
    found.unwrap_or(ReasonClass::Unknown)
}

/// A reason as bytes; long texts are cut.
pub(crate) fn encode_reason(reason: &Reason) -> Vec<u8> {
    let cut = |text: &'_ Option<String>| {
        text.as_deref().map(|text| shortened(text, REASON_TEXT).to_owned())
    };
    let mut out = Encoder::default();
    out.u8(3).text(&reason.enhanced.to_string()).text(shortened(&reason.text, REASON_TEXT));
    out.maybe_text(cut(&reason.mx).as_deref()).maybe_text(cut(&reason.reply).as_deref());
    out.maybe_text(cut(&reason.policy).as_deref());
    out.maybe_text(reason.addr.map(|addr| addr.to_string()).as_deref());
    let cause = reason.cause.as_deref().map(|cause| shortened(cause, REASON_CAUSE));
    out.u8(class_byte(reason.class)).maybe_text(cause).finish()
}

/// Reads a reason back.
pub(crate) fn decode_reason(bytes: &[u8]) -> Result<Reason, Malformed> {
    let mut input = Decoder::new(bytes, "reason row");
    let version = input.u8()?;
    if !(1..=3).contains(&version) {
        return Err(input.fault());
    }
    let enhanced = EnhancedCode::parse(input.text()?).ok_or_else(|| input.fault())?;
    let text = input.text()?.to_owned();
    let mx = input.maybe_text()?.map(str::to_owned);
    let reply = input.maybe_text()?.map(str::to_owned);
    let policy = input.maybe_text()?.map(str::to_owned);
    // Version 1 had none.
    let addr = if version == 1 { None } else { input.maybe_text()? };
    let addr = addr.map(|text| text.parse().map_err(|_cause| input.fault())).transpose()?;
    // Versions 1 and 2 had neither class nor cause.
    let is_classed = version >= 3;
    let class = if is_classed { class_of(input.u8()?) } else { ReasonClass::Unknown };
    let cause = if is_classed { input.maybe_text()?.map(str::to_owned) } else { None };
    input.end()?;
    Ok(Reason { enhanced, class, text, cause, mx, addr, reply, policy })
}

/// What is alive in one segment.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct SegmentRow {
    /// Messages.
    pub(crate) messages: u64,
    /// The bytes of their records.
    pub(crate) bytes: u64,
}

impl SegmentRow {
    /// The row as bytes.
    pub(crate) fn encode(self) -> Vec<u8> {
        Encoder::default().u64(self.messages).u64(self.bytes).finish()
    }

    /// Reads the row back.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut input = Decoder::new(bytes, "segment row");
        let row = Self { messages: input.u64()?, bytes: input.u64()? };
        input.end()?;
        Ok(row)
    }
}

/// The store's own row: rewritten in every batch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct StoreRow {
    /// The highest id that may have been given.
    pub(crate) reserved: QueueId,
    /// The segment up to which the spool is indexed.
    pub(crate) mark_segment: u32,
    /// How far that segment is indexed.
    pub(crate) mark_offset: u64,
    /// How many messages there are.
    pub(crate) messages: u64,
    /// How many entries there are.
    pub(crate) entries: u64,
    /// How many recipients are left.
    pub(crate) recipients: u64,
    /// The bytes of all records.
    pub(crate) bytes: u64,
    /// How many batches there have been.
    pub(crate) groups: u64,
}

/// The format of the index.
pub(crate) const INDEX_FORMAT: u16 = 1;

impl StoreRow {
    /// The row of an empty store.
    pub(crate) const fn empty() -> Self {
        Self {
            reserved: QueueId::from_number(0),
            mark_segment: 0,
            mark_offset: 0,
            messages: 0,
            entries: 0,
            recipients: 0,
            bytes: 0,
            groups: 0,
        }
    }

    /// The row as bytes.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::default();
        out.u16(INDEX_FORMAT).u64(self.reserved.number());
        out.u32(self.mark_segment).u64(self.mark_offset);
        out.u64(self.messages).u64(self.entries).u64(self.recipients).u64(self.bytes);
        out.u64(self.groups).finish()
    }

    /// Reads the row back.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut input = Decoder::new(bytes, "store row");
        if input.u16()? != INDEX_FORMAT {
            return Err(input.fault());
        }
        let row = Self {
            reserved: QueueId::from_number(input.u64()?),
            mark_segment: input.u32()?,
            mark_offset: input.u64()?,
            messages: input.u64()?,
            entries: input.u64()?,
            recipients: input.u64()?,
            bytes: input.u64()?,
            groups: input.u64()?,
        };
        input.end()?;
        Ok(row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(class: ReasonClass, addr: Option<&str>) -> Reason {
        Reason {
            mx: Some("mx.example.net".to_owned()),
            addr: addr.map(|text| text.parse().unwrap()),
            reply: Some("450 later".to_owned()),
            ..Reason::new(class, EnhancedCode::parse("4.4.1").unwrap(), "not now")
        }
    }

    #[test]
    fn a_reason_is_read_back_with_its_class_its_cause_and_the_address_that_was_tried() {
        for class in ReasonClass::ALL {
            for addr in [None, Some("192.0.2.1:25"), Some("[2001:db8::1]:587")] {
                let cause = addr.map(|_| "connection refused".to_owned());
                let reason = Reason { cause, ..reason(class, addr) };
                let row = encode_reason(&reason);
                assert_eq!(row.first(), Some(&3));
                assert_eq!(decode_reason(&row), Ok(reason));
            }
        }
    }

    /// The beginning of a reason's row of this version.
    fn begun(version: u8, mx: Option<&str>, reply: Option<&str>) -> Encoder {
        let mut row = Encoder::default();
        row.u8(version).text("4.4.1").text("not now").maybe_text(mx);
        row.maybe_text(reply).maybe_text(None);
        row
    }

    #[test]
    fn a_reason_of_a_version_without_an_address_or_a_class_is_still_read() {
        let (mx, reply) = (Some("mx.example.net"), Some("450 later"));
        let row = begun(1, mx, reply).finish();
        assert_eq!(decode_reason(&row), Ok(reason(ReasonClass::Unknown, None)));
        let addr = Some("192.0.2.1:25");
        let row = begun(2, mx, reply).maybe_text(addr).finish();
        assert_eq!(decode_reason(&row), Ok(reason(ReasonClass::Unknown, addr)));
    }

    #[test]
    fn a_reason_that_is_none_is_not_taken_for_one() {
        let row = encode_reason(&reason(ReasonClass::Connect, Some("192.0.2.1:25")));
        assert!(decode_reason(&[&[4], &row[1..]].concat()).is_err(), "a version to come");
        assert!(decode_reason(&[&[1], &row[1..]].concat()).is_err(), "more than there should be");
        assert!(decode_reason(&row[..row.len() - 3]).is_err(), "less");
        let row = begun(2, None, None).maybe_text(Some("mx.example.net")).finish();
        assert!(decode_reason(&row).is_err(), "a name where an address should be");
    }

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
