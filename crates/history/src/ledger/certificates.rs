//! The certificates that the hosts of a domain show.

use serde::{Deserialize, Serialize};

use crate::ledger::event::EventKind;
use crate::ledger::observed::{CertificateSeen, SessionSeen};

/// So many hosts of a domain are known.
const HOSTS_MOST: usize = 8;

/// So many certificates of a host are known: hosts behind one name may show several in turn.
const CERTIFICATES_MOST: usize = 4;

/// A certificate is near its end when it ends within this, in milliseconds.
pub(crate) const NEAR_END: u64 = 14 * 24 * 60 * 60 * 1_000;

/// The certificates that the hosts of a domain show.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Certificates(pub Vec<HostCertificates>);

/// The certificates that one host shows.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct HostCertificates {
    /// The host.
    pub host: String,
    /// Its certificates, the one that was shown last at the end.
    pub shown: Vec<ShownCertificate>,
}

/// A certificate that a host shows. Times are milliseconds since 1970.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ShownCertificate {
    /// Its SHA-256.
    pub sha256: String,
    /// When it was shown first.
    pub since: u64,
    /// When it was shown last.
    pub last: u64,
    /// When it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<u64>,
    /// When it was said that it is near its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ending_said_at: Option<u64>,
}

impl Certificates {
    /// Whether none is known.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The certificates that were shown last and end within two weeks of `now`, or have ended.
    pub fn near_end(&self, now: u64) -> impl Iterator<Item = (&str, &ShownCertificate)> {
        let last = self.0.iter().filter_map(|host| Some((host.host.as_str(), host.shown.last()?)));
        last.filter(move |(_, shown)| shown.is_near_end(now))
    }

    /// A session shows a certificate; what has happened by that.
    pub(crate) fn see(&mut self, session: &SessionSeen, at: u64) -> Vec<EventKind> {
        let Some(seen) = &session.certificate else { return Vec::new() };
        let place = self.0.iter().position(|known| known.host == session.host);
        let mut known = match place {
            Some(place) => self.0.remove(place),
            None => HostCertificates { host: session.host.clone(), shown: Vec::new() },
        };
        let events = known.see(seen, at);
        // The host that was not seen for longest goes first.
        self.0.push(known);
        if self.0.len() > HOSTS_MOST {
            drop(self.0.remove(0));
        }
        events
    }
}

impl HostCertificates {
    /// The host shows a certificate.
    fn see(&mut self, seen: &CertificateSeen, at: u64) -> Vec<EventKind> {
        let mut events = Vec::new();
        let before = self.shown.last().map(|last| last.sha256.clone());
        let place = self.shown.iter().position(|known| known.sha256 == seen.sha256);
        let mut shown = match place {
            Some(place) => self.shown.remove(place),
            None => ShownCertificate::new(seen, at),
        };
        if let (None, Some(from)) = (place, before) {
            let (host, to) = (self.host.clone(), seen.sha256.clone());
            events.push(EventKind::CertificateChanged {
                host,
                from,
                to,
                not_after: seen.not_after,
            });
        }
        shown.last = at;
        if let Some(not_after) = shown.not_after.filter(|_| shown.is_near_end(at))
            && shown.ending_said_at.is_none()
        {
            shown.ending_said_at = Some(at);
            let (host, sha256) = (self.host.clone(), seen.sha256.clone());
            events.push(EventKind::CertificateEnding { host, sha256, not_after });
        }
        self.shown.push(shown);
        if self.shown.len() > CERTIFICATES_MOST {
            drop(self.shown.remove(0));
        }
        events
    }
}

impl ShownCertificate {
    /// One that is shown for the first time.
    fn new(seen: &CertificateSeen, at: u64) -> Self {
        let CertificateSeen { sha256, not_after } = seen.clone();
        Self { sha256, since: at, last: at, not_after, ending_said_at: None }
    }

    /// Whether it ends within two weeks of `now`, or has ended.
    #[must_use]
    pub fn is_near_end(&self, now: u64) -> bool {
        self.not_after.is_some_and(|end| end <= now.saturating_add(NEAR_END))
    }
}
