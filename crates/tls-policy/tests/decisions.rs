//! Decisions of a world in which at most `example.org` has a policy, which names `mx.example.org`.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use mta_sts::danger::TlsRequiredNo;
use mta_sts::{
    CachedPolicy, Decision, Exception, ExceptionEnding, ExceptionScope, Fallback, FetchSettings,
    Fetcher, NamesError, NextHop, Policies, Policy, PolicyDomain, PolicyId, PolicySettings,
    Purpose,
};
use rustls::RootCertStore;

use crate::world::{Names, OnePolicy};

/// A day in 2026, when the policy was fetched.
fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000)
}

/// The next hop that may have a policy.
fn next_hop() -> NextHop {
    NextHop::Domain(PolicyDomain::parse("example.org").unwrap())
}

/// A policy for `example.org` that names `mx.example.org`, in this mode.
fn cached(mode: &str) -> CachedPolicy {
    let text = format!("version: STSv1\nmode: {mode}\nmx: mx.example.org\nmax_age: 86400\n");
    let policy = Policy::parse(text.as_bytes()).unwrap().value;
    let domain = PolicyDomain::parse("example.org").unwrap();
    CachedPolicy::new(domain, PolicyId::parse("a1").unwrap(), policy, now())
}

/// Every way in which a decision can come about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Case {
    AddressLiteral,
    Enforced,
    Exception,
    ModeNone,
    NoPolicy,
    Report,
    Testing,
    TlsRequiredNo,
    UndecidedTooLong,
}

impl Case {
    /// The mode of the policy that is cached.
    const fn mode(self) -> Option<&'static str> {
        match self {
            Self::Enforced | Self::Exception | Self::Report | Self::TlsRequiredNo => {
                Some("enforce")
            }
            Self::ModeNone => Some("none"),
            Self::Testing => Some("testing"),
            Self::AddressLiteral | Self::NoPolicy | Self::UndecidedTooLong => None,
        }
    }

    /// The decision of this case.
    pub(crate) async fn decide(self) -> Decision {
        let next_hop = if self == Self::AddressLiteral {
            NextHop::Literal([192, 0, 2, 1].into())
        } else {
            next_hop()
        };
        let (queued_for, licence) = (Duration::from_secs(3600), &TlsRequiredNo::assertion());
        let purpose = match self {
            Self::Report => Purpose::TlsReport,
            Self::TlsRequiredNo => Purpose::TlsRequiredNo { queued_for, licence },
            Self::AddressLiteral
            | Self::Enforced
            | Self::Exception
            | Self::ModeNone
            | Self::NoPolicy
            | Self::Testing
            | Self::UndecidedTooLong => Purpose::Delivery { queued_for },
        };
        let mut settings = PolicySettings::default();
        if self == Self::Exception {
            let domain = PolicyDomain::parse("example.org").unwrap();
            let until = now() + Duration::from_secs(3600);
            let exception = Exception::new(domain, until, "agreed", now()).unwrap();
            settings.exceptions = [exception].into_iter().collect();
        }
        let names = if self == Self::UndecidedTooLong {
            Names(Err(NamesError::TimedOut))
        } else {
            Names(Ok(()))
        };
        decide(settings, names, self.mode(), &next_hop, purpose).await
    }
}

/// The decision under an enforced policy beside a granted exception of this scope.
pub(crate) async fn decide_beside(scope: ExceptionScope) -> Decision {
    let domain = PolicyDomain::parse("example.org").unwrap();
    let exception = Exception::new(domain, now() + Duration::from_secs(3600), "agreed", now());
    let exception = exception.unwrap().of(scope).granted("ann", ExceptionEnding::OncePassed);
    let policies = policies(PolicySettings::default(), Names(Ok(())), Some("enforce"));
    policies.grant([exception].into_iter().collect());
    let purpose = Purpose::Delivery { queued_for: Duration::ZERO };
    policies.decide(&next_hop(), purpose, now()).await.unwrap()
}

async fn decide(
    settings: PolicySettings,
    names: Names,
    mode: Option<&str>,
    next_hop: &NextHop,
    purpose: Purpose<'_>,
) -> Decision {
    policies(settings, names, mode).decide(next_hop, purpose, now()).await.unwrap()
}

fn policies(settings: PolicySettings, names: Names, mode: Option<&str>) -> Policies {
    let fetcher = Fetcher::new(FetchSettings::new(Arc::new(RootCertStore::empty()))).unwrap();
    let store = Arc::new(OnePolicy(mode.map(cached)));
    Policies::new(settings, Arc::new(names), store, fetcher)
}

/// Licence to send to `next_hop`, where a policy of `example.org` has a mode that is not enforced.
pub(crate) async fn fallback_to(next_hop: &NextHop, mode: Option<&str>) -> Fallback {
    let purpose = Purpose::Delivery { queued_for: Duration::ZERO };
    let decision = decide(PolicySettings::default(), Names(Ok(())), mode, next_hop, purpose).await;
    let Decision::Permit(fallback) = decision else { panic!("{decision:?}") };
    fallback
}

/// Licence to send to `example.org`, whose policy is not enforced.
pub(crate) async fn fallback(mode: Option<&str>) -> Fallback {
    fallback_to(&next_hop(), mode).await
}
