//! The store that several relays share: PostgreSQL, version 14 or later.
//!
//! Each relay is a node with a token that nobody has had before. What it takes is its own from the commit on,
//! and what it claims until it is settled; a node that does not renew its lease is declared dead, and what it
//! owned is anybody's. Only COMMIT's own reply, or what a later transaction finds of it, makes a message
//! durable. `docs/shared-store-format.md` has the tables, `docs/decisions/0024-postgresql.md` the reasons.
//!
//! Ordinary SQL only: no extension, function, trigger, LISTEN or advisory lock, and nothing that a connection
//! must remember beyond its settings.

mod body;
mod body_writer;
mod claim;
mod columns;
mod committer;
mod connect;
mod edits;
mod error;
mod group;
mod held;
mod inspect;
mod node;
mod node_lock;
mod operate;
mod plan;
mod postgres;
mod record_numbers;
mod records;
mod rows;
mod schema;
mod settings;
mod shared;
mod tally;
mod value_numbers;
mod values;
mod verdict;
mod verify;
mod watch;
mod work;

pub use crate::error::OpenError;
pub use crate::operate::{Made, NodeState, SharingNode, StoreProblem, examine, init, nodes};
pub use crate::postgres::Postgres;
pub use crate::settings::{Migrate, Password, Schema, SchemaError, Server, Standby, StoreSettings};
