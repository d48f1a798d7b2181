//! The header by which a proxy tells who it speaks for: the PROXY protocol, versions 1 and 2.
//!
//! It is read before the first word of SMTP, from a proxy that is known; from anybody else it would
//! be a way to take on any address. What a proxy adds in TLVs is passed over.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How version 2 begins.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// How version 1 begins.
const PREFIX: &[u8] = b"PROXY ";

/// What a proxy says of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyHeader {
    /// Somebody connected to the proxy from this address.
    Client(IpAddr),
    /// The proxy speaks for itself, or does not say for whom.
    Unknown,
}

/// These bytes do not begin with a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed PROXY header")]
pub struct ProxyError;

impl ProxyHeader {
    /// The longest header: one of version 2 with as much as its count can say is not read.
    pub const MAX_OCTETS: usize = 1024;
    /// The longest header of version 1, CRLF included.
    const MAX_LINE: usize = 107;

    /// Reads a header from the front of `input`, with how long it is; `None` while more is needed.
    ///
    /// # Errors
    ///
    /// [`ProxyError`]: there is no header, however much more comes.
    pub fn parse(input: &[u8]) -> Result<Option<(Self, usize)>, ProxyError> {
        let begins = |with: &[u8]| input.iter().zip(with).all(|(one, other)| one == other);
        if begins(SIGNATURE) {
            return if input.len() < SIGNATURE.len() { Ok(None) } else { second(input) };
        }
        if begins(PREFIX) { first(input) } else { Err(ProxyError) }
    }
}

/// Version 1: a line of text.
fn first(input: &[u8]) -> Result<Option<(ProxyHeader, usize)>, ProxyError> {
    let Some(end) = input.windows(2).position(|pair| pair == b"\r\n") else {
        return if input.len() < ProxyHeader::MAX_LINE { Ok(None) } else { Err(ProxyError) };
    };
    let length = end.saturating_add(2);
    let line = input.get(..end).filter(|_| length <= ProxyHeader::MAX_LINE).ok_or(ProxyError)?;
    let line = std::str::from_utf8(line).map_err(|_not_ascii| ProxyError)?;
    let words: Vec<_> = line.split(' ').collect();
    let header = match *words.as_slice() {
        ["PROXY", "UNKNOWN", ..] => ProxyHeader::Unknown,
        ["PROXY", family, source, destination, from, to] => {
            let source: IpAddr = source.parse().map_err(|_cause| ProxyError)?;
            let destination: IpAddr = destination.parse().map_err(|_cause| ProxyError)?;
            let right = match family {
                "TCP4" => source.is_ipv4() && destination.is_ipv4(),
                "TCP6" => source.is_ipv6() && destination.is_ipv6(),
                _ => false,
            };
            if !right || !is_port(from) || !is_port(to) {
                return Err(ProxyError);
            }
            ProxyHeader::Client(source)
        }
        _ => return Err(ProxyError),
    };
    Ok(Some((header, length)))
}

/// A decimal number up to 65535 without leading zeros.
fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok_and(|port| port.to_string() == text)
}

