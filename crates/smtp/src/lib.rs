//! The nouns of RFC 5321: mailboxes, commands, replies, lines and the end of data. No I/O.
//!
//! Everything here takes bytes from anyone on the network and gives either a value whose parts can be
//! trusted to be what their types say, or the reply that refuses them. Nothing panics, nothing takes
//! more than linear time, and nothing that was parsed can, when it is written again, become more than
//! it was: an address cannot become a parameter, a parameter cannot become a line.
//!
//! | noun | what it is | where it comes from |
//! |---|---|---|
//! | [`Domain`], [`Mailbox`], [`LocalPart`], [`MailboxDomain`] | names and addresses | RFC 5321 §4.1.2, RFC 6531 |
//! | [`ReversePath`], [`ForwardPath`] | the arguments of MAIL and RCPT | RFC 5321 §4.1.2 |
//! | [`Command`], [`MailParameters`], [`RcptParameters`], [`ClientName`] | what a client says | RFC 5321 §4.1.1 |
//! | [`Notify`], [`Ret`], [`EnvelopeId`], [`OriginalRecipient`] | what it asks of reports | RFC 3461, RFC 6533 |
//! | [`BodyType`], [`Smtputf8`] | what the envelope says of the bytes | RFC 6152, RFC 6531 |
//! | [`Reply`], [`ReplyCode`], [`EnhancedCode`], [`ReplyReader`] | what a server says | RFC 5321 §4.2, RFC 3463 |
//! | [`LineFramer`] | where a command line ends | RFC 5321 §2.3.8 |
//! | [`EndOfData`], [`DotStuffer`] | where a message ends | RFC 5321 §4.1.1.4, §4.5.2 |
//! | [`ChunkScan`] | what may stand in one that comes in chunks | RFC 3030 |
//! | [`Mechanism`], [`Exchange`], [`Credentials`] | how a client says who it is | RFC 4954, RFC 4616 |
//! | [`ProxyHeader`] | how a proxy says who it speaks for | the PROXY protocol |
//!
//! A command from the wire to its reply:
//!
//! ```
//! use bytes::BytesMut;
//! use smtp::{Command, LineFramer, Reply, ReplyCode};
//!
//! fn answer(line: &[u8]) -> Reply {
//!     match Command::parse(line) {
//!         Ok(Command::Noop) => Reply::new(ReplyCode::OK, None, "nothing done"),
//!         Ok(_) => Reply::new(ReplyCode::NOT_IMPLEMENTED, None, "later"),
//!         Err(error) => error.reply(),
//!     }
//! }
//!
//! let mut framer = LineFramer::new(LineFramer::COMMAND_LIMIT);
//! let mut received = BytesMut::from("noop\r\nHELLO\r\n");
//! let mut sent = String::new();
//! while let Some(line) = framer.next(&mut received)? {
//!     sent += &answer(line.as_bytes()).to_string();
//! }
//! assert_eq!(sent, "250 nothing done\r\n500 5.5.2 command not recognized\r\n");
//! # Ok::<(), smtp::LineFault>(())
//! ```
//!
//! Deliberately absent: sockets and timers, the order in which commands may come, what a server
//! offers, message headers (but for the addresses in one field, [`mailboxes`]), and comments in
//! addresses of envelopes (RFC 5322 has them, envelopes do not).
//!
//! The reasons: `docs/decisions/0001-own-smtp-words.md`.

mod address_list;
mod address_pattern;
mod base64;
mod body;
mod chunks;
mod client_name;
mod command;
mod data;
mod domain;
mod dsn;
mod enhanced;
mod header_field;
mod line;
mod mailbox;
mod newlines;
mod path;
mod proxy;
mod reply;
mod reply_reader;
mod sasl;
mod xtext;

pub use self::address_list::{AddrSpec, addr_specs, local_addr_specs, mailboxes};
pub use self::address_pattern::AddressPattern;
pub use self::base64::{from_base64, to_base64};
pub use self::body::{BodyType, RequireTls, Smtputf8};
pub use self::chunks::ChunkScan;
pub use self::client_name::ClientName;
pub use self::command::{
    Chunk, Command, CommandError, InitialResponse, MailParameters, RcptParameters,
};
pub use self::data::{DataFault, DotStuffer, EndOfData, Faults, Progress};
pub use self::domain::{Domain, DomainError};
pub use self::dsn::{Condition, EnvelopeId, Notify, OriginalRecipient, Ret};
pub use self::enhanced::{Class, EnhancedCode};
pub use self::header_field::split_field;
pub use self::line::{Line, LineFault, LineFramer};
pub use self::mailbox::{AddressError, LocalPart, Mailbox, MailboxDomain, in_a_row};
pub use self::newlines::NewlineRepair;
pub use self::path::{ForwardPath, PathError, ReversePath};
pub use self::proxy::{ProxyError, ProxyHeader};
pub use self::reply::{Reply, ReplyCode, Severity};
pub use self::reply_reader::{ReplyError, ReplyReader};
pub use self::sasl::{Credentials, Exchange, Mechanism, SaslError, Turn};
