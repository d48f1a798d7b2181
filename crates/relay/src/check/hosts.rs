//! The MX hosts: which there are, whether the policy names them, and what each shows.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use clock::Clock;
use delivery::{CertificateSeen, Look, Prober, SessionFailure, TlsFailure, result_type};
use dns::{Dns, Lookup, MailHosts, mail_hosts};
use mta_sts::{Mode, MxHost, Policy};
use smtp::Domain;
use tls_policy::{DaneHost, HostDane, HostNaming};
use tls_rpt::ResultType;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::dane::{self, Relay, Scope, before_the_handshake, compare, look_up_records};
use super::report::{CheckError, DaneVerdict, Host, HostVerdict, Stage, State};
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
    pub(super) stages: Vec<Stage>,
    pub(super) hosts: Vec<Host>,
}

/// Finds the hosts and looks at each.
pub(super) async fn look(
    domain: &Domain,
    policy: Option<&Arc<Policy>>,
    relay: Relay<'_>,
    dns: &Arc<dyn Dns>,
    clock: Arc<dyn Clock>,
) -> Result<Found, CheckError> {
    let (settings, now) = (relay.settings, clock.now());
    let (routing, stage, names, naming) = route(domain, dns).await;
    let mut stages = vec![stage];
    let mut scope = Scope::NotCounted;
    if routing == Routing::Hosts {
        let (stage, found) = dane::scope(domain, naming, relay, now);
        stages.push(stage);
        scope = found;
    }
    let prober = Prober::new(settings.delivery.clone(), settings.roots.clone(), clock)?;
    let policy = policy.cloned().filter(|policy| policy.mode() != Mode::None);
    let looking = Looking {
        prober,
        dns: Arc::clone(dns),
        policy,
        scope,
        port: settings.delivery.smtp_port,
        now,
    };
    let mut looks = JoinSet::new();
    for (place, (preference, name)) in names.into_iter().take(HOSTS_MAX).enumerate() {
        let looking = looking.clone();
        let _handle =
            looks.spawn(async move { (place, Box::pin(looking.look_at(preference, name)).await) });
    }
    let mut hosts: Vec<_> = Vec::new();
    while let Some(looked) = looks.join_next().await {
        hosts.extend(looked);
    }
    hosts.sort_by_key(|(place, _)| *place);
    let hosts = hosts.into_iter().map(|(_, host)| host).collect();
    Ok(Found { routing, stages, hosts })
}

/// The hosts in the order they are tried, with their preferences (RFC 5321 §5.1), and how their names
/// came to be known.
async fn route(
    domain: &Domain,
    dns: &Arc<dyn Dns>,
) -> (Routing, Stage, Vec<(Option<u16>, Domain)>, HostNaming) {
    let naming = HostNaming::Insecure;
    let wrong = |text: String| Stage::new("mx", State::Wrong, text);
    match mail_hosts(&**dns, domain).await {
        Ok(MailHosts::Hosts { hosts, security, canonical }) => {
            let naming = HostNaming::by_mx(domain, security, canonical);
            let names: Vec<_> = hosts
                .iter()
                .filter_map(|mx| Some((Some(mx.preference), mx.host()?.clone())))
                .collect();
            let text = counted(names.len(), "host", "hosts");
            (Routing::Hosts, Stage::new("mx", State::Good, text), names, naming)
        }
        Ok(MailHosts::Implicit { host, security }) => {
            let naming = HostNaming::by_mx(domain, security, None);
            let stage = Stage::new("mx", State::Warning, "no MX record, but an address")
                .fix("publish an MX record: a policy names MX hosts");
            (Routing::Hosts, stage, vec![(None, host)], naming)
        }
        Ok(MailHosts::NullMx) => {
            let stage = wrong("the domain takes no mail (null MX)".into());
            (Routing::NullMx, stage, vec![], naming)
        }
        Ok(MailHosts::NoSuchDomain) => {
            let stage = wrong("the domain does not exist".into()).fix(
                "check its spelling; a domain that is new, or has expired, is not there either",
            );
            (Routing::NoSuchDomain, stage, vec![], naming)
        }
        Ok(MailHosts::NoMailHost) => {
            let stage = wrong("the domain exists, and has neither MX nor address records".into());
            (Routing::NoMailHost, stage.fix("publish an MX record"), vec![], naming)
        }
        Err(error) => {
            let stage = wrong(format!("MX lookup for {domain} failed: {error}"));
            (Routing::NotLookedUp, stage, vec![], naming)
        }
    }
}

