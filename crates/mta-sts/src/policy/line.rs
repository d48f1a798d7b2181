//! One line of a policy file, and whether it may be overlooked (RFC 8461 §3.2).

use crate::parsed::{is_extension_name, trim_blanks};

/// The keys that decide what a policy means.
const KNOWN: [&str; 4] = ["version", "mode", "max_age", "mx"];

/// What stands on a line.
#[derive(Clone, Copy, Debug)]
pub(super) enum Line<'t> {
    /// Nothing but blanks.
    Blank,
    /// A known field with a carriage return in it.
    Control,
    /// Not a field, and so close to a known one that ignoring it would be a guess.
    Doubtful,
    /// A valid field that this version does not know.
    Extension,
    /// Not a valid field, and not close to a known one.
    Malformed,
    /// `max_age:` and this value.
    MaxAge(&'t [u8]),
    /// `mode:` and this value.
    Mode(&'t [u8]),
    /// `mx:` and this value.
    Mx(&'t [u8]),
    /// Neither a field nor blank.
    NoColon,
    /// A valid extension that is named like a known field but for the case.
    OtherCase,
    /// `version:` and this value.
    Version(&'t [u8]),
}

impl<'t> Line<'t> {
    /// Tells what `line` is, which is without its end.
    pub(super) fn read(line: &'t [u8]) -> Self {
        if trim_blanks(line).is_empty() {
            return Self::Blank;
        }
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            return if hides_known(line) { Self::Doubtful } else { Self::NoColon };
        };
        let (key, value) = line.split_at_checked(colon).unwrap_or((line, b""));
        let value = trim_blanks(value.strip_prefix(b":").unwrap_or_default());
        Self::known(key, value).unwrap_or_else(|| Self::unknown(line, key, value))
    }

    fn known(key: &[u8], value: &'t [u8]) -> Option<Self> {
        let field = match key {
            b"max_age" => Self::MaxAge(value),
            b"mode" => Self::Mode(value),
            b"mx" if hides_known_behind(value) => Self::Doubtful,
            b"mx" => Self::Mx(value),
            b"version" => Self::Version(value),
            _ => return None,
        };
        Some(if value.contains(&b'\r') { Self::Control } else { field })
    }

    /// By the ABNF a field of another case is an extension, and unknown ones are to be ignored;
    /// anything the ABNF does not allow must not look like a known one.
    fn unknown(line: &[u8], key: &[u8], value: &[u8]) -> Self {
        let valid = is_extension_name(key) && is_extension_value(value);
        match (valid, hides_known(line)) {
            (true, true) => Self::OtherCase,
            (true, false) => Self::Extension,
            (false, true) => Self::Doubtful,
            (false, false) => Self::Malformed,
        }
    }
}

/// `sts-policy-vchar` with single octets of blank between: visible ASCII and UTF-8, no controls.
fn is_extension_value(value: &[u8]) -> bool {
    let visible = |c: char| c == ' ' || c.is_ascii_graphic() || !c.is_ascii();
    !value.is_empty() && str::from_utf8(value).is_ok_and(|text| text.chars().all(visible))
}

/// Whether a known key begins the line, or begins after anything in it that some would take for a
/// line break.
fn hides_known(line: &[u8]) -> bool {
    String::from_utf8_lossy(line).split(BREAKS).any(names_known)
}

/// Whether a known key begins after anything in `value` that some would take for a line break.
fn hides_known_behind(value: &[u8]) -> bool {
    String::from_utf8_lossy(value).split(BREAKS).skip(1).any(names_known)
}

/// Where other software than ours may see an end of line.
const BREAKS: [char; 6] = ['\r', '\u{b}', '\u{c}', '\u{85}', '\u{2028}', '\u{2029}'];

/// Whether the first word is a known key in any case, whatever stands before, in or after it.
///
/// A file may be all such lines, so none is copied for it.
fn names_known(text: &str) -> bool {
    let seen = |c: &char| !c.is_whitespace() && !c.is_control() && *c != '\u{feff}';
    let known = |name: &str| {
        let bare = || name.chars().filter(seen).map(|c| c.to_ascii_lowercase());
        KNOWN.iter().any(|key| bare().eq(key.chars()))
    };
    if let Some((key, _)) = text.split_once(':')
        && known(key)
    {
        return true;
    }
    let goes_on = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    let trimmed = text.trim_start_matches(|c: char| !seen(&c));
    known(trimmed.split(|c| !goes_on(c)).next().unwrap_or_default())
}
