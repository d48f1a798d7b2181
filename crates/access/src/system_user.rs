//! The users of this machine, by the numbers that the kernel knows them by.

use std::fmt;

use smtp::{Domain, LocalPart, Mailbox};

use crate::system_file::{USERS, lines};

/// A user of this machine.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SystemUser {
    uid: u32,
    name: Option<String>,
    full_name: Option<String>,
}

impl SystemUser {
    /// The user with this number, with the names that `/etc/passwd` has. Whom another service knows has
    /// none.
    ///
    /// It reads a small file.
    #[must_use]
    pub fn of(uid: u32) -> Self {
        let found = lines(USERS).find_map(|line| Self::in_line(&line, uid));
        found.unwrap_or(Self { uid, name: None, full_name: None })
    }

    /// The number.
    #[must_use]
    pub const fn uid(&self) -> u32 {
        self.uid
    }

    /// The name to log in with; of a user without one the number.
    #[must_use]
    pub fn name_or_number(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.uid.to_string())
    }

    /// The user's own address on a host of this name.
    #[must_use]
    pub fn address(&self, hostname: &Domain) -> Option<Mailbox> {
        address_of(&self.name_or_number(), hostname)
    }

    /// The name to log in with.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// What the user is called by people.
    #[must_use]
    pub fn full_name(&self) -> Option<&str> {
        self.full_name.as_deref()
    }

    /// The user of a line of the file, if it is this user's. Of the fifth field only what stands before
    /// a comma is a name; `&` in it stands for the first.
    fn in_line(line: &str, uid: u32) -> Option<Self> {
        let mut fields = line.split(':');
        let (name, _password, number) = (fields.next()?, fields.next()?, fields.next()?);
        if number.parse() != Ok(uid) || name.is_empty() {
            return None;
        }
        let full_name = fields.nth(1).and_then(|words| words.split(',').next());
        let full_name = full_name.map(|words| words.replace('&', name));
        let full_name = full_name.filter(|words| !words.trim().is_empty());
        Some(Self { uid, name: Some(name.to_owned()), full_name })
    }
}

/// The address that a user's name stands for on a host of this name.
pub(crate) fn address_of(name: &str, hostname: &Domain) -> Option<Mailbox> {
    Mailbox::new(LocalPart::new(name).ok()?, hostname.clone().into()).ok()
}

impl fmt::Display for SystemUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{name} (uid {})", self.uid),
            None => write!(f, "uid {}", self.uid),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_shown_by_name_and_number() {
        assert_eq!(SystemUser::of(0).to_string(), "root (uid 0)");
        assert_eq!(SystemUser::of(u32::MAX - 7).to_string(), "uid 4294967288");
    }

    #[test]
    fn a_line_names_its_own_user_alone() {
        let ann = SystemUser::in_line("ann:x:1000:1000:Ann &,Room 5:/home/ann:/bin/sh", 1000);
        let ann = ann.unwrap();
        assert_eq!((ann.name(), ann.full_name()), (Some("ann"), Some("Ann ann")));
        let bob = SystemUser::in_line("bob:x:1000:1000:,,:/:/bin/sh", 1000).unwrap();
        assert_eq!((bob.name(), bob.full_name()), (Some("bob"), None));
        for line in
            ["ann:x:10000:1000::", "ann:x", "", "ann:x:-1:0", "ann:1000:x:1000", ":x:1000:0"]
        {
            assert_eq!(SystemUser::in_line(line, 1000), None, "{line}");
        }
    }
}
