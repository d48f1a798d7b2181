//! The index's own values: messages, segments and the store itself.

mod location;
mod message;
mod segment;
mod store;

pub(crate) use self::location::{RecordFile, RecordLocation};
pub(crate) use self::message::MessageRow;
pub(crate) use self::segment::SegmentRow;
pub(crate) use self::store::StoreRow;
