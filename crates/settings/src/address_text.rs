//! Addresses as people write them, and what is said where one is wrong.

use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::Serializer;
use smtp::Domain;

/// A value that is written as text.
pub(crate) trait FromText: Display + Sized {
    /// Reads it, or says what is wrong with `text`.
    fn from_text(text: &str) -> Result<Self, String>;
}

impl FromText for Domain {
    fn from_text(text: &str) -> Result<Self, String> {
        Self::parse(text).map_err(|error| format!("`{text}`: {error}"))
    }
}

impl FromText for Ipv4Addr {
    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_error| {
            format!("`{text}` is not an IPv4 address, such as \"192.0.2.1\"{}", port_seen(text))
        })
    }
}

impl FromText for Ipv6Addr {
    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_error| {
            format!("`{text}` is not an IPv6 address, such as \"2001:db8::1\"{}", port_seen(text))
        })
    }
}

impl FromText for SocketAddr {
    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_error| not_a_socket_address(text))
    }
}

/// Reads an address for `#[serde(with = "address_text")]`.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(input)?;
    SocketAddr::from_text(&text).map_err(D::Error::custom)
}

/// Writes an address the way it is read.
pub(crate) fn serialize<S: Serializer>(address: &SocketAddr, output: S) -> Result<S::Ok, S::Error> {
    output.collect_str(address)
}

/// What is said of a port where none is wanted.
fn port_seen(text: &str) -> &'static str {
    if text.parse::<SocketAddr>().is_ok() { "; no port is wanted here" } else { "" }
}

/// What is wrong with an IP address and port, and how it is written.
fn not_a_socket_address(text: &str) -> String {
    let usual = "write an IP address and a port, as in \"192.0.2.1:25\" or \"[2001:db8::1]:25\"";
    if text.is_empty() {
        return usual.to_owned();
    }
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = bare.parse::<IpAddr>() {
        // "::1:25" is an address by itself, and was hardly meant as one.
        let guess = match (address, text.rsplit_once(':')) {
            (IpAddr::V6(_), Some((host, port)))
                if !text.starts_with('[') && host.parse::<Ipv6Addr>().is_ok() =>
            {
                format!("[{host}]:{port}")
            }
            (address, _) => SocketAddr::new(address, 25).to_string(),
        };
        return format!("`{text}` has no port: write \"{guess}\"");
    }
    let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
    let Ok(port) = port.parse::<u16>() else {
        return match port.parse::<u64>() {
            Ok(_) => format!("`{port}` is not a port: one is from 0 to 65535"),
            Err(_) => format!("`{text}` is not an address: {usual}"),
        };
    };
    if ["", "*", "0", "any", "all"].contains(&host) {
        return format!(
            "`{text}` has no address: write \"0.0.0.0:{port}\" for every IPv4 address of this \
             machine, \"[::]:{port}\" for every IPv6 one"
        );
    }
    if host.parse::<Ipv6Addr>().is_ok() {
        return format!("an IPv6 address stands in brackets: write \"[{host}]:{port}\"");
    }
    format!("`{host}` is not an IP address: {usual}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_address_says_how_it_is_written() {
        for (text, says) in [
            ("127.0.0.1", "write \"127.0.0.1:25\""),
            ("::1", "write \"[::1]:25\""),
            ("[::1]", "write \"[::1]:25\""),
            ("2001:db8::1:25", "write \"[2001:db8::1]:25\""),
            (":25", "write \"0.0.0.0:25\" for every"),
            ("25", "write \"0.0.0.0:25\" for every"),
            ("*:25", "write \"0.0.0.0:25\" for every"),
            ("localhost:25", "`localhost` is not an IP address: write"),
            ("127.0.0.1:70000", "`70000` is not a port: one is from 0 to 65535"),
            ("127.0.0.1:smtp", "`127.0.0.1:smtp` is not an address: write"),
            ("300.0.0.1:25", "`300.0.0.1` is not an IP address: write"),
            ("", "write an IP address and a port"),
        ] {
            let problem = SocketAddr::from_text(text).unwrap_err();
            assert!(problem.contains(says), "{text}: {problem}");
        }
    }
}
