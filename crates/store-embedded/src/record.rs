//! A record of the spool: a message (header, envelope, body), or the changes of a commit group (header,
//! changes). A message's record is the copy that must survive.
//!
//! The header names its store by a random number, so that bytes inside a body that look like a
//! record are never taken for one when a damaged segment is searched for what is still whole.

use std::time::SystemTime;

use clock::{millis, time};
use mail::{
    Begins, DelayNotice, DsnParameters, Envelope, Purpose, QueueId, Recipient, TlsRequired,
};
use smtp::{BodyType, EnvelopeId, Mailbox, Notify, OriginalRecipient, Ret, ReversePath, Smtputf8};

use crate::codec::{Decoder, Encoder, Malformed};

/// How every record begins.
pub(crate) const MAGIC: [u8; 8] = *b"\x8fSTSMAIL";

/// The version of the format written here.
const VERSION: u16 = 1;

/// The size of a header in bytes.
pub(crate) const HEADER_SIZE: usize = 64;

/// The size of a header in bytes, as an offset.
pub(crate) const HEADER_BYTES: u64 = 64;

/// The part of the header that its own checksum covers.
const CHECKED_SIZE: usize = 60;

/// No envelope is longer: enough for 50,000 recipients.
pub(crate) const ENVELOPE_MOST: u32 = 24 << 20;

/// What a record holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// What a commit group made of the index; the group's number stands in place of the id.
    Changes,
    /// A message.
    Message,
}

/// The fixed beginning of a record.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Header {
    /// The store that wrote the record.
    pub(crate) store: u64,
    /// The message.
    pub(crate) id: QueueId,
    /// When it was taken.
    pub(crate) received_at: SystemTime,
    /// The length of the body in bytes.
    pub(crate) body_size: u64,
    /// The length of the envelope in bytes.
    pub(crate) envelope_size: u32,
    /// The envelope's CRC-32C.
    pub(crate) envelope_sum: u32,
    /// The body's CRC-32C.
    pub(crate) body_sum: u32,
}

impl Header {
    /// The header of a record that holds the changes of group number `group`.
    pub(crate) fn of_changes(store: u64, group: u64, now: SystemTime, changes: &[u8]) -> Self {
        Self {
            store,
            id: QueueId::from_number(group),
            received_at: now,
            body_size: u64::try_from(changes.len()).unwrap_or(u64::MAX),
            envelope_size: 0,
            envelope_sum: 0,
            body_sum: crc32c::crc32c(changes),
        }
    }

    /// A message's header as bytes, its own checksum last.
    pub(crate) fn encode(&self) -> Vec<u8> {
        self.encode_as(Kind::Message)
    }

    /// The header as bytes, its own checksum last.
    pub(crate) fn encode_as(&self, kind: Kind) -> Vec<u8> {
        let mut out = Encoder::default();
        out.raw(&MAGIC).u16(VERSION).u16(kind_number(kind)).u32(0);
        out.u64(self.store).u64(self.id.number());
        out.u64(millis(self.received_at)).u64(self.body_size);
        out.u32(self.envelope_size).u32(self.envelope_sum).u32(self.body_sum);
        let mut bytes = out.finish();
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_be_bytes());
        bytes
    }

    /// Reads a message's header back; anything but a whole one of this version is malformed.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        match Self::decode_any(bytes)? {
            (Kind::Message, header) => Ok(header),
            (Kind::Changes, _) => Err(Malformed("message's header")),
        }
    }

    /// Reads a header of any kind back.
    pub(crate) fn decode_any(bytes: &[u8]) -> Result<(Kind, Self), Malformed> {
        let mut input = Decoder::new(bytes, "record header");
        let covered = bytes.get(..CHECKED_SIZE).ok_or_else(|| input.fault())?;
        let magic = input.raw(MAGIC.len())?;
        let version = input.u16()?;
        let (kind, spare) = (input.u16()?, input.u32()?);
        if magic != MAGIC || version != VERSION || spare != 0 {
            return Err(input.fault());
        }
        let kind = match kind {
            0 => Kind::Message,
            1 => Kind::Changes,
            _ => return Err(input.fault()),
        };
        let header = Self {
            store: input.u64()?,
            id: QueueId::from_number(input.u64()?),
            received_at: time(input.u64()?),
            body_size: input.u64()?,
            envelope_size: input.u32()?,
            envelope_sum: input.u32()?,
            body_sum: input.u32()?,
        };
        if input.u32()? != crc32c::crc32c(covered) || header.envelope_size > ENVELOPE_MOST {
            return Err(input.fault());
        }
        Ok((kind, header))
    }

    /// Where the body begins, counted from the beginning of the record.
    pub(crate) fn body_offset(&self) -> u64 {
        HEADER_BYTES.saturating_add(u64::from(self.envelope_size))
    }

    /// The length of the whole record.
    pub(crate) fn record_size(&self) -> u64 {
        self.body_offset().saturating_add(self.body_size)
    }
}

