//! Text from outside in a page: markup means nothing, and nothing in it is invisible or turns the
//! text around it.

use std::fmt::{self, Write};

use askama::filters::{Escaper, Html};

/// Writes every value of every template (`askama.toml`): markup is escaped, and a character that
/// would not be seen, or that changes the direction of writing, is shown by its number.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Visible;

impl Escaper for Visible {
    fn write_escaped_str<W: Write>(&self, mut dest: W, string: &str) -> fmt::Result {
        let mut rest = string;
        while let Some((at, hidden)) = rest.char_indices().find(|(_, c)| is_hidden(*c)) {
            let (before, after) = rest.split_at(at);
            Html.write_escaped_str(&mut dest, before)?;
            write!(dest, "\u{27e8}U+{:04X}\u{27e9}", u32::from(hidden))?;
            rest = after.strip_prefix(hidden).unwrap_or_default();
        }
        Html.write_escaped_str(&mut dest, rest)
    }
}

/// Whether a character does not show as itself: controls other than the line end, and the formats of
/// Unicode that hide, join or turn text (Unicode TR 36, TR 9).
const fn is_hidden(c: char) -> bool {
    matches!(c,
        '\u{0}'..='\u{9}' | '\u{b}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{ad}' | '\u{61c}'
        | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let mut page = String::new();
        Visible.write_escaped_str(&mut page, text).unwrap();
        page
    }

    #[test]
    fn nothing_from_outside_is_markup_or_invisible() {
        for (text, page) in [
            ("plain \u{e4}\n text", "plain \u{e4}\n text"),
            ("<b>\"&'", "&#60;b&#62;&#34;&#38;&#39;"),
            ("\u{1b}[31m", "\u{27e8}U+001B\u{27e9}[31m"),
            ("a\u{202e}b\u{2066}", "a\u{27e8}U+202E\u{27e9}b\u{27e8}U+2066\u{27e9}"),
            (
                "\u{200b}\u{feff}\u{0}",
                "\u{27e8}U+200B\u{27e9}\u{27e8}U+FEFF\u{27e9}\u{27e8}U+0000\u{27e9}",
            ),
            ("\r\n", "\u{27e8}U+000D\u{27e9}\n"),
            ("", ""),
        ] {
            assert_eq!(shown(text), page);
        }
    }
}
