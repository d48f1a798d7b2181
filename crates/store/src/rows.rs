//! What the rows of every store hold, as bytes: envelopes, entries, reasons.
//!
//! A version byte comes first wherever it may change. Two stores that hold the same bytes can hand mail to
//! each other without reading it.

mod codec;
mod entry;
mod envelope;
mod reason;

pub use self::codec::{Decoder, Encoder, Malformed, shortened};
pub use self::entry::{EntryRow, RowRecipient, split_entries};
pub use self::envelope::{
    ENVELOPE_MOST, body_byte, decode_body, decode_envelope, decode_parameters, decode_purpose,
    decode_reverse_path, decode_smtputf8, encode_envelope, encode_parameters, purpose_byte,
    reverse_path_text, smtputf8_byte,
};
pub use self::reason::{REASON_TEXT, ReasonNumber, decode_reason, encode_reason};
