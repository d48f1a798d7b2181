//! What a certificate is worth by what public authorities say.

use pkix::TlsError;

/// What a verifying handshake would have said.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// It would have accepted the peer.
    Valid,
    /// It would have refused the peer.
    Invalid(TlsError),
    /// No certificate was shown, so there is nothing to judge.
    Unknown,
}

impl Verdict {
    /// What a verifier noted of the certificates; nothing where it was shown none.
    pub(super) fn of(judged: Option<&Result<(), TlsError>>) -> Self {
        match judged {
            None => Self::Unknown,
            Some(Ok(())) => Self::Valid,
            Some(Err(error)) => Self::Invalid(error.clone()),
        }
    }
}
