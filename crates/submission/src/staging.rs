//! Staging: mail that must not reach those it is for.

use smtp::{AddressPattern, Mailbox};

/// What becomes of mail while the relay is used for tests.
///
/// A message all of whose recipients are allowed goes to them. Of any other message all recipients are
/// treated alike: what one of them may see of it, all may.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Staging {
    /// Who gets all mail that is not for allowed recipients.
    pub redirect_to: Vec<Mailbox>,
    /// Whose mail is let through.
    pub allow: Vec<AddressPattern>,
    /// What becomes of mail for others, where it is not redirected.
    pub others: Others,
    /// Whether all mail is held, whoever it is for.
    pub hold: HoldAll,
}

/// What becomes of mail for recipients that are not allowed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Others {
    /// It is accepted and held until an operator releases it.
    #[default]
    Held,
    /// The recipient is refused.
    Refused,
}

/// Whether all mail is held.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum HoldAll {
    /// It is not.
    #[default]
    No,
    /// It is.
    Yes,
}

/// What becomes of one message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Staged {
    /// It is accepted and held.
    Held,
    /// It goes to others, and then perhaps is held by them.
    Redirected,
    /// It goes to those it is for.
    Sent,
}

impl Staging {
    /// Whether it is on.
    #[must_use]
    pub fn is_on(&self) -> bool {
        *self != Self::default()
    }

    /// Whether RCPT takes `recipient`.
    #[must_use]
    pub fn takes(&self, recipient: &Mailbox) -> bool {
        match self.others {
            Others::Held => true,
            Others::Refused => !self.redirect_to.is_empty() || self.allows(recipient),
        }
    }

    /// What becomes of a message for these recipients.
    #[expect(single_use_lifetimes, reason = "one without a name is not stable here")]
    pub fn of<'a>(&self, recipients: impl IntoIterator<Item = &'a Mailbox>) -> Staged {
        let limits = !self.allow.is_empty() || !self.redirect_to.is_empty();
        let foreign = limits && recipients.into_iter().any(|one| !self.allows(one));
        match (foreign, self.redirect_to.is_empty(), self.hold) {
            (true, false, _) => Staged::Redirected,
            (true, true, _) | (false, _, HoldAll::Yes) => Staged::Held,
            (false, _, HoldAll::No) => Staged::Sent,
        }
    }

    /// What it does, in words for people; none where it is off.
    #[must_use]
    pub fn in_words(&self) -> Option<String> {
        let list = |list: &[String]| list.join(", ");
        let mailboxes: Vec<_> = self.redirect_to.iter().map(ToString::to_string).collect();
        let allowed: Vec<_> = self.allow.iter().map(ToString::to_string).collect();
        let unless = if allowed.is_empty() {
            String::new()
        } else {
            format!(" unless it is for {}", list(&allowed))
        };
        let mut said = Vec::new();
        match (mailboxes.is_empty(), allowed.is_empty(), self.others) {
            (false, ..) => said.push(format!("mail goes to {}{unless}", list(&mailboxes))),
            (true, false, Others::Held) => said.push(format!("mail is held{unless}")),
            (true, false, Others::Refused) => said.push(format!("mail is refused{unless}")),
            (true, true, _) => {}
        }
        if self.hold == HoldAll::Yes {
            said.push("all mail is held".to_owned());
        }
        (!said.is_empty()).then(|| format!("staging is on: {}", said.join("; ")))
    }

    fn allows(&self, recipient: &Mailbox) -> bool {
        self.allow.iter().any(|pattern| pattern.covers(recipient))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn staging(redirect_to: &[&str], allow: &[&str], others: Others, hold: HoldAll) -> Staging {
        Staging {
            redirect_to: redirect_to.iter().map(|text| Mailbox::parse(text).unwrap()).collect(),
            allow: allow.iter().map(|text| AddressPattern::parse(text).unwrap()).collect(),
            others,
            hold,
        }
    }

    #[test]
    fn one_recipient_who_is_not_allowed_decides_for_the_whole_message() {
        let (sink, own) = (&["sink@test.example"][..], &["@own.example"][..]);
        let (ours, both) = (&["a@own.example"][..], &["a@own.example", "b@far.example"][..]);
        for (redirect_to, allow, hold, recipients, staged) in [
            (&[][..], &[][..], HoldAll::No, both, Staged::Sent),
            (&[], &[], HoldAll::Yes, ours, Staged::Held),
            (&[], own, HoldAll::No, ours, Staged::Sent),
            (&[], own, HoldAll::No, both, Staged::Held),
            (&[], own, HoldAll::Yes, ours, Staged::Held),
            (sink, &[], HoldAll::No, ours, Staged::Redirected),
            (sink, own, HoldAll::No, ours, Staged::Sent),
            (sink, own, HoldAll::No, both, Staged::Redirected),
            (sink, own, HoldAll::Yes, ours, Staged::Held),
            (sink, own, HoldAll::Yes, both, Staged::Redirected),
        ] {
            let staging = staging(redirect_to, allow, Others::Held, hold);
            let recipients: Vec<_> =
                recipients.iter().map(|text| Mailbox::parse(text).unwrap()).collect();
            assert_eq!(staging.of(&recipients), staged, "{staging:?} {recipients:?}");
            let is_on = !(redirect_to.is_empty() && allow.is_empty() && hold == HoldAll::No);
            assert_eq!((staging.is_on(), staging.in_words().is_some()), (is_on, is_on));
        }
    }

    #[test]
    fn others_are_refused_where_that_is_chosen_and_nobody_else_gets_their_mail() {
        let own = Mailbox::parse("a@own.example").unwrap();
        let far = Mailbox::parse("a@far.example").unwrap();
        let refusing = staging(&[], &["@own.example"], Others::Refused, HoldAll::No);
        assert!(refusing.takes(&own) && !refusing.takes(&far));
        let holding = staging(&[], &["@own.example"], Others::Held, HoldAll::No);
        assert!(holding.takes(&far));
        let redirecting =
            staging(&["s@t.example"], &["@own.example"], Others::Refused, HoldAll::No);
        assert!(redirecting.takes(&far));
    }
}
