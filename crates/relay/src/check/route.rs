//! The next hops of a `[[route]]`, each opened as delivery opens it: its own port, its own proof, its
//! own login. No mail is begun.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use clock::Clock;
use delivery::{
    ConfiguredHop, Prober, Route, SessionFailure, SmartHost, TlsRequirement, TlsaAge, host_dane,
};
use dns::{Dns, Lookup, LookupError, MailHosts, Security, mail_hosts};
use mail::{Channel, TlsVersion, in_full};
use mta_sts::{Decision, Fetcher, MxHost, OpenHost, Policies, PolicyDomain, Purpose};
use settings::Settings;
use smtp::Domain;
use tls_policy::{
    DaneInputs, DaneLookup, Demanded, Excepted, HostDane, HostNaming, HostRequirement, Inputs,
    Matched, MessageDemand, Refusal, Verified,
};
use tokio::time::timeout;

use super::hosts::{HOSTS_MAX, PATIENCE};
use super::report::{CheckError, Host, HostVerdict, Stage, State};
use crate::adapters::dns_for_mta_sts::DnsForMtaSts;
use crate::policy_store::NothingKept;

/// Opens the next hops of a route, one after the other.
pub(super) async fn look(
    route: &Route,
    settings: &Settings,
    dns: &Arc<dyn Dns>,
    clock: Arc<dyn Clock>,
) -> Result<Vec<Host>, CheckError> {
    let prober =
        Prober::new(settings.delivery.clone(), settings.roots.clone(), Arc::clone(&clock))?;
    let fetcher = Fetcher::new(settings.fetch.clone())?;
    let names = Arc::new(DnsForMtaSts(Arc::clone(dns)));
    let policies = Policies::new(settings.policies.clone(), names, Arc::new(NothingKept), fetcher);
    let mut hosts = Vec::new();
    for hop in &route.next_hops {
        let looking = Looking { hop, prober: &prober, dns, settings };
        let purpose = Purpose::Delivery { queued_for: Duration::ZERO };
        let decided = Box::pin(policies.decide(&hop.to.next_hop(), purpose, clock.now())).await;
        match decided {
            Ok(decision) => hosts.extend(Box::pin(looking.hosts(&decision)).await),
            Err(undecided) => {
                let stage = Stage::new("policy", State::Wrong, in_full(&undecided));
                hosts.push(looking.host(HostVerdict::Unreachable, vec![stage]));
            }
        }
    }
    Ok(hosts)
}

/// One next hop that is looked at.
struct Looking<'a> {
    hop: &'a ConfiguredHop,
    prober: &'a Prober,
    dns: &'a Arc<dyn Dns>,
    settings: &'a Settings,
}

