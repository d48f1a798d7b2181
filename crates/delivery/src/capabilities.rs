//! What a peer says it can do: the keywords of its EHLO reply (RFC 5321 §4.1.1.1).

use smtp::Reply;
use tls_rpt::ReceivingMxHelo;

/// An extension this client makes use of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Extension {
    /// RFC 3030 §3.
    BinaryMime,
    /// RFC 3030 §2.
    Chunking,
    /// RFC 3461.
    Dsn,
    /// RFC 4954.
    Auth,
    /// RFC 6152.
    EightBitMime,
    /// RFC 9422.
    Limits,
    /// RFC 2920.
    Pipelining,
    /// RFC 8689.
    RequireTls,
    /// RFC 1870.
    Size,
    /// RFC 6531.
    Smtputf8,
    /// RFC 3207.
    Starttls,
}

impl Extension {
    /// All of them.
    const ALL: [Self; 11] = [
        Self::BinaryMime,
        Self::Chunking,
        Self::Dsn,
        Self::Auth,
        Self::EightBitMime,
        Self::Limits,
        Self::Pipelining,
        Self::RequireTls,
        Self::Size,
        Self::Smtputf8,
        Self::Starttls,
    ];

    /// The extension's keyword.
    const fn keyword(self) -> &'static str {
        match self {
            Self::BinaryMime => "BINARYMIME",
            Self::Chunking => "CHUNKING",
            Self::Dsn => "DSN",
            Self::Auth => "AUTH",
            Self::EightBitMime => "8BITMIME",
            Self::Limits => "LIMITS",
            Self::Pipelining => "PIPELINING",
            Self::RequireTls => "REQUIRETLS",
            Self::Size => "SIZE",
            Self::Smtputf8 => "SMTPUTF8",
            Self::Starttls => "STARTTLS",
        }
    }
}

/// What a peer has said it can do; nothing at all if it only knows HELO.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Capabilities {
    /// The lines behind the greeting line, each a keyword and its parameters.
    lines: Vec<String>,
    /// What the peer calls itself in the greeting line.
    name: Option<ReceivingMxHelo>,
}

impl Capabilities {
    /// The keywords of an EHLO reply: all its lines but the first.
    pub(crate) fn of(reply: &Reply) -> Self {
        let mut lines = reply.lines();
        // The domain, and behind it a greeting of any words (RFC 5321 §4.1.1.1).
        let name = lines.next().and_then(|line| line.split_ascii_whitespace().next());
        let name = name.and_then(ReceivingMxHelo::new);
        Self { lines: lines.map(str::to_owned).collect(), name }
    }

    /// What the peer calls itself, for a report on a failure.
    pub(crate) const fn name(&self) -> Option<&ReceivingMxHelo> {
        self.name.as_ref()
    }

    /// Whether a line of an EHLO reply says anything that is asked for here.
    pub(crate) fn is_known(line: &str) -> bool {
        Extension::ALL.iter().any(|extension| parameters(line, *extension).is_some())
    }

    /// Whether the peer offers `extension`.
    pub(crate) fn offers(&self, extension: Extension) -> bool {
        self.parameters(extension).is_some()
    }

    /// The largest message the peer takes, where it says so (RFC 1870 §3: 0 says nothing).
    pub(crate) fn size_limit(&self) -> Option<u64> {
        let limit = self.parameters(Extension::Size)?.split_ascii_whitespace().next()?;
        limit.parse().ok().filter(|limit| *limit > 0)
    }

    /// How many recipients one transaction may have, where the peer says so (RFC 9422 §4.2).
    pub(crate) fn recipient_limit(&self) -> Option<usize> {
        self.limit("RCPTMAX")
    }

    /// How many transactions one connection may have, where the peer says so (RFC 9422 §4.1).
    pub(crate) fn mail_limit(&self) -> Option<usize> {
        self.limit("MAILMAX")
    }

    /// A limit of LIMITS; one that is no number above zero says nothing (RFC 9422 §3).
    fn limit(&self, name: &str) -> Option<usize> {
        let mut limits = self.parameters(Extension::Limits)?.split_ascii_whitespace();
        limits.find_map(|limit| {
            let (named, value) = limit.split_once('=')?;
            let plain = value.bytes().all(|byte| byte.is_ascii_digit());
            let value = value.parse().ok().filter(|value| plain && *value > 0);
            value.filter(|_| named.eq_ignore_ascii_case(name))
        })
    }

