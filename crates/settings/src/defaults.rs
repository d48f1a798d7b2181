//! The default of every key; `config/sts-relay.toml` says the same in words.
//!
//! Where another crate has a default of its own, it is taken from there.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use delivery::{DeliverySettings, IpPreference, Timeouts};
use dns::DnsSettings;
use listener::{Bcc, Limits, Rates, Submission};
use mta_sts::{FetchSettings, PolicySettings, PrivateHosts};
use queue::QueueSettings;
use rustls::RootCertStore;
use store_embedded::StoreSettings;

use crate::byte_size::ByteSize;
use crate::raw::{
    LogAddresses, LogFormat, LogLevel, RawAuthMode, RawBinaryMime, RawDelivery, RawLimits,
    RawListener, RawLog, RawMtaSts, RawRetry, RawSettings, RawTls, RawTlsMode, RawTrust,
};
use crate::raw_access::{RawAccess, RawNetwork};
use crate::raw_admin::RawAdmin;
use crate::raw_dane::RawDane;
use crate::raw_dkim::RawDkimSigning;
use crate::raw_dns::RawDns;
use crate::raw_history::RawHistory;
use crate::raw_requiretls::RawRequireTls;
use crate::raw_staging::RawStaging;
use crate::raw_store::RawStore;
use crate::raw_submission::RawSubmission;
use crate::raw_tls_rpt::RawTlsRpt;
use crate::socket_mode::SocketMode;

/// Where an installed relay keeps its mail; the unit's `StateDirectory=` makes it.
pub(crate) const DATA_DIR: &str = "/var/lib/sts-relay";

/// Where a relay without any settings file keeps its mail: beside whoever tries it out.
pub const TRIAL_DATA_DIR: &str = "sts-relay-data";

impl Default for RawSettings {
    fn default() -> Self {
        Self {
            hostname: None,
            postmaster_domain: None,
            data_dir: PathBuf::from(DATA_DIR),
            shutdown_grace: DeliverySettings::SHUTDOWN_GRACE,
            listener: vec![RawListener::default()],
            tls: RawTls::default(),
            access: RawAccess::default(),
            submission: RawSubmission::default(),
            staging: RawStaging::default(),
            limits: RawLimits::default(),
            dns: RawDns::default(),
            dane: RawDane::default(),
            trust: RawTrust::default(),
            mta_sts: RawMtaSts::default(),
            tls_rpt: RawTlsRpt::default(),
            delivery: RawDelivery::default(),
            route: Vec::new(),
            limit: Vec::new(),
            exception: Vec::new(),
            rewrite: Vec::new(),
            dkim: Vec::new(),
            dkim_signing: RawDkimSigning::default(),
            requiretls: RawRequireTls::default(),
            history: RawHistory::default(),
            store: RawStore::default(),
            admin: RawAdmin::default(),
            notify: Vec::new(),
            log: RawLog::default(),
        }
    }
}

impl Default for RawListener {
    /// An unprivileged port that nobody else can reach.
    fn default() -> Self {
        Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 2525)),
            tls: RawTlsMode::default(),
            auth: RawAuthMode::default(),
            proxy_protocol: false,
            binarymime: RawBinaryMime::default(),
        }
    }
}

impl Default for RawAccess {
    /// Loopback alone: whoever starts the relay does not open it.
    fn default() -> Self {
        Self {
            networks: vec!["127.0.0.0/8".to_owned(), "::1/128".to_owned()],
            network: Vec::new(),
            recipients: Vec::new(),
            users_file: PathBuf::new(),
            proxies: Vec::new(),
            check_from: false,
            local_senders: vec!["*".to_owned()],
        }
    }
}

impl Default for RawNetwork {
    /// What is shown where one is missing.
    fn default() -> Self {
        Self { cidr: "10.1.0.0/16".to_owned(), senders: vec!["@example.org".to_owned()] }
    }
}

