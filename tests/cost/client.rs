//! A client that allocates nothing once it is made.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread::sleep;
use std::time::Duration;

use crate::internet::{DOMAINS, Kind};

/// How long the standard message is, in octets, without its end.
const SIZE: usize = 4096;

/// How often a relay that starts is looked for, and how many times.
const LOOK_AGAIN: (Duration, usize) = (Duration::from_millis(10), 3000);

/// A client that has said EHLO.
#[derive(Debug)]
pub(crate) struct Client {
    stream: TcpStream,
    /// The envelopes of messages to each domain, up to DATA.
    envelopes: Vec<Vec<u8>>,
    message: Vec<u8>,
    /// What was read and is no whole line yet.
    unread: [u8; 1024],
    length: usize,
}

impl Client {
    /// Connects to a relay, which may still be starting.
    pub(crate) fn connect(relay: SocketAddr, kind: Kind) -> Self {
        let (pause, times) = LOOK_AGAIN;
        let try_it = |_| TcpStream::connect(relay).map_err(|_refused| sleep(pause)).ok();
        let stream = (0..times).find_map(try_it).expect("the relay takes connections");
        stream.set_nodelay(true).unwrap();
        let envelope = |number| {
            let domain = kind.domain(number);
            format!("MAIL FROM:<ann@sender.test>\r\nRCPT TO:<bob@{domain}>\r\nDATA\r\n").into()
        };
        let envelopes = (0..DOMAINS).map(envelope).collect();
        let (message, unread) = (message(), [0; 1024]);
        let mut client = Self { stream, envelopes, message, unread, length: 0 };
        client.expect(b'2');
        client.stream.write_all(b"EHLO client.test\r\n").unwrap();
        client.expect(b'2');
        client
    }

    /// Sends a message to the domain of this number.
    pub(crate) fn send(&mut self, number: usize) {
        self.stream.write_all(&self.envelopes[number % DOMAINS]).unwrap();
        for class in [b'2', b'2', b'3'] {
            self.expect(class);
        }
        self.stream.write_all(&self.message).unwrap();
        self.expect(b'2');
    }

    /// Reads a reply, which must be of this class.
    fn expect(&mut self, class: u8) {
        loop {
            while let Some(end) = self.unread[..self.length].iter().position(|b| *b == b'\n') {
                let (first, fourth) = (self.unread[0], self.unread[3]);
                self.unread.copy_within(end + 1..self.length, 0);
                self.length -= end + 1;
                assert_eq!(char::from(first), char::from(class), "a reply of another class");
                if fourth != b'-' {
                    return;
                }
            }
            let read = self.stream.read(&mut self.unread[self.length..]).unwrap();
            assert_ne!(read, 0, "the relay has closed the connection");
            self.length += read;
        }
    }
}

/// The standard message, with its end.
fn message() -> Vec<u8> {
    let mut message = b"From: ann@sender.test\r\nTo: bob@receiver.test\r\nSubject: cost\r\n\
        Date: Mon, 01 Jan 2024 00:00:00 +0000\r\nMessage-ID: <cost@sender.test>\r\n\r\n"
        .to_vec();
    while message.len() < SIZE {
        message.extend_from_slice(&[b'x'; 70]);
        message.extend_from_slice(b"\r\n");
    }
    message.extend_from_slice(b".\r\n");
    message
}
