//! `[[route]]` as it is typed.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::secret_text::{SecretText, one_or_more};

/// `[[route]]`
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawRoute {
    /// The recipients' domains: `example.com`, `.example.com` for its subdomains, `*` for all.
    #[serde(deserialize_with = "one_or_more")]
    pub recipient: Vec<String>,
    /// The senders' domains, written the same way; empty: any.
    #[serde(deserialize_with = "one_or_more")]
    pub sender: Vec<String>,
    /// Where the mail goes: `host:port`, `[host]`, or a domain with MX records; the next one is
    /// tried where one fails.
    #[serde(deserialize_with = "one_or_more")]
    pub next_hop: Vec<String>,
    /// Whether the next hop has to prove its name, and how TLS begins.
    pub tls: RawRouteTls,
    /// How the relay logs in; empty: as the next hop offers.
    pub auth: RawRouteAuth,
    /// The account; empty: the relay does not log in.
    pub username: String,
    /// Its password.
    pub password: SecretText,
    /// A file with its password.
    pub password_file: PathBuf,
    /// A file with an OAuth 2.0 access token.
    pub token_file: PathBuf,
    /// A program that prints an access token, and its arguments.
    pub token_command: Vec<String>,
}

/// Whether a next hop has to prove its name.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RawRouteTls {
    /// It has to, and TLS begins with the connection at any port.
    Implicit,
    /// It need not, and the mail may go in clear; not with port 465, where TLS begins at once.
    Opportunistic,
    /// It has to; TLS begins with the connection at port 465, and with STARTTLS elsewhere.
    #[default]
    Verify,
}

/// How the relay logs in.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RawRouteAuth {
    /// XOAUTH2 with a token; else PLAIN, or LOGIN where only that is offered.
    #[default]
    Auto,
    /// LOGIN.
    Login,
    /// PLAIN.
    Plain,
    /// XOAUTH2.
    Xoauth2,
}
