//! From what is typed to what the parts of the relay are made with.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use delivery::DeliverySettings;
use dns::DnsSettings;
use listener::{ListenerSettings, ServerTls};
use mta_sts::{Exception, Exceptions, FetchSettings, PolicyDomain, PolicySettings, PrivateHosts};
use pkix::{Roots, SystemRoots, TrustSettings};
use queue::{Networks, QueueSettings, Users};
use smtp::Domain;

use super::raw::{RawLog, RawSettings, RawTrust};
use super::{Listening, SettingsError, Source, hostname};
use crate::error_text::in_full;
use crate::policy_host_proof::ByRelaysRoots;

/// The settings of a relay, checked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where everything durable lives.
    pub data_dir: PathBuf,
    /// How long a stopping relay lets what is in flight come to its end.
    pub shutdown_grace: Duration,
    /// Where mail is taken in.
    pub listeners: Vec<Listening>,
    /// Who may hand in mail.
    pub networks: Networks,
    /// Who may say for whom they connect.
    pub proxies: Networks,
    /// Where the users are listed.
    pub users_file: Option<PathBuf>,
    /// Who may hand in mail by password.
    pub users: Users,
    /// The certificate that clients are shown, where one was named.
    pub tls: Option<ServerTls>,
    /// How mail is taken in.
    pub listener: ListenerSettings,
    /// How mail is kept.
    pub queue: QueueSettings,
    /// Whom to ask for names.
    pub dns: DnsSettings,
    /// Who vouches for MX hosts (for policy hosts the same, in `fetch`).
    pub roots: Roots,
    /// How policies are found and kept.
    pub policies: PolicySettings,
    /// How policies are fetched.
    pub fetch: FetchSettings,
    /// How mail goes out.
    pub delivery: DeliverySettings,
    /// Where monitors may ask over TCP.
    pub admin_address: Option<SocketAddr>,
    /// The unix socket of the admin interface.
    pub admin_socket: PathBuf,
    /// What is logged.
    pub log: RawLog,
    /// What is allowed, and yet hardly meant.
    pub warnings: Vec<String>,
}

impl Settings {
    /// Makes sense of what `source` says.
    ///
    /// # Errors
    ///
    /// [`SettingsError`] for the first value that cannot be meant, with its place.
    pub fn check(source: &Source, now: SystemTime) -> Result<Self, SettingsError> {
        Check { source, raw: source.raw(), now, warnings: Vec::new() }.settings()
    }
}

/// A check under way.
pub(super) struct Check<'a> {
    source: &'a Source,
    pub(super) raw: &'a RawSettings,
    now: SystemTime,
    pub(super) warnings: Vec<String>,
}

