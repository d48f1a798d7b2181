//! What a message needs of a host, which may be less than came with it.

use queue::{BodyError, Lease, Recipient};
use smtp::{BodyType, Smtputf8};

use crate::envelope::Mail;
use crate::header::{Alphabet, alphabet, whole_alphabet};
use crate::line_io::Stream;
use crate::session::Session;
use crate::trust::Trust;

/// What the host of this session is told of the message for these recipients.
pub(crate) async fn mail<'a, T: Trust, S: Stream>(
    lease: &'a Lease,
    session: &Session<T, S>,
    recipients: &[&Recipient],
) -> Result<Mail<'a>, BodyError> {
    let message = lease.message();
    Ok(Mail {
        reverse_path: &message.reverse_path,
        size: message.size,
        body: body_type(lease, session).await?,
        smtputf8: smtputf8(lease, recipients).await?,
        dsn: &message.dsn,
    })
}

/// What the body holds; for a host without 8BITMIME it is worth a look whether it really needs
/// that, for many senders announce it whatever they send (RFC 6152 §3).
async fn body_type<T: Trust, S: Stream>(
    lease: &Lease,
    session: &Session<T, S>,
) -> Result<BodyType, BodyError> {
    match lease.message().body {
        BodyType::EightBitMime if !session.takes_eight_bits() => {
            Ok(match whole_alphabet(lease).await? {
                Alphabet::Ascii => BodyType::SevenBit,
                Alphabet::Utf8 => BodyType::EightBitMime,
            })
        }
        body @ (BodyType::BinaryMime | BodyType::EightBitMime | BodyType::SevenBit) => Ok(body),
    }
}

/// Whether the message cannot go without SMTPUTF8, although it came with it (RFC 6531 §3.2).
async fn smtputf8(lease: &Lease, recipients: &[&Recipient]) -> Result<Smtputf8, BodyError> {
    let message = lease.message();
    let ascii = message.reverse_path.is_ascii()
        && recipients.iter().all(|recipient| recipient.mailbox.is_ascii());
    match message.smtputf8 {
        Smtputf8::NotRequested => Ok(Smtputf8::NotRequested),
        Smtputf8::Requested if !ascii => Ok(Smtputf8::Requested),
        Smtputf8::Requested => Ok(match alphabet(lease).await? {
            Alphabet::Ascii => Smtputf8::NotRequested,
            Alphabet::Utf8 => Smtputf8::Requested,
        }),
    }
}
