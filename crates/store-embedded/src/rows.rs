//! The index's values: messages, entries, reasons, segments and the store itself.

mod entry;
mod location;
mod message;
mod reason;
mod segment;
mod store;

pub(crate) use self::entry::{EntryRow, RowRecipient, split_entries};
pub(crate) use self::location::RecordLocation;
pub(crate) use self::message::{MessageRow, message_of};
pub(crate) use self::reason::{ReasonNumber, decode_reason, encode_reason};
pub(crate) use self::segment::SegmentRow;
pub(crate) use self::store::StoreRow;