impl Check<'_> {
    /// Everything.
    fn settings(mut self) -> Result<Settings, SettingsError> {
        for (key, variable) in self.source.replaced_lists() {
            self.warnings.push(format!(
                "{variable} takes the place of every [[{key}]] in the settings file"
            ));
        }
        let hostname = self.hostname()?;
        let raw = self.raw;
        let roots = self.roots()?;
        Ok(Settings {
            data_dir: self.data_dir()?,
            shutdown_grace: raw.shutdown_grace,
            listeners: self.listeners()?,
            networks: self.networks()?,
            proxies: self.proxies()?,
            users_file: self.users_file(),
            users: self.users()?,
            tls: self.tls()?,
            listener: self.listener(hostname.clone())?,
            queue: self.queue()?,
            dns: self.dns()?,
            policies: self.policies()?,
            fetch: self.fetch(&roots)?,
            roots,
            delivery: self.delivery(hostname)?,
            admin_address: raw.admin.address,
            admin_socket: self.admin_socket(),
            log: raw.log.clone(),
            warnings: self.warnings,
        })
    }

    /// The error that `problem` is with `key`.
    pub(super) fn wrong(&self, key: &str, problem: &(impl ToString + ?Sized)) -> SettingsError {
        let problem = format!("{key}: {}", problem.to_string());
        SettingsError::Wrong { place: self.source.place(key), problem }
    }

    /// Refuses a number that would bring the relay to a halt.
    pub(super) fn at_least_one<T: Default + PartialEq>(
        &self,
        key: &str,
        number: T,
    ) -> Result<T, SettingsError> {
        if number == T::default() {
            return Err(self.wrong(key, "must not be zero"));
        }
        Ok(number)
    }

    /// The relay's name.
    fn hostname(&mut self) -> Result<Domain, SettingsError> {
        if let Some(name) = &self.raw.hostname {
            return Ok(name.clone());
        }
        let (name, warning) =
            hostname::of_system().map_err(|error| self.wrong("hostname", &error))?;
        self.warnings.extend(warning);
        Ok(name)
    }

    /// The data directory.
    fn data_dir(&self) -> Result<PathBuf, SettingsError> {
        if self.raw.data_dir.as_os_str().is_empty() {
            return Err(self.wrong("data_dir", "must not be empty"));
        }
        Ok(self.raw.data_dir.clone())
    }

    /// How mail is kept.
    fn queue(&self) -> Result<QueueSettings, SettingsError> {
        let raw = &self.raw.delivery;
        if raw.retry.first > raw.retry.longest {
            let problem = "is longer than delivery.retry.longest";
            return Err(self.wrong("delivery.retry.first", problem));
        }
        let mut settings = QueueSettings::new(queue_dir(&self.raw.data_dir));
        settings.retry.first = self.at_least_one("delivery.retry.first", raw.retry.first)?;
        settings.retry.most = raw.retry.longest;
        settings.lifetime = self.at_least_one("delivery.lifetime", raw.lifetime)?;
        settings.min_free = self.raw.limits.free_space.bytes();
        Ok(settings)
    }

    /// Whom to ask for names.
    fn dns(&self) -> Result<DnsSettings, SettingsError> {
        let raw = &self.raw.dns;
        Ok(DnsSettings {
            servers: raw.servers.iter().map(|server| server.0).collect(),
            dnssec: raw.dnssec.into(),
            timeout: self.at_least_one("dns.timeout", raw.timeout)?,
            attempts: self.at_least_one("dns.attempts", raw.attempts)?,
        })
    }

    /// Who vouches for other hosts.
    fn roots(&self) -> Result<Roots, SettingsError> {
        let RawTrust { ca_file, extend } = &self.raw.trust;
        let ca_file = (!ca_file.as_os_str().is_empty()).then(|| ca_file.clone());
        let system_roots = if *extend { SystemRoots::Kept } else { SystemRoots::Replaced };
        pkix::load_roots(&TrustSettings { ca_file, system_roots })
            .map_err(|error| self.wrong("trust.ca_file", &in_full(&error)))
    }

    /// How policies are found and kept.
    fn policies(&mut self) -> Result<PolicySettings, SettingsError> {
        let raw = &self.raw.mta_sts;
        Ok(PolicySettings {
            undecided_grace: raw.undecided_grace,
            refresh_interval: self
                .at_least_one("mta_sts.refresh_interval", raw.refresh_interval)?,
            exceptions: self.exceptions()?,
            ..PolicySettings::default()
        })
    }

    /// How policies are fetched.
    fn fetch(&self, roots: &Roots) -> Result<FetchSettings, SettingsError> {
        let raw = &self.raw.mta_sts;
        let mut fetch = FetchSettings::new(Arc::clone(roots.store()));
        let proof = ByRelaysRoots::new(roots.clone());
        fetch.proof =
            Arc::new(proof.map_err(|error| self.wrong("trust.ca_file", &in_full(&error)))?);
        fetch.timeout = self.at_least_one("mta_sts.fetch_timeout", raw.fetch_timeout)?;
        fetch.port = self.at_least_one("mta_sts.https_port", raw.https_port)?;
        if raw.allow_private_policy_hosts {
            fetch.private_hosts = PrivateHosts::Allowed;
        }
        Ok(fetch)
    }

    /// The domains whose policy is set aside for a while.
    fn exceptions(&mut self) -> Result<Exceptions, SettingsError> {
        let mut exceptions: Vec<Exception> = Vec::new();
        for (number, raw) in self.raw.exception.iter().enumerate() {
            let key = |name: &str| format!("exception.{number}.{name}");
            let domain = PolicyDomain::parse(&raw.domain)
                .map_err(|error| self.wrong(&key("domain"), &error))?;
            if exceptions.iter().any(|other| *other.domain() == domain) {
                return Err(self.wrong(&key("domain"), "another exception is for the same domain"));
            }
            if raw.until.time() <= self.now {
                self.warnings.push(format!(
                    "the exception for {} ended at {} and has no effect",
                    domain.as_str(),
                    raw.until
                ));
            }
            let exception = Exception::new(domain, raw.until.time(), &raw.reason, self.now);
            exceptions.push(exception.map_err(|error| self.wrong(&key("until"), &error))?);
        }
        Ok(exceptions.into_iter().collect())
    }

    /// How mail goes out.
    fn delivery(&mut self, hostname: Domain) -> Result<DeliverySettings, SettingsError> {
        let raw = &self.raw.delivery;
        let mut settings = DeliverySettings::new(hostname);
        settings.smtp_port = self.at_least_one("delivery.smtp_port", raw.smtp_port)?;
        settings.workers = self.at_least_one("delivery.concurrency", raw.concurrency)?;
        settings.connections = self.at_least_one("delivery.connections", raw.connections)?;
        settings.per_domain = self.at_least_one("delivery.per_domain", raw.per_domain)?;
        let messages = raw.messages_per_connection;
        settings.messages_per_connection =
            self.at_least_one("delivery.messages_per_connection", messages)?;
        settings.connection_idle = raw.connection_idle;
        settings.dead_host_memory = raw.dead_host_memory;
        settings.routes = self.routes()?;
        settings.source_address4 = raw.source_address4;
        settings.source_address6 = raw.source_address6;
        settings.ip_preference = raw.ip_preference.into();
        settings.delay_notice = Some(raw.delay_notice).filter(|after| !after.is_zero());
        settings.timeouts = (&raw.timeouts).into();
        settings.shutdown_grace = self.raw.shutdown_grace;
        Ok(settings)
    }

    /// Where the admin socket is.
    fn admin_socket(&self) -> PathBuf {
        let socket = &self.raw.admin.socket;
        if socket.as_os_str().is_empty() {
            return self.raw.data_dir.join("admin.sock");
        }
        socket.clone()
    }
}

/// Where in the data directory the queue lives.
fn queue_dir(data_dir: &Path) -> PathBuf {
    data_dir.join("queue")
}
