//! From what is typed to what the parts of the relay are made with.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use access::{AllowedRecipients, AllowedSenders, Networks, Users};
use delivery::DeliverySettings;
use dns::DnsSettings;
use history::HistorySettings;
use listener::{ListenerSettings, ServerTls};
use mail::in_full;
use mta_sts::{FetchSettings, PolicySettings, PrivateHosts};
use pkix::{Roots, SystemRoots, TrustSettings};
use queue::QueueSettings;
use reporting::ReportSettings;
use rustls::RootCertStore;
use smtp::{Domain, DomainError};

use crate::check::Check;
use crate::chosen_store::ChosenStore;
use crate::dkim_keys::DkimSettings;
use crate::fault::SettingsError;
use crate::hostname;
use crate::listening::Listening;
use crate::local_mail::SubmitSocket;
use crate::notices::NotifySettings;
use crate::page::PageSettings;
use crate::paths::RelayPaths;
use crate::policy_host_proof::ByRelaysRoots;
use crate::raw::{RawLog, RawTrust};
use crate::raw_admin::RawExceptionRule;
use crate::source::Source;

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
    /// Whom mail may be sent to.
    pub recipients: AllowedRecipients,
    /// Where the users are listed.
    pub users_file: Option<PathBuf>,
    /// Who may hand in mail by password.
    pub users: Users,
    /// The certificate that clients are shown, where one was named.
    pub tls: Option<ServerTls>,
    /// How mail is taken in.
    pub listener: ListenerSettings,
    /// Where mail is kept.
    pub store: ChosenStore,
    /// When mail is tried.
    pub queue: QueueSettings,
    /// Whom to ask for names.
    pub dns: DnsSettings,
    /// Who vouches for MX hosts (for policy hosts the same, in `fetch`).
    pub roots: Roots,
    /// How policies are found and kept.
    pub policies: PolicySettings,
    /// How policies are fetched.
    pub fetch: FetchSettings,
    /// How reports on TLS are sent.
    pub reports: ReportSettings,
    /// How mail goes out.
    pub delivery: DeliverySettings,
    /// What is kept of attempts.
    pub history: HistorySettings,
    /// Who is told when a person is needed.
    pub notices: NotifySettings,
    /// The keys that sign mail.
    pub dkim: DkimSettings,
    /// Where monitors may ask over TCP.
    pub admin_address: Option<SocketAddr>,
    /// The unix socket of the admin interface.
    pub admin_socket: PathBuf,
    /// The unix socket through which programs of this machine send, where there is one.
    pub submit_socket: Option<SubmitSocket>,
    /// What users of this machine may send from, besides their own addresses.
    pub local_senders: AllowedSenders,
    /// The operators' page at the admin address, where it is there.
    pub page: Option<PageSettings>,
    /// Who may make exceptions.
    pub exception_rule: RawExceptionRule,
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
    /// [`SettingsError`] with everything that cannot be understood or cannot be meant.
    pub fn check(source: &Source, now: SystemTime) -> Result<Self, SettingsError> {
        if !source.is_whole() {
            // What the broken lines were to say is not known, so nothing follows from the rest.
            SettingsError::unless_empty(source.faults().to_vec())?;
        }
        Check::new(source, now).settings()
    }

    /// Where the relay is that runs by these settings.
    #[must_use]
    pub fn paths(&self) -> RelayPaths {
        RelayPaths {
            admin_socket: self.admin_socket.clone(),
            submit_socket: self.submit_socket.as_ref().map(|socket| socket.path.clone()),
            store: self.store.kind(),
            queue: self.data_dir.join("queue"),
            history: self.history.dir.clone(),
            exceptions: self.policies.exceptions.clone(),
            faults: Vec::new(),
        }
    }
}

