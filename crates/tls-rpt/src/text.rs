//! Text from outside, made fit for a report.

/// `text` as I-JSON may hold it: without noncharacters (RFC 7493 §2.1).
pub(crate) fn i_json(text: &str) -> String {
    let is_noncharacter = |c: char| {
        let code = u32::from(c);
        matches!(code, 0xfdd0..=0xfdef) || code & 0xfffe == 0xfffe
    };
    text.replace(is_noncharacter, "\u{fffd}")
}

/// What a text from outside is replaced with where a terminal could act on it.
const REPLACEMENT: char = '\u{fffd}';

/// `text` without what a terminal acts on, and no longer than `most` octets.
pub(crate) fn shown(text: &str, most: usize) -> String {
    let end = (0..=most.min(text.len())).rev().find(|&at| text.is_char_boundary(at));
    let start = end.and_then(|end| text.get(..end)).unwrap_or_default();
    start.chars().map(|c| if acts(c) { REPLACEMENT } else { c }).collect()
}

/// Whether it is a control character, or changes how the text around it is shown.
fn acts(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_has_no_control_characters_and_an_end() {
        assert_eq!(
            shown("a\u{1b}[31mb\r\n\u{202e}c", 100),
            "a\u{fffd}[31mb\u{fffd}\u{fffd}\u{fffd}c"
        );
        assert_eq!(shown("äöü", 3), "ä");
        assert_eq!(shown("äöü", 0), "");
        assert_eq!(i_json("a\u{fdd0}b\u{1fffe}c\u{fffd}"), "a\u{fffd}b\u{fffd}c\u{fffd}");
    }
}
