//! The settings as they are typed: one struct per section, with the defaults.
//!
//! `config/sts-relay.toml` shows every key with its default; a test compares the two. An empty
//! text means "not set", so that every key has a default that can be written down.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clock::Timestamp;
use delivery::{IpPreference, Timeouts};
use serde::{Deserialize, Serialize};
use smtp::Domain;

use crate::byte_size::ByteSize;
use crate::raw_access::RawAccess;
use crate::raw_admin::RawAdmin;
use crate::raw_dane::RawDane;
use crate::raw_dkim::{RawDkim, RawDkimSigning};
use crate::raw_dns::RawDns;
use crate::raw_history::RawHistory;
use crate::raw_limit::RawLimit;
use crate::raw_notify::RawNotify;
use crate::raw_requiretls::RawRequireTls;
use crate::raw_rewrite::RawRewrite;
use crate::raw_route::RawRoute;
use crate::raw_staging::RawStaging;
use crate::raw_store::RawStore;
use crate::raw_submission::RawSubmission;
use crate::raw_tls_rpt::RawTlsRpt;
use crate::{address_text, byte_size, duration_text, optional_text};

/// Everything a settings file may hold.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawSettings {
    /// The name of this relay in greetings, EHLO and trace fields; empty: the system's name.
    #[serde(with = "optional_text")]
    pub hostname: Option<Domain>,
    /// Where mail to the bare `<postmaster>` goes (RFC 5321 §4.5.1); empty: to `hostname`.
    #[serde(with = "optional_text")]
    pub postmaster_domain: Option<Domain>,
    /// Where the queue, the policy cache and the admin socket live.
    pub data_dir: PathBuf,
    /// How long a stopping relay lets what is in flight come to its end.
    #[serde(with = "duration_text")]
    pub shutdown_grace: Duration,
    /// Where mail is taken in.
    pub listener: Vec<RawListener>,
    /// What clients are shown under TLS.
    pub tls: RawTls,
    /// Who may hand in mail.
    pub access: RawAccess,
    /// What is put right in messages that are handed in (RFC 6409 §8).
    pub submission: RawSubmission,
    /// What becomes of mail that must not reach those it is for.
    pub staging: RawStaging,
    /// What one client, and all of them together, may take up.
    pub limits: RawLimits,
    /// Whom to ask for names.
    pub dns: RawDns,
    /// When the TLSA records of hosts are looked for, and which count (RFC 7672).
    pub dane: RawDane,
    /// Which certificate authorities are believed.
    pub trust: RawTrust,
    /// How policies are found and kept (RFC 8461).
    pub mta_sts: RawMtaSts,
    /// The reports on TLS that are sent (RFC 8460).
    pub tls_rpt: RawTlsRpt,
    /// How mail goes out.
    pub delivery: RawDelivery,
    /// Mail that goes to a configured next hop.
    pub route: Vec<RawRoute>,
    /// How much some destinations get at a time.
    pub limit: Vec<RawLimit>,
    /// Domains whose policy is set aside for a while.
    pub exception: Vec<RawException>,
    /// Which addresses that mail is from become which others.
    pub rewrite: Vec<RawRewrite>,
    /// The keys that sign mail (RFC 6376).
    pub dkim: Vec<RawDkim>,
    /// What becomes of mail that no key can sign.
    pub dkim_signing: RawDkimSigning,
    /// Mail that asks for proven TLS all its way (RFC 8689).
    pub requiretls: RawRequireTls,
    /// What is kept of attempts.
    pub history: RawHistory,
    /// Where mail is kept.
    pub store: RawStore,
    /// How the running relay is asked and told things.
    pub admin: RawAdmin,
    /// Who is told when a person is needed.
    pub notify: Vec<RawNotify>,
    /// What is logged, and how.
    pub log: RawLog,
}

impl RawSettings {
    /// Where the users are listed.
    pub(crate) fn users_file(&self) -> Option<PathBuf> {
        let file = &self.access.users_file;
        (!file.as_os_str().is_empty()).then(|| file.clone())
    }

