//! The chain: each record's link is made of the one before and of its own text, so that none can be
//! changed, removed or put in without changing every link after it.

use std::fmt::{self, Display, Formatter};

use crate::digest::Digest;

/// A link of the chain.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Link(Digest);

/// What a link is made of, which a segment's format says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Rule {
    /// SHA-256 over the link before and the text: format 1.
    OfTexts,
    /// SHA-256 over the link before and the SHA-256 of the text, so that the way to a later link can be
    /// shown without the texts on it: format 2.
    OfDigests,
}

impl Rule {
    /// The rule of a segment of this format.
    pub(crate) const fn of_format(format: u32) -> Self {
        if format < 2 { Self::OfTexts } else { Self::OfDigests }
    }
}

impl Link {
    /// Before the first record of a chain.
    pub(crate) const START: Self = Self(Digest::ZERO);

    /// The link of the record with this text, which follows.
    pub(crate) fn next(&self, rule: Rule, text: &str) -> Self {
        match rule {
            Rule::OfDigests => self.next_of(&Digest::of(&[text.as_bytes()])),
            Rule::OfTexts => Self(Digest::of(&[self.as_bytes(), text.as_bytes()])),
        }
    }

    /// The link of the record whose text has this digest, which follows.
    pub(crate) fn next_of(&self, text: &Digest) -> Self {
        Self(Digest::of(&[self.as_bytes(), text.as_bytes()]))
    }

    /// A link that was kept; none of another length.
    pub(crate) fn read(octets: &[u8]) -> Option<Self> {
        Digest::read(octets).map(Self)
    }

    /// A link that was written as hexadecimal digits; none where they are not 64.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Digest::parse(text).map(Self)
    }

    /// Its octets.
    pub(crate) const fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl Display for Link {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
