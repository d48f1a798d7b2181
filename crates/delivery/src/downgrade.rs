//! What a message needs of a host, which may be less than came with it.
//!
//! The reasons: `docs/decisions/0010-what-a-host-cannot-take.md`.

use mail::Recipient;
use queue::{BodyError, Lease};
use smtp::{BodyType, Smtputf8};
use tls_policy::Trust;
use tokio::sync::OnceCell;

use crate::envelope::Mail;
use crate::header::{Alphabet, alphabet, alphabet_of_lines, whole_alphabet};
use crate::line_io::Stream;
use crate::session::established::Session;

/// What is known of a message's needs; it is looked through once, and only for a host that takes less
/// than was announced.
#[derive(Debug, Default)]
pub(crate) struct Downgrade {
    /// The least that a host has to take.
    least: OnceCell<BodyType>,
}

impl Downgrade {
    /// What the host of this session is told of the message for these recipients.
    pub(crate) async fn mail<'a, T: Trust, S: Stream>(
        &self,
        lease: &'a Lease,
        session: &Session<T, S>,
        recipients: &[&Recipient],
    ) -> Result<Mail<'a>, BodyError> {
        let message = lease.message();
        Ok(Mail {
            reverse_path: &message.reverse_path,
            size: message.size,
            body: self.body_type(lease, session).await?,
            smtputf8: smtputf8(lease, recipients).await?,
            dsn: &message.dsn,
        })
    }

    /// What the body is sent as: as it was announced where the host takes that, else as the least
    /// that it can be.
    async fn body_type<T: Trust, S: Stream>(
        &self,
        lease: &Lease,
        session: &Session<T, S>,
    ) -> Result<BodyType, BodyError> {
        let announced = lease.message().body;
        if session.takes(announced) {
            return Ok(announced);
        }
        self.least.get_or_try_init(|| least(lease, announced)).await.copied()
    }
}

/// The least that a host has to take, found by looking through the message: many senders announce
/// more than they send (RFC 6152 §3, RFC 3030 §3).
async fn least(lease: &Lease, announced: BodyType) -> Result<BodyType, BodyError> {
    let of_lines = |alphabet| match alphabet {
        Alphabet::Ascii => BodyType::SevenBit,
        Alphabet::Utf8 => BodyType::EightBitMime,
    };
    match announced {
        BodyType::SevenBit => Ok(BodyType::SevenBit),
        BodyType::EightBitMime => whole_alphabet(lease).await.map(of_lines),
        BodyType::BinaryMime => {
            let lines = alphabet_of_lines(lease).await?;
            Ok(lines.map_or(BodyType::BinaryMime, of_lines))
        }
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