/// Version 2: signature, version and command, family, length, addresses.
fn second(input: &[u8]) -> Result<Option<(ProxyHeader, usize)>, ProxyError> {
    let Some((&[version, family, high, low], rest)) =
        input.get(SIGNATURE.len()..).and_then(<[u8]>::split_first_chunk)
    else {
        return Ok(None);
    };
    let size = usize::from(u16::from_be_bytes([high, low]));
    let length = SIGNATURE.len().saturating_add(4).saturating_add(size);
    if !matches!(version, 0x20 | 0x21) || length > ProxyHeader::MAX_OCTETS {
        return Err(ProxyError);
    }
    let Some(addresses) = rest.get(..size) else { return Ok(None) };
    let header = match (version, family) {
        (0x21, 0x11) if size >= 12 => {
            let (source, _) = addresses.split_first_chunk::<4>().ok_or(ProxyError)?;
            ProxyHeader::Client(Ipv4Addr::from(*source).into())
        }
        (0x21, 0x21) if size >= 36 => {
            let (source, _) = addresses.split_first_chunk::<16>().ok_or(ProxyError)?;
            ProxyHeader::Client(Ipv6Addr::from(*source).into())
        }
        // A family that is announced and whose addresses are not there.
        (0x21, 0x11 | 0x21) => return Err(ProxyError),
        (_, _) => ProxyHeader::Unknown,
    };
    Ok(Some((header, length)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn version_2(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
        let length = u16::try_from(addresses.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, addresses].concat()
    }

    #[test]
    fn a_header_tells_the_client_and_its_own_length() {
        let v4 = [192, 0, 2, 7, 127, 0, 0, 1, 1, 2, 0, 25];
        let mut v6 = [0; 36];
        v6[..4].copy_from_slice(&[0x20, 1, 0xd, 0xb8]);
        let with_tlv = [&v4[..], &[0x20, 0, 1, 9]].concat();
        for (header, client) in [
            (b"PROXY TCP4 192.0.2.7 127.0.0.1 40000 25\r\n".to_vec(), Some("192.0.2.7")),
            (b"PROXY TCP6 2001:db8:: ::1 1 25\r\n".to_vec(), Some("2001:db8::")),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (b"PROXY UNKNOWN ffff:: ffff:: 65535 65535\r\n".to_vec(), None),
            (version_2(0x21, 0x11, &v4), Some("192.0.2.7")),
            (version_2(0x21, 0x11, &with_tlv), Some("192.0.2.7")),
            (version_2(0x21, 0x21, &v6), Some("2001:db8::")),
            (version_2(0x20, 0, b""), None),
            (version_2(0x21, 0x31, &[0; 216]), None),
        ] {
            let expected = client.map_or(ProxyHeader::Unknown, |client| {
                ProxyHeader::Client(client.parse().unwrap())
            });
            let input = [&header[..], b"EHLO x\r\n"].concat();
            assert_eq!(ProxyHeader::parse(&input), Ok(Some((expected, header.len()))));
            for cut in 0..header.len() {
                assert_eq!(ProxyHeader::parse(&header[..cut]), Ok(None), "{header:?} {cut}");
            }
        }
    }

    #[test]
    fn what_is_no_header_is_refused() {
        let long = [b"PROXY UNKNOWN ", &[b'x'; 100][..]].concat();
        let huge = version_2(0x21, 0x11, &[0; 2000]);
        for input in [
            &b"EHLO x\r\n"[..],
            b"proxy TCP4 192.0.2.7 127.0.0.1 1 25\r\n",
            b"PROXY\r\n",
            b"PROXY TCP4 192.0.2.7 127.0.0.1 1\r\n",
            b"PROXY TCP4 192.0.2.7 127.0.0.1 1 25 \r\n",
            b"PROXY TCP4  192.0.2.7 127.0.0.1 1 25\r\n",
            b"PROXY TCP4 192.0.2.7 127.0.0.1 1 65536\r\n",
            b"PROXY TCP4 192.0.2.7 127.0.0.1 01 25\r\n",
            b"PROXY TCP4 ::1 ::1 1 25\r\n",
            b"PROXY TCP4 192.0.2.700 127.0.0.1 1 25\r\n",
            b"PROXY TCP4 192.0.2.7\n127.0.0.1 1 25\r\n",
            b"PROXY UDP4 192.0.2.7 127.0.0.1 1 25\r\n",
            &long,
            &huge,
            &version_2(0x11, 0x11, &[0; 12]),
            &version_2(0x22, 0x11, &[0; 12]),
            &version_2(0x21, 0x11, &[0; 11]),
            &version_2(0x21, 0x21, &[0; 35]),
        ] {
            assert_eq!(ProxyHeader::parse(input), Err(ProxyError), "{input:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            let signed = [&SIGNATURE[..], &bytes].concat();
            let worded = [PREFIX, &bytes].concat();
            for input in [&bytes, &signed, &worded] {
                if let Ok(Some((_, length))) = ProxyHeader::parse(input) {
                    prop_assert!(length <= input.len());
                }
            }
        }
    }
}
