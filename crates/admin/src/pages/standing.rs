//! How a domain stands, for people: what protects its mail now, and why, and since when.

use history::{Domain, DomainState};
use mail::Protection;

use crate::pages::moment::{Calendar, Moment};
use crate::pages::parts::count;

/// A domain in a list.
#[derive(Debug)]
pub(crate) struct DomainRow {
    pub(crate) domain: String,
    pub(crate) standing: Standing,
    pub(crate) since: Option<Moment>,
    pub(crate) policy: String,
    pub(crate) policy_small: String,
    pub(crate) proof: Option<(Moment, String)>,
    pub(crate) delivered: String,
    pub(crate) waiting: u64,
    /// Its last days as a strip, where it has one.
    pub(crate) strip: Option<crate::pages::chart::DayChart>,
}

/// What protects a domain's mail now.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    pub(crate) word: &'static str,
    pub(crate) class: &'static str,
    pub(crate) why: String,
    pub(crate) kind: StandingKind,
}

/// The kinds of standing, the worst first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum StandingKind {
    Held,
    Exception,
    Clear,
    Tls,
    Unknown,
    Verified,
}

impl StandingKind {
    /// All of them, with the word in an address and the one on a page.
    pub(crate) const ALL: [(Self, &'static str, &'static str); 6] = [
        (Self::Held, "held", "Held"),
        (Self::Exception, "exception", "Exception"),
        (Self::Clear, "clear", "In clear"),
        (Self::Tls, "tls", "TLS"),
        (Self::Unknown, "unknown", "Not known"),
        (Self::Verified, "verified", "Verified"),
    ];

    /// The one with this word.
    pub(crate) fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(_, known, _)| *known == word).map(|(kind, _, _)| kind)
    }
}

impl Standing {
    /// How a domain stands for which so many messages wait.
    pub(crate) fn of(state: &DomainState, waiting: u64) -> Self {
        let of = |kind, word, class, why: String| Self { word, class, why, kind };
        if let Some(held) = state.held.as_ref().filter(|_| waiting > 0) {
            let why = held.error.clone().unwrap_or_else(|| held.cause.word().to_owned());
            return of(StandingKind::Held, "Held", "held", why);
        }
        if state.exception_since.is_some() {
            return of(
                StandingKind::Exception,
                "Exception",
                "exc",
                "mail goes under an exception".to_owned(),
            );
        }
        match state.protection {
            Some(Protection::Verified) => {
                let both = if state.dane_since.is_some() { "MTA-STS and DANE" } else { "MTA-STS" };
                of(StandingKind::Verified, "Verified", "sts", both.to_owned())
            }
            Some(Protection::Dane) => {
                of(StandingKind::Verified, "Verified", "dane", "DANE".to_owned())
            }
            Some(Protection::Tls) => {
                of(StandingKind::Tls, "TLS", "tls", unproved(state).to_owned())
            }
            Some(Protection::Plaintext) => {
                of(StandingKind::Clear, "In clear", "clear", unproved(state).to_owned())
            }
            None => of(
                StandingKind::Unknown,
                "Not known",
                "tls",
                "nothing was delivered yet".to_owned(),
            ),
        }
    }
}

/// Why nothing has to be proved.
fn unproved(state: &DomainState) -> &'static str {
    match state.policy {
        Some(_) => "its policy enforces nothing",
        None => "no policy",
    }
}

impl DomainRow {
    pub(crate) fn of(domain: &Domain, waiting: u64, calendar: &Calendar) -> Self {
        let state = &domain.state;
        let moment = |millis| calendar.minute(clock::time(millis));
        let standing = Standing::of(state, waiting);
        let since = match standing.kind {
            StandingKind::Held => state.held.as_ref().map(|held| held.since),
            StandingKind::Exception => state.exception_since,
            StandingKind::Clear
            | StandingKind::Tls
            | StandingKind::Unknown
            | StandingKind::Verified => state.since,
        };
        let policy = state.policy.as_ref();
        Self {
            domain: domain.domain.clone(),
            since: since.map(moment),
            policy: policy.map_or("none", |policy| policy.mode.word()).to_owned(),
            policy_small: policy.map_or_else(String::new, |policy| {
                format!("since {} \u{b7} {}", moment(policy.since), policy.id)
            }),
            proof: state.last_proof.as_ref().map(|proof| (moment(proof.at), proof.host.clone())),
            delivered: count(state.counts.delivered),
            waiting,
            standing,
            strip: None,
        }
    }
}

/// Puts the worst first, and among equals those with most mail.
pub(crate) fn worst_first(rows: &mut [(DomainRow, u64)]) {
    rows.sort_by(|(one, mail), (other, others)| {
        let by_kind = one.standing.kind.cmp(&other.standing.kind);
        by_kind.then(others.cmp(mail)).then(one.domain.cmp(&other.domain))
    });
}
