//! `[[limit]]` as it is typed.

use std::net::{Ipv4Addr, Ipv6Addr};

use delivery::Rate;
use serde::{Deserialize, Serialize};

use crate::secret_text::one_or_more;
use crate::{optional_text, rate_text};

/// `[[limit]]`
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawLimit {
    /// The recipients' domains: `example.com`, `.example.com` for its subdomains, `*` for all.
    #[serde(deserialize_with = "one_or_more")]
    pub recipient: Vec<String>,
    /// The hosts that take the mail, written the same way.
    #[serde(deserialize_with = "one_or_more")]
    pub mx: Vec<String>,
    /// The most connections at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections: Option<usize>,
    /// The most messages in a time: `60/m`.
    #[serde(with = "rate_text")]
    pub rate: Option<Rate>,
    /// The most messages on one connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages_per_connection: Option<usize>,
    /// The address that IPv4 connections come from; empty: as `delivery.source_address4` says.
    #[serde(with = "optional_text")]
    pub source_address4: Option<Ipv4Addr>,
    /// The address that IPv6 connections come from; empty: as `delivery.source_address6` says.
    #[serde(with = "optional_text")]
    pub source_address6: Option<Ipv6Addr>,
}

impl RawLimit {
    /// What is shown where a value does not fit.
    pub(crate) fn sample() -> Self {
        Self {
            recipient: vec!["example.com".to_owned()],
            mx: vec![".example.net".to_owned()],
            connections: Some(5),
            rate: rate_text::parse("60/m").ok(),
            messages_per_connection: Some(20),
            ..Self::default()
        }
    }
}
