//! What DANE makes of a domain and of its hosts (RFC 7672): from the MX records to the certificates.

use std::net::IpAddr;
use std::time::SystemTime;

use delivery::Look;
use dns::{Dns, Security};
use mta_sts::{Lifts, MxHost, PolicyDomain};
use rustls::pki_types::UnixTime;
use settings::Settings;
use smtp::Domain;
use tls_policy::{
    DaneDemand, DaneHost, DaneLookup, DaneMode, HostDane, HostNaming, InsecureMx, WhyNoDane,
};

use super::report::{DaneVerdict, Stage, State};
use crate::tlsa_lookup::{Step, TracedLookup, look_up};
use crate::validation::REMEDY;

/// What mends a zone that is not signed, where it has to be.
const SIGN: &str = "sign the zones of the domain and of its MX hosts";

/// What is recommended to publish (RFC 7672 §3.1).
const RECOMMENDED: &str =
    "publish a record \"3 1 1\" with the SHA-256 of the public key that the host shows";

/// What the relay itself has to do with it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Relay<'a> {
    pub(super) settings: &'a Settings,
    /// Why none of its resolvers validates; none where one does.
    pub(super) inactive: Option<&'a str>,
}

/// Whether the TLSA records of a domain's hosts count.
#[derive(Clone, Debug)]
pub(super) enum Scope {
    /// They do, for hosts whose names came to be known like this.
    Counted(HostNaming, DaneDemand),
    /// They do not: mail goes as without DANE.
    NotCounted,
    /// They would have to, and cannot: mail waits.
    Withheld,
}

/// Whether TLSA records count, where the MX records of `domain` are as secure as `naming` says.
pub(super) fn scope(
    domain: &Domain,
    naming: HostNaming,
    relay: Relay<'_>,
    now: SystemTime,
) -> (Stage, Scope) {
    let delivery = &relay.settings.delivery;
    let stage = |state, text: &str| Stage::new("dnssec", state, text);
    let policy_domain = PolicyDomain::parse(domain.as_str()).ok();
    let exceptions = &relay.settings.policies.exceptions;
    let exception = policy_domain.as_ref().and_then(|domain| exceptions.find(domain, now));
    let lifts = exception.and_then(|exception| exception.scope().lifts());
    let demand = delivery.demand_of(policy_domain.as_ref());
    if lifts.is_some_and(Lifts::lifts_dane) {
        let text = "TLSA records do not count: your [[exception]] sets them aside";
        return (stage(State::Warning, text), Scope::NotCounted);
    }
    let (without, scope) = match demand {
        DaneDemand::None => (State::None, Scope::NotCounted),
        DaneDemand::Required => (State::Wrong, Scope::Withheld),
    };
    match (delivery.dane.mode, relay.inactive, &naming, delivery.dane.insecure_mx) {
        (DaneMode::Off, ..) => {
            (stage(without, "TLSA records do not count: dane.mode is \"off\""), scope)
        }
        (DaneMode::Auto, Some(why), ..) => {
            let state = if without == State::None { State::Warning } else { without };
            (of_our_own(state, why), scope)
        }
        (DaneMode::Required, Some(why), ..) => (of_our_own(State::Wrong, why), Scope::Withheld),
        (_, None, HostNaming::Insecure, InsecureMx::Ignore) => {
            let stage = stage(without, "MX lookup insecure: no TLSA records count");
            (if without == State::Wrong { stage.fix(SIGN) } else { stage }, scope)
        }
        (_, None, HostNaming::Insecure, InsecureMx::Apply) => {
            let text = "MX lookup insecure: TLSA records count by dane.insecure_mx, and prove \
                        nothing of the domain";
            (stage(State::Warning, text), Scope::Counted(naming, demand))
        }
        (_, None, HostNaming::Secure(_), _) => {
            let text = "MX lookup secure: TLSA records of its hosts count";
            (stage(State::Good, text), Scope::Counted(naming, demand))
        }
    }
}

/// No resolver validates: that is the relay's fault and not the domain's.
fn of_our_own(state: State, why: &str) -> Stage {
    let text = format!("it is the relay that cannot tell what DNSSEC proves: {why}");
    Stage::new("dnssec", state, text).fix(format!("on the relay: {REMEDY}"))
}

