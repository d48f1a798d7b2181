//! Text from outside, made fit to be shown.

/// The most characters of one text.
const MOST: usize = 500;

/// A text in one line: characters that no reader sees, or that turn the order of what follows, are
/// replaced, and what is too long is cut.
pub(crate) fn visible(text: &str) -> String {
    let shown = |c: char| if c.is_control() || turns(c) { '\u{fffd}' } else { c };
    let mut line: String = text.chars().take(MOST).map(shown).collect();
    if text.chars().nth(MOST).is_some() {
        line.push('…');
    }
    line
}

/// Whether a character changes the direction of writing, or is invisible (Unicode UAX #9).
const fn turns(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_is_marked_and_what_is_long_is_cut() {
        assert_eq!(visible("a\r\nb\u{202e}c\u{1b}[1m"), "a\u{fffd}\u{fffd}b\u{fffd}c\u{fffd}[1m");
        assert_eq!(visible(&"ä".repeat(501)), "ä".repeat(500) + "…");
        assert_eq!(visible("Jörg"), "Jörg");
    }
}
