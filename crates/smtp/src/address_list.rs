//! The addresses in a header field such as From (RFC 5322 §3.4, §4.4).
//!
//! Readers of mail differ in what they make of a malformed field, and a check that reads it in one
//! way is passed by what a reader shows in another. So this reads what is well-formed, and of the
//! rest says that it cannot be read.

use std::borrow::Cow;
use std::ops::Range;

use crate::domain::Domain;
use crate::mailbox::Mailbox;

/// An address in a header field (RFC 5322 §3.4.1, `addr-spec`).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AddrSpec {
    /// The address.
    pub mailbox: Mailbox,
    /// Where in the field it stands: without the angle brackets that may be around it, and with the
    /// comments, folds and obsolete route (§4.4) that may be in it.
    pub octets: Range<usize>,
}

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
    Some(addr_specs(field)?.into_iter().map(|address| address.mailbox).collect())
}

/// The same, and where each of them stands.
///
/// ```
/// let field = b" Ann (of A) <ann@a.example>\r\n";
/// let [ann] = &smtp::addr_specs(field).unwrap()[..] else { panic!() };
/// assert_eq!(&field[ann.octets.clone()], b"ann@a.example");
/// ```
#[must_use]
pub fn addr_specs(field: &[u8]) -> Option<Vec<AddrSpec>> {
    read(field, None)
}

/// The same, where an address may lack its domain, as programs write those of their own machine: it is
/// at `home` then.
///
/// ```
/// let home = smtp::Domain::parse("a.example").unwrap();
/// let [root] = &smtp::local_addr_specs(b" root (Cron Daemon)", &home).unwrap()[..] else { panic!() };
/// assert_eq!(root.mailbox.to_string(), "root@a.example");
/// assert_eq!(root.octets, 1..5);
/// ```
#[must_use]
pub fn local_addr_specs(field: &[u8], home: &Domain) -> Option<Vec<AddrSpec>> {
    read(field, Some(home))
}

/// Reads a list, with `home` behind addresses that lack their domain.
fn read(field: &[u8], home: Option<&Domain>) -> Option<Vec<AddrSpec>> {
    let words = Words::default();
    let mut reader = Reader { field, home, position: 0, words, found: Vec::new() };
    let mut group = Group::Outside;
    loop {
        match reader.next()? {
            Token::Word(at) => reader.words.join(field, at),
            Token::Angle(inside) => reader.angle(&inside)?,
            Token::Comma => reader.end_of_address()?,
            Token::Colon if group == Group::Outside && !reader.words.text.contains(&b'@') => {
                reader.words = Words::default();
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
    Angle(Words),
    Colon,
    Comma,
    End,
    Semicolon,
    /// An octet, a quoted string or a literal, and where it stands.
    Word(Range<usize>),
}

/// Words that follow each other: a name, or an address.
#[derive(Debug, Default)]
struct Words {
    /// What they say, without folds and comments.
    text: Vec<u8>,
    /// Where they stand, from the first to the last.
    octets: Range<usize>,
}

/// Reads a list from its front.
#[derive(Debug)]
struct Reader<'a> {
    field: &'a [u8],
    /// What stands behind an address that lacks its domain.
    home: Option<&'a Domain>,
    position: usize,
    /// The words of the address at hand: a name, or the address itself.
    words: Words,
    found: Vec<AddrSpec>,
}

impl Reader<'_> {
    /// The next token.
    fn next(&mut self) -> Option<Token> {
        self.skip_blanks_and_comments()?;
        let Some(first) = self.peek() else { return Some(Token::End) };
        let token = match first {
            b',' => Token::Comma,
            b':' => Token::Colon,
            b';' => Token::Semicolon,
            b'<' => {
                self.advance();
                return self.bracketed().map(Token::Angle);
            }
            b'>' | b')' => return None,
            _ => return self.word().map(Token::Word),
        };
        self.advance();
        Some(token)
    }

    /// What stands up to the closing angle bracket.
    fn bracketed(&mut self) -> Option<Words> {
        let mut inside = Words::default();
        loop {
            self.skip_blanks_and_comments()?;
            match self.peek()? {
                b'>' => {
                    self.advance();
                    return Some(inside);
                }
                b'<' | b';' => return None,
                // The marks of an obsolete route, and what the address's own reader judges.
                b',' | b':' | b')' | b']' | b'\\' => inside.join(self.field, self.one_octet()),
                _ => {
                    let word = self.word()?;
                    inside.join(self.field, word);
                }
            }
        }
    }

    /// A word: an octet, a quoted string or a literal.
    fn word(&mut self) -> Option<Range<usize>> {
        match self.peek()? {
            b'"' => self.enclosed(b'"'),
            b'[' => self.enclosed(b']'),
            b']' | b'\\' => None,
            octet if octet.is_ascii_control() => None,
            // A control character of two octets, U+0080 to U+009F.
            0xC2 if matches!(self.after(), Some(0x80..=0x9F)) => None,
            _ => Some(self.one_octet()),
        }
    }

    /// The octet at hand, which is passed over.
    fn one_octet(&mut self) -> Range<usize> {
        let start = self.position;
        self.advance();
        start..self.position
    }

    /// What stands from here to `end`, both ends included, with its escapes.
    fn enclosed(&mut self, end: u8) -> Option<Range<usize>> {
        let start = self.position;
        loop {
            self.advance();
            match self.peek()? {
                b'\\' => self.advance(),
                octet if octet == end => {
                    self.advance();
                    return Some(start..self.position);
                }
                _ => {}
            }
        }
    }

    /// Passes over blanks, folds and comments, which may hold comments (RFC 5322 §3.2.2).
    fn skip_blanks_and_comments(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            match self.peek() {
                None => return (depth == 0).then_some(()),
                Some(b'(') => depth = depth.saturating_add(1),
                Some(b')') if depth > 0 => depth = depth.saturating_sub(1),
                Some(b'\\') if depth > 0 => self.advance(),
                Some(b' ' | b'\t' | b'\r' | b'\n') => {}
                Some(_) if depth > 0 => {}
                Some(_) => return Some(()),
            }
            self.advance();
        }
    }

    /// An address in brackets, behind a name. A name that is an address itself counts as one: it is
    /// what many readers show.
    fn angle(&mut self, inside: &Words) -> Option<()> {
        if self.words.text.contains(&b'@') && !self.words.text.starts_with(b"\"") {
            self.end_of_address()?;
        }
        self.words = Words::default();
        let text = self.at_home(&inside.text);
        let path = crate::path::ForwardPath::parse(&format!("<{text}>")).ok()?;
        self.found
            .push(AddrSpec { mailbox: path.mailbox()?.clone(), octets: inside.octets.clone() });
        self.skip_blanks_and_comments()?;
        matches!(self.peek(), None | Some(b',' | b';')).then_some(())
    }

    /// The end of an address that may have been in brackets.
    fn end_of_address(&mut self) -> Option<()> {
        let Words { text, octets } = std::mem::take(&mut self.words);
        if !text.is_empty() {
            let mailbox = Mailbox::parse(&self.at_home(&text)).ok()?;
            self.found.push(AddrSpec { mailbox, octets });
        }
        Some(())
    }

    /// What an address says, with its domain.
    fn at_home<'t>(&self, text: &'t [u8]) -> Cow<'t, str> {
        let text = String::from_utf8_lossy(text);
        match self.home {
            Some(home) if !text.contains('@') => Cow::Owned(format!("{text}@{home}")),
            Some(_) | None => text,
        }
    }

    /// The octet at hand.
    fn peek(&self) -> Option<u8> {
        self.field.get(self.position).copied()
    }

    /// The octet after it.
    fn after(&self) -> Option<u8> {
        self.field.get(self.position.saturating_add(1)).copied()
    }

    /// Passes over the octet at hand.
    const fn advance(&mut self) {
        self.position = self.position.saturating_add(1);
    }
}