    /// Where the admin socket is.
    pub(crate) fn admin_socket(&self) -> PathBuf {
        let socket = &self.admin.socket;
        if socket.as_os_str().is_empty() {
            self.data_dir.join("admin.sock")
        } else {
            socket.clone()
        }
    }

    /// Where the socket for programs of this machine is, if there is to be one.
    pub(crate) fn submit_socket(&self) -> Option<PathBuf> {
        let socket = &self.submission.socket;
        (!socket.as_os_str().is_empty()).then(|| socket.clone())
    }

    /// Where in the data directory the history lives.
    pub(crate) fn history_dir(&self) -> PathBuf {
        self.data_dir.join("history")
    }

    /// Where in the data directory the queue lives.
    pub(crate) fn queue_dir(&self) -> PathBuf {
        self.data_dir.join("queue")
    }
}

/// `[[listener]]`
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RawListener {
    /// IP address and port.
    #[serde(with = "address_text")]
    pub address: SocketAddr,
    /// Whether and how clients come under TLS.
    #[serde(default)]
    pub tls: RawTlsMode,
    /// Whether users log in.
    #[serde(default)]
    pub auth: RawAuthMode,
    /// Whether connections come through a proxy that says for whom (the PROXY protocol).
    #[serde(default)]
    pub proxy_protocol: bool,
    /// Whether messages without lines are taken (BINARYMIME).
    #[serde(default)]
    pub binarymime: RawBinaryMime,
}

/// Whether and how clients of a listener come under TLS.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RawTlsMode {
    /// From the first byte on (RFC 8314 §3).
    Implicit,
    /// They do not.
    #[default]
    Off,
    /// When they ask for it (RFC 3207).
    StartTls,
}

/// Whether users log in at a listener (RFC 4954).
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RawAuthMode {
    /// They cannot.
    #[default]
    Off,
    /// They can; hosts of listed networks need not.
    Optional,
    /// They must.
    Required,
}

/// Whether a listener takes messages without lines (RFC 3030 §3).
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RawBinaryMime {
    /// It does not.
    #[default]
    Off,
    /// It does.
    On,
}

/// `[tls]`
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawTls {
    /// A PEM file: the certificate, then those that lead to its authority; empty: a self-signed
    /// one is made.
    pub certificate: PathBuf,
    /// A PEM file: the certificate's key.
    pub key: PathBuf,
}