impl Looking<'_> {
    fn host(&self, verdict: HostVerdict, stages: Vec<Stage>) -> Host {
        Host { name: self.hop.to.to_string(), preference: None, verdict, dane: None, stages }
    }

    /// The hosts of the next hop: itself, or the MX hosts of a domain.
    async fn hosts(&self, decision: &Decision) -> Vec<Host> {
        match &self.hop.to {
            SmartHost::Address(address, port) => {
                let (literal, naming) = (OpenHost::Literal(*address), HostNaming::Insecure);
                let (at, none) = (SocketAddr::new(*address, *port), Security::Insecure);
                let addresses = Ok(Lookup::NoData(none));
                let dane = self.records(decision, (&literal, *port), &naming, &addresses).await;
                vec![self.at(decision, literal, &dane, &[at]).await]
            }
            SmartHost::Host(host, _, port) => {
                vec![self.named(decision, host, *port, &HostNaming::a_priori(host)).await]
            }
            SmartHost::Domain(domain) => self.mx_hosts(decision, domain).await,
        }
    }

    async fn mx_hosts(&self, decision: &Decision, domain: &PolicyDomain) -> Vec<Host> {
        let wrong = |text: String| {
            vec![self.host(HostVerdict::Unreachable, vec![Stage::new("mx", State::Wrong, text)])]
        };
        let Ok(name) = Domain::parse(domain.as_str()) else {
            return wrong("not a mail domain".to_owned());
        };
        let (names, naming): (Vec<_>, _) = match mail_hosts(&**self.dns, &name).await {
            Ok(MailHosts::Hosts { hosts, security, canonical }) => {
                let names = hosts.iter().filter_map(|mx| mx.host().cloned()).collect();
                (names, HostNaming::by_mx(&name, security, canonical))
            }
            Ok(MailHosts::Implicit { host, security }) => {
                (vec![host], HostNaming::by_mx(&name, security, None))
            }
            Ok(MailHosts::NoMailHost) => return wrong(format!("{domain} has no mail host")),
            Ok(MailHosts::NoSuchDomain) => return wrong(format!("{domain} does not exist")),
            Ok(MailHosts::NullMx) => return wrong(format!("{domain} takes no mail (null MX)")),
            Err(error) => return wrong(format!("MX lookup for {domain} failed: {error}")),
        };
        let port = self.settings.delivery.smtp_port;
        let mut hosts = Vec::new();
        for name in names.iter().take(HOSTS_MAX) {
            if let Ok(mx) = MxHost::parse(name.as_str()) {
                hosts.push(Host {
                    name: mx.to_string(),
                    ..self.named(decision, &mx, port, &naming).await
                });
            }
        }
        hosts
    }

    /// A host that has a name.
    async fn named(
        &self,
        decision: &Decision,
        mx: &MxHost,
        port: u16,
        naming: &HostNaming,
    ) -> Host {
        let wrong = |text: String| {
            let stage = Stage::new("address", State::Wrong, text);
            self.host(HostVerdict::Unreachable, vec![stage])
        };
        let found = match Domain::parse(mx.as_str()) {
            Ok(domain) => self.dns.addresses(&domain).await,
            Err(_not_a_name) => Ok(Lookup::NxDomain(Security::Insecure)),
        };
        let host = OpenHost::Name(mx.clone());
        let dane = self.records(decision, (&host, port), naming, &found).await;
        let addresses = match found {
            Ok(Lookup::Found(found)) => self.prober.in_order(found.records),
            Ok(Lookup::NoData(_)) => return wrong(format!("{mx} has no address")),
            Ok(Lookup::NxDomain(_)) => return wrong(format!("{mx} does not exist")),
            Err(error) => return wrong(format!("address lookup for {mx} failed: {error}")),
        };
        let addresses: Vec<_> =
            addresses.into_iter().map(|address| SocketAddr::new(address, port)).collect();
        self.at(decision, host, &dane, &addresses).await
    }

    /// The TLSA records that apply to a host.
    async fn records(
        &self,
        decision: &Decision,
        (host, port): (&OpenHost, u16),
        naming: &HostNaming,
        addresses: &Result<Lookup<IpAddr>, LookupError>,
    ) -> HostDane {
        let (settings, dns) = (self.settings.delivery.dane, self.dns.as_ref());
        let validation = dns.validation();
        let inputs = DaneInputs { decision, host, port, naming, settings, validation };
        let begun = match DaneLookup::begin(&inputs) {
            DaneLookup::Addresses(question) => question.answer(addresses),
            begun @ (DaneLookup::Alias(_) | DaneLookup::Answered(_) | DaneLookup::Tlsa(_)) => begun,
        };
        host_dane(dns, begun, TlsaAge::Any).await
    }

    /// Opens a session at each address, until one comes about.
    async fn at(
        &self,
        decision: &Decision,
        host: OpenHost,
        dane: &HostDane,
        addresses: &[SocketAddr],
    ) -> Host {
        let mut stages = Vec::new();
        for address in addresses {
            let opened =
                timeout(PATIENCE, Box::pin(self.open(decision, (&host, dane), *address))).await;
            match opened {
                Ok(Ok((channel, verdict))) => {
                    stages.extend(self.opened(*address, &channel, verdict));
                    return self.host(verdict, stages);
                }
                Ok(Err(stage)) => stages.push(stage),
                Err(_elapsed) => {
                    let text = format!("{address}: no answer in {} seconds", PATIENCE.as_secs());
                    stages.push(Stage::new("connection", State::Wrong, text));
                }
            }
        }
        if addresses.is_empty() {
            stages.push(Stage::new("address", State::Wrong, "no usable address"));
        }
        self.host(HostVerdict::Unreachable, stages)
    }

    /// The session that mail would have: what it runs over, and what it is worth.
    async fn open(
        &self,
        decision: &Decision,
        (host, dane): (&OpenHost, &HostDane),
        address: SocketAddr,
    ) -> Result<(Channel, HostVerdict), Stage> {
        let demand = self.settings.delivery.demand_of(self.hop.to.next_hop().domain());
        let inputs = Inputs {
            decision,
            route: &self.hop.requirement,
            host,
            dane,
            demand,
            message: MessageDemand::None,
        };
        let login = self.hop.requirement.login();
        let prober = self.prober;
        let opened = match inputs.requirement().map_err(refused)? {
            HostRequirement::Demanded(host) => {
                let (route, start) = (host.route().map_err(refused)?, host.start());
                let proved = prober.prove::<Demanded>(route, address, start, login).await;
                proved.map(|channel| (channel, HostVerdict::Verified))
            }
            HostRequirement::Encrypted(host) => {
                let encrypted = prober.encrypt(host.route().map_err(refused)?, address).await;
                encrypted.map(|channel| (channel, HostVerdict::Unproved))
            }
            HostRequirement::Excepted(host) => {
                let (route, start) = (host.route().map_err(refused)?, host.start());
                let proved = prober.prove::<Excepted>(route, address, start, login).await;
                proved.map(|channel| (channel, HostVerdict::NotNamed))
            }
            HostRequirement::Matched(host) => {
                let (route, start) = (host.route().map_err(refused)?, host.start());
                let matched = prober.prove::<Matched>(route, address, start, login).await;
                matched.map(|channel| (channel, HostVerdict::Verified))
            }
            HostRequirement::Open(host) => {
                let settled = prober.settle(host.route().map_err(refused)?, address).await;
                settled.map(|channel| (channel, HostVerdict::Unproved))
            }
            HostRequirement::Verified(host) | HostRequirement::VerifiedOrExcepted(host, _) => {
                let (route, start) = (host.route().map_err(refused)?, host.start());
                let proved = prober.prove::<Verified>(route, address, start, login).await;
                proved.map(|channel| (channel, HostVerdict::Verified))
            }
        };
        opened.map_err(|failure| failed(address, &failure))
    }

    /// What a session has shown.
    fn opened(&self, address: SocketAddr, channel: &Channel, verdict: HostVerdict) -> Vec<Stage> {
        let tls = channel.version().map_or("none", TlsVersion::word);
        let mut stages = vec![Stage::new("connection", State::Good, address.to_string())];
        stages.push(match verdict {
            HostVerdict::Verified | HostVerdict::NotNamed => {
                Stage::new("tls", State::Good, format!("{tls}, certificate verified"))
            }
            HostVerdict::Unproved | HostVerdict::Unmatched | HostVerdict::Unreachable => {
                let text = format!(
                    "{tls}, certificate not verified: the route's tls is \"opportunistic\""
                );
                Stage::new("tls", State::Warning, text)
            }
        });
        if let TlsRequirement::Proven { login: Some(login), .. } = &self.hop.requirement {
            stages.push(Stage::new("login", State::Good, format!("as {}", login.name())));
        }
        stages
    }
}