impl Words {
    /// Puts the word that stands at `at` of `field` behind those that are there. A gap in an address
    /// counts for nothing around the at sign alone (RFC 5322 §4.4); elsewhere readers may take what
    /// stands on one side of it for all.
    fn join(&mut self, field: &[u8], at: Range<usize>) {
        let word = field.get(at.clone()).unwrap_or_default();
        if self.text.is_empty() {
            self.octets.start = at.start;
        } else if at.start > self.octets.end && !self.text.ends_with(b"@") && word != b"@" {
            self.text.push(b' ');
        }
        self.text.extend(word.iter().filter(|octet| !matches!(octet, b'\r' | b'\n')));
        self.octets.end = at.end;
    }
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
    fn an_address_without_domain_is_at_home_where_there_is_one() {
        let home = Domain::parse("h.example").unwrap();
        for (field, addresses) in [
            ("root", &["root@h.example"][..]),
            ("\"(Cron Daemon)\" <root>", &["root@h.example"]),
            (
                "ann, bob@b.example, Carl <carl>",
                &["ann@h.example", "bob@b.example", "carl@h.example"],
            ),
            ("team: ann, < bob >;", &["ann@h.example", "bob@h.example"]),
            ("<postmaster>", &["postmaster@h.example"]),
            ("nobody:;", &[]),
        ] {
            let found = local_addr_specs(field.as_bytes(), &home).unwrap();
            let found: Vec<_> = found.iter().map(|one| one.mailbox.to_string()).collect();
            assert_eq!(found, addresses, "{field}");
        }
        for field in ["Ann Example", "<>", "ann bob@b.example", "an(x)n", "ann@", "a:b"] {
            assert!(local_addr_specs(field.as_bytes(), &home).is_none(), "{field}");
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

    #[test]
    fn where_an_address_stands_is_known_to_the_octet() {
        for (field, places) in [
            (&b" ann@a.example\r\n"[..], &[&b"ann@a.example"[..]][..]),
            (b"J\xf6rg <ann@a.example> (x)", &[b"ann@a.example"]),
            (b"\"<x@y.example>\" < (c) ann@a.example (d) >", &[b"ann@a.example"]),
            (b"< ann (c)\r\n @ a.example>", &[b"ann (c)\r\n @ a.example"]),
            (b"<@r.example:ann@a.example>", &[b"@r.example:ann@a.example"]),
            (b"<\"a b\"@a.example>", &[b"\"a b\"@a.example"]),
            (b"ann@[192.0.2.1]", &[b"ann@[192.0.2.1]"]),
            (b"g: ann@a.example ,\r\n b@b.example;", &[b"ann@a.example", b"b@b.example"]),
            (b"ann@a.example <b@b.example>", &[b"ann@a.example", b"b@b.example"]),
        ] {
            let found = addr_specs(field).unwrap();
            let found: Vec<_> = found.iter().map(|one| &field[one.octets.clone()]).collect();
            assert_eq!(found, places, "{}", String::from_utf8_lossy(field));
        }
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
            for AddrSpec { octets, .. } in addr_specs(&field).unwrap_or_default() {
                let written = field[octets].trim_ascii();
                prop_assert!(written.contains(&b'@') && !written.is_empty());
            }
        }
    }
}