/// A kind as a number.
const fn kind_number(kind: Kind) -> u16 {
    match kind {
        Kind::Message => 0,
        Kind::Changes => 1,
    }
}

/// The envelope as bytes.
pub(crate) fn encode_envelope(envelope: &Envelope) -> Vec<u8> {
    let mut out = Encoder::default();
    out.maybe_text(reverse_path_text(envelope.reverse_path()).as_deref());
    out.u8(body_byte(envelope.body())).u8(smtputf8_byte(envelope.smtputf8()));
    out.u8(purpose_byte(envelope.purpose()));
    encode_mail_options(&mut out, envelope);
    out.u32(u32::try_from(envelope.recipients().len()).unwrap_or(u32::MAX));
    for recipient in envelope.recipients() {
        encode_recipient(&mut out, recipient, DelayNotice::Due);
    }
    out.finish()
}

/// Reads an envelope back.
pub(crate) fn decode_envelope(bytes: &[u8]) -> Result<Envelope, Malformed> {
    let mut input = Decoder::new(bytes, "envelope");
    let reverse_path = decode_reverse_path(&mut input)?;
    let body = decode_body(&mut input)?;
    let smtputf8 = decode_smtputf8(&mut input)?;
    let purpose = decode_purpose(&mut input)?;
    let (dsn, tls, begins) = decode_mail_options(&mut input)?;
    let count = input.u32()?;
    let mut recipients = Vec::new();
    for _ in 0..count {
        recipients.push(decode_recipient(&mut input)?.0);
    }
    input.end()?;
    let envelope = Envelope::new(reverse_path, recipients, body, smtputf8);
    Ok(envelope.with_purpose(purpose).with_dsn(dsn).with_tls(tls).beginning(begins))
}

/// The tag of an envelope's RET (RFC 3461 §4.3). An option is a tag and a text; readers skip those
/// they do not know, so that later versions can add some without a new format.
const RET: u8 = 1;

/// The tag of an envelope's ENVID (RFC 3461 §4.4).
const ENVID: u8 = 2;

/// The tag of an envelope's REQUIRETLS (RFC 8689 §2). Its text is empty; a record without it is of a
/// message that does not ask for TLS, or of a version that could not.
const REQUIRETLS: u8 = 3;

/// The tag of an envelope of a message that begins on hold. Its text is empty.
const ON_HOLD: u8 = 4;

/// The tag of an envelope of a message whose header says `TLS-Required: No` (RFC 8689 §3). Its text is
/// empty; a record without it is of a message that does not say so, or of a version that did not look.
const TLS_REQUIRED_NO: u8 = 5;

/// The tag of a recipient's NOTIFY (RFC 3461 §4.1).
const NOTIFY: u8 = 1;

/// The tag of a recipient's ORCPT (RFC 3461 §4.2).
const ORCPT: u8 = 2;

/// The tag that stands in an entry alone: the sender was told that this recipient's mail is late. Its
/// text is empty.
const DELAY_NOTICE_SENT: u8 = 3;

