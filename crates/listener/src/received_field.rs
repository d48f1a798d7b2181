//! The Received header field that is put before each message (RFC 5321 §4.4).

use std::fmt::{self, Display, Formatter, Write as _};
use std::time::SystemTime;

use access::Peer;
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use jiff::tz::TimeZone;
use queue::QueueId;
use smtp::{ClientName, Domain, MailboxDomain};

use crate::protocol::Protocol;
use crate::tls::TlsFacts;

/// How much room the field usually needs, in octets.
const USUAL: usize = 256;

/// The field as it is written: short lines with their CRLF, one more for TLS.
///
/// Of a program of this machine the number of its user is all that is known, and a comment has it.
///
/// There is no `for` clause: it would tell one recipient of another (RFC 5321 §7.6).
#[derive(Debug)]
pub(crate) struct ReceivedField<'a> {
    /// How the client called itself.
    pub(crate) client_name: &'a ClientName,
    /// Where it connected from.
    pub(crate) peer: Peer,
    /// Our name.
    pub(crate) hostname: &'a Domain,
    /// How the message came.
    pub(crate) protocol: &'a Protocol,
    /// The message's name in the queue.
    pub(crate) id: QueueId,
    /// When the message came.
    pub(crate) at: SystemTime,
}

impl ReceivedField<'_> {
    /// The field as text, made in one allocation unless a name is very long.
    pub(crate) fn text(&self) -> String {
        let mut text = String::with_capacity(USUAL);
        // A string takes whatever is written.
        let _written = write!(text, "{self}");
        text
    }
}

impl Display for ReceivedField<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { client_name, hostname, id, .. } = self;
        let protocol = self.protocol.as_str();
        match self.peer {
            Peer::Network(address) => {
                let peer = MailboxDomain::Literal(address);
                write!(f, "Received: from {client_name} ({peer})\r\n")?;
                if let Some(TlsFacts { version, cipher }) = &self.protocol.tls {
                    write!(f, "\t(using {version} with cipher {cipher})\r\n")?;
                }
                write!(f, "\tby {hostname} with {protocol} id {id};\r\n")?;
            }
            Peer::Local(uid) => {
                write!(f, "Received: by {hostname} (from userid {uid})\r\n")?;
                write!(f, "\twith {protocol} id {id};\r\n")?;
            }
        }
        write!(f, "\t{}\r\n", date_time(self.at))
    }
}

/// The date as RFC 5322 §3.3 writes it, in UTC; a clock beyond the calendar reads as 1970.
pub(crate) fn date_time(at: SystemTime) -> String {
    let at = Timestamp::try_from(at).unwrap_or_default();
    rfc2822::to_string(&at.to_zoned(TimeZone::UTC))
        .unwrap_or_else(|_| "Thu, 1 Jan 1970 00:00:00 +0000".to_owned())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use smtp::Smtputf8;

    use super::*;
    use crate::protocol::Hello;

    const ESMTP: Protocol =
        Protocol { hello: Hello::Ehlo, smtputf8: Smtputf8::NotRequested, tls: None, user: false };

    fn field(name: &str, peer: &str, protocol: &Protocol) -> String {
        field_of(name, Peer::Network(peer.parse().unwrap()), protocol)
    }

    fn field_of(name: &str, peer: Peer, protocol: &Protocol) -> String {
        ReceivedField {
            client_name: &ClientName::parse(name).unwrap(),
            peer,
            hostname: &Domain::parse("relay.example").unwrap(),
            protocol,
            id: QueueId::from_number(1),
            at: SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_392_000),
        }
        .to_string()
    }

    #[test]
    fn the_received_field_tells_from_by_with_id_and_date() {
        assert_eq!(
            field("client.example", "192.0.2.7", &ESMTP),
            "Received: from client.example ([192.0.2.7])\r\n\
             \tby relay.example with ESMTP id 0000000000001;\r\n\
             \tMon, 23 Nov 2026 00:00:00 +0000\r\n"
        );
    }

    #[test]
    fn of_a_local_program_the_field_tells_the_users_number_alone() {
        assert_eq!(
            field_of("localhost", Peer::Local(1000), &ESMTP),
            "Received: by relay.example (from userid 1000)\r\n\
             \twith ESMTP id 0000000000001;\r\n\
             \tMon, 23 Nov 2026 00:00:00 +0000\r\n"
        );
    }

    #[test]
    fn literals_and_protocols_are_written_as_the_rfcs_write_them() {
        let utf8 = Protocol { smtputf8: Smtputf8::Requested, ..ESMTP };
        let v6 = field("[IPv6:2001:db8::1]", "2001:db8::1", &utf8);
        assert!(v6.starts_with("Received: from [IPv6:2001:db8::1] ([IPv6:2001:db8::1])\r\n"));
        assert!(v6.contains(" with UTF8SMTP id "));
        let smtp = Protocol { hello: Hello::Helo, ..ESMTP };
        assert!(field("x", "192.0.2.7", &smtp).contains(" with SMTP id "));
    }

    #[test]
    fn the_protocols_name_says_whether_there_was_tls_and_authentication() {
        let tls = TlsFacts { version: "TLSv1.3", cipher: "TLS_AES_256_GCM_SHA384" };
        let tls = Protocol { tls: Some(tls), ..ESMTP };
        let text = field("x", "192.0.2.7", &tls);
        assert!(text.contains("\r\n\t(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384)\r\n\tby "));
        for (protocol, name) in [
            (tls.clone(), "ESMTPS"),
            (Protocol { user: true, ..tls.clone() }, "ESMTPSA"),
            (Protocol { smtputf8: Smtputf8::Requested, ..tls.clone() }, "UTF8SMTPS"),
            (Protocol { smtputf8: Smtputf8::Requested, user: true, ..tls }, "UTF8SMTPSA"),
        ] {
            let text = field("x", "192.0.2.7", &protocol);
            assert!(text.contains(&format!(" with {name} id ")), "{text}");
        }
    }

    #[test]
    fn a_client_name_cannot_add_to_the_header() {
        let text = field("a)(b;\u{e9} c\\d", "192.0.2.7", &ESMTP);
        let first = text.lines().next().unwrap();
        assert_eq!(first, "Received: from a??b???c?d ([192.0.2.7])");
    }

    #[test]
    fn a_time_beyond_the_calendar_does_no_harm() {
        let late = SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 50);
        assert_eq!(date_time(late), "Thu, 1 Jan 1970 00:00:00 +0000");
    }
}
