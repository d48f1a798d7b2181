//! Folding: a line of a field that has become too long is broken where white space may stand
//! (RFC 5322 §2.2.3).

use std::collections::HashSet;

/// The octets that a line should have at most, its CRLF not counted (RFC 5322 §2.1.1).
const LINE_MAX: usize = 78;

/// A field, name included, that was made of the field `before`: lines that were not there before and are
/// longer than they should be are broken before white space, or behind the comma of a list.
///
/// What has neither stays in one line: names and addresses are not divided.
pub(crate) fn folded(field: &[u8], before: &[u8]) -> Vec<u8> {
    let known: HashSet<&[u8]> = lines(before).collect();
    let (mut out, mut nesting) = (Vec::with_capacity(field.len()), Nesting::default());
    for (number, line) in lines(field).enumerate() {
        // The first line has its name, behind which it is not broken.
        let name = line.iter().position(|octet| *octet == b':').filter(|_| number == 0);
        let text = line.trim_ascii_end();
        let is_long = text.len() > LINE_MAX && !known.contains(line);
        let mut piece = Piece::default();
        for (at, octet) in text.iter().enumerate() {
            let last = at.checked_sub(1).filter(|last| name.is_none_or(|name| *last > name));
            if let Some(last) = last.and_then(|last| text.get(last)) {
                let found = nesting.place(*last, *octet).filter(|_| is_long);
                found.into_iter().for_each(|space| piece.may_end(&mut out, text, at, space));
            }
            nesting.pass(*octet);
        }
        piece.end(&mut out, text);
        out.extend_from_slice(line.get(text.len()..).unwrap_or_default());
    }
    out
}

fn lines(field: &[u8]) -> impl Iterator<Item = &[u8]> {
    field.split_inclusive(|octet| *octet == b'\n')
}

const fn is_blank(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t')
}

/// What the next line begins with besides what stands there already.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Space {
    /// White space stands there.
    Present,
    /// There is none yet.
    Added,
}

/// How much of a line is written, and where it may be broken next.
#[derive(Debug, Default)]
struct Piece {
    begun: usize,
    place: Option<(usize, Space)>,
}

impl Piece {
    /// The line may be broken at `at`: it is broken where that was possible before, if it is too long.
    fn may_end(&mut self, out: &mut Vec<u8>, text: &[u8], at: usize, space: Space) {
        self.end_if_long(out, text, at);
        self.place = Some((at, space));
    }

    /// Writes what is left of the line.
    fn end(mut self, out: &mut Vec<u8>, text: &[u8]) {
        self.end_if_long(out, text, text.len());
        out.extend_from_slice(text.get(self.begun..).unwrap_or_default());
    }

    fn end_if_long(&mut self, out: &mut Vec<u8>, text: &[u8], at: usize) {
        if at.saturating_sub(self.begun) <= LINE_MAX {
            return;
        }
        let Some((place, space)) = self.place.take() else { return };
        out.extend_from_slice(text.get(self.begun..place).unwrap_or_default());
        out.extend_from_slice(match space {
            Space::Present => b"\r\n",
            Space::Added => b"\r\n ",
        });
        self.begun = place;
    }
}

/// Where an octet stands (RFC 5322 §3.2).
#[derive(Debug, Default)]
struct Nesting {
    within: Within,
    /// Whether it stands behind a backslash, which makes it a plain octet.
    is_escaped: bool,
}

/// In what an octet stands.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Within {
    /// In so many comments.
    Comments(usize),
    /// In none of both: commas are those of a list.
    #[default]
    List,
    /// In a quoted string.
    Quotes,
}

impl Nesting {
    /// Whether a line may be broken between these two octets, of which the second comes next.
    fn place(&self, last: u8, next: u8) -> Option<Space> {
        if self.is_escaped || is_blank(last) {
            None
        } else if is_blank(next) {
            Some(Space::Present)
        } else {
            (last == b',' && self.within == Within::List).then_some(Space::Added)
        }
    }

