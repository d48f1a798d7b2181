//! Who needs a person, and for what.

use std::time::Duration;

use clock::{millis, time};
use history::{Need, NeedKind};

use crate::api::exceptions::{ExceptionSource, ListedException};
use crate::pages::ledger::{WaitingMail, read};
use crate::pages::moment::span;
use crate::pages::parts::waits;
use crate::pages::site::Site;
use crate::server::error::AdminError;

/// An exception is told of when no more than this is left.
const ENDING: Duration = Duration::from_secs(24 * 60 * 60);

/// Something that a person should look at.
#[derive(Debug)]
pub(crate) struct Needed {
    pub(crate) tag: &'static str,
    pub(crate) class: &'static str,
    pub(crate) title: String,
    pub(crate) text: String,
    pub(crate) domain: String,
    pub(crate) remedy: Remedy,
}

/// What can be done at once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Remedy {
    EndException,
    RefreshPolicy,
    Retry,
    None,
}

impl Remedy {
    pub(crate) fn ends_exception(&self) -> bool {
        matches!(self, Self::EndException)
    }

    pub(crate) fn refreshes(&self) -> bool {
        matches!(self, Self::RefreshPolicy)
    }

    pub(crate) fn retries(&self) -> bool {
        matches!(self, Self::Retry)
    }
}

/// All that needs a person now, the most urgent first.
pub(crate) async fn needs(site: &Site, waiting: &WaitingMail) -> Result<Vec<Needed>, AdminError> {
    let now = site.shown().clock.wall();
    let found: Vec<Need> = read(site, move |ledger| ledger.needs(millis(now))).await?;
    let mut needed: Vec<_> =
        found.iter().filter_map(|need| Needed::of(need, waiting, site)).collect();
    let exceptions = site.actions().grants.list().await?;
    let ending = exceptions
        .iter()
        .filter(|one| one.until.time().duration_since(now).is_ok_and(|left| left <= ENDING));
    needed.extend(ending.map(|one| Needed::ending(one, site)));
    needed.sort_by_key(|one| !one.remedy.retries());
    Ok(needed)
}

impl Needed {
    /// What the ledger says; nothing where mail was held that has left.
    fn of(need: &Need, waiting: &WaitingMail, site: &Site) -> Option<Self> {
        let (domain, calendar) = (need.domain.as_str(), site.calendar());
        let since = calendar.minute(time(need.since));
        let (tag, class, title, text, remedy) = match &need.why {
            NeedKind::Held { cause, error } => {
                let number = Some(waiting.for_domain(domain)).filter(|number| *number > 0)?;
                let why = error.as_deref().unwrap_or_else(|| cause.word());
                let text = format!(
                    "{} since {since}: {why}. It leaves the moment a host proves what it has to.",
                    waits(number)
                );
                ("Held", "held", format!("{domain}: its mail is held"), text, Remedy::Retry)
            }
            NeedKind::PolicyEnding => (
                "Soon",
                "clear",
                format!("{domain}: its policy cannot be refreshed"),
                format!(
                    "Since {since}. The cached policy protects mail until it ends; after that nothing would be enforced."
                ),
                Remedy::RefreshPolicy,
            ),
            NeedKind::CertificateEnding { host, not_after } => (
                "Soon",
                "clear",
                format!("{domain}: a certificate ends"),
                format!(
                    "That of {host} ends {}. Without a new one mail will wait.",
                    calendar.minute(time(*not_after))
                ),
                Remedy::None,
            ),
            NeedKind::ProtectionFell { from, to } => (
                "Weaker",
                "clear",
                format!("{domain}: less protects its mail"),
                format!("Since {since} it is {}; before, it was {}.", to.label(), from.label()),
                Remedy::None,
            ),
            NeedKind::TlsaGone => (
                "Weaker",
                "clear",
                format!("{domain}: its TLSA records are gone"),
                format!("Since {since} DANE protects nothing there."),
                Remedy::None,
            ),
            NeedKind::Weakened { from, to } => (
                "Weaker",
                "clear",
                format!("{domain}: its policy asks for less"),
                format!(
                    "Since {since} it is {}, after {}.",
                    to.map_or("gone", |mode| mode.word()),
                    from.word()
                ),
                Remedy::None,
            ),
        };
        Some(Self { tag, class, title, text, domain: domain.to_owned(), remedy })
    }

    /// An exception that ends soon.
    fn ending(one: &ListedException, site: &Site) -> Self {
        let left = one.until.time().duration_since(site.shown().clock.wall()).unwrap_or_default();
        let by = one.by.as_deref().unwrap_or("the settings");
        Self {
            tag: "Exception",
            class: "exc",
            title: format!("{}: an exception ends in {}", one.domain, span(left.as_secs())),
            text: format!(
                "Granted by {by}: {}. Then its mail waits again for what its host has to prove.",
                one.reason
            ),
            domain: one.domain.clone(),
            remedy: match one.from {
                ExceptionSource::Command => Remedy::EndException,
                ExceptionSource::Settings => Remedy::None,
            },
        }
    }
}
