//! The MX hosts: which there are, whether the policy names them, and what each shows.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use clock::Clock;
use delivery::{CertificateSeen, Look, Prober, SessionFailure, TlsFailure, result_type};
use dns::{Dns, Lookup, MailHosts, mail_hosts};
use mta_sts::{Mode, MxHost, Policy};
use settings::Settings;
use smtp::Domain;
use tls_rpt::ResultType;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::report::{CheckError, Host, HostVerdict, Stage, State};
use crate::number_text::counted;

/// How long one address may take; delivery itself is more patient.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// How many hosts are looked at.
pub(super) const HOSTS_MAX: usize = 20;

/// Where mail for a domain goes, or why nowhere.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Routing {
    /// To hosts.
    Hosts,
    /// The MX records could not be looked up.
    NotLookedUp,
    /// The domain has neither MX nor address records.
    NoMailHost,
    /// The domain does not exist.
    NoSuchDomain,
    /// The domain says that it takes no mail (RFC 7505).
    NullMx,
}

/// What was found of the hosts.
pub(super) struct Found {
    pub(super) routing: Routing,
    pub(super) stage: Stage,
    pub(super) hosts: Vec<Host>,
}

/// Finds the hosts and looks at each.
pub(super) async fn look(
    domain: &Domain,
    policy: Option<&Arc<Policy>>,
    settings: &Settings,
    dns: &Arc<dyn Dns>,
    clock: Arc<dyn Clock>,
) -> Result<Found, CheckError> {
    let (routing, stage, names) = route(domain, dns).await;
    let prober = Prober::new(settings.delivery.clone(), settings.roots.clone(), clock)?;
    let mut looks = JoinSet::new();
    for (place, (preference, name)) in names.into_iter().take(HOSTS_MAX).enumerate() {
        let (prober, dns, policy) = (prober.clone(), Arc::clone(dns), policy.cloned());
        let _handle = looks.spawn(async move {
            (place, Box::pin(look_at(preference, name, policy, dns, prober)).await)
        });
    }
    let mut hosts: Vec<_> = Vec::new();
    while let Some(looked) = looks.join_next().await {
        hosts.extend(looked);
    }
    hosts.sort_by_key(|(place, _)| *place);
    let hosts = hosts.into_iter().map(|(_, host)| host).collect();
    Ok(Found { routing, stage, hosts })
}

/// The hosts in the order they are tried, with their preferences (RFC 5321 §5.1).
async fn route(
    domain: &Domain,
    dns: &Arc<dyn Dns>,
) -> (Routing, Stage, Vec<(Option<u16>, Domain)>) {
    let wrong = |text: String| Stage::new("mx", State::Wrong, text);
    match mail_hosts(&**dns, domain).await {
        Ok(MailHosts::Hosts { hosts, .. }) => {
            let names: Vec<_> = hosts
                .iter()
                .filter_map(|mx| Some((Some(mx.preference), mx.host()?.clone())))
                .collect();
            let text = counted(names.len(), "host", "hosts");
            (Routing::Hosts, Stage::new("mx", State::Good, text), names)
        }
        Ok(MailHosts::Implicit { host, .. }) => {
            let stage = Stage::new("mx", State::Warning, "no MX record, but an address")
                .fix("publish an MX record: a policy names MX hosts");
            (Routing::Hosts, stage, vec![(None, host)])
        }
        Ok(MailHosts::NullMx) => {
            (Routing::NullMx, wrong("the domain takes no mail (null MX)".into()), vec![])
        }
        Ok(MailHosts::NoSuchDomain) => {
            let stage = wrong("the domain does not exist".into()).fix(
                "check its spelling; a domain that is new, or has expired, is not there either",
            );
            (Routing::NoSuchDomain, stage, vec![])
        }
        Ok(MailHosts::NoMailHost) => {
            let stage = wrong("the domain exists, and has neither MX nor address records".into());
            (Routing::NoMailHost, stage.fix("publish an MX record"), vec![])
        }
        Err(error) => {
            let stage = wrong(format!("MX lookup for {domain} failed: {error}"));
            (Routing::NotLookedUp, stage, vec![])
        }
    }
}

