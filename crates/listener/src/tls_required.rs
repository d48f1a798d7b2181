//! The header field TLS-Required (RFC 8689 §3): its sender wants the message to arrive, whatever the
//! policy of its recipients asks of TLS.

use queue::TlsRequired;

use crate::header::HeaderScan;

/// Why the TLS-Required fields of a message have no effect.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum WhyIgnored {
    /// There is more than one, and there must not be (RFC 8689 §3).
    Repeated,
    /// MAIL had REQUIRETLS, which wins (RFC 8689 §4.1).
    RequireTls,
    /// The field says something else than `No`.
    Value,
}

impl WhyIgnored {
    /// A word for the log.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Repeated => "repeated",
            Self::RequireTls => "requiretls",
            Self::Value => "value",
        }
    }
}

/// What a message says about TLS that comes in these pieces, by what MAIL had and what its header says
/// (RFC 8689 §4.1): the same as a listener finds while the message passes.
///
/// # Errors
///
/// [`WhyIgnored`] where its header has TLS-Required fields and they do not count.
pub fn tls_required_of(mail: TlsRequired, pieces: &[&[u8]]) -> Result<TlsRequired, WhyIgnored> {
    let (mut header, mut passed_on) = (HeaderScan::new(), Vec::new());
    for piece in pieces {
        header.take(piece, &mut passed_on);
    }
    tag(mail, &header.take_tls_required())
}

/// What a message says about TLS, by what MAIL had and what the TLS-Required fields of its header say
/// (RFC 8689 §4.1). A field is to switch off what protects the mail, so nothing doubtful counts.
///
/// # Errors
///
/// [`WhyIgnored`] where there are such fields and they do not count.
pub(crate) fn tag(mail: TlsRequired, fields: &[Vec<u8>]) -> Result<TlsRequired, WhyIgnored> {
    match (mail, fields) {
        (_, []) => Ok(mail),
        (TlsRequired::Yes | TlsRequired::YesOrRedacted, _) => Err(WhyIgnored::RequireTls),
        (TlsRequired::No | TlsRequired::Unspecified, [value]) => {
            let says_no = value.trim_ascii().eq_ignore_ascii_case(b"no");
            says_no.then_some(TlsRequired::No).ok_or(WhyIgnored::Value)
        }
        (TlsRequired::No | TlsRequired::Unspecified, [_, _, ..]) => Err(WhyIgnored::Repeated),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_field_that_says_no_counts_and_nothing_doubtful_does() {
        let (mail, requires) = (TlsRequired::Unspecified, TlsRequired::Yes);
        for (mail, fields, expected) in [
            (mail, &[][..], Ok(mail)),
            (mail, &[" No\r\n"], Ok(TlsRequired::No)),
            (mail, &["nO"], Ok(TlsRequired::No)),
            (mail, &["\r\n\tNO \r\n"], Ok(TlsRequired::No)),
            (mail, &[" Yes\r\n"], Err(WhyIgnored::Value)),
            (mail, &["\r\n"], Err(WhyIgnored::Value)),
            (mail, &[" No (please)\r\n"], Err(WhyIgnored::Value)),
            (mail, &[" N\r\n o\r\n"], Err(WhyIgnored::Value)),
            (mail, &[" No, No\r\n"], Err(WhyIgnored::Value)),
            (mail, &[" No\r\n", " No\r\n"], Err(WhyIgnored::Repeated)),
            (mail, &[" No\r\n", " Yes\r\n"], Err(WhyIgnored::Repeated)),
            (requires, &[], Ok(requires)),
            (requires, &[" No\r\n"], Err(WhyIgnored::RequireTls)),
        ] {
            let said: Vec<Vec<u8>> = fields.iter().map(|said| said.as_bytes().to_vec()).collect();
            assert_eq!(tag(mail, &said), expected, "{fields:?}");
        }
    }
}
