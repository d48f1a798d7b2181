//! Whether a resolver validates: three questions whose right answers are known.
//!
//! A resolver that does not validate, or whose answers are changed on their way, must not be the
//! reason that mail waits: its word on DNSSEC does not count then. One that calls everything secure
//! must not be believed either.

use std::time::Duration;

use hickory_resolver::proto::rr::RecordType;
use smtp::Domain;

use crate::answer::{AdBit, Answer, Finding, FoundRecords, Reading};
use crate::error::LookupError;
use crate::lookup::Security;
use crate::question::Question;
use crate::self_test_failure::SelfTestFailure;
use crate::server::{Edns, Server};

/// Puts the three questions to `server`, with `patience` for each.
pub(crate) async fn test(
    server: &Server,
    probe: Option<&Domain>,
    patience: Duration,
) -> Result<(), SelfTestFailure> {
    let (root, denial, bogus) = tokio::join!(
        root_is_secure(server, patience),
        denial_is_secure(server, patience),
        bogus_does_not_resolve(server, probe, patience),
    );
    root.and(denial).and(bogus)
}

/// Every validator of the internet has the root's key as its trust anchor.
async fn root_is_secure(server: &Server, patience: Duration) -> Result<(), SelfTestFailure> {
    let root = Question::of_root(RecordType::SOA);
    match ask(server, &root, patience).await.map_err(SelfTestFailure::RootUnknown)? {
        Some(Finding::Found(FoundRecords { security: Security::Secure, .. })) => Ok(()),
        Some(Finding::Found(_) | Finding::NoData(_) | Finding::NxDomain(_)) | None => {
            Err(SelfTestFailure::RootInsecure)
        }
    }
}

/// That there are no TLSA records can be proved where neither names are made up nor proofs are lost.
async fn denial_is_secure(server: &Server, patience: Duration) -> Result<(), SelfTestFailure> {
    let name = format!("_25._tcp.sts-relay-{:016x}", rand::random::<u64>());
    let Ok(question) = Question::new(&name, RecordType::TLSA) else {
        return Err(SelfTestFailure::DenialRewritten);
    };
    match ask(server, &question, patience).await.map_err(SelfTestFailure::DenialUnknown)? {
        Some(Finding::NxDomain(Security::Secure)) => Ok(()),
        Some(Finding::NxDomain(Security::Insecure)) => Err(SelfTestFailure::DenialInsecure),
        Some(Finding::Found(_) | Finding::NoData(_)) | None => {
            Err(SelfTestFailure::DenialRewritten)
        }
    }
}

/// A resolver that sets the AD bit on everything, or that lets forgeries through as insecure, gives
/// itself away here. That the name is not answered for, or is gone, proves nothing.
async fn bogus_does_not_resolve(
    server: &Server,
    probe: Option<&Domain>,
    patience: Duration,
) -> Result<(), SelfTestFailure> {
    let Some(probe) = probe else { return Ok(()) };
    let Ok(question) = Question::new(probe.as_str(), RecordType::A) else { return Ok(()) };
    match ask(server, &question, patience).await {
        Ok(Some(Finding::Found(_))) => Err(SelfTestFailure::BogusResolves { probe: probe.clone() }),
        Ok(Some(Finding::NoData(_) | Finding::NxDomain(_)) | None) | Err(_) => Ok(()),
    }
}

/// What the server finds; none where it leads elsewhere.
async fn ask(
    server: &Server,
    question: &Question,
    patience: Duration,
) -> Result<Option<Finding>, LookupError> {
    match server.ask(question, AdBit::Trusted, Edns::DnssecOk, patience).await? {
        Reading::Answered(Answer { finding, .. }) => Ok(Some(finding)),
        Reading::Alias(_) => Ok(None),
    }
}