async fn look_at(
    preference: Option<u16>,
    name: Domain,
    policy: Option<Arc<Policy>>,
    dns: Arc<dyn Dns>,
    prober: Prober,
) -> Host {
    let mut host = Host {
        name: name.to_string(),
        preference,
        verdict: HostVerdict::Unreachable,
        stages: Vec::new(),
    };
    let Ok(mx) = MxHost::parse(name.as_str()) else {
        host.stages.push(Stage::new("name", State::Wrong, "not a host name"));
        return host;
    };
    let policy = policy.filter(|policy| policy.mode() != Mode::None);
    let named = policy.as_ref().is_none_or(|policy| policy.admits(&mx));
    if policy.is_some() {
        host.stages.push(naming(&mx, named.then_some(())));
    }
    let addresses = match dns.addresses(&name).await {
        Ok(Lookup::Found(found)) => prober.in_order(found.records),
        Ok(Lookup::NoData(_) | Lookup::NxDomain(_)) => Vec::new(),
        Err(error) => {
            let text = format!("address lookup failed: {error}");
            host.stages.push(Stage::new("address", State::Wrong, text));
            return host;
        }
    };
    if addresses.is_empty() {
        let stage = Stage::new("address", State::Wrong, "no usable address");
        host.stages.push(stage.fix(format!("publish an address for {mx}, or drop the MX record")));
        return host;
    }
    for address in addresses {
        let proof = look_at_address(&mx, address, &prober, &mut host.stages).await;
        let unnamed = proof == HostVerdict::Verified && !named;
        host.verdict = host.verdict.max(if unnamed { HostVerdict::NotNamed } else { proof });
    }
    host
}

fn naming(mx: &MxHost, named: Option<()>) -> Stage {
    match named {
        Some(()) => Stage::new("named", State::Good, "the policy names it"),
        None => Stage::new("named", State::Wrong, "the policy does not name it").fix(format!(
            "add \"mx: {mx}\" to the policy and publish a new id, or drop the MX record"
        )),
    }
}

/// What the host shows at one address.
async fn look_at_address(
    mx: &MxHost,
    address: IpAddr,
    prober: &Prober,
    stages: &mut Vec<Stage>,
) -> HostVerdict {
    let looked = match timeout(PATIENCE, Box::pin(prober.look(mx, address))).await {
        Ok(looked) => looked,
        Err(_elapsed) => {
            let text = format!("{address}: no answer in {} seconds", PATIENCE.as_secs());
            stages.push(Stage::new("connection", State::Wrong, text));
            return HostVerdict::Unreachable;
        }
    };
    let failure = match looked {
        Ok(look) => return certificate(mx, address, &look, stages),
        Err(failure) => failure,
    };
    let text = format!("{address}: {failure}");
    match &failure {
        SessionFailure::Tls(tls) => {
            stages.push(Stage::new("connection", State::Good, address.to_string()));
            stages.push(Stage::new("starttls", State::Wrong, text).fix(tls_fix(tls)));
            // Who meddles with a connection gets no mail, policy or not.
            if tls.is_attack() { HostVerdict::Unreachable } else { HostVerdict::Unproved }
        }
        SessionFailure::Connect(_)
        | SessionFailure::ConnectTimedOut
        | SessionFailure::LeftAlone { .. }
        | SessionFailure::Silent { .. }
        | SessionFailure::Dialogue { .. }
        | SessionFailure::Login(_)
        | SessionFailure::Ourselves
        | SessionFailure::Refused { .. } => {
            let stage = Stage::new("connection", State::Wrong, text);
            stages.push(stage.fix(format!("make {mx} answer on port 25 of this address")));
            HostVerdict::Unreachable
        }
    }
}

fn tls_fix(failure: &TlsFailure) -> &'static str {
    match failure {
        TlsFailure::NotOffered => {
            "offer STARTTLS; if the host does, a firewall or proxy in front of it removes it"
        }
        TlsFailure::Refused(_) | TlsFailure::Cut(_) => {
            "make the host start TLS after STARTTLS; its own log says why it does not"
        }
        TlsFailure::Handshake(_) => "enable TLS 1.2 or later with a usable key on the host",
        TlsFailure::Injected(_) => {
            "find out what sends data before TLS begins: the host must discard what it received before the handshake"
        }
        TlsFailure::NotAName(_) => "give the host a name that is valid in a certificate",
    }
}

/// What the certificate is worth.
fn certificate(mx: &MxHost, at: IpAddr, look: &Look, stages: &mut Vec<Stage>) -> HostVerdict {
    stages.push(Stage::new("connection", State::Good, at.to_string()));
    stages.push(Stage::new("starttls", State::Good, look.tls.word()));
    let (text, fix) = match &look.certificate {
        CertificateSeen::Valid => {
            let text = format!("proves {mx}");
            stages.push(Stage::new("certificate", State::Good, text));
            return HostVerdict::Verified;
        }
        CertificateSeen::NotShown => {
            ("none was shown".to_owned(), format!("configure a certificate for {mx} on the host"))
        }
        CertificateSeen::Invalid(error) => (error.to_string(), certificate_fix(mx, error.error())),
    };
    stages.push(Stage::new("certificate", State::Wrong, text).fix(fix));
    HostVerdict::Unproved
}

fn certificate_fix(mx: &MxHost, error: &rustls::Error) -> String {
    let result_type = result_type(error);
    if result_type == ResultType::CertificateExpired {
        "renew the certificate".to_owned()
    } else if result_type == ResultType::CertificateHostMismatch {
        format!("get a certificate that names {mx} as a DNS name (the subject does not count)")
    } else {
        format!(
            "get a certificate for {mx} from a public authority, and show its whole chain; for an \
             authority of your own name it in trust.ca_file"
        )
    }
}