/// Writes what an envelope says beside its addresses.
fn encode_mail_options(out: &mut Encoder, envelope: &Envelope) {
    let on_hold = match envelope.begins() {
        Begins::Due => None,
        Begins::OnHold => Some(String::new()),
    };
    let [ret, envid, tls] = parameters(envelope.dsn(), envelope.tls());
    encode_options(out, &[ret, envid, tls, (ON_HOLD, on_hold)]);
}

/// Writes the parameters of MAIL that are options.
pub(crate) fn encode_parameters(out: &mut Encoder, dsn: &DsnParameters, tls: TlsRequired) {
    encode_options(out, &parameters(dsn, tls));
}

/// The parameters of MAIL that are options.
fn parameters(dsn: &DsnParameters, tls: TlsRequired) -> [(u8, Option<String>); 3] {
    let DsnParameters { ret, envid } = dsn;
    let ret = ret.map(|ret| ret.to_string());
    let tls = match tls {
        TlsRequired::No => (TLS_REQUIRED_NO, Some(String::new())),
        TlsRequired::Unspecified => (REQUIRETLS, None),
        TlsRequired::Yes => (REQUIRETLS, Some(String::new())),
    };
    let envid = envid.as_ref().map(EnvelopeId::to_string);
    [(RET, ret), (ENVID, envid), tls]
}

/// Reads the parameters of MAIL that are options.
pub(crate) fn decode_parameters(
    input: &mut Decoder<'_>,
) -> Result<(DsnParameters, TlsRequired), Malformed> {
    decode_mail_options(input).map(|(dsn, tls, _begins)| (dsn, tls))
}

/// Reads what an envelope says beside its addresses.
fn decode_mail_options(
    input: &mut Decoder<'_>,
) -> Result<(DsnParameters, TlsRequired, Begins), Malformed> {
    let mut dsn = DsnParameters::default();
    let (mut tls, mut begins) = (TlsRequired::Unspecified, Begins::Due);
    decode_options(input, |tag, text| match tag {
        RET => dsn.ret = Ret::parse(text),
        ENVID => dsn.envid = EnvelopeId::parse(text),
        REQUIRETLS => tls = TlsRequired::Yes,
        TLS_REQUIRED_NO => tls = TlsRequired::No,
        ON_HOLD => begins = Begins::OnHold,
        _ => {}
    })?;
    Ok((dsn, tls, begins))
}

/// Writes one recipient, and whether the sender was told of a delay.
pub(crate) fn encode_recipient(out: &mut Encoder, recipient: &Recipient, delay: DelayNotice) {
    let Recipient { mailbox, notify, orcpt } = recipient;
    let sent = match delay {
        DelayNotice::Due => None,
        DelayNotice::Sent => Some(String::new()),
    };
    out.text(&mailbox.to_string());
    encode_options(
        out,
        &[
            (NOTIFY, notify.map(|notify| notify.to_string())),
            (ORCPT, orcpt.as_ref().map(OriginalRecipient::to_string)),
            (DELAY_NOTICE_SENT, sent),
        ],
    );
}

/// Reads one recipient.
pub(crate) fn decode_recipient(
    input: &mut Decoder<'_>,
) -> Result<(Recipient, DelayNotice), Malformed> {
    let mailbox = Mailbox::parse(input.text()?).map_err(|_cause| input.fault())?;
    let (mut recipient, mut delay) = (Recipient::new(mailbox), DelayNotice::Due);
    decode_options(input, |tag, text| match tag {
        NOTIFY => recipient.notify = Notify::parse(text),
        ORCPT => recipient.orcpt = OriginalRecipient::parse(text),
        DELAY_NOTICE_SENT => delay = DelayNotice::Sent,
        _ => {}
    })?;
    Ok((recipient, delay))
}