impl Check<'_> {
    /// Everything.
    fn settings(mut self) -> Result<Settings, SettingsError> {
        for (key, variable) in self.source.replaced_lists() {
            self.warnings.push(format!(
                "{variable} takes the place of every [[{key}]] in the settings file"
            ));
        }
        let raw = self.raw;
        let hostname = match self.hostname() {
            Ok(hostname) => hostname,
            Err(error) => {
                self.wrong("hostname", &error);
                return Err(SettingsError::new(self.faults));
            }
        };
        let data_dir = self.data_dir();
        let listeners = self.listeners();
        let networks = self.networks();
        let proxies = self.proxies();
        let recipients = self.recipients();
        let users = self.users();
        let tls = self.tls();
        let submit_socket = self.submit_socket();
        let local_senders = self.local_senders();
        let mut listener = self.listener(hostname.clone());
        let queue = self.queue();
        let dns = self.dns();
        let policies = self.policies();
        let roots = self.roots();
        let store = self.store(&queue, &hostname, roots.as_ref());
        let fetch = self.fetch(roots.as_ref());
        let reports = self.tls_reports();
        let (history, notices) = (self.history(&hostname), self.notices());
        let mut delivery = self.delivery(hostname);
        let (dkim, page) = (self.dkim(), self.page());
        self.warn_of_unsigned(&reports, &dkim);
        delivery.signing = Arc::clone(&dkim.table);
        listener.signing = Arc::clone(&dkim.table);
        let (Some(roots), true) = (roots, self.faults.is_empty()) else {
            return Err(SettingsError::new(self.faults));
        };
        Ok(Settings {
            data_dir,
            shutdown_grace: raw.shutdown_grace,
            listeners,
            networks,
            proxies,
            recipients,
            users_file: raw.users_file(),
            users,
            tls,
            listener,
            store,
            queue,
            dns,
            policies,
            fetch,
            roots,
            reports,
            delivery,
            history,
            notices,
            dkim,
            admin_address: raw.admin.address,
            admin_socket: raw.admin_socket(),
            submit_socket,
            local_senders,
            page,
            exception_rule: raw.admin.exceptions,
            log: raw.log.clone(),
            warnings: self.warnings,
        })
    }

    /// The relay's name.
    fn hostname(&mut self) -> Result<Domain, DomainError> {
        let (name, warning) = match &self.raw.hostname {
            Some(name) => (name.clone(), hostname::doubt(name)),
            None => hostname::of_system()?,
        };
        self.warnings.extend(warning);
        Ok(name)
    }

    /// The data directory.
    fn data_dir(&mut self) -> PathBuf {
        if self.raw.data_dir.as_os_str().is_empty() {
            self.wrong("data_dir", "must not be empty");
        }
        self.raw.data_dir.clone()
    }

    /// When mail is tried.
    fn queue(&mut self) -> QueueSettings {
        let raw = &self.raw.delivery;
        if raw.retry.first > raw.retry.longest {
            let problem = "is longer than delivery.retry.longest";
            self.wrong_with("delivery.retry.first", "delivery.retry.longest", problem);
        }
        let mut settings = QueueSettings::default();
        settings.retry.first = self.at_least_one("delivery.retry.first", raw.retry.first);
        settings.retry.most = raw.retry.longest;
        settings.lifetime = self.at_least_one("delivery.lifetime", raw.lifetime);
        settings.report_lifetime = self.raw.tls_rpt.give_up_after;
        settings
    }

    /// What is kept of attempts by the relay with this name.
    fn history(&mut self, hostname: &Domain) -> HistorySettings {
        let raw = &self.raw.history;
        HistorySettings {
            enabled: raw.enabled,
            keep: self.at_least_one("history.keep", raw.keep),
            keep_domains: self.at_least_one("history.keep_domains", raw.keep_domains),
            max_size: self.at_least_one("history.max_size", raw.max_size.bytes()),
            addresses: raw.addresses.into(),
            ..HistorySettings::new(self.raw.history_dir(), hostname.to_string())
        }
    }

    /// Whom to ask for names.
    fn dns(&mut self) -> DnsSettings {
        let raw = &self.raw.dns;
        DnsSettings {
            servers: raw.servers.iter().map(|server| server.0).collect(),
            dnssec: raw.dnssec,
            bogus_probe: raw.bogus_probe.clone(),
            timeout: self.at_least_one("dns.timeout", raw.timeout),
            attempts: self.at_least_one("dns.attempts", raw.attempts),
        }
    }

    /// Who vouches for other hosts.
    fn roots(&mut self) -> Option<Roots> {
        let RawTrust { ca_file, extend } = &self.raw.trust;
        let ca_file = (!ca_file.as_os_str().is_empty()).then(|| ca_file.clone());
        if let Some(file) = &ca_file
            && !self.can_read("trust.ca_file", file)
        {
            return None;
        }
        let system_roots = if *extend { SystemRoots::Kept } else { SystemRoots::Replaced };
        match pkix::load_roots(&TrustSettings { ca_file, system_roots }) {
            Ok(roots) => Some(roots),
            Err(error) => {
                self.wrong("trust.ca_file", &in_full(&error));
                None
            }
        }
    }

    /// How policies are found and kept.
    fn policies(&mut self) -> PolicySettings {
        let raw = &self.raw.mta_sts;
        PolicySettings {
            undecided_grace: raw.undecided_grace,
            refresh_interval: self.at_least_one("mta_sts.refresh_interval", raw.refresh_interval),
            exceptions: self.exceptions(),
            ..PolicySettings::default()
        }
    }

    /// How policies are fetched.
    fn fetch(&mut self, roots: Option<&Roots>) -> FetchSettings {
        let raw = &self.raw.mta_sts;
        let store = roots
            .map_or_else(|| Arc::new(RootCertStore::empty()), |roots| Arc::clone(roots.store()));
        let mut fetch = FetchSettings::new(store);
        match roots.map(|roots| ByRelaysRoots::new(roots.clone())) {
            Some(Ok(proof)) => fetch.proof = Arc::new(proof),
            Some(Err(error)) => self.wrong("trust.ca_file", &in_full(&error)),
            None => {}
        }
        fetch.timeout = self.at_least_one("mta_sts.fetch_timeout", raw.fetch_timeout);
        fetch.port = self.at_least_one("mta_sts.https_port", raw.https_port);
        if raw.allow_private_policy_hosts {
            fetch.private_hosts = PrivateHosts::Allowed;
        }
        fetch
    }

    /// How mail goes out.
    fn delivery(&mut self, hostname: Domain) -> DeliverySettings {
        let raw = &self.raw.delivery;
        let mut settings = DeliverySettings::new(hostname);
        settings.smtp_port = self.at_least_one("delivery.smtp_port", raw.smtp_port);
        settings.workers = self.at_least_one("delivery.concurrency", raw.concurrency);
        settings.connections = self.at_least_one("delivery.connections", raw.connections);
        settings.per_domain = self.at_least_one("delivery.per_domain", raw.per_domain);
        let messages = raw.messages_per_connection;
        settings.messages_per_connection =
            self.at_least_one("delivery.messages_per_connection", messages);
        settings.connection_idle = raw.connection_idle;
        settings.dead_host_memory = raw.dead_host_memory;
        settings.routes = self.routes();
        settings.limits = self.destination_limits();
        settings.dane = (&self.raw.dane).into();
        settings.dane_required = self.patterns("dane.require", &self.raw.dane.require);
        settings.source = self.source("delivery", raw.source_address4, raw.source_address6);
        settings.ip_preference = raw.ip_preference;
        settings.requiretls = self.raw.requiretls.delivery();
        settings.honour_no_from =
            self.addresses("requiretls.honour_no_from", &self.raw.requiretls.honour_no_from);
        settings.delay_notice = Some(raw.delay_notice).filter(|after| !after.is_zero());
        settings.timeouts = raw.timeouts;
        settings.shutdown_grace = self.raw.shutdown_grace;
        settings
    }
}
