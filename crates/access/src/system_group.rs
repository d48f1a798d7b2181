//! The groups of this machine.

use crate::system_file::{GROUPS, lines};

/// A group of this machine.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SystemGroup(u32);

impl SystemGroup {
    /// The group of this name in `/etc/group`, or of this number.
    ///
    /// It reads a small file.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let numbered = || name.parse().ok().map(Self);
        lines(GROUPS).find_map(|line| Self::in_line(&line, name)).or_else(numbered)
    }

    /// The number.
    #[must_use]
    pub const fn gid(self) -> u32 {
        self.0
    }

    /// The group of a line of the file, if it is the one.
    fn in_line(line: &str, wanted: &str) -> Option<Self> {
        let mut fields = line.split(':');
        let (name, _password, number) = (fields.next()?, fields.next()?, fields.next()?);
        if name == wanted { number.parse().ok().map(Self) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_found_by_name_and_by_number() {
        assert_eq!(SystemGroup::named("root").map(SystemGroup::gid), Some(0));
        assert_eq!(SystemGroup::named("4711").map(SystemGroup::gid), Some(4711));
        assert_eq!(SystemGroup::named("no such group"), None);
        assert_eq!(SystemGroup::in_line("mail:x:8:ann", "mail"), Some(SystemGroup(8)));
        for line in ["mails:x:8:", "mail:x", "mail:x:-8:", ""] {
            assert_eq!(SystemGroup::in_line(line, "mail"), None, "{line}");
        }
    }
}
