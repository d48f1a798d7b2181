//! Who may open a unix socket, as `chmod` writes it.

use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Serialize, Serializer};

/// Reading and writing, for anyone.
const ANYONE: u32 = 0o666;

/// The relay's own user, whom nobody keeps out.
const OWNER: u32 = 0o600;

/// The mode of a unix socket: to connect takes the right to write.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SocketMode(u32);

impl SocketMode {
    /// The relay's user and a group.
    pub const GROUP: Self = Self(0o660);

    /// The bits.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Reads four octal digits.
    fn parse(text: &str) -> Option<Self> {
        let octal = text.len() == 4 && text.bytes().all(|digit| matches!(digit, b'0'..=b'7'));
        let mode = u32::from_str_radix(text, 8).ok().filter(|_| octal)?;
        (mode & !ANYONE == 0 && mode & OWNER == OWNER).then_some(Self(mode))
    }
}

impl<'de> Deserialize<'de> for SocketMode {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text = String::deserialize(input)?;
        Self::parse(&text).ok_or_else(|| {
            D::Error::custom(format!(
                "`{text}` is not the mode of a socket, such as \"0660\" for the relay's user and a \
                 group, or \"0666\" for everybody"
            ))
        })
    }
}

impl Serialize for SocketMode {
    fn serialize<S: Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
        output.collect_str(&format_args!("{:04o}", self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_lets_the_relay_in_and_nobody_execute() {
        for (text, mode) in [
            ("0660", Some(0o660)),
            ("0666", Some(0o666)),
            ("0600", Some(0o600)),
            ("0620", Some(0o620)),
            ("660", None),
            ("0060", None),
            ("0770", None),
            ("1660", None),
            ("0668", None),
            ("+660", None),
            ("", None),
        ] {
            assert_eq!(SocketMode::parse(text).map(SocketMode::bits), mode, "{text}");
        }
    }
}