/// Writes the options that there are, behind their number.
fn encode_options(out: &mut Encoder, options: &[(u8, Option<String>)]) {
    let present = options.iter().filter_map(|(tag, text)| Some((*tag, text.as_deref()?)));
    out.u8(u8::try_from(present.clone().count()).unwrap_or(u8::MAX));
    for (tag, text) in present {
        out.u8(tag).text(text);
    }
}

/// Reads options one by one.
fn decode_options(
    input: &mut Decoder<'_>,
    mut take: impl FnMut(u8, &str),
) -> Result<(), Malformed> {
    for _ in 0..input.u8()? {
        let tag = input.u8()?;
        take(tag, input.text()?);
    }
    Ok(())
}

/// The mailbox of a reverse-path, none for the null one.
pub(crate) fn reverse_path_text(path: &ReversePath) -> Option<String> {
    match path {
        ReversePath::Null => None,
        ReversePath::Mailbox(mailbox) => Some(mailbox.to_string()),
    }
}

/// Reads a reverse-path.
pub(crate) fn decode_reverse_path(input: &mut Decoder<'_>) -> Result<ReversePath, Malformed> {
    match input.maybe_text()? {
        None => Ok(ReversePath::Null),
        Some(text) => {
            Mailbox::parse(text).map(ReversePath::Mailbox).map_err(|_cause| input.fault())
        }
    }
}

/// The body type as a byte.
pub(crate) const fn body_byte(body: BodyType) -> u8 {
    match body {
        BodyType::SevenBit => 0,
        BodyType::EightBitMime => 1,
        BodyType::BinaryMime => 2,
    }
}

/// Reads a body type.
pub(crate) fn decode_body(input: &mut Decoder<'_>) -> Result<BodyType, Malformed> {
    match input.u8()? {
        0 => Ok(BodyType::SevenBit),
        1 => Ok(BodyType::EightBitMime),
        2 => Ok(BodyType::BinaryMime),
        _ => Err(input.fault()),
    }
}

/// SMTPUTF8 as a byte.
pub(crate) const fn smtputf8_byte(smtputf8: Smtputf8) -> u8 {
    match smtputf8 {
        Smtputf8::NotRequested => 0,
        Smtputf8::Requested => 1,
    }
}

/// Reads SMTPUTF8.
pub(crate) fn decode_smtputf8(input: &mut Decoder<'_>) -> Result<Smtputf8, Malformed> {
    match input.u8()? {
        0 => Ok(Smtputf8::NotRequested),
        1 => Ok(Smtputf8::Requested),
        _ => Err(input.fault()),
    }
}

/// The purpose as a byte.
pub(crate) const fn purpose_byte(purpose: Purpose) -> u8 {
    match purpose {
        Purpose::Mail => 0,
        Purpose::TlsReport => 1,
    }
}

