//! The row of a message.

use clock::{millis, time};
use mail::{Begins, Message, State};
use store::rows::{
    Decoder, Encoder, Malformed, REASON_TEXT, body_byte, decode_body, decode_options_of_message,
    decode_purpose, decode_reverse_path, decode_smtputf8, encode_options_of_message, purpose_byte,
    reverse_path_text, shortened, smtputf8_byte,
};

use crate::rows::location::RecordLocation;

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
            State::HeldByStaging | State::OnHold => out.u8(1),
            State::Quarantined { why } => out.u8(2).text(shortened(why, REASON_TEXT)),
        };
        out.u32(self.entries).u32(self.open_entries).u32(self.open_recipients);
        let begins = match self.state {
            State::HeldByStaging => Begins::HeldByStaging,
            State::OnHold | State::Quarantined { .. } | State::Queued => Begins::Due,
        };
        encode_options_of_message(&mut out, &self.message.dsn, self.message.tls, begins);
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
        let (dsn, tls, begins) = decode_options_of_message(&mut input)?;
        input.end()?;
        let state = match (state, begins) {
            (State::OnHold, Begins::HeldByStaging) => State::HeldByStaging,
            (state, Begins::Due | Begins::HeldByStaging) => state,
        };
        let message =
            Message { reverse_path, body, smtputf8, received_at, size, dsn, purpose, tls };
        Ok(Self { place, envelope_size, message, state, entries, open_entries, open_recipients })
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use mail::{DsnParameters, Purpose, TlsRequired};
    use smtp::{BodyType, ReversePath, Smtputf8};

    use super::*;

    fn row(state: State) -> MessageRow {
        let message = Message {
            reverse_path: ReversePath::Null,
            body: BodyType::SevenBit,
            smtputf8: Smtputf8::NotRequested,
            received_at: SystemTime::UNIX_EPOCH,
            size: 7,
            dsn: DsnParameters::default(),
            purpose: Purpose::Mail,
            tls: TlsRequired::Yes,
        };
        let (place, envelope_size) = (RecordLocation::Big, 5);
        let (entries, open_entries, open_recipients) = (3, 2, 1);
        MessageRow { place, envelope_size, message, state, entries, open_entries, open_recipients }
    }

    #[test]
    fn a_row_is_read_back_in_each_state() {
        let quarantined = State::Quarantined { why: "no end".to_owned() };
        for state in [State::HeldByStaging, State::OnHold, quarantined, State::Queued] {
            let row = row(state);
            assert_eq!(MessageRow::decode(&row.encode()), Ok(row));
        }
    }

    #[test]
    fn what_staging_holds_is_on_hold_for_a_version_that_cannot_tell_and_has_a_tag_more() {
        let (held, on_hold) = (row(State::HeldByStaging).encode(), row(State::OnHold).encode());
        // The options stand last: their number, and then each with its tag and its text.
        let options = on_hold.len() - 4;
        assert_eq!(on_hold[options..], [1, 3, 0, 0], "REQUIRETLS");
        assert_eq!(held[..options], on_hold[..options]);
        assert_eq!(held[options..], [2, 3, 0, 0, 4, 0, 0]);
    }
}