/// All that hosts are looked at with.
#[derive(Clone)]
struct Looking {
    prober: Prober,
    dns: Arc<dyn Dns>,
    /// The policy, where it asks for anything.
    policy: Option<Arc<Policy>>,
    scope: Scope,
    port: u16,
    now: SystemTime,
}

impl Looking {
    async fn look_at(&self, preference: Option<u16>, name: Domain) -> Host {
        let mut host = Host {
            name: name.to_string(),
            preference,
            verdict: HostVerdict::Unreachable,
            dane: None,
            stages: Vec::new(),
        };
        let Ok(mx) = MxHost::parse(name.as_str()) else {
            host.stages.push(Stage::new("name", State::Wrong, "not a host name"));
            return host;
        };
        let named = self.policy.as_ref().is_none_or(|policy| policy.admits(&mx));
        if self.policy.is_some() {
            host.stages.push(naming(&mx, named.then_some(())));
        }
        let Some(addresses) = self.addresses(&mx, &name, &mut host.stages).await else {
            return host;
        };
        let Some(dane) = self.records(&mx, &name, &mut host).await else { return host };
        for address in addresses {
            let proof = self.look_at_address(&mx, address, dane.as_ref(), &mut host).await;
            let unnamed = proof == HostVerdict::Verified && !named;
            host.verdict = host.verdict.max(if unnamed { HostVerdict::NotNamed } else { proof });
        }
        host
    }

    /// The addresses that are tried; none where there are none.
    async fn addresses(
        &self,
        mx: &MxHost,
        name: &Domain,
        stages: &mut Vec<Stage>,
    ) -> Option<Vec<IpAddr>> {
        let addresses = match self.dns.addresses(name).await {
            Ok(Lookup::Found(found)) => self.prober.in_order(found.records),
            Ok(Lookup::NoData(_) | Lookup::NxDomain(_)) => Vec::new(),
            Err(error) => {
                let text = format!("address lookup failed: {error}");
                stages.push(Stage::new("address", State::Wrong, text));
                return None;
            }
        };
        if addresses.is_empty() {
            let stage = Stage::new("address", State::Wrong, "no usable address");
            stages.push(stage.fix(format!("publish an address for {mx}, or drop the MX record")));
            return None;
        }
        Some(addresses)
    }

    /// The TLSA records of a host, where they count; none where it gets no mail, whatever it shows.
    async fn records(
        &self,
        mx: &MxHost,
        name: &Domain,
        host: &mut Host,
    ) -> Option<Option<HostDane>> {
        let (naming, demand) = match &self.scope {
            Scope::NotCounted => return Some(None),
            Scope::Withheld => {
                host.verdict = HostVerdict::Unmatched;
                return None;
            }
            Scope::Counted(naming, demand) => (naming.clone(), *demand),
        };
        let stages = &mut host.stages;
        let asked = (mx, name);
        let found = look_up_records(self.dns.as_ref(), asked, self.port, naming, stages).await;
        host.dane = before_the_handshake(&found, demand, stages);
        if host.dane == Some(DaneVerdict::Failed) {
            host.verdict = HostVerdict::Unmatched;
            return None;
        }
        Some(Some(found))
    }
}

fn naming(mx: &MxHost, named: Option<()>) -> Stage {
    match named {
        Some(()) => Stage::new("named", State::Good, "the policy names it"),
        None => Stage::new("named", State::Wrong, "the policy does not name it").fix(format!(
            "add \"mx: {mx}\" to the policy and publish a new id, or drop the MX record"
        )),
    }
}