/// Reads a purpose: trusted to say what may be sent unverified, so nothing is guessed.
pub(crate) fn decode_purpose(input: &mut Decoder<'_>) -> Result<Purpose, Malformed> {
    match input.u8()? {
        0 => Ok(Purpose::Mail),
        1 => Ok(Purpose::TlsReport),
        _ => Err(input.fault()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn header(numbers: (u64, u64, u64, u64, u32, u32, u32)) -> Header {
        let (store, id, received_at, body_size, envelope_size, envelope_sum, body_sum) = numbers;
        Header {
            store,
            id: QueueId::from_number(id),
            received_at: SystemTime::UNIX_EPOCH + Duration::from_millis(received_at % (1 << 43)),
            body_size,
            envelope_size: envelope_size % ENVELOPE_MOST,
            envelope_sum,
            body_sum,
        }
    }

    fn recipient() -> impl Strategy<Value = Recipient> {
        let domains = prop_oneof!["[a-z]{1,9}\\.example", Just("[192.0.2.1]".to_owned())];
        ("[a-z0-9.+ \"\\\\-]{1,20}", domains).prop_filter_map("not a mailbox", |(local, domain)| {
            let quoted = local.replace('\\', "\\\\").replace('"', "\\\"");
            let mut recipient =
                Mailbox::parse(&format!("\"{quoted}\"@{domain}")).ok().map(Recipient::new)?;
            if local.len() % 2 == 0 {
                recipient.notify = Notify::parse("SUCCESS,DELAY");
                recipient.orcpt = OriginalRecipient::parse("utf-8;j\u{f6}rg@x");
            }
            Some(recipient)
        })
    }

    fn envelope() -> impl Strategy<Value = Envelope> {
        let path = proptest::option::of(recipient()).prop_map(|sender| {
            sender.map_or(ReversePath::Null, |sender| ReversePath::Mailbox(sender.mailbox))
        });
        let recipients = proptest::collection::vec(recipient(), 0..5);
        (path, recipients, any::<[bool; 4]>()).prop_map(|(path, recipients, [b, s, p, t])| {
            let body = match (b, s) {
                (true, true) => BodyType::BinaryMime,
                (true, false) => BodyType::EightBitMime,
                (false, _) => BodyType::SevenBit,
            };
            let smtputf8 = if s { Smtputf8::Requested } else { Smtputf8::NotRequested };
            let purpose = if p { Purpose::TlsReport } else { Purpose::Mail };
            let dsn = DsnParameters {
                ret: b.then_some(Ret::Hdrs),
                envid: s.then(|| EnvelopeId::parse("QQ+20314159").unwrap()),
            };
            let tls = match (t, b) {
                (true, true) => TlsRequired::No,
                (true, false) => TlsRequired::Yes,
                (false, _) => TlsRequired::Unspecified,
            };
            let begins = if b { Begins::OnHold } else { Begins::Due };
            let envelope = Envelope::new(path, recipients, body, smtputf8).beginning(begins);
            envelope.with_purpose(purpose).with_dsn(dsn).with_tls(tls)
        })
    }

    #[test]
    fn an_envelope_is_read_back_with_what_its_message_asks_of_tls() {
        let envelope = |tls| {
            let (body, smtputf8) = (BodyType::SevenBit, Smtputf8::NotRequested);
            Envelope::new(ReversePath::Null, Vec::new(), body, smtputf8).with_tls(tls)
        };
        let plain = encode_envelope(&envelope(TlsRequired::Unspecified));
        assert_eq!(decode_envelope(&plain).unwrap().tls(), TlsRequired::Unspecified);
        for tls in [TlsRequired::No, TlsRequired::Yes] {
            let tagged = encode_envelope(&envelope(tls));
            // The record of a message that does not ask is what it was before any could.
            assert_eq!(tagged.len(), plain.len() + 3);
            assert_eq!(decode_envelope(&tagged).unwrap().tls(), tls);
        }
    }

    proptest! {
        #[test]
        fn a_header_is_read_back(numbers: (u64, u64, u64, u64, u32, u32, u32)) {
            let header = header(numbers);
            let bytes = header.encode();
            prop_assert_eq!(bytes.len(), HEADER_SIZE);
            prop_assert_eq!(Header::decode(&bytes), Ok(header));
            let changes = header.encode_as(Kind::Changes);
            prop_assert!(Header::decode(&changes).is_err());
            prop_assert_eq!(Header::decode_any(&changes), Ok((Kind::Changes, header)));
        }

        #[test]
        fn a_header_with_a_flipped_bit_is_refused(
            numbers: (u64, u64, u64, u64, u32, u32, u32), at in 0..HEADER_SIZE, bit in 0..8_u32,
        ) {
            let mut bytes = header(numbers).encode();
            bytes[at] ^= 1 << bit;
            prop_assert!(Header::decode(&bytes).is_err());
        }

        #[test]
        fn an_envelope_is_read_back(envelope in envelope()) {
            let bytes = encode_envelope(&envelope);
            prop_assert_eq!(decode_envelope(&bytes), Ok(envelope));
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            let _refused = Header::decode(&bytes);
            let _refused = decode_envelope(&bytes);
        }
    }
}
