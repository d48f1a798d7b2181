//! The kinds of domains that mail is sent to, and what the relay promises for each.

use super::fate::Fate;

/// A kind of domain.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// All is as it should be.
    Good,
    /// The better of two MX hosts is attacked.
    Failover,
    /// Someone on the way takes STARTTLS out of the answer to EHLO.
    Stripped,
    /// The certificate vouches for itself.
    SelfSigned,
    /// The certificate names another host.
    WrongName,
    /// The certificate has ended.
    Expired,
    /// The MX record leads to a host that the policy does not name, as forged DNS would.
    Unnamed,
    /// Its zone is signed, and its host matches the TLSA record there.
    Matched,
    /// Its zone is signed, and another host answers in the place of its own.
    Mismatched,
    /// Known from before; then the record, the policy host and STARTTLS all go.
    Cached,
    /// The policy only asks for reports.
    Testing,
    /// There is no policy, and no TLS.
    Plain,
}

impl Kind {
    /// All of them, in the order they are shown.
    pub(crate) const ALL: [Self; 12] = [
        Self::Good,
        Self::Failover,
        Self::Stripped,
        Self::SelfSigned,
        Self::WrongName,
        Self::Expired,
        Self::Unnamed,
        Self::Cached,
        Self::Matched,
        Self::Mismatched,
        Self::Testing,
        Self::Plain,
    ];

    /// The domain of this kind.
    pub(crate) const fn domain(self) -> &'static str {
        match self {
            Self::Good => "good.test",
            Self::Failover => "failover.test",
            Self::Stripped => "stripped.test",
            Self::SelfSigned => "self-signed.test",
            Self::WrongName => "wrong-name.test",
            Self::Expired => "expired.test",
            Self::Unnamed => "unnamed.test",
            Self::Cached => "cached.test",
            Self::Matched => "dane.test",
            Self::Mismatched => "dane-other.test",
            Self::Testing => "testing.test",
            Self::Plain => "plain.test",
        }
    }

    /// The mode of its policy, or that it has TLSA records instead.
    pub(crate) const fn policy(self) -> &'static str {
        match self {
            Self::Good
            | Self::Failover
            | Self::Stripped
            | Self::SelfSigned
            | Self::WrongName
            | Self::Expired
            | Self::Unnamed
            | Self::Cached => "enforce",
            Self::Matched | Self::Mismatched => "dane",
            Self::Testing => "testing",
            Self::Plain => "none",
        }
    }

    /// What its MX hosts do.
    pub(crate) const fn hosts(self) -> &'static str {
        match self {
            Self::Good => "TLS with a good certificate",
            Self::Failover => "first host stripped, second good",
            Self::Stripped => "STARTTLS stripped on the way",
            Self::SelfSigned | Self::Testing => "self-signed certificate",
            Self::WrongName => "certificate of another host",
            Self::Expired => "certificate expired in 2001",
            Self::Unnamed => "MX record forged, good certificate",
            Self::Cached => "stripped, and policy taken down",
            Self::Matched => "self-signed, as its TLSA record",
            Self::Mismatched => "good certificate, another key",
            Self::Plain => "no TLS at all",
        }
    }

    /// What the relay promises.
    pub(crate) const fn promised(self) -> Fate {
        match self {
            Self::Good | Self::Failover | Self::Matched => Fate::Verified,
            Self::Stripped
            | Self::SelfSigned
            | Self::WrongName
            | Self::Expired
            | Self::Unnamed
            | Self::Cached
            | Self::Mismatched => Fate::Waiting,
            Self::Testing => Fate::Encrypted,
            Self::Plain => Fate::Clear,
        }
    }
}
