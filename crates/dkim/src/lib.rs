//! `DomainKeys` Identified Mail: signing (RFC 6376, RFC 8301, RFC 8463). No I/O.
//!
//! A message is hashed as it passes, once for all keys; then each key gives a `DKIM-Signature`
//! field that goes before the message. Signatures are relaxed/relaxed, cover the whole body, and do
//! not expire: there is no `l=` and no `x=`.
//!
//! | noun | what it is | where it comes from |
//! |---|---|---|
//! | [`SigningKey`], [`Algorithm`] | a private key: RSA of 2048 bits at least, or Ed25519 | RFC 8301, RFC 8463 |
//! | [`Selector`] | which of a domain's keys | RFC 6376 §3.1 |
//! | [`FieldName`], [`SignedFields`] | what of a header is signed | RFC 6376 §5.4 |
//! | [`MessageHasher`], [`MessageHash`] | a message, canonicalised and hashed as it passes | RFC 6376 §3.4 |
//! | [`Signer`] | a key with its names: what signs | RFC 6376 §5 |
//! | [`KeyRecord`], [`Publication`], [`KeyState`] | what the DNS says of a key, and what follows | RFC 6376 §3.6 |
//! | [`SigningTable`], [`Choice`] | the configured keys: which of them sign a message | |
//!
//! ```
//! use std::time::SystemTime;
//!
//! use dkim::{Algorithm, MessageHasher, Selector, SignedFields, Signer, SigningKey};
//! use smtp::Domain;
//!
//! let key = SigningKey::generate(Algorithm::Ed25519Sha256)?;
//! let fields = SignedFields::of_mail();
//! let (domain, selector) = (Domain::parse("example.com")?, Selector::parse("mail")?);
//! let signer = Signer::new(domain, selector, key, fields.clone())?;
//!
//! let mut hasher = MessageHasher::new();
//! for piece in [&b"From: ann@exam"[..], b"ple.com\r\nSubject: x\r\n\r\nHello"] {
//!     hasher.feed(piece);
//! }
//! let signature = signer.sign(&hasher.finish(), SystemTime::UNIX_EPOCH)?;
//! assert!(signature.starts_with("DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;\r\n"));
//! assert!(signature.ends_with("\r\n"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Deliberately absent: verification, canonicalisation "simple", and rsa-sha1 (RFC 8301 §3.1).
//!
//! The reasons: `docs/decisions/0019-dkim.md`.

mod canonical;
mod field;
mod fields;
mod hasher;
mod header;
mod key;
mod pem;
mod publication;
mod record;
mod selector;
mod service;
mod signed_fields;
mod signer;
mod signing_table;
mod tags;

pub use crate::field::{FieldName, FieldNameError};
pub use crate::hasher::{MessageHash, MessageHasher};
pub use crate::key::{Algorithm, KeyError, SigningKey};
pub use crate::publication::{KeyState, Publication};
pub use crate::record::{KeyRecord, Phase, RecordError};
pub use crate::selector::{Selector, SelectorError};
pub use crate::service::{KeyService, Service};
pub use crate::signed_fields::{SignedFields, SignedFieldsError};
pub use crate::signer::{SignError, Signer, SignerError};
pub use crate::signing_table::{Choice, ConfiguredKey, ListedKey, SigningTable, WithoutKey};
