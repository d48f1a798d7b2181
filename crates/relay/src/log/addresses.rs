//! Mail addresses in the log: as they are, as tokens, or not at all.
//!
//! They are looked for in whole lines, wherever they come from: a field of ours, a reply, an error. So
//! nothing that is logged later can be forgotten here.

use std::borrow::Cow;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustls::crypto::aws_lc_rs::{cipher_suite, default_provider};
use rustls::crypto::tls13::{Hkdf, OkmBlock};
use settings::LogAddresses;

/// What stands for an address that is not to be seen.
const HIDDEN: &str = "*";

/// What a token begins with.
const TOKEN: &str = "h-";

/// How many octets of the hash a token shows, two digits each: enough to tell a million addresses
/// apart.
const TOKEN_OCTETS: usize = 6;

/// The key's file in `data_dir`.
const KEY_FILE: &str = "log.key";

/// How many octets the key has.
const KEY: usize = 32;

/// What becomes of addresses.
#[derive(Debug)]
pub(super) enum Addresses {
    /// They are written as they are.
    Full,
    /// A token is written: the same for the same address, as long as the key is the same.
    Hashed(Key),
    /// They are left out.
    Hidden,
}

/// A secret, without which nobody can try addresses until a token comes out.
pub(super) struct Key([u8; KEY]);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(..)")
    }
}

impl Addresses {
    /// As the settings say; with the key of this `data_dir`, and an error if it could not be kept.
    pub(super) fn new(setting: LogAddresses, data_dir: &Path) -> (Self, Option<io::Error>) {
        match setting {
            LogAddresses::Full => (Self::Full, None),
            LogAddresses::None => (Self::Hidden, None),
            LogAddresses::Hashed => match Key::kept(&data_dir.join(KEY_FILE)) {
                Ok(key) => (Self::Hashed(key), None),
                Err(error) => match Key::random() {
                    Some(key) => (Self::Hashed(key), Some(error)),
                    None => (Self::Hidden, Some(error)),
                },
            },
        }
    }

    /// A line with its addresses as they are to be seen.
    pub(super) fn in_line<'a>(&self, line: &'a str) -> Cow<'a, str> {
        if matches!(self, Self::Full) || !line.contains('@') {
            return Cow::Borrowed(line);
        }
        let mut pieces = Vec::new();
        let mut left = line.len();
        // From the right, for an `@` within quotes belongs to the address that ends behind them.
        for (at, _) in line.rmatch_indices('@') {
            let found = address_around(line, at).filter(|(_, end)| *end <= left);
            let Some((start, end)) = found else { continue };
            pieces.push(Cow::Borrowed(line.get(end..left).unwrap_or_default()));
            pieces.push(self.shown(line.get(start..end).unwrap_or_default()));
            left = start;
        }
        pieces.push(Cow::Borrowed(line.get(..left).unwrap_or_default()));
        Cow::Owned(pieces.into_iter().rev().collect())
    }

    /// What is written for one address.
    fn shown<'a>(&self, address: &'a str) -> Cow<'a, str> {
        match self {
            Self::Full => Cow::Borrowed(address),
            Self::Hashed(key) => Cow::Owned(key.token(address)),
            Self::Hidden => Cow::Borrowed(HIDDEN),
        }
    }
}

