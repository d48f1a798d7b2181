//! Text from outside, made fit for a report.

/// `text` as I-JSON may hold it: without noncharacters (RFC 7493 §2.1).
pub(crate) fn i_json(text: &str) -> String {
    let is_noncharacter = |c: char| {
        let code = u32::from(c);
        matches!(code, 0xfdd0..=0xfdef) || code & 0xfffe == 0xfffe
    };
    text.replace(is_noncharacter, "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_has_no_noncharacters() {
        assert_eq!(i_json("a\u{fdd0}b\u{1fffe}c\u{fffd}"), "a\u{fffd}b\u{fffd}c\u{fffd}");
    }
}
