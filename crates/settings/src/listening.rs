//! The settings of taking mail in: listeners, TLS, who may submit, limits.

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use access::{AllowedRecipients, AllowedSenders, Networks, Users};
use listener::{
    AuthMode, BinaryMode, CheckFrom, Limits, ListenerSettings, ProxyMode, Rates, ServerTls,
    Service, Timeouts, TlsMode,
};
use mail::in_full;
use smtp::Domain;

use crate::check::Check;
use crate::file::unreadable;
use crate::raw::{RawAuthMode, RawBinaryMime, RawListener, RawTlsMode};
use crate::raw_access::RawNetwork;

/// Where mail is taken in, and what is offered there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Listening {
    /// IP address and port.
    pub address: SocketAddr,
    /// What is offered.
    pub service: Service,
}

impl Check<'_> {
    /// The listeners.
    pub(crate) fn listeners(&mut self) -> Vec<Listening> {
        let mut listeners: Vec<Listening> = Vec::new();
        for (number, raw) in self.raw.listener.iter().enumerate() {
            let (address, key) = (raw.address, |name| format!("listener.{number}.{name}"));
            // Port 0 means one that is free, which several may ask for.
            let same = listeners.iter().position(|other| other.address == address);
            if let Some(other) = same.filter(|_| address.port() != 0) {
                let problem = "another listener has the same address";
                let other = format!("listener.{other}.address");
                self.wrong_with(&key("address"), &other, problem);
            }
            if raw.auth != RawAuthMode::Off && raw.tls == RawTlsMode::Off {
                let problem = "passwords need TLS: set tls to \"starttls\" or \"implicit\"";
                self.wrong_with(&key("auth"), &key("tls"), problem);
            }
            if raw.auth != RawAuthMode::Off && self.raw.users_file().is_none() {
                let problem = "there are no users: access.users_file is empty";
                self.wrong_with(&key("auth"), "access.users_file", problem);
            }
            if raw.proxy_protocol && self.raw.access.proxies.is_empty() {
                let problem = "there are no proxies: access.proxies is empty";
                self.wrong_with(&key("proxy_protocol"), "access.proxies", problem);
            }
            listeners.push(Listening { address, service: raw.into() });
        }
        if listeners.is_empty() {
            self.wrong("listener", "at least one is needed");
        }
        listeners
    }

    /// The networks that may hand in mail.
    pub(crate) fn networks(&mut self) -> Networks {
        let access = &self.raw.access;
        let none = access.networks.is_empty() && access.network.is_empty();
        let others = self.raw.users_file().is_some() || self.raw.submit_socket().is_some();
        if none && !others {
            self.warnings.push("access.networks is empty, so no client may submit mail".to_owned());
        }
        let before = self.faults.len();
        let mut listed: Vec<_> = self.each_network("access.networks", &access.networks);
        for (number, RawNetwork { cidr, senders }) in access.network.iter().enumerate() {
            let key = |name| format!("access.network.{number}.{name}");
            if let Err(error) = Networks::parse([cidr]) {
                self.wrong(&key("cidr"), &error);
            } else if senders.is_empty() {
                let problem = "names nobody: write [\"*\"] for every address";
                self.wrong(&key("senders"), problem);
            } else {
                match AllowedSenders::parse(senders) {
                    Ok(senders) => listed.push((cidr.clone(), senders)),
                    Err(error) => self.wrong(&key("senders"), &error),
                }
            }
        }
        self.together("access.networks", listed, before)
    }

    /// The networks that may say for whom they connect.
    pub(crate) fn proxies(&mut self) -> Networks {
        let before = self.faults.len();
        let listed = self.each_network("access.proxies", &self.raw.access.proxies);
        self.together("access.proxies", listed, before)
    }

    /// A list of networks; each that is wrong is named.
    fn each_network(&mut self, key: &str, networks: &[String]) -> Vec<(String, AllowedSenders)> {
        for (number, network) in networks.iter().enumerate() {
            if let Err(error) = Networks::parse([network]) {
                let location = self.source.location(&format!("{key}.{number}"));
                self.wrong_at(location, key, &error);
            }
        }
        let all = AllowedSenders::all();
        networks.iter().map(|network| (network.clone(), all.clone())).collect()
    }

    /// Networks of which none is wrong, that is, no fault was added, may still hold all addresses
    /// together.
    fn together(
        &mut self,
        key: &str,
        listed: Vec<(String, AllowedSenders)>,
        faults_before: usize,
    ) -> Networks {
        if self.faults.len() > faults_before {
            return Networks::default();
        }
        let together = Networks::with_senders(listed);
        self.or_wrong(key, together)
    }

    /// Whom mail may be sent to.
    pub(crate) fn recipients(&mut self) -> AllowedRecipients {
        let listed = &self.raw.access.recipients;
        for (number, recipient) in listed.iter().enumerate() {
            if AllowedRecipients::parse([recipient]).is_err() {
                let location = self.source.location(&format!("access.recipients.{number}"));
                let problem = format!(
                    "`{recipient}` is neither an address nor a domain such as @example.org"
                );
                self.wrong_at(location, "access.recipients", &problem);
            }
        }
        AllowedRecipients::parse(listed).unwrap_or_default()
    }

    /// The users.
    pub(crate) fn users(&mut self) -> Users {
        let Some(file) = self.raw.users_file() else { return Users::default() };
        let text = fs::read_to_string(&file).map_err(|error| unreadable(&error));
        let users = text.and_then(|text| Users::parse(&text).map_err(|error| error.to_string()));
        let users = users.map_err(|problem| format!("{}: {problem}", file.display()));
        self.or_wrong("access.users_file", users)
    }

    /// The certificate that was named.
    pub(crate) fn tls(&mut self) -> Option<ServerTls> {
        let raw = &self.raw.tls;
        match (raw.certificate.as_os_str().is_empty(), raw.key.as_os_str().is_empty()) {
            (true, true) => None,
            (false, false) if !self.can_read("tls.certificate", &raw.certificate) => None,
            (false, false) if !self.can_read("tls.key", &raw.key) => None,
            (false, false) => {
                let loaded = ServerTls::load(&raw.certificate, &raw.key).map(Some);
                self.or_wrong("tls.certificate", loaded.map_err(|error| in_full(&error)))
            }
            (true, false) => {
                self.wrong_with("tls.key", "tls.certificate", "a key needs its tls.certificate");
                None
            }
            (false, true) => {
                self.wrong_with("tls.certificate", "tls.key", "a certificate needs its tls.key");
                None
            }
        }
    }

    /// How mail is taken in.
    pub(crate) fn listener(&mut self, hostname: Domain) -> ListenerSettings {
        let mut settings = ListenerSettings::new(hostname);
        settings.limits = self.limits();
        let raw = &self.raw.limits;
        settings.rates = Rates {
            connections: raw.connection_rate,
            messages: raw.message_rate,
            recipients: raw.recipient_rate,
            tls_handshakes: raw.tls_handshake_rate,
            auth_failures: raw.auth_failure_rate,
        };
        settings.timeouts = Timeouts {
            command: self.at_least_one("limits.command_timeout", raw.command_timeout),
            data: self.at_least_one("limits.data_timeout", raw.data_timeout),
            message: self.at_least_one("limits.message_timeout", raw.message_timeout),
            connection: self.at_least_one("limits.connection_timeout", raw.connection_timeout),
            handshake: self.at_least_one("limits.handshake_timeout", raw.handshake_timeout),
            unadmitted: self.at_least_one("limits.unadmitted_timeout", raw.unadmitted_timeout),
            greeting_delay: self.at_most_a_minute("limits.greeting_delay", raw.greeting_delay),
            auth_delay: self.at_most_a_minute("limits.auth_delay", raw.auth_delay),
            farewell: self.at_most_a_minute("limits.farewell", raw.farewell),
            data_grace: raw.data_grace,
        };
        if self.raw.access.check_from {
            settings.check_from = CheckFrom::Yes;
        }
        settings.submission = (&self.raw.submission).into();
        settings.rewriting = self.rewriting();
        settings.requiretls = self.raw.requiretls.offer();
        settings.staging = self.staging();
        settings.local_mail_to = self.local_mail_to();
        if let Some(domain) = &self.raw.postmaster_domain {
            settings.postmaster_domain = domain.clone();
        }
        settings
    }

    /// Refuses a wait in which clients would lose their patience.
    fn at_most_a_minute(&mut self, key: &str, wait: Duration) -> Duration {
        if wait > Duration::from_secs(60) {
            self.wrong(key, "must not be longer than a minute");
        }
        wait
    }

    /// How much of everything is accepted.
    fn limits(&mut self) -> Limits {
        let raw = &self.raw.limits;
        let mut count = |key: &str, number| self.at_least_one(&format!("limits.{key}"), number);
        let line_length = usize::try_from(raw.line_length.bytes()).unwrap_or(usize::MAX);
        Limits {
            line_length: count("line_length", line_length),
            received_fields: count("received_fields", raw.received_fields),
            recipients: count("recipients", raw.recipients),
            connections: count("connections", raw.connections),
            connections_per_client: count("connections_per_client", raw.connections_per_client),
            messages_per_connection: count("messages_per_connection", raw.messages_per_connection),
            commands_per_connection: count("commands_per_connection", raw.commands_per_connection),
            errors_per_connection: count("errors_per_connection", raw.errors_per_connection),
            auth_failures_per_connection: count(
                "auth_failures_per_connection",
                raw.auth_failures_per_connection,
            ),
            tls_handshakes: count("tls_handshakes", raw.tls_handshakes),
            password_checks: count("password_checks", raw.password_checks),
            data_rate: raw.data_rate.bytes(),
            message_size: self.at_least_one("limits.message_size", raw.message_size.bytes()),
            header_size: self.at_least_one("limits.header_size", raw.header_size.bytes()),
        }
    }
}

impl From<&RawListener> for Service {
    fn from(raw: &RawListener) -> Self {
        Self {
            tls: match raw.tls {
                RawTlsMode::Implicit => TlsMode::Implicit,
                RawTlsMode::Off => TlsMode::Off,
                RawTlsMode::StartTls => TlsMode::StartTls,
            },
            auth: match raw.auth {
                RawAuthMode::Off => AuthMode::Off,
                RawAuthMode::Optional => AuthMode::Optional,
                RawAuthMode::Required => AuthMode::Required,
            },
            proxy: if raw.proxy_protocol { ProxyMode::Required } else { ProxyMode::Direct },
            binary: match raw.binarymime {
                RawBinaryMime::Off => BinaryMode::Withheld,
                RawBinaryMime::On => BinaryMode::Offered,
            },
        }
    }
}