impl Key {
    /// The key in a file, which is made if it is not there.
    fn kept(path: &Path) -> io::Result<Self> {
        match fs::read(path) {
            Ok(bytes) => match <[u8; KEY]>::try_from(bytes.as_slice()) {
                Ok(key) => return Ok(Self(key)),
                Err(_other_length) => return Err(io::Error::other("is not a key of the log")),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let key = Self::random().ok_or_else(|| io::Error::other("no random octets"))?;
        let mut file =
            fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(&key.0)?;
        file.sync_all()?;
        Ok(key)
    }

    /// A new key.
    fn random() -> Option<Self> {
        let mut key = [0; KEY];
        default_provider().secure_random.fill(&mut key).ok()?;
        Some(Self(key))
    }

    /// The token of an address: HMAC-SHA-256, cut. Quotes of the log do not count, nor how a domain is
    /// written (RFC 5321 §2.4).
    fn token(&self, address: &str) -> String {
        let plain = address.replace('\\', "");
        let plain = match plain.rsplit_once('@') {
            Some((local, domain)) => format!("{local}@{}", domain.to_lowercase()),
            None => plain,
        };
        let Some(suite) = cipher_suite::TLS13_AES_128_GCM_SHA256.tls13() else {
            return HIDDEN.to_owned();
        };
        let hkdf: &dyn Hkdf = suite.hkdf_provider;
        let tag = hkdf.hmac_sign(&OkmBlock::new(&self.0), plain.as_bytes());
        let digits = tag.as_ref().iter().take(TOKEN_OCTETS).map(|octet| format!("{octet:02x}"));
        TOKEN.to_owned() + &digits.collect::<String>()
    }
}

/// Where the address begins and ends whose `@` is at `at`; none where there is none.
fn address_around(line: &str, at: usize) -> Option<(usize, usize)> {
    let (before, after) = (line.get(..at)?, line.get(at.checked_add(1)?..)?);
    let domain = match after.strip_prefix('[') {
        Some(literal) => literal.find(']')?.checked_add(2)?,
        None => run(after.chars(), is_of_domain),
    };
    let local = match before.strip_suffix('"') {
        Some(quoted) => before.len().saturating_sub(opening_quote(quoted)?),
        None => run(before.chars().rev(), is_of_local),
    };
    if local == 0 || domain == 0 {
        return None;
    }
    Some((at.checked_sub(local)?, at.checked_add(domain)?.checked_add(1)?))
}

/// Where the quoted string begins that ends after `quoted`; the log may have escaped its quotes.
fn opening_quote(quoted: &str) -> Option<usize> {
    let escaped = quoted.ends_with('\\');
    let opening = if escaped { "\\\"" } else { "\"" };
    let inner = if escaped { quoted.strip_suffix('\\')? } else { quoted };
    // A quote within is escaped once more.
    let mut places = inner.rmatch_indices(opening).map(|(place, _)| place);
    places.find(|place| !inner.get(..*place).unwrap_or_default().ends_with('\\'))
}

/// How many octets the first characters take that are `of` something.
fn run(characters: impl Iterator<Item = char>, of: fn(char) -> bool) -> usize {
    characters.take_while(|c| of(*c)).map(char::len_utf8).sum()
}

/// Whether a character may stand in a local part without quotes (RFC 5322 §3.2.3, RFC 6531 §3.3), or
/// in what the log writes for one that could change how a line is shown.
fn is_of_local(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.\\".contains(c) || is_foreign(c)
}

/// Whether a character may stand in a domain.
fn is_of_domain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._".contains(c) || is_foreign(c)
}

/// Whether a character is a letter or sign beyond ASCII.
fn is_foreign(c: char) -> bool {
    !c.is_ascii() && !c.is_whitespace() && !c.is_control()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hashed() -> Addresses {
        Addresses::Hashed(Key([7; KEY]))
    }

    #[test]
    fn no_address_is_left_in_a_line_wherever_it_stands() {
        for (line, hidden) in [
            ("no address", "no address"),
            ("a @ b, @handle, user@ x", "a @ b, @handle, user@ x"),
            (
                "to=\"bob@example.net, eve@example.org\" mx=\"mx.test\"",
                "to=\"*, *\" mx=\"mx.test\"",
            ),
            ("from=<bounce+bob=example.net@sender.test> size=3", "from=<*> size=3"),
            ("{\"to\":\"bob@example.net\",\"n\":1}", "{\"to\":\"*\",\"n\":1}"),
            ("reply=\"550 5.1.1 <bob@example.net>: unknown\"", "reply=\"550 5.1.1 <*>: unknown\""),
            ("to=\"\\\"a b\\\"@example.net\"", "to=\"*\""),
            ("from=<\"a@b c\"@example.net>", "from=<*>"),
            ("to=\"bob@[192.0.2.1]\" x", "to=\"*\" x"),
            ("to=\"j\\u{202e}rg@x.test\"", "to=\"*\""),
            ("to=\"j\u{f6}rg@b\u{fc}cher.example\"", "to=\"*\""),
        ] {
            assert_eq!(Addresses::Hidden.in_line(line), hidden, "{line}");
            assert_eq!(Addresses::Full.in_line(line), line);
            let tokens = hashed().in_line(line).into_owned();
            assert_eq!(tokens.matches(TOKEN).count(), hidden.matches(HIDDEN).count(), "{tokens}");
            assert!(hidden == line || !tokens.contains('@'), "{tokens}");
        }
    }

    #[test]
    fn the_same_address_has_the_same_token_and_another_or_another_key_has_another() {
        let token = |key: u8, address| Key([key; KEY]).token(address);
        assert_eq!(token(7, "bob@example.net"), token(7, "bob@EXAMPLE.net"));
        assert_eq!(token(7, "\\\"a b\\\"@example.net"), token(7, "\"a b\"@example.net"));
        assert_ne!(token(7, "bob@example.net"), token(7, "eve@example.net"));
        assert_ne!(token(7, "bob@example.net"), token(8, "bob@example.net"));
        assert_eq!(token(7, "bob@example.net").len(), TOKEN.len() + 2 * TOKEN_OCTETS);
    }

    #[test]
    fn the_key_is_kept_for_its_owner_alone_and_read_again() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data").join(KEY_FILE);
        let made = Key::kept(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(Key::kept(&path).unwrap().0, made.0);
        fs::write(&path, "short").unwrap();
        assert!(Key::kept(&path).is_err());
    }
}
