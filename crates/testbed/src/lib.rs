//! A small internet in process, over real sockets and real TLS: names, policy hosts, MX hosts, a
//! wire tap.
//!
//! A [`World`] has its own block of loopback addresses, its own certificate authority and its own
//! DNS. Nothing in it is simulated: a program under test resolves names over UDP and TCP, fetches
//! policies over HTTPS and delivers mail over SMTP, and may be given any of the misbehaviour that
//! the real internet has to offer. Whatever an MX host sees in clear is kept by the [`Tap`].
//!
//! ```
//! use std::time::Duration;
//! use testbed::{MxBehaviour, PolicyText, Sender, World};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> std::io::Result<()> {
//! let world = World::new().await;
//! let mx = world.mx("mx1.example.test", MxBehaviour::valid()).await;
//! world
//!     .domain("example.test")
//!     .mx(10, &mx)
//!     .sts("1")
//!     .policy(PolicyText::enforce(["mx1.example.test"]))
//!     .await;
//!
//! // Here stands in for the relay under test: a client that never starts TLS.
//! let mut sender = Sender::connect(mx.address()).await?;
//! sender.ehlo("client.test").await?;
//! sender.send("<a@client.test>", &["<b@example.test>"], b"Subject: hello\r\n\r\n").await?;
//!
//! let messages = mx.wait_for_messages(1, Duration::from_secs(5)).await.unwrap();
//! assert_eq!(messages[0].reverse_path, "a@client.test");
//! assert_eq!(world.tap().envelope_in_clear().len(), 3); // MAIL, RCPT, DATA
//! # Ok(()) }
//! ```
//!
//! It shares no code with the crates it tests: it parses and un-stuffs on its own, so that one
//! mistake cannot hide in both. It needs a Linux loopback interface, where all of 127.0.0.0/8 is
//! this machine. It does not pretend time passes: certificates that are not expired hold for
//! centuries, so that a program under test may set its clock as it likes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test bed that cannot be set up, or a test that misuses it, stops at once"
)]

mod authority;
mod certificate;
mod database_proxy;
mod database_server;
mod domain;
mod listening;
mod loopback;
mod message;
mod mx;
mod names;
mod policy_host;
mod policy_hosts;
mod policy_text;
mod scripted_host;
mod sender;
mod signing;
mod sink;
mod tap;
mod tasks;
mod tls;
mod world;

pub use authority::Authority;
pub use certificate::{Certificate, Odd, Validity};
pub use database_proxy::{Cut, DatabaseProxy, Flow};
pub use database_server::DatabaseServer;
pub use domain::DomainSetup;
pub use message::{Answer, Mailbox, Message, NotYet};
pub use mx::{Act, MxBehaviour, MxHost, Rule, Step, Strip};
pub use names::{Fault, Names, RecordType, Resolver, ResolverBehaviour};
pub use policy_host::{PolicyBehaviour, PolicyHost, Request, Visit};
pub use policy_text::PolicyText;
pub use sender::{Reply, Sender};
pub use sink::{Offer, Sink, Taken};
pub use tap::{Channel, Command, Connection, ConnectionState, Tap};
pub use tls::{Handshake, TlsSession, TlsVersions};
pub use world::World;