/// `[limits]`
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawLimits {
    /// The largest message taken (RFC 1870).
    pub message_size: ByteSize,
    /// The most recipients of one message.
    pub recipients: usize,
    /// The most connections at a time; half of them are kept for `access.networks` and users who
    /// have logged in.
    pub connections: usize,
    /// The most connections at a time from one client: an IPv4 address or an IPv6 /64.
    pub connections_per_client: usize,
    /// The most messages on one connection.
    pub messages_per_connection: usize,
    /// The most commands on one connection.
    pub commands_per_connection: usize,
    /// The most refused commands and messages on one connection.
    pub errors_per_connection: usize,
    /// The most wrong passwords on one connection.
    pub auth_failures_per_connection: usize,
    /// The most connections of one client in a minute; 0: no limit, here and in the next four.
    pub connection_rate: u32,
    /// The most messages of one client in a minute.
    pub message_rate: u32,
    /// The most recipients of one client in a minute.
    pub recipient_rate: u32,
    /// The most TLS handshakes of one client in a minute.
    pub tls_handshake_rate: u32,
    /// The most wrong passwords of one client in 15 minutes.
    pub auth_failure_rate: u32,
    /// The largest header section of a message.
    pub header_size: ByteSize,
    /// The longest line of a message.
    pub line_length: ByteSize,
    /// With this many Received header fields a message is in a loop (RFC 5321 §6.3).
    pub received_fields: usize,
    /// The least that must come of a message in a second, in the mean; 0: however little.
    pub data_rate: ByteSize,
    /// How long a client may say nothing between commands (RFC 5321 §4.5.3.2.7).
    #[serde(with = "duration_text")]
    pub command_timeout: Duration,
    /// How long a client may say nothing within a message.
    #[serde(with = "duration_text")]
    pub data_timeout: Duration,
    /// How long a message may take.
    #[serde(with = "duration_text")]
    pub message_timeout: Duration,
    /// How long a connection may last.
    #[serde(with = "duration_text")]
    pub connection_timeout: Duration,
    /// How long a TLS handshake may take.
    #[serde(with = "duration_text")]
    pub handshake_timeout: Duration,
    /// How long a client may say nothing that is neither in `access.networks` nor logged in.
    #[serde(with = "duration_text")]
    pub unadmitted_timeout: Duration,
    /// The most TLS handshakes computed at a time; more wait for their turn.
    pub tls_handshakes: usize,
    /// The most passwords checked at a time; more wait for their turn.
    pub password_checks: usize,
    /// How long a client is watched before the greeting: whoever speaks first is refused.
    #[serde(with = "duration_text")]
    pub greeting_delay: Duration,
    /// How long a wrong password waits for its refusal.
    #[serde(with = "duration_text")]
    pub auth_delay: Duration,
    /// How long a message may come more slowly than `data_rate`.
    #[serde(with = "duration_text")]
    pub data_grace: Duration,
    /// How long a client that is refused may take to read why.
    #[serde(with = "duration_text")]
    pub farewell: Duration,
    /// New mail is refused while the file system of `data_dir` has less room than this.
    pub free_space: ByteSize,
}

/// `[trust]`
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawTrust {
    /// A PEM file of certificate authorities; empty: the system's alone.
    pub ca_file: PathBuf,
    /// Whether `ca_file` is believed besides the system's authorities, or instead of them.
    pub extend: bool,
}

/// `[mta_sts]`
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawMtaSts {
    /// How long mail waits for DNS to tell whether there is a policy.
    #[serde(with = "duration_text")]
    pub undecided_grace: Duration,
    /// How often a cached policy is fetched anew (RFC 8461 §10.2).
    #[serde(with = "duration_text")]
    pub refresh_interval: Duration,
    /// How long fetching one policy may take (RFC 8461 §3.3).
    #[serde(with = "duration_text")]
    pub fetch_timeout: Duration,
    /// The port of policy hosts.
    pub https_port: u16,
    /// Whether a policy host may have an address that is not global.
    pub allow_private_policy_hosts: bool,
}

/// `[delivery]`
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawDelivery {
    /// The port of MX hosts.
    pub smtp_port: u16,
    /// The most deliveries at a time that are at work.
    pub concurrency: usize,
    /// The most deliveries at a time, those that wait for a slow host included.
    pub connections: usize,
    /// The most deliveries at a time to one domain.
    pub per_domain: usize,
    /// The most messages on one connection; 1: none is used again.
    pub messages_per_connection: usize,
    /// How long a connection is kept without mail for it; 0: not at all.
    #[serde(with = "duration_text")]
    pub connection_idle: Duration,
    /// How long an address that does not answer is left alone; 0: it is tried every time.
    #[serde(with = "duration_text")]
    pub dead_host_memory: Duration,
    /// The address that IPv4 connections come from; empty: as the system chooses.
    #[serde(with = "optional_text")]
    pub source_address4: Option<Ipv4Addr>,
    /// The address that IPv6 connections come from; empty: as the system chooses.
    #[serde(with = "optional_text")]
    pub source_address6: Option<Ipv6Addr>,
    /// Which addresses of a host are tried first.
    #[serde(with = "IpPreferenceText")]
    pub ip_preference: IpPreference,
    /// How long a message is tried before it is returned (RFC 5321 §4.5.4.1).
    #[serde(with = "duration_text")]
    pub lifetime: Duration,
    /// After how long a sender is told that mail is late (RFC 3461 §5.2.5); 0: never.
    #[serde(with = "duration_text")]
    pub delay_notice: Duration,
    /// When a message that could not be delivered is tried again.
    pub retry: RawRetry,
    /// How long each step of a session may take (RFC 5321 §4.5.3.2).
    #[serde(with = "TimeoutsText")]
    pub timeouts: Timeouts,
}

