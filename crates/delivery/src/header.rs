//! What a queued message and its header are written in.

use queue::{BodyError, Lease};
use tokio::io::{AsyncReadExt, Take};

/// How much of a message is looked through for its header.
const LOOK_MAX: usize = 64 * 1024;

/// What a message or its header is written in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Alphabet {
    /// ASCII alone.
    Ascii,
    /// Perhaps more, as RFC 6152 and RFC 6532 allow.
    Utf8,
}

/// The first bytes of the message, at most `limit`.
pub(crate) async fn head(lease: &Lease, limit: usize) -> Result<Vec<u8>, BodyError> {
    let mut body: Take<_> = lease.body().await?.take(u64::try_from(limit).unwrap_or(u64::MAX));
    let mut head = Vec::new();
    body.read_to_end(&mut head).await?;
    Ok(head)
}

/// What all of the message is written in.
pub(crate) async fn whole_alphabet(lease: &Lease) -> Result<Alphabet, BodyError> {
    let mut body = lease.body().await?;
    let mut piece = Vec::with_capacity(LOOK_MAX);
    while body.read_buf(&mut piece).await? > 0 {
        if !piece.is_ascii() {
            return Ok(Alphabet::Utf8);
        }
        piece.clear();
    }
    Ok(Alphabet::Ascii)
}

/// What the message's header is written in; where that is not seen soon, perhaps in UTF-8.
pub(crate) async fn alphabet(lease: &Lease) -> Result<Alphabet, BodyError> {
    Ok(alphabet_of(&head(lease, LOOK_MAX).await?))
}

fn alphabet_of(head: &[u8]) -> Alphabet {
    let end = memchr::memmem::find(head, b"\r\n\r\n");
    let whole = end.is_some() || head.len() < LOOK_MAX;
    let header = end.and_then(|end| head.get(..end)).unwrap_or(head);
    if whole && header.is_ascii() { Alphabet::Ascii } else { Alphabet::Utf8 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_ascii_whatever_the_body_is() {
        assert_eq!(alphabet_of(b"Subject: x\r\n\r\n\xc3\xa4\r\n"), Alphabet::Ascii);
        assert_eq!(alphabet_of("Subject: ä\r\n\r\nx\r\n".as_bytes()), Alphabet::Utf8);
        assert_eq!(alphabet_of(b"Subject: no body\r\n"), Alphabet::Ascii);
        assert_eq!(alphabet_of(&[b'x'; LOOK_MAX]), Alphabet::Utf8);
    }
}
