//! A field of a message's header (RFC 5322 §2.2).

/// The name of the field that a line begins, and what stands behind its colon; none where the line
/// begins none. Blanks may stand before the colon, as in old mail (RFC 5322 §4.5).
///
/// ```
/// assert_eq!(smtp::split_field(b"Subject : hello"), Some((&b"Subject"[..], &b" hello"[..])));
/// assert_eq!(smtp::split_field(b" folded: line"), None);
/// assert_eq!(smtp::split_field(b"two words: x"), None);
/// assert_eq!(smtp::split_field(b": x"), None);
/// ```
#[must_use]
pub fn split_field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = memchr::memchr(b':', line)?;
    let (name, value) = line.split_at_checked(colon)?;
    let name = name.trim_ascii_end();
    let is_name = !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
    is_name.then_some((name, value.get(1..)?))
}
