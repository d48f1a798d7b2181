//! What the rows of every store hold, as bytes: envelopes, entries, reasons.
//!
//! A version byte comes first wherever it may change. Two stores that hold the same bytes can hand mail to
//! each other without reading it.

mod codec;
mod depths;
mod entry;
mod envelope;
mod filter;
mod message;
mod reason;
mod settling;
mod summary;

pub use self::codec::{Decoder, Encoder, Malformed, shortened};
pub use self::depths::{Depths, SortedDepths};
pub use self::entry::{
    EntryRow, RowRecipient, count_recipients, decode_recipients, encode_recipients, first_state,
    split_entries,
};
pub use self::envelope::{
    ENVELOPE_MOST, body_byte, decode_body, decode_envelope, decode_options_of_message,
    decode_purpose, decode_reverse_path, decode_smtputf8, encode_envelope,
    encode_options_of_message, purpose_byte, reverse_path_text, smtputf8_byte,
};
pub use self::filter::{admits_entry, admits_recipient};
pub use self::message::{decode_message, encode_message, message_of};
pub use self::reason::{
    REASON_TEXT, ReasonNumber, decode_reason, decode_reasons, encode_reason, encode_reasons,
};
pub use self::settling::{divide, leave_deferred};
pub use self::summary::{entry_details, summary};