    /// Goes past an octet.
    fn pass(&mut self, octet: u8) {
        if std::mem::take(&mut self.is_escaped) {
            return;
        }
        self.within = match (self.within, octet) {
            (Within::List, b'"') => Within::Quotes,
            (Within::List, b'(') => Within::Comments(1),
            (Within::Comments(1), b')') | (Within::Quotes, b'"') => Within::List,
            (Within::Comments(depth), b'(') => Within::Comments(depth.saturating_add(1)),
            (Within::Comments(depth), b')') => Within::Comments(depth.saturating_sub(1)),
            (within, octet) => {
                self.is_escaped = octet == b'\\' && within != Within::List;
                within
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fold(field: &str) -> String {
        String::from_utf8(folded(field.as_bytes(), b"")).unwrap()
    }

    #[test]
    fn a_line_that_is_too_long_is_broken_before_white_space_and_behind_commas() {
        let name = "x".repeat(40);
        for (field, expected) in [
            (format!("From: {name} {name}\r\n"), format!("From: {name}\r\n {name}\r\n")),
            (format!("From: {name}@a,{name}@b\r\n"), format!("From: {name}@a,\r\n {name}@b\r\n")),
            (format!("From: {name} <{name}@b>, c@d"), format!("From: {name}\r\n <{name}@b>, c@d")),
            // Neither directly behind the name nor before white space that nothing follows.
            (format!("From: {name}{name} \r\n"), format!("From: {name}{name} \r\n")),
            (
                format!("From: \"{name},{name}\" <a@b>\r\n"),
                format!("From: \"{name},{name}\"\r\n <a@b>\r\n"),
            ),
            (
                format!("From: \"{name}\\ {name}\" <a@b>\r\n"),
                format!("From: \"{name}\\ {name}\"\r\n <a@b>\r\n"),
            ),
            (
                format!("From: a@b ({name},{name})\r\n"),
                format!("From: a@b\r\n ({name},{name})\r\n"),
            ),
            (format!("From: {name}\r\n {name} b\r\n"), format!("From: {name}\r\n {name} b\r\n")),
        ] {
            assert_eq!(fold(&field), expected);
        }
    }

    #[test]
    fn a_line_that_was_there_before_stays() {
        let long = format!(" {}\r\n", "word ".repeat(30).trim_end());
        let field = format!("From: a@b,\r\n{long}");
        assert_eq!(folded(field.as_bytes(), field.as_bytes()), field.as_bytes());
        assert_eq!(folded(field.as_bytes(), long.as_bytes()), field.as_bytes());
        assert_ne!(folded(field.as_bytes(), b""), field.as_bytes());
    }

    #[test]
    fn a_list_of_a_thousand_addresses_in_one_line_has_no_long_line_afterwards() {
        let list: Vec<String> =
            (0..1000).map(|number| format!("person.{number}@internal")).collect();
        for between in [",", ", "] {
            let field = format!("Reply-To: {}\r\n", list.join(between));
            let folded = fold(&field);
            assert!(folded.split("\r\n").all(|line| line.len() <= LINE_MAX + 1));
            assert_eq!(
                folded.replace("\r\n", "").replace(' ', ""),
                field.replace("\r\n", "").replace(' ', "")
            );
        }
    }

    proptest! {
        #[test]
        fn a_folded_field_names_whom_it_named_before(
            list in proptest::collection::vec(
                "( |\t|\r\n )?(\"[ a,(\\\\\"]{0,20}\" |\\([ a,\\\\\"]{0,20}\\) ?|[a-z ]{0,40} )?<?[a-z]{1,30}@[a-z.]{1,40}>?",
                0..12,
            )
        ) {
            let field = format!("From: {}\r\n", list.join(","));
            let folded = fold(&field);
            let named = |field: &str| smtp::mailboxes(field.strip_prefix("From:").unwrap().as_bytes());
            prop_assert_eq!(named(&folded), named(&field), "{:?}", folded);
        }
    }
}
