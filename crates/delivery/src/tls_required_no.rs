//! Mail whose header says `TLS-Required: No`: whether that is honoured.

use mail::{Message, TlsRequired};
use mta_sts::danger::TlsRequiredNo;

use crate::settings::DeliverySettings;

/// Licence to pass over what policies and TLSA records ask of TLS for a message, where it says
/// `TLS-Required: No` and the operator honours that of its sender. RFC 8689 §4.2.2 would have it honoured
/// of everybody; but then any client could switch enforcement off by a line of text.
pub(crate) fn honoured(message: &Message, settings: &DeliverySettings) -> Option<TlsRequiredNo> {
    let sender = message.reverse_path.mailbox()?;
    let is_honoured = settings.honour_no_from.iter().any(|pattern| pattern.covers(sender));
    match message.tls {
        TlsRequired::No if is_honoured => Some(TlsRequiredNo::assertion()),
        TlsRequired::No
        | TlsRequired::Unspecified
        | TlsRequired::Yes
        | TlsRequired::YesOrRedacted => None,
    }
}
