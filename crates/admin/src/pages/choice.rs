//! What can be chosen in a form.

/// A value to choose, and what it is called.
pub(crate) type Choosable = (&'static str, &'static str);

/// A choice of a form.
#[derive(Debug)]
pub(crate) struct Choice {
    pub(crate) value: &'static str,
    pub(crate) text: &'static str,
    pub(crate) is_chosen: bool,
}

impl Choice {
    /// All of these, of which the one with this value is chosen.
    pub(crate) fn of(all: impl IntoIterator<Item = Choosable>, chosen: &str) -> Vec<Self> {
        let one = |(value, text)| Self { value, text, is_chosen: value == chosen };
        all.into_iter().map(one).collect()
    }

    /// The same after one that is chosen where no value is.
    pub(crate) fn any_or(all: impl IntoIterator<Item = Choosable>, chosen: &str) -> Vec<Self> {
        Self::of([("", "any")].into_iter().chain(all), chosen)
    }
}
