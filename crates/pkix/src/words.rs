//! Words for what TLS and the system report, made of their names where nobody has written better.

use std::io;

/// The longest piece of text from a peer within a sentence.
const SHOWN_MAX: usize = 80;

/// Text from a peer, cut, and with nothing in it but printable ASCII.
pub(crate) fn shown(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_graphic() || c == ' ' { c } else { '?' };
    let mut shown: String = text.chars().take(SHOWN_MAX).map(plain).collect();
    if text.chars().nth(SHOWN_MAX).is_some() {
        shown.push_str("..");
    }
    shown
}

/// An I/O error in words, without the system's number for it.
///
/// ```
/// use std::io;
///
/// let refused = io::Error::from_raw_os_error(111);
/// assert_eq!(pkix::io_words(&refused), "connection refused");
/// ```
#[must_use]
pub fn io_words(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return "connection closed by the other side".to_owned();
    }
    let text = error.to_string();
    let text = text.split_once(" (os error ").map_or(text.as_str(), |(words, _number)| words);
    lower_case(text)
}

/// `text` with a small letter at its beginning, unless an abbreviation begins it.
fn lower_case(text: &str) -> String {
    let mut letters = text.chars();
    match (letters.next(), letters.clone().next()) {
        (Some(first), Some(second)) if second.is_lowercase() => {
            first.to_lowercase().chain(letters).collect()
        }
        _ => text.to_owned(),
    }
}

/// The words of a name in the manner of rustls: `NoCipherSuitesInCommon`, whatever stands behind it.
pub(crate) fn split_name(name: &str) -> String {
    let name = name.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
    let mut words = String::new();
    let mut before = ' ';
    for c in name.chars() {
        if c.is_ascii_uppercase() && before.is_ascii_lowercase() {
            words.push(' ');
        }
        words.push(c.to_ascii_lowercase());
        before = c;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_words() {
        for (name, words) in [
            ("NoCipherSuitesInCommon", "no cipher suites in common"),
            ("MissingData(\"x\")", "missing data"),
            ("InvalidCcs", "invalid ccs"),
            ("", ""),
        ] {
            assert_eq!(split_name(name), words);
        }
    }

    #[test]
    fn errors_of_the_system_have_words_and_no_numbers() {
        for (error, words) in [
            (io::Error::from_raw_os_error(104), "connection reset by peer"),
            (io::Error::from_raw_os_error(113), "no route to host"),
            (io::ErrorKind::UnexpectedEof.into(), "connection closed by the other side"),
            (io::Error::other("TLS is odd"), "TLS is odd"),
        ] {
            assert_eq!(io_words(&error), words);
        }
    }

    #[test]
    fn text_of_a_peer_is_cut_and_plain() {
        assert_eq!(shown("a\nb\u{1b}[2J\u{202e}\u{f6}"), "a?b?[2J??");
        assert_eq!(shown(&"x".repeat(1000)).len(), SHOWN_MAX + 2);
    }
}
