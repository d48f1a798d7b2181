//! The index: an ordered map of rows, durable in an engine, with what is newer in memory.
//!
//! The rest of the queue knows these traits alone, so that another engine (a replicated one first)
//! can take sled's place.
//!
//! The reasons: `docs/decisions/0004-sled.md`.

mod engine;
mod overlay;
mod sled;

#[cfg(test)]
pub(crate) use self::engine::WriteRef;
pub(crate) use self::engine::{Change, Engine, EngineError, Lookup, Row, Write, for_each};
pub(crate) use self::overlay::{Overlay, write_in_parts};
pub(crate) use self::sled::SledEngine;
#[cfg(test)]
pub(crate) use self::sled::guarded;