/// Why no mail would go to a host at all.
fn refused(refusal: Refusal) -> Stage {
    let text = match refusal {
        Refusal::DaneRequired(found) => {
            format!("usable TLSA records are required (dane.require), and {found}")
        }
        Refusal::NotSecured => "nothing secures the host's name".to_owned(),
        Refusal::OtherRecords => "the host's TLSA records have changed meanwhile".to_owned(),
        Refusal::Skipped(why) => why.to_string(),
        Refusal::NoName(_) => {
            "a certificate cannot be verified for an address, and a policy requires that".to_owned()
        }
        Refusal::NotNamed(mismatch) => mismatch.to_string(),
    };
    Stage::new("policy", State::Wrong, text)
}

/// The step of a session that failed, and what mends it.
fn failed(address: SocketAddr, failure: &SessionFailure) -> Stage {
    let text = format!("{address}: {failure}");
    match failure {
        SessionFailure::Tls(_) => Stage::new("tls", State::Wrong, text).fix(
            "use the host name that the certificate names, and list an authority of your own in \
             trust.ca_file; port 465 begins with TLS, other ports with STARTTLS unless tls = \"implicit\"",
        ),
        SessionFailure::Login(_) => Stage::new("login", State::Wrong, text)
            .fix("compare username, password and auth of the [[route]] with what the provider says"),
        SessionFailure::Connect(_)
        | SessionFailure::ConnectTimedOut
        | SessionFailure::LeftAlone { .. }
        | SessionFailure::Dialogue { .. }
        | SessionFailure::Ourselves
        | SessionFailure::Refused { .. }
        | SessionFailure::Silent { .. } => Stage::new("connection", State::Wrong, text)
            .fix("check the next hop's name and port, and that a firewall lets this machine out"),
    }
}