impl Default for RawSubmission {
    fn default() -> Self {
        let Submission { add, bcc, bare_newlines } = Submission::default();
        Self {
            add,
            remove_bcc: bcc == Bcc::Removed,
            bare_newlines,
            socket: PathBuf::new(),
            socket_group: String::new(),
            socket_mode: SocketMode::GROUP,
            local_mail_to: String::new(),
        }
    }
}

impl Default for RawLimits {
    fn default() -> Self {
        let (limits, rates) = (Limits::default(), Rates::default());
        let timeouts = listener::Timeouts::default();
        Self {
            message_size: ByteSize::new(limits.message_size),
            recipients: limits.recipients,
            connections: limits.connections,
            connections_per_client: limits.connections_per_client,
            messages_per_connection: limits.messages_per_connection,
            commands_per_connection: limits.commands_per_connection,
            errors_per_connection: limits.errors_per_connection,
            auth_failures_per_connection: limits.auth_failures_per_connection,
            connection_rate: rates.connections,
            message_rate: rates.messages,
            recipient_rate: rates.recipients,
            tls_handshake_rate: rates.tls_handshakes,
            auth_failure_rate: rates.auth_failures,
            header_size: ByteSize::new(limits.header_size),
            line_length: ByteSize::new(u64::try_from(limits.line_length).unwrap_or(u64::MAX)),
            received_fields: limits.received_fields,
            data_rate: ByteSize::new(limits.data_rate),
            command_timeout: timeouts.command,
            data_timeout: timeouts.data,
            message_timeout: timeouts.message,
            connection_timeout: timeouts.connection,
            handshake_timeout: timeouts.handshake,
            unadmitted_timeout: timeouts.unadmitted,
            tls_handshakes: limits.tls_handshakes,
            password_checks: limits.password_checks,
            greeting_delay: timeouts.greeting_delay,
            auth_delay: timeouts.auth_delay,
            data_grace: timeouts.data_grace,
            farewell: timeouts.farewell,
            free_space: ByteSize::new(StoreSettings::new("").min_free),
        }
    }
}

impl Default for RawDns {
    fn default() -> Self {
        let DnsSettings { timeout, attempts, dnssec, bogus_probe, servers: _ } =
            DnsSettings::default();
        Self { servers: Vec::new(), timeout, attempts, dnssec, bogus_probe }
    }
}

impl Default for RawTrust {
    fn default() -> Self {
        Self { ca_file: PathBuf::new(), extend: true }
    }
}

impl Default for RawMtaSts {
    fn default() -> Self {
        let policies = PolicySettings::default();
        let fetch = FetchSettings::new(Arc::new(RootCertStore::empty()));
        Self {
            undecided_grace: policies.undecided_grace,
            refresh_interval: policies.refresh_interval,
            fetch_timeout: fetch.timeout,
            https_port: fetch.port,
            allow_private_policy_hosts: fetch.private_hosts == PrivateHosts::Allowed,
        }
    }
}

impl Default for RawDelivery {
    fn default() -> Self {
        Self {
            smtp_port: DeliverySettings::SMTP_PORT,
            concurrency: DeliverySettings::WORKERS,
            connections: DeliverySettings::CONNECTIONS,
            per_domain: DeliverySettings::PER_DOMAIN,
            messages_per_connection: DeliverySettings::MESSAGES_PER_CONNECTION,
            connection_idle: DeliverySettings::CONNECTION_IDLE,
            dead_host_memory: DeliverySettings::DEAD_HOST_MEMORY,
            source_address4: None,
            source_address6: None,
            ip_preference: IpPreference::default(),
            lifetime: QueueSettings::default().lifetime,
            delay_notice: DeliverySettings::DELAY_NOTICE,
            retry: RawRetry::default(),
            timeouts: Timeouts::default(),
        }
    }
}

impl Default for RawRetry {
    fn default() -> Self {
        let retry = QueueSettings::default().retry;
        Self { first: retry.first, longest: retry.most }
    }
}

impl Default for RawLog {
    fn default() -> Self {
        Self {
            format: LogFormat::Text,
            level: LogLevel::Info,
            postfix_lines: false,
            addresses: LogAddresses::Full,
        }
    }
}