/// `[delivery.retry]`
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawRetry {
    /// The wait after the first failure; it doubles with each further one.
    #[serde(with = "duration_text")]
    pub first: Duration,
    /// The longest wait.
    #[serde(with = "duration_text")]
    pub longest: Duration,
}

/// `[delivery.timeouts]`: how [`Timeouts`] are written.
#[derive(Deserialize, Serialize)]
#[serde(remote = "Timeouts", default = "Timeouts::default", deny_unknown_fields)]
struct TimeoutsText {
    /// A whole attempt until a message begins.
    #[serde(with = "duration_text")]
    attempt: Duration,
    /// The TCP connection.
    #[serde(with = "duration_text")]
    connect: Duration,
    /// The greeting.
    #[serde(with = "duration_text")]
    greeting: Duration,
    /// The reply to EHLO, HELO or RSET.
    #[serde(with = "duration_text")]
    hello: Duration,
    /// The reply to STARTTLS, and then the handshake.
    #[serde(with = "duration_text")]
    tls: Duration,
    /// The reply to MAIL.
    #[serde(with = "duration_text")]
    mail: Duration,
    /// The reply to RCPT.
    #[serde(with = "duration_text")]
    rcpt: Duration,
    /// The reply to DATA.
    #[serde(with = "duration_text")]
    data_initiation: Duration,
    /// Writing one block of the message.
    #[serde(with = "duration_text")]
    data_block: Duration,
    /// How many octets of the message have to be read in each second; 0: any number.
    #[serde(with = "byte_size")]
    data_rate: u64,
    /// The reply to the final dot.
    #[serde(with = "duration_text")]
    data_termination: Duration,
    /// The reply to QUIT.
    #[serde(with = "duration_text")]
    quit: Duration,
}

/// How an [`IpPreference`] is written.
#[derive(Deserialize, Serialize)]
#[serde(remote = "IpPreference", rename_all = "kebab-case")]
enum IpPreferenceText {
    Ipv4,
    Ipv4Only,
    Ipv6,
    Ipv6Only,
}

/// `[[exception]]`
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RawException {
    /// The recipients' domain.
    pub domain: String,
    /// When its policy counts again.
    pub until: Timestamp,
    /// Why it does not count until then.
    pub reason: String,
    /// What does not count until then.
    #[serde(default = "RawException::policy_alone")]
    pub what: Vec<RawLifted>,
}

/// What an exception is for.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RawLifted {
    /// The TLSA records of the domain's hosts.
    Dane,
    /// The MTA-STS policy of the domain.
    MtaSts,
}

impl RawException {
    /// The default of `what`.
    fn policy_alone() -> Vec<RawLifted> {
        vec![RawLifted::MtaSts]
    }
}

/// `[log]`
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawLog {
    /// The form of a line.
    pub format: LogFormat,
    /// The least level that is written.
    pub level: LogLevel,
    /// Whether there are lines in the form of Postfix's besides.
    pub postfix_lines: bool,
    /// How addresses are written.
    pub addresses: LogAddresses,
}

/// How mail addresses are written to the log.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogAddresses {
    /// As they are.
    Full,
    /// As tokens, the same for the same address.
    Hashed,
    /// Not at all.
    None,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// An object per line.
    Json,
    /// For people.
    Text,
}

/// How much is logged; the levels' meaning is in docs/operations.md.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Someone must act.
    Error,
    /// Mail is late, or a peer broke a rule.
    Warn,
    /// A line per hand-over.
    Info,
    /// The protocol.
    Debug,
    /// The lines on the wire, without content.
    Trace,
}