    /// Whether the peer lets us log in by the mechanism of this name (RFC 4954 §3).
    ///
    /// Some hosts say so on two lines, one of them as it was written before the RFCs, and some on
    /// that one alone.
    pub(crate) fn logs_in_by(&self, mechanism: &str) -> bool {
        let lines = self.lines.iter().filter_map(|line| parameters(line, Extension::Auth));
        lines.flat_map(str::split_ascii_whitespace).any(|name| name.eq_ignore_ascii_case(mechanism))
    }

    fn parameters(&self, extension: Extension) -> Option<&str> {
        self.lines.iter().find_map(|line| parameters(line, extension))
    }
}

/// What stands behind the keyword of `extension` in a line that begins with it.
///
/// `AUTH=PLAIN LOGIN` is how drafts of RFC 2554 had it, and clients of the time still ask for it.
fn parameters(line: &str, extension: Extension) -> Option<&str> {
    let is_end = |c: char| c.is_ascii_whitespace() || (extension == Extension::Auth && c == '=');
    let (keyword, parameters) = line.split_once(is_end).unwrap_or((line, ""));
    keyword.eq_ignore_ascii_case(extension.keyword()).then_some(parameters)
}

#[cfg(test)]
mod tests {
    use smtp::ReplyCode;

    use super::*;

    fn capabilities(lines: &[&str]) -> Capabilities {
        Capabilities::of(&Reply::multiline(ReplyCode::OK, None, lines))
    }

    #[test]
    fn keywords_are_found_in_any_case_and_the_first_line_is_none() {
        let told = capabilities(&["STARTTLS", "pipelining", "Size 1000", "X-OTHER STARTTLS"]);
        assert!(told.offers(Extension::Pipelining));
        assert!(told.offers(Extension::Size));
        assert!(!told.offers(Extension::Starttls));
        assert!(!told.offers(Extension::Smtputf8));
    }

    #[test]
    fn an_offer_to_log_in_counts_in_every_form_and_on_every_line() {
        for (lines, names) in [
            (&["mx", "AUTH PLAIN LOGIN"][..], &["PLAIN", "login"][..]),
            (&["mx", "AUTH=PLAIN LOGIN"], &["PLAIN", "LOGIN"]),
            (&["mx", "auth=login"], &["LOGIN"]),
            (&["mx", "AUTH CRAM-MD5", "AUTH=PLAIN LOGIN"], &["CRAM-MD5", "PLAIN", "LOGIN"]),
            (&["mx", "AUTH\tPLAIN"], &["PLAIN"]),
            (&["mx", "AUTH", "AUTH XOAUTH2"], &["XOAUTH2"]),
        ] {
            let told = capabilities(lines);
            for name in names {
                assert!(told.logs_in_by(name), "{lines:?} {name}");
            }
            assert!(!told.logs_in_by("NTLM"), "{lines:?}");
            assert!(told.offers(Extension::Auth), "{lines:?}");
        }
        for line in ["AUTHENTICATE PLAIN", "XAUTH=PLAIN", "SIZE=PLAIN", "HELP AUTH=PLAIN"] {
            assert!(!capabilities(&["mx", line]).logs_in_by("PLAIN"), "{line}");
        }
        assert!(!capabilities(&["AUTH PLAIN", "HELP"]).logs_in_by("PLAIN"));
    }

    #[test]
    fn a_size_limit_is_a_number_above_zero() {
        for (line, limit) in [
            ("SIZE 1000", Some(1000)),
            ("SIZE 0", None),
            ("SIZE", None),
            ("SIZE lots", None),
            ("SIZE 99999999999999999999999999", None),
        ] {
            assert_eq!(capabilities(&["mx.example.org", line]).size_limit(), limit, "{line}");
        }
    }

    #[test]
    fn limits_are_numbers_above_zero_under_their_names() {
        for (line, mails, recipients) in [
            ("LIMITS MAILMAX=20 RCPTMAX=100 RCPTDOMAINMAX=1", Some(20), Some(100)),
            ("limits rcptmax=5 X-OTHER=1", None, Some(5)),
            ("LIMITS RCPTMAX=0 MAILMAX=-1", None, None),
            ("LIMITS RCPTMAX=+5 MAILMAX", None, None),
            ("LIMITS RCPTMAX=99999999999999999999999", None, None),
            ("LIMITS", None, None),
        ] {
            let told = capabilities(&["mx.example.org", line]);
            assert_eq!((told.mail_limit(), told.recipient_limit()), (mails, recipients), "{line}");
        }
        assert_eq!(capabilities(&["mx.example.org"]).recipient_limit(), None);
    }
}
