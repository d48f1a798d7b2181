//! The addresses in a header field such as From (RFC 5322 §3.4, §4.4).
//!
//! Readers of mail differ in what they make of a malformed field, and a check that reads it in one
//! way is passed by what a reader shows in another. So this reads what is well-formed, and of the
//! rest says that it cannot be read.

use crate::mailbox::Mailbox;

/// The mailboxes of an address list, groups and all, in their order; none if it is malformed.
///
/// ```
/// let read = smtp::mailboxes(b" Ann Example <ann@a.example>, \"b, c\" <b@c.example>\r\n").unwrap();
/// let read: Vec<_> = read.iter().map(ToString::to_string).collect();
/// assert_eq!(read, ["ann@a.example", "b@c.example"]);
/// assert!(smtp::mailboxes(b"ann@a.example <b@c.example").is_none());
/// ```
#[must_use]
pub fn mailboxes(field: &[u8]) -> Option<Vec<Mailbox>> {
    let text = String::from_utf8_lossy(field);
    let mut reader = Reader { rest: &text, words: String::new(), found: Vec::new() };
    let mut group = Group::Outside;
    loop {
        match reader.next()? {
            Token::Word { word, gap } => join(&mut reader.words, &word, gap),
            Token::Angle(inside) => reader.angle(&inside)?,
            Token::Comma => reader.end_of_address()?,
            Token::Colon if group == Group::Outside && !reader.words.contains('@') => {
                reader.words.clear();
                group = Group::Inside;
            }
            Token::Semicolon if group == Group::Inside => {
                reader.end_of_address()?;
                group = Group::Outside;
            }
            Token::Colon | Token::Semicolon => return None,
            Token::End => {
                reader.end_of_address()?;
                return (group == Group::Outside).then_some(reader.found);
            }
        }
    }
}

/// Whether what is read stands in a group (RFC 5322 §3.4).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Group {
    Inside,
    Outside,
}

/// What an address list is made of, comments and blanks left out.
#[derive(Debug)]
enum Token {
    /// What stands in angle brackets.
    Angle(String),
    Colon,
    Comma,
    End,
    Semicolon,
    /// A letter, a mark, a quoted string or a literal, as it stands there.
    Word {
        word: String,
        /// How much was passed over before it.
        gap: usize,
    },
}

/// Reads a list from its front.
#[derive(Debug)]
struct Reader<'a> {
    rest: &'a str,
    /// The words of the address at hand: a name, or the address itself.
    words: String,
    found: Vec<Mailbox>,
}

impl Reader<'_> {
    /// The next token.
    fn next(&mut self) -> Option<Token> {
        let gap = self.skip_blanks_and_comments()?;
        let mut chars = self.rest.chars();
        let Some(first) = chars.next() else { return Some(Token::End) };
        let after = chars.as_str();
        let token = match first {
            ',' => Token::Comma,
            ':' => Token::Colon,
            ';' => Token::Semicolon,
            '<' => {
                self.rest = after;
                return self.bracketed().map(Token::Angle);
            }
            '"' => return self.enclosed('"').map(|word| Token::Word { word, gap }),
            '[' => return self.enclosed(']').map(|word| Token::Word { word, gap }),
            '>' | ')' | ']' | '\\' => return None,
            c if c.is_control() => return None,
            c => Token::Word { word: c.to_string(), gap },
        };
        self.rest = after;
        Some(token)
    }

    /// What stands up to the closing angle bracket, without comments.
    fn bracketed(&mut self) -> Option<String> {
        let mut inside = String::new();
        loop {
            let gap = self.skip_blanks_and_comments()?;
            if let Some(after) = self.rest.strip_prefix('>') {
                self.rest = after;
                return Some(inside);
            }
            let word = match self.rest.chars().next()? {
                '<' | ';' => return None,
                '"' => self.enclosed('"')?,
                '[' => self.enclosed(']')?,
                c if c.is_control() => return None,
                c => {
                    self.rest = self.rest.get(c.len_utf8()..)?;
                    c.to_string()
                }
            };
            join(&mut inside, &word, gap);
        }
    }

    /// What stands from here to `end`, both ends included, with its escapes.
    fn enclosed(&mut self, end: char) -> Option<String> {
        let mut chars = self.rest.chars();
        let mut text = String::from(chars.next()?);
        loop {
            let c = chars.next()?;
            match c {
                '\r' | '\n' => continue,
                _ => text.push(c),
            }
            if c == '\\' {
                text.push(chars.next()?);
            } else if c == end {
                self.rest = chars.as_str();
                return Some(text);
            }
        }
    }

    /// Passes over blanks, folds and comments, which may hold comments (RFC 5322 §3.2.2), and says
    /// how much that was.
    fn skip_blanks_and_comments(&mut self) -> Option<usize> {
        let (mut depth, before) = (0_usize, self.rest.len());
        loop {
            let passed = before.saturating_sub(self.rest.len());
            let Some(c) = self.rest.chars().next() else {
                return (depth == 0).then_some(passed);
            };
            match c {
                '(' => depth = depth.saturating_add(1),
                ')' if depth > 0 => depth = depth.saturating_sub(1),
                '\\' if depth > 0 => self.rest = self.rest.get(1..)?,
                ' ' | '\t' | '\r' | '\n' => {}
                _ if depth > 0 => {}
                _ => return Some(passed),
            }
            let skipped = self.rest.chars().next()?;
            self.rest = self.rest.get(skipped.len_utf8()..)?;
        }
    }

    /// An address in brackets, behind a name. A name that is an address itself counts as one: it is
    /// what many readers show.
    fn angle(&mut self, inside: &str) -> Option<()> {
        if self.words.contains('@') && !self.words.starts_with('"') {
            self.end_of_address()?;
        }
        self.words.clear();
        let path = crate::path::ForwardPath::parse(&format!("<{inside}>")).ok()?;
        self.found.push(path.mailbox()?.clone());
        self.skip_blanks_and_comments()?;
        let ends = self.rest.is_empty() || self.rest.starts_with([',', ';']);
        ends.then_some(())
    }

    /// The end of an address that may have been in brackets.
    fn end_of_address(&mut self) -> Option<()> {
        let words = std::mem::take(&mut self.words);
        if !words.is_empty() {
            self.found.push(Mailbox::parse(&words).ok()?);
        }
        Some(())
    }
}

