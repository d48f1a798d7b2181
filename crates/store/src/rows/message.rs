//! What is the same for all recipients of a message.

use std::time::SystemTime;

use clock::{millis, time};
use mail::{Envelope, Message};

use crate::rows::codec::{Decoder, Encoder, Malformed};
use crate::rows::envelope::{
    body_byte, decode_body, decode_parameters, decode_purpose, decode_reverse_path,
    decode_smtputf8, encode_parameters, purpose_byte, reverse_path_text, smtputf8_byte,
};

/// A message without its recipients, as bytes.
#[must_use]
pub fn encode_message(message: &Message) -> Vec<u8> {
    let mut out = Encoder::default();
    out.u8(1).u64(message.size).u64(millis(message.received_at));
    out.u8(body_byte(message.body)).u8(smtputf8_byte(message.smtputf8));
    out.u8(purpose_byte(message.purpose));
    out.maybe_text(reverse_path_text(&message.reverse_path).as_deref());
    encode_parameters(&mut out, &message.dsn, message.tls);
    out.finish()
}

/// Reads it back.
///
/// # Errors
///
/// [`Malformed`] where it is none.
pub fn decode_message(bytes: &[u8]) -> Result<Message, Malformed> {
    let mut input = Decoder::new(bytes, "message");
    if input.u8()? != 1 {
        return Err(input.fault());
    }
    let (size, received_at) = (input.u64()?, time(input.u64()?));
    let body = decode_body(&mut input)?;
    let smtputf8 = decode_smtputf8(&mut input)?;
    let purpose = decode_purpose(&mut input)?;
    let reverse_path = decode_reverse_path(&mut input)?;
    let (dsn, tls) = decode_parameters(&mut input)?;
    input.end()?;
    Ok(Message { reverse_path, body, smtputf8, received_at, size, dsn, purpose, tls })
}

/// What is the same for all recipients of `envelope`, taken at `received_at`.
#[must_use]
pub fn message_of(envelope: &Envelope, received_at: SystemTime, size: u64) -> Message {
    Message {
        reverse_path: envelope.reverse_path().clone(),
        body: envelope.body(),
        smtputf8: envelope.smtputf8(),
        received_at,
        size,
        dsn: envelope.dsn().clone(),
        purpose: envelope.purpose(),
        tls: envelope.tls(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mail::{DsnParameters, Purpose, TlsRequired};
    use smtp::{BodyType, EnvelopeId, Mailbox, Ret, ReversePath, Smtputf8};

    use super::*;

    #[test]
    fn a_message_is_read_back_and_none_that_is_short_or_long() {
        let message = Message {
            reverse_path: ReversePath::Mailbox(Mailbox::parse("a@one.example").unwrap()),
            body: BodyType::BinaryMime,
            smtputf8: Smtputf8::Requested,
            received_at: SystemTime::UNIX_EPOCH + Duration::from_millis(1_800_000_000_123),
            size: 1 << 40,
            dsn: DsnParameters { ret: Some(Ret::Hdrs), envid: EnvelopeId::parse("QQ314") },
            purpose: Purpose::TlsReport,
            tls: TlsRequired::No,
        };
        let bytes = encode_message(&message);
        assert_eq!(decode_message(&bytes), Ok(message));
        assert!(decode_message(&[&bytes[..], &[0]].concat()).is_err());
        assert!(decode_message(&bytes[..bytes.len() - 1]).is_err());
        assert!(decode_message(&[&[2], &bytes[1..]].concat()).is_err(), "of a version to come");
    }
}
