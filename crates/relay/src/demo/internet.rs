//! The private internet: a domain of each kind, and what was seen at its hosts.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use testbed::{
    Certificate, Connection, Message, MxBehaviour, MxHost, PolicyBehaviour, PolicyText, World,
};

use super::kind::Kind;

/// The digest of a key that no host has.
const OTHER_KEY: [u8; 32] = [7; 32];

/// The internet, as far as mail goes.
pub(super) struct Internet<'a> {
    world: &'a World,
    hosts: Vec<(Kind, MxHost)>,
}

/// What was seen at the MX hosts of one domain.
pub(super) struct Seen {
    /// The messages they took.
    pub(super) messages: Vec<Arc<Message>>,
    /// The connections made to them.
    pub(super) connections: Vec<Connection>,
}

impl<'a> Internet<'a> {
    /// Sets up a domain of each kind.
    pub(super) async fn new(world: &'a World) -> Self {
        let mut internet = Self { world, hosts: Vec::new() };
        for kind in Kind::ALL {
            internet.add(kind).await;
        }
        internet
    }

    /// Sets up the domain of one kind.
    async fn add(&mut self, kind: Kind) {
        let presenting = MxBehaviour::presenting;
        match kind {
            Kind::Good | Kind::Cached => self.enforcing(kind, MxBehaviour::valid()).await,
            Kind::Failover => self.failing_over(kind).await,
            Kind::Stripped => self.enforcing(kind, MxBehaviour::stripped()).await,
            Kind::SelfSigned => self.enforcing(kind, presenting(Certificate::SelfSigned)).await,
            Kind::WrongName => self.enforcing(kind, presenting(Certificate::WrongName)).await,
            Kind::Expired => self.enforcing(kind, presenting(Certificate::Expired)).await,
            Kind::Unnamed => self.led_astray(kind).await,
            Kind::Matched => {
                let mx = self.host(kind, "mx", presenting(Certificate::SelfSigned)).await;
                let own = self.hosts.last().map(|(_, host)| host.certificate_chain());
                for leaf in own.iter().flatten().take(1) {
                    self.publish_tlsa(kind, &mx, (3, 0, 0), leaf);
                }
            }
            Kind::Mismatched => {
                let mx = self.host(kind, "mx", MxBehaviour::valid()).await;
                self.publish_tlsa(kind, &mx, (3, 1, 1), &OTHER_KEY);
            }
            Kind::Testing => {
                let mx = self.host(kind, "mx", presenting(Certificate::SelfSigned)).await;
                self.publish(kind, PolicyText::testing([mx])).await;
            }
            Kind::Plain => {
                let _named = self.host(kind, "mx", MxBehaviour::starttls_not_offered()).await;
            }
        }
    }

    /// A domain with one host that its policy names.
    async fn enforcing(&mut self, kind: Kind, behaviour: MxBehaviour) {
        let mx = self.host(kind, "mx", behaviour).await;
        self.publish(kind, PolicyText::enforce([mx])).await;
    }

    /// A domain whose second host has to stand in for the first.
    async fn failing_over(&mut self, kind: Kind) {
        let first = self.host(kind, "mx1", MxBehaviour::stripped()).await;
        let second = self.host(kind, "mx2", MxBehaviour::valid()).await;
        self.publish(kind, PolicyText::enforce([first, second])).await;
    }

    /// A domain whose MX record leads away from the host that its policy names.
    async fn led_astray(&mut self, kind: Kind) {
        let _thief = self.host(kind, "thief", MxBehaviour::valid()).await;
        let named = format!("mx.{}", kind.domain());
        self.publish(kind, PolicyText::enforce([named])).await;
    }

    /// Adds an MX host; its name.
    async fn host(&mut self, kind: Kind, label: &str, behaviour: MxBehaviour) -> String {
        let name = format!("{label}.{}", kind.domain());
        let host = self.world.mx(&name, behaviour).await;
        let preference = if label == "mx2" { 20 } else { 10 };
        let _set_up = self.world.domain(kind.domain()).mx(preference, &host);
        self.hosts.push((kind, host));
        name
    }

    /// Publishes a policy.
    async fn publish(&self, kind: Kind, policy: PolicyText) {
        let _host = self.world.domain(kind.domain()).sts("1").policy(policy).await;
    }

    /// Publishes a TLSA record of a host, in a zone that is signed.
    fn publish_tlsa(&self, kind: Kind, mx: &str, fields: (u8, u8, u8), data: &[u8]) {
        let names = self.world.names();
        names.authenticate(kind.domain());
        names.add_tlsa(&format!("_{}._tcp.{mx}", self.world.smtp_port()), fields, data);
    }

    /// Lets the attack on the domain begin whose policy is known already.
    ///
    /// # Errors
    /// A host that went away cannot come back.
    pub(super) async fn attack(&self) -> io::Result<()> {
        let domain = self.world.domain(Kind::Cached.domain());
        let _gone = domain.without_sts_record().policy(PolicyBehaviour::closing()).await;
        for host in self.hosts_of(Kind::Cached) {
            // With every session that is still open.
            host.close().await;
            host.behave(MxBehaviour::stripped());
            host.open().await?;
        }
        self.world.tap().forget();
        self.world.forget_messages();
        Ok(())
    }

    /// What was seen at the hosts of a kind.
    pub(super) fn seen_of(&self, kind: Kind) -> Seen {
        let messages = self.hosts_of(kind).flat_map(MxHost::messages).collect();
        let connections = self.hosts_of(kind).flat_map(MxHost::connections).collect();
        Seen { messages, connections }
    }

    /// The hosts of a kind.
    fn hosts_of(&self, kind: Kind) -> impl Iterator<Item = &MxHost> {
        self.hosts.iter().filter(move |(of, _)| *of == kind).map(|(_, host)| host)
    }

    /// Writes the settings of a relay that lives in this internet; the file.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn settings(&self) -> io::Result<PathBuf> {
        let world = self.world;
        let directory = world.directory();
        let (data_dir, ca_file) = (directory.join("data"), world.ca_file());
        let (dns, smtp, https) = (world.dns_address(), world.smtp_port(), world.https_port());
        let listener = SocketAddr::new(world.address(), smtp);
        let text = format!(
            "hostname = \"relay.test\"\n\
             data_dir = {data_dir:?}\n\
             listener = [{{ address = \"{listener}\" }}]\n\
             limits.free_space = \"1MiB\"\n\
             dns.servers = [\"{dns}\"]\n\
             trust.ca_file = {ca_file:?}\n\
             trust.extend = false\n\
             mta_sts.https_port = {https}\n\
             mta_sts.allow_private_policy_hosts = true\n\
             delivery.smtp_port = {smtp}\n"
        );
        let file = directory.join("sts-relay.toml");
        fs::write(&file, text)?;
        Ok(file)
    }
}
