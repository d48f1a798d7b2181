//! The names that a page answers to. Whoever makes a browser take this relay for another name (DNS
//! rebinding) has a name that is none of them.

use std::net::IpAddr;

use axum::http::uri::Authority;

/// The names that a page answers to besides those of loopback.
#[derive(Clone, Debug, Default)]
pub struct HostNames(Vec<String>);

impl HostNames {
    /// These and the loopback names.
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        Self(names.into_iter().map(|name| name.to_ascii_lowercase()).collect())
    }

    /// Whether this `Host` field (RFC 9110 §7.2) names this relay, with whatever port.
    pub(crate) fn answer_to(&self, host: &str) -> bool {
        let Ok(authority) = host.parse::<Authority>() else { return false };
        let name = authority.host().trim_end_matches('.').to_ascii_lowercase();
        let is_plain = !host.contains('@');
        is_plain && (is_loopback(&name) || self.0.contains(&name))
    }
}

/// Whether a name is this machine's own and nobody else's in any DNS.
fn is_loopback(name: &str) -> bool {
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    name == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_answered_by_its_names_alone() {
        let names = HostNames::new(["Relay.Example.org".to_owned()]);
        for host in [
            "localhost",
            "localhost:8080",
            "127.0.0.1:1",
            "[::1]:80",
            "127.8.9.1",
            "relay.example.org",
            "RELAY.example.org.:443",
        ] {
            assert!(names.answer_to(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "relay.example.org.evil.example",
            "192.0.2.1",
            "localhost.evil.example",
            "localhost@evil.example",
            "evil@localhost",
            "a b",
            "127.0.0.1.evil.example",
            "[::ffff:192.0.2.1]",
        ] {
            assert!(!names.answer_to(host), "{host}");
        }
    }
}
