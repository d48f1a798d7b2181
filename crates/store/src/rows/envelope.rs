//! An envelope as bytes, and the parts of it that rows hold.

use mail::{Begins, DelayNotice, DsnParameters, Envelope, Purpose, Recipient, TlsRequired};
use smtp::{BodyType, EnvelopeId, Mailbox, Notify, OriginalRecipient, Ret, ReversePath, Smtputf8};

use crate::rows::codec::{Decoder, Encoder, Malformed};

/// No envelope is longer: enough for 50,000 recipients.
pub const ENVELOPE_MOST: u32 = 24 << 20;

/// The envelope as bytes.
pub fn encode_envelope(envelope: &Envelope) -> Vec<u8> {
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
pub fn decode_envelope(bytes: &[u8]) -> Result<Envelope, Malformed> {
    let mut input = Decoder::new(bytes, "envelope");
    let reverse_path = decode_reverse_path(&mut input)?;
    let body = decode_body(&mut input)?;
    let smtputf8 = decode_smtputf8(&mut input)?;
    let purpose = decode_purpose(&mut input)?;
    let (dsn, tls, begins) = decode_options_of_message(&mut input)?;
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

/// The tag of an envelope's REQUIRETLS (RFC 8689 §2). Its text is mostly empty; a record without it is of a
/// message that does not ask for TLS, or of a version that could not.
const REQUIRETLS: u8 = 3;

/// The text of [`REQUIRETLS`] where it is of a notification that goes redacted if no host keeps to it.
const OR_REDACTED: &str = "or-redacted";

/// The tag of a message that staging holds, in its envelope and its row. Its text is empty; a row on
/// hold without it is of a message that an operator holds, or of a version that did not tell.
const HELD_BY_STAGING: u8 = 4;

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
    encode_options_of_message(out, envelope.dsn(), envelope.tls(), envelope.begins());
}

/// Writes the options of a message, and whether staging holds it.
pub fn encode_options_of_message(
    out: &mut Encoder,
    dsn: &DsnParameters,
    tls: TlsRequired,
    begins: Begins,
) {
    let held = match begins {
        Begins::Due => None,
        Begins::HeldByStaging => Some(String::new()),
    };
    let [ret, envid, tls] = parameters(dsn, tls);
    encode_options(out, &[ret, envid, tls, (HELD_BY_STAGING, held)]);
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
        TlsRequired::YesOrRedacted => (REQUIRETLS, Some(OR_REDACTED.to_owned())),
    };
    let envid = envid.as_ref().map(EnvelopeId::to_string);
    [(RET, ret), (ENVID, envid), tls]
}

/// Reads the parameters of MAIL that are options.
pub(crate) fn decode_parameters(
    input: &mut Decoder<'_>,
) -> Result<(DsnParameters, TlsRequired), Malformed> {
    decode_options_of_message(input).map(|(dsn, tls, _begins)| (dsn, tls))
}

/// Reads the options of a message, and whether staging holds it.
pub fn decode_options_of_message(
    input: &mut Decoder<'_>,
) -> Result<(DsnParameters, TlsRequired, Begins), Malformed> {
    let mut dsn = DsnParameters::default();
    let (mut tls, mut begins) = (TlsRequired::Unspecified, Begins::Due);
    decode_options(input, |tag, text| match tag {
        RET => dsn.ret = Ret::parse(text),
        ENVID => dsn.envid = EnvelopeId::parse(text),
        REQUIRETLS if text == OR_REDACTED => tls = TlsRequired::YesOrRedacted,
        REQUIRETLS => tls = TlsRequired::Yes,
        TLS_REQUIRED_NO => tls = TlsRequired::No,
        HELD_BY_STAGING => begins = Begins::HeldByStaging,
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
    out.text(&mailbox.text());
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
pub fn reverse_path_text(path: &ReversePath) -> Option<String> {
    match path {
        ReversePath::Null => None,
        ReversePath::Mailbox(mailbox) => Some(mailbox.text()),
    }
}

/// Reads a reverse-path.
pub fn decode_reverse_path(input: &mut Decoder<'_>) -> Result<ReversePath, Malformed> {
    match input.maybe_text()? {
        None => Ok(ReversePath::Null),
        Some(text) => {
            Mailbox::parse(text).map(ReversePath::Mailbox).map_err(|_cause| input.fault())
        }
    }
}

/// The body type as a byte.
pub const fn body_byte(body: BodyType) -> u8 {
    match body {
        BodyType::SevenBit => 0,
        BodyType::EightBitMime => 1,
        BodyType::BinaryMime => 2,
    }
}

/// Reads a body type.
pub fn decode_body(input: &mut Decoder<'_>) -> Result<BodyType, Malformed> {
    match input.u8()? {
        0 => Ok(BodyType::SevenBit),
        1 => Ok(BodyType::EightBitMime),
        2 => Ok(BodyType::BinaryMime),
        _ => Err(input.fault()),
    }
}

/// SMTPUTF8 as a byte.
pub const fn smtputf8_byte(smtputf8: Smtputf8) -> u8 {
    match smtputf8 {
        Smtputf8::NotRequested => 0,
        Smtputf8::Requested => 1,
    }
}

/// Reads SMTPUTF8.
pub fn decode_smtputf8(input: &mut Decoder<'_>) -> Result<Smtputf8, Malformed> {
    match input.u8()? {
        0 => Ok(Smtputf8::NotRequested),
        1 => Ok(Smtputf8::Requested),
        _ => Err(input.fault()),
    }
}

/// The purpose as a byte.
pub const fn purpose_byte(purpose: Purpose) -> u8 {
    match purpose {
        Purpose::Mail => 0,
        Purpose::TlsReport => 1,
    }
}

/// Reads a purpose: trusted to say what may be sent unverified, so nothing is guessed.
pub fn decode_purpose(input: &mut Decoder<'_>) -> Result<Purpose, Malformed> {
    match input.u8()? {
        0 => Ok(Purpose::Mail),
        1 => Ok(Purpose::TlsReport),
        _ => Err(input.fault()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
            let begins = if b { Begins::HeldByStaging } else { Begins::Due };
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
        for (tls, text) in [
            (TlsRequired::No, ""),
            (TlsRequired::Yes, ""),
            (TlsRequired::YesOrRedacted, OR_REDACTED),
        ] {
            let tagged = encode_envelope(&envelope(tls));
            // The record of a message that does not ask is what it was before any could.
            assert_eq!(tagged.len(), plain.len() + 3 + text.len());
            assert_eq!(decode_envelope(&tagged).unwrap().tls(), tls);
        }
    }

    proptest! {
        #[test]
        fn an_envelope_is_read_back(envelope in envelope()) {
            let bytes = encode_envelope(&envelope);
            prop_assert_eq!(decode_envelope(&bytes), Ok(envelope));
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            let _refused = decode_envelope(&bytes);
        }
    }
}
