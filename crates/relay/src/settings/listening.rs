//! The settings of taking mail in: listeners, TLS, who may submit, limits.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use listener::{
    AuthMode, BinaryMode, CheckFrom, Limits, ListenerSettings, ProxyMode, Rates, ServerTls,
    Service, Timeouts, TlsMode,
};
use queue::{Networks, Users};
use smtp::Domain;

use super::SettingsError;
use super::check::Check;
use super::raw::{RawAuthMode, RawBinaryMime, RawListener, RawTlsMode};
use crate::error_text::in_full;

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
    pub(super) fn listeners(&self) -> Result<Vec<Listening>, SettingsError> {
        let mut listeners: Vec<Listening> = Vec::new();
        for (number, raw) in self.raw.listener.iter().enumerate() {
            let (address, key) = (raw.address, |name| format!("listener.{number}.{name}"));
            // Port 0 means one that is free, which several may ask for.
            if address.port() != 0 && listeners.iter().any(|other| other.address == address) {
                let problem = "another listener has the same address";
                return Err(self.wrong(&key("address"), problem));
            }
            if raw.auth != RawAuthMode::Off && raw.tls == RawTlsMode::Off {
                let problem = "passwords need TLS: set tls to \"starttls\" or \"implicit\"";
                return Err(self.wrong(&key("auth"), problem));
            }
            if raw.auth != RawAuthMode::Off && self.users_file().is_none() {
                let problem = "there are no users: access.users_file is empty";
                return Err(self.wrong(&key("auth"), problem));
            }
            if raw.proxy_protocol && self.raw.access.proxies.is_empty() {
                let problem = "there are no proxies: access.proxies is empty";
                return Err(self.wrong(&key("proxy_protocol"), problem));
            }
            listeners.push(Listening { address, service: raw.into() });
        }
        if listeners.is_empty() {
            return Err(self.wrong("listener", "at least one is needed"));
        }
        Ok(listeners)
    }

    /// The networks that may hand in mail.
    pub(super) fn networks(&mut self) -> Result<Networks, SettingsError> {
        let networks = &self.raw.access.networks;
        let users_alone = self.users_file().is_some();
        if networks.is_empty() && !users_alone {
            self.warnings.push("access.networks is empty, so nobody may hand in mail".to_owned());
        }
        Networks::parse(networks).map_err(|error| self.wrong("access.networks", &error))
    }

    /// The networks that may say for whom they connect.
    pub(super) fn proxies(&self) -> Result<Networks, SettingsError> {
        Networks::parse(&self.raw.access.proxies)
            .map_err(|error| self.wrong("access.proxies", &error))
    }

    /// Where the users are listed.
    pub(super) fn users_file(&self) -> Option<PathBuf> {
        let file = &self.raw.access.users_file;
        (!file.as_os_str().is_empty()).then(|| file.clone())
    }

    /// The users.
    pub(super) fn users(&self) -> Result<Users, SettingsError> {
        let Some(file) = self.users_file() else { return Ok(Users::default()) };
        let wrong = |problem: String| {
            let problem = format!("{}: {problem}", file.display());
            self.wrong("access.users_file", &problem)
        };
        let text = fs::read_to_string(&file).map_err(|error| wrong(in_full(&error)))?;
        Users::parse(&text).map_err(|error| wrong(error.to_string()))
    }

    /// The certificate that was named.
    pub(super) fn tls(&self) -> Result<Option<ServerTls>, SettingsError> {
        let raw = &self.raw.tls;
        match (raw.certificate.as_os_str().is_empty(), raw.key.as_os_str().is_empty()) {
            (true, true) => Ok(None),
            (false, false) => ServerTls::load(&raw.certificate, &raw.key)
                .map(Some)
                .map_err(|error| self.wrong("tls.certificate", &in_full(&error))),
            (true, false) => Err(self.wrong("tls.key", "a key needs its tls.certificate")),
            (false, true) => Err(self.wrong("tls.certificate", "a certificate needs its tls.key")),
        }
    }

    /// How mail is taken in.
    pub(super) fn listener(&self, hostname: Domain) -> Result<ListenerSettings, SettingsError> {
        let mut settings = ListenerSettings::new(hostname);
        settings.limits = self.limits()?;
        let raw = &self.raw.limits;
        settings.rates = Rates {
            connections: raw.connection_rate,
            messages: raw.message_rate,
            recipients: raw.recipient_rate,
            tls_handshakes: raw.tls_handshake_rate,
            auth_failures: raw.auth_failure_rate,
        };
        settings.timeouts = Timeouts {
            command: self.at_least_one("limits.command_timeout", raw.command_timeout)?,
            data: self.at_least_one("limits.data_timeout", raw.data_timeout)?,
            message: self.at_least_one("limits.message_timeout", raw.message_timeout)?,
            connection: self.at_least_one("limits.connection_timeout", raw.connection_timeout)?,
            handshake: self.at_least_one("limits.handshake_timeout", raw.handshake_timeout)?,
            unadmitted: self.at_least_one("limits.unadmitted_timeout", raw.unadmitted_timeout)?,
            greeting_delay: self.at_most_a_minute("limits.greeting_delay", raw.greeting_delay)?,
            auth_delay: self.at_most_a_minute("limits.auth_delay", raw.auth_delay)?,
            farewell: self.at_most_a_minute("limits.farewell", raw.farewell)?,
            data_grace: raw.data_grace,
        };
        if self.raw.access.check_from {
            settings.check_from = CheckFrom::Yes;
        }
        if let Some(domain) = &self.raw.postmaster_domain {
            settings.postmaster_domain = domain.clone();
        }
        Ok(settings)
    }

    /// Refuses a wait in which clients would lose their patience.
    fn at_most_a_minute(&self, key: &str, wait: Duration) -> Result<Duration, SettingsError> {
        if wait > Duration::from_secs(60) {
            return Err(self.wrong(key, "must not be longer than a minute"));
        }
        Ok(wait)
    }

    /// How much of everything is accepted.
    fn limits(&self) -> Result<Limits, SettingsError> {
        let raw = &self.raw.limits;
        let count = |key: &str, number| self.at_least_one(&format!("limits.{key}"), number);
        let line_length = usize::try_from(raw.line_length.bytes()).unwrap_or(usize::MAX);
        Ok(Limits {
            message_size: self.at_least_one("limits.message_size", raw.message_size.bytes())?,
            header_size: self.at_least_one("limits.header_size", raw.header_size.bytes())?,
            line_length: count("line_length", line_length)?,
            received_fields: count("received_fields", raw.received_fields)?,
            recipients: count("recipients", raw.recipients)?,
            connections: count("connections", raw.connections)?,
            connections_per_client: count("connections_per_client", raw.connections_per_client)?,
            messages_per_connection: count("messages_per_connection", raw.messages_per_connection)?,
            commands_per_connection: count("commands_per_connection", raw.commands_per_connection)?,
            errors_per_connection: count("errors_per_connection", raw.errors_per_connection)?,
            auth_failures_per_connection: count(
                "auth_failures_per_connection",
                raw.auth_failures_per_connection,
            )?,
            tls_handshakes: count("tls_handshakes", raw.tls_handshakes)?,
            password_checks: count("password_checks", raw.password_checks)?,
            data_rate: raw.data_rate.bytes(),
        })
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