/// Looks up the records of a host, and notes each step.
pub(super) async fn look_up_records(
    dns: &dyn Dns,
    (mx, name): (&MxHost, &Domain),
    port: u16,
    naming: HostNaming,
    stages: &mut Vec<Stage>,
) -> HostDane {
    let begun = DaneLookup::to_know(mx.clone(), name.clone(), port, naming);
    let TracedLookup { steps, dane, .. } = look_up(dns, begun).await;
    for Step { question, answer, security } in steps {
        let state = match security {
            Some(Security::Secure) => State::Good,
            Some(Security::Insecure) => State::None,
            None => State::Wrong,
        };
        stages.push(Stage::new("dnssec", state, format!("{question}: {answer}")));
    }
    dane
}

/// What the records ask for, before the host is asked; none where it has to match one of them.
pub(super) fn before_the_handshake(
    dane: &HostDane,
    demand: DaneDemand,
    stages: &mut Vec<Stage>,
) -> Option<DaneVerdict> {
    let (stage, verdict) = match dane {
        HostDane::Dane(_) => return None,
        HostDane::EncryptOnly(found) => {
            let text = format!(
                "no TLSA record of {} is of use: TLS is mandatory, with whoever answers",
                found.base()
            );
            let stage = Stage::new("tlsa", State::Warning, text).fix(RECOMMENDED);
            (stage, DaneVerdict::Unusable)
        }
        HostDane::NoDane(found) => {
            let state = match found.why() {
                WhyNoDane::NoRecords | WhyNoDane::InsecureAddresses => State::None,
                WhyNoDane::AddressLiteral
                | WhyNoDane::Exception
                | WhyNoDane::Inactive
                | WhyNoDane::InsecureMx
                | WhyNoDane::Off
                | WhyNoDane::TlsReport
                | WhyNoDane::TlsRequiredNo => State::Warning,
            };
            let text = format!("no TLSA record counts: {}", found.why().in_words());
            (Stage::new("tlsa", state, text), DaneVerdict::None)
        }
        HostDane::Skipped(why) => {
            let stage = Stage::new("tlsa", State::Wrong, why.to_string()).fix(
                "the servers of the zone have to answer for TLSA records too, with proofs that \
                 hold; until then the host gets no mail",
            );
            (stage, DaneVerdict::Failed)
        }
    };
    stages.push(stage);
    match (demand, verdict) {
        (DaneDemand::Required, DaneVerdict::Unusable | DaneVerdict::None) => {
            let text = "usable TLSA records are required of it (dane.require)";
            stages.push(Stage::new("tlsa", State::Wrong, text).fix(RECOMMENDED));
            Some(DaneVerdict::Failed)
        }
        (DaneDemand::None | DaneDemand::Required, verdict) => Some(verdict),
    }
}

/// Whether mail never goes to a host in clear.
pub(super) const fn needs_tls(dane: &HostDane) -> bool {
    match dane {
        HostDane::Dane(_) | HostDane::EncryptOnly(_) => true,
        HostDane::NoDane(_) | HostDane::Skipped(_) => false,
    }
}

/// Compares what a host shows at an address with its records.
pub(super) fn compare(
    (mx, host): (&MxHost, &DaneHost),
    address: IpAddr,
    look: &Look,
    now: SystemTime,
) -> (Stage, DaneVerdict) {
    let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let association = host.association();
    match association.judge(&look.chain, UnixTime::since_unix_epoch(since)) {
        Ok(matched) => {
            let text = format!("{address}: matches the TLSA record {}", matched.record());
            (Stage::new("dane", State::Good, text), DaneVerdict::Matched)
        }
        Err(mismatch) => {
            let base = association.names().base().as_ref();
            let text = format!("{address}: {mismatch} (TLSA base domain {base})");
            let fix = format!("{RECOMMENDED}; `sts-relay dane lookup {mx}` compares each record");
            (Stage::new("dane", State::Wrong, text).fix(fix), DaneVerdict::Mismatch)
        }
    }
}
