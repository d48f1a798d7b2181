//! What a peer says it can do: the keywords of its EHLO reply (RFC 5321 §4.1.1.1).

use smtp::Reply;

/// An extension this client makes use of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Extension {
    /// RFC 3461.
    Dsn,
    /// RFC 6152.
    EightBitMime,
    /// RFC 2920.
    Pipelining,
    /// RFC 1870.
    Size,
    /// RFC 6531.
    Smtputf8,
    /// RFC 3207.
    Starttls,
}

impl Extension {
    /// The extension's keyword.
    const fn keyword(self) -> &'static str {
        match self {
            Self::Dsn => "DSN",
            Self::EightBitMime => "8BITMIME",
            Self::Pipelining => "PIPELINING",
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
}

impl Capabilities {
    /// The keywords of an EHLO reply: all its lines but the first.
    pub(crate) fn of(reply: &Reply) -> Self {
        Self { lines: reply.lines().skip(1).map(str::to_owned).collect() }
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

    fn parameters(&self, extension: Extension) -> Option<&str> {
        self.lines.iter().find_map(|line| {
            let (keyword, parameters) = line.split_once(' ').unwrap_or((line, ""));
            keyword.trim_end().eq_ignore_ascii_case(extension.keyword()).then_some(parameters)
        })
    }
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
}
