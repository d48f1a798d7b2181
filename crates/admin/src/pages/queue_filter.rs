//! Which waiting mail is meant, by the words of an address or a form.

use queue::ReasonClass;

use crate::api::query::{ListQuery, Part};
use crate::pages::choice::Choice;
use crate::pages::form::Fields;
use crate::pages::logins::Visit;
use crate::pages::parts::may_look_for;

/// The fields that say which messages are meant.
pub(crate) const FILTER: [&str; 5] = ["sender", "domain", "state", "reason", "older_than"];

/// A filter as it was typed, and what it means.
#[derive(Clone, Debug)]
pub(crate) struct QueueFilter {
    /// Its fields that have a value.
    pub(crate) fields: Fields,
    /// The messages that it means.
    pub(crate) part: Part,
}

impl QueueFilter {
    /// What these fields mean.
    ///
    /// # Errors
    ///
    /// What is wrong with them, in words.
    pub(crate) fn read(fields: &Fields, visit: &Visit) -> Result<Self, String> {
        may_look_for(&["sender"], fields, visit)?;
        if fields.get("older_than").is_some_and(|age| age.parse::<u64>().is_err()) {
            return Err("`older_than` is no number of seconds.".to_owned());
        }
        let whole = [FILTER.as_slice(), &["after", "until"]].concat();
        let query: ListQuery = fields.only(&whole).read()?;
        let (part, _limit) = query.read().map_err(|refusal| refusal.error)?;
        Ok(Self { fields: fields.only(&FILTER), part })
    }

    /// The value of a field.
    pub(crate) fn value(&self, name: &str) -> &str {
        self.fields.get(name).unwrap_or_default()
    }

    /// Whether all messages are meant.
    pub(crate) fn is_all(&self) -> bool {
        self.fields.iter().next().is_none()
    }

    /// The states to choose from.
    pub(crate) fn states(&self) -> Vec<Choice> {
        let all = [("queued", "queued"), ("on-hold", "on hold"), ("quarantined", "quarantined")];
        Choice::any_or(all, self.value("state"))
    }

    /// The reasons to choose from.
    pub(crate) fn reasons(&self) -> Vec<Choice> {
        let known = ReasonClass::ALL.into_iter().filter(|class| *class != ReasonClass::Unknown);
        let words = known.map(|class| (class.word(), class.word()));
        Choice::any_or(words, self.value("reason"))
    }

    /// The ages to choose from.
    pub(crate) fn ages(&self) -> Vec<Choice> {
        let all = [
            ("3600", "over 1 h"),
            ("21600", "over 6 h"),
            ("86400", "over 1 day"),
            ("259200", "over 3 days"),
        ];
        Choice::any_or(all, self.value("older_than"))
    }
}
