//! The row of a reason, and what an entry's row says of it.

use mail::{Reason, ReasonClass};
use smtp::EnhancedCode;

use crate::rows::codec::{Decoder, Encoder, Malformed, shortened};

/// The longest text of a reason that is kept.
pub const REASON_TEXT: usize = 900;

/// The longest cause that is kept: with it a reason still fits one row.
const REASON_CAUSE: usize = 200;

/// Which of an entry's reasons, and its class, which is beside the number so that it can be counted
/// without the reason's own row.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ReasonNumber {
    /// Its number: less than an entry has recipients at most.
    pub number: u8,
    /// Its class.
    pub class: ReasonClass,
}

/// A class as a byte. Nought stood where it is now before there were classes.
pub(crate) const fn class_byte(class: ReasonClass) -> u8 {
    match class {
        ReasonClass::Unknown => 0,
        ReasonClass::Policy => 1,
        ReasonClass::Tls => 2,
        ReasonClass::Dns => 3,
        ReasonClass::Connect => 4,
        ReasonClass::Reply => 5,
        ReasonClass::Other => 6,
        ReasonClass::Dane => 7,
    }
}

/// The class that a byte stands for; of a version to come, none that is known.
pub(crate) fn class_of(byte: u8) -> ReasonClass {
    let found = ReasonClass::ALL.into_iter().find(|class| class_byte(*class) == byte);
    found.unwrap_or(ReasonClass::Unknown)
}

/// A reason as bytes; long texts are cut.
pub fn encode_reason(reason: &Reason) -> Vec<u8> {
    let cut = |text: &'_ Option<String>| {
        text.as_deref().map(|text| shortened(text, REASON_TEXT).to_owned())
    };
    let mut out = Encoder::default();
    out.u8(3).text(&reason.enhanced.to_string()).text(shortened(&reason.text, REASON_TEXT));
    out.maybe_text(cut(&reason.mx).as_deref()).maybe_text(cut(&reason.reply).as_deref());
    out.maybe_text(cut(&reason.policy).as_deref());
    out.maybe_text(reason.addr.map(|addr| addr.to_string()).as_deref());
    let cause = reason.cause.as_deref().map(|cause| shortened(cause, REASON_CAUSE));
    out.u8(class_byte(reason.class)).maybe_text(cause).finish()
}

/// Reads a reason back.
pub fn decode_reason(bytes: &[u8]) -> Result<Reason, Malformed> {
    let mut input = Decoder::new(bytes, "reason row");
    let version = input.u8()?;
    if !(1..=3).contains(&version) {
        return Err(input.fault());
    }
    let enhanced = EnhancedCode::parse(input.text()?).ok_or_else(|| input.fault())?;
    let text = input.text()?.to_owned();
    let mx = input.maybe_text()?.map(str::to_owned);
    let reply = input.maybe_text()?.map(str::to_owned);
    let policy = input.maybe_text()?.map(str::to_owned);
    // Version 1 had none.
    let addr = if version == 1 { None } else { input.maybe_text()? };
    let addr = addr.map(|text| text.parse().map_err(|_cause| input.fault())).transpose()?;
    // Versions 1 and 2 had neither class nor cause.
    let is_classed = version >= 3;
    let class = if is_classed { class_of(input.u8()?) } else { ReasonClass::Unknown };
    let cause = if is_classed { input.maybe_text()?.map(str::to_owned) } else { None };
    input.end()?;
    Ok(Reason { enhanced, class, text, cause, mx, addr, reply, policy })
}

/// Reasons as bytes, in their order.
#[must_use]
pub fn encode_reasons(reasons: &[Reason]) -> Vec<u8> {
    let mut out = Encoder::default();
    out.u8(1);
    for reason in reasons {
        let row = encode_reason(reason);
        out.u16(u16::try_from(row.len()).unwrap_or(u16::MAX)).raw(&row);
    }
    out.finish()
}

/// Reads them back.
///
/// # Errors
///
/// [`Malformed`] where they are none.
pub fn decode_reasons(bytes: &[u8]) -> Result<Vec<Reason>, Malformed> {
    let mut input = Decoder::new(bytes, "reasons of an entry");
    if input.u8()? != 1 {
        return Err(input.fault());
    }
    let mut reasons = Vec::new();
    while !input.is_empty() {
        let length = usize::from(input.u16()?);
        reasons.push(decode_reason(input.raw(length)?)?);
    }
    Ok(reasons)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(class: ReasonClass, addr: Option<&str>) -> Reason {
        Reason {
            mx: Some("mx.example.net".to_owned()),
            addr: addr.map(|text| text.parse().unwrap()),
            reply: Some("450 later".to_owned()),
            ..Reason::new(class, EnhancedCode::parse("4.4.1").unwrap(), "not now")
        }
    }

    #[test]
    fn a_reason_is_read_back_with_its_class_its_cause_and_the_address_that_was_tried() {
        for class in ReasonClass::ALL {
            for addr in [None, Some("192.0.2.1:25"), Some("[2001:db8::1]:587")] {
                let cause = addr.map(|_| "connection refused".to_owned());
                let reason = Reason { cause, ..reason(class, addr) };
                let row = encode_reason(&reason);
                assert_eq!(row.first(), Some(&3));
                assert_eq!(decode_reason(&row), Ok(reason));
            }
        }
    }

    /// The beginning of a reason's row of this version.
    fn begun(version: u8, mx: Option<&str>, reply: Option<&str>) -> Encoder {
        let mut row = Encoder::default();
        row.u8(version).text("4.4.1").text("not now").maybe_text(mx);
        row.maybe_text(reply).maybe_text(None);
        row
    }

    #[test]
    fn a_reason_of_a_version_without_an_address_or_a_class_is_still_read() {
        let (mx, reply) = (Some("mx.example.net"), Some("450 later"));
        let row = begun(1, mx, reply).finish();
        assert_eq!(decode_reason(&row), Ok(reason(ReasonClass::Unknown, None)));
        let addr = Some("192.0.2.1:25");
        let row = begun(2, mx, reply).maybe_text(addr).finish();
        assert_eq!(decode_reason(&row), Ok(reason(ReasonClass::Unknown, addr)));
    }

    #[test]
    fn a_reason_that_is_none_is_not_taken_for_one() {
        let row = encode_reason(&reason(ReasonClass::Connect, Some("192.0.2.1:25")));
        assert!(decode_reason(&[&[4], &row[1..]].concat()).is_err(), "a version to come");
        assert!(decode_reason(&[&[1], &row[1..]].concat()).is_err(), "more than there should be");
        assert!(decode_reason(&row[..row.len() - 3]).is_err(), "less");
        let row = begun(2, None, None).maybe_text(Some("mx.example.net")).finish();
        assert!(decode_reason(&row).is_err(), "a name where an address should be");
    }

    #[test]
    fn reasons_are_read_back_in_their_order() {
        let reasons = ReasonClass::ALL.map(|class| reason(class, None));
        let bytes = encode_reasons(&reasons);
        assert_eq!(decode_reasons(&bytes), Ok(reasons.to_vec()));
        assert_eq!(decode_reasons(&encode_reasons(&[])), Ok(Vec::new()));
        assert!(decode_reasons(&bytes[..bytes.len() - 1]).is_err());
    }
}