/// Puts a word behind those that stand there. A gap in an address counts for nothing around the at
/// sign alone (RFC 5322 §4.4); elsewhere readers may take what stands on one side of it for all.
fn join(words: &mut String, word: &str, gap: usize) {
    if gap > 0 && !words.is_empty() && !words.ends_with('@') && word != "@" {
        words.push(' ');
    }
    words.push_str(word);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mailbox::tests::any_mailbox;

    #[test]
    fn every_address_of_a_field_is_found() {
        for (field, addresses) in [
            ("", &[][..]),
            (" \r\n", &[]),
            (" ann@a.example\r\n", &["ann@a.example"]),
            ("Ann <ann@a.example>", &["ann@a.example"]),
            ("Ann Example\r\n\t<ann@a.example>", &["ann@a.example"]),
            ("\"x, y <z@z.example>\" <ann@a.example>", &["ann@a.example"]),
            ("=?utf-8?q?J=C3=B6rg?= <ann@a.example>", &["ann@a.example"]),
            ("Jörg Ö. <ann@a.example>", &["ann@a.example"]),
            ("(c (d) \\) e) ann (x) @ (y) a.example (z)", &["ann@a.example"]),
            ("< ann @ a.example >", &["ann@a.example"]),
            ("<@r.example:ann@a.example>", &["ann@a.example"]),
            ("\"a b\"@a.example", &["\"a b\"@a.example"]),
            ("a..b@a.example", &["\"a..b\"@a.example"]),
            ("ann@[192.0.2.1]", &["ann@[192.0.2.1]"]),
            ("ann@a.example, Bob <bob@b.example>,,", &["ann@a.example", "bob@b.example"]),
            ("ann@a.example <bob@b.example>", &["ann@a.example", "bob@b.example"]),
            (
                "team: ann@a.example, bob@b.example;, c@d.example",
                &["ann@a.example", "bob@b.example", "c@d.example"],
            ),
            ("nobody:;", &[]),
        ] {
            let found = mailboxes(field.as_bytes()).unwrap_or_else(|| panic!("{field:?}"));
            let found: Vec<_> = found.iter().map(ToString::to_string).collect();
            assert_eq!(found, addresses, "{field:?}");
        }
    }

    #[test]
    fn what_readers_could_take_in_two_ways_cannot_be_read() {
        for field in [
            "ann",
            "Ann Example",
            "<ann@a.example",
            "ann@a.example>",
            "<ann@a.example> bob@b.example",
            "<ann@a.example> <bob@b.example>",
            "<ann@a.example><bob@b.example>",
            "ann@a.example bob@b.example",
            "ann@a.example; bob@b.example",
            "an n@a.example",
            "<an n@a.example>",
            "an(x)n@a.example",
            "ann@a. example",
            "ann@a.example ann",
            "a: b: c@d.example;",
            "team: ann@a.example",
            "\"ann@a.example",
            "(ann@a.example",
            "ann@a.example)",
            "<>",
            "<ann>",
            "ann@a.example\0",
            "ann\\@b.example@a.example",
            "<ann@a.example\u{7}>",
            "ann@a_example@b.example <bob@b.example>",
        ] {
            assert!(mailboxes(field.as_bytes()).is_none(), "{field:?}");
        }
        assert!(mailboxes(b"\xff\xfe <ann@a.example>").is_some());
        assert!(mailboxes(b"<ann\xff@a.example>").is_none_or(|found| !found[0].is_ascii()));
    }

    proptest! {
        #[test]
        fn a_written_address_is_found_alone_and_in_brackets(mailbox in any_mailbox()) {
            for field in [mailbox.to_string(), format!("x <{mailbox}>"), format!("g: <{mailbox}>;")] {
                prop_assert_eq!(mailboxes(field.as_bytes()), Some(vec![mailbox.clone()]), "{}", field);
            }
        }

        #[test]
        fn any_field_is_read_or_refused(field in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..60),
            "[ a@.<>\"(),:;\\\\\\[\\]\r\n]{0,40}".prop_map(String::into_bytes),
        ]) {
            drop(mailboxes(&field));
        }
    }
}