/// Why nothing was seen of a host at an address, and what that is worth.
type Unseen = (HostVerdict, Vec<Stage>);

impl Looking {
    /// What the host shows at one address, and what that is worth beside its TLSA records.
    async fn look_at_address(
        &self,
        mx: &MxHost,
        address: IpAddr,
        dane: Option<&HostDane>,
        host: &mut Host,
    ) -> HostVerdict {
        let look = match self.look(mx, address).await {
            Ok(look) => look,
            Err((verdict, stages)) => {
                host.stages.extend(stages);
                let is_bound =
                    verdict == HostVerdict::Unproved && dane.is_some_and(dane::needs_tls);
                return if is_bound { HostVerdict::Unmatched } else { verdict };
            }
        };
        host.stages.push(Stage::new("connection", State::Good, address.to_string()));
        host.stages.push(Stage::new("starttls", State::Good, look.tls.word()));
        if let Some(HostDane::Dane(found)) = dane {
            if self.matches(mx, (found, address), &look, host).await == DaneVerdict::Mismatch {
                return HostVerdict::Unmatched;
            }
            if self.policy.is_none() {
                return HostVerdict::Verified;
            }
        }
        certificate(mx, &look, &mut host.stages)
    }

    async fn look(&self, mx: &MxHost, address: IpAddr) -> Result<Look, Unseen> {
        match timeout(PATIENCE, Box::pin(self.prober.look(mx, address))).await {
            Ok(looked) => looked.map_err(|failure| unseen(mx, address, &failure)),
            Err(_elapsed) => {
                let text = format!("{address}: no answer in {} seconds", PATIENCE.as_secs());
                let stage = Stage::new("connection", State::Wrong, text);
                Err((HostVerdict::Unreachable, vec![stage]))
            }
        }
    }

    /// Compares what the host shows with its records. A host that is an alias may show others what it
    /// shows who ask for the name of its records, as delivery does (RFC 7672 §8.1).
    async fn matches(
        &self,
        mx: &MxHost,
        (found, address): (&DaneHost, IpAddr),
        look: &Look,
        host: &mut Host,
    ) -> DaneVerdict {
        let base = MxHost::parse(found.association().names().base().as_ref());
        let shown = match base {
            Ok(base) if base != *mx => self.look(&base, address).await,
            Ok(_) | Err(_) => Ok(look.clone()),
        };
        let (verdict, stages) = match shown {
            Ok(shown) => {
                let (stage, verdict) = compare((mx, found), address, &shown, self.now);
                (verdict, vec![stage])
            }
            Err((_, stages)) => (DaneVerdict::Mismatch, stages),
        };
        host.stages.extend(stages);
        // One address that matches is enough for mail to leave.
        if host.dane != Some(DaneVerdict::Matched) {
            host.dane = Some(verdict);
        }
        verdict
    }
}

/// What a session that did not come about is worth.
fn unseen(mx: &MxHost, address: IpAddr, failure: &SessionFailure) -> Unseen {
    let text = format!("{address}: {failure}");
    match failure {
        SessionFailure::Tls(tls) => {
            let connected = Stage::new("connection", State::Good, address.to_string());
            let stage = Stage::new("starttls", State::Wrong, text).fix(tls_fix(tls));
            // Who meddles with a connection gets no mail, policy or not.
            let verdict =
                if tls.is_attack() { HostVerdict::Unreachable } else { HostVerdict::Unproved };
            (verdict, vec![connected, stage])
        }
        SessionFailure::Connect(_)
        | SessionFailure::ConnectTimedOut
        | SessionFailure::LeftAlone { .. }
        | SessionFailure::Silent { .. }
        | SessionFailure::Dialogue { .. }
        | SessionFailure::Login(_)
        | SessionFailure::Ourselves
        | SessionFailure::Refused { .. } => {
            let stage = Stage::new("connection", State::Wrong, text)
                .fix(format!("make {mx} answer on port 25 of this address"));
            (HostVerdict::Unreachable, vec![stage])
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
fn certificate(mx: &MxHost, look: &Look, stages: &mut Vec<Stage>) -> HostVerdict {
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
