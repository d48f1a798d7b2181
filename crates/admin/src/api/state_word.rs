//! The words for the states of a message.

use queue::StateKind;

use crate::api::refusal::Refusal;

/// The words for states.
const STATES: [(&str, StateKind); 4] = [
    ("held by staging", StateKind::HeldByStaging),
    ("on hold", StateKind::OnHold),
    ("quarantined", StateKind::Quarantined),
    ("queued", StateKind::Queued),
];

/// The state that a word names; `on-hold` and `held-by-staging` need no quotes in a shell.
pub fn state_kind(word: &str) -> Result<StateKind, Refusal> {
    let plain = word.replace('-', " ");
    let found = STATES.iter().find(|(known, _)| *known == plain);
    found.map(|(_, state)| *state).ok_or_else(|| Refusal {
        error: format!("`{word}` is no state: held-by-staging, on-hold, quarantined or queued"),
    })
}

/// The word for a state.
pub fn state_word(state: StateKind) -> &'static str {
    STATES.iter().find(|(_, known)| *known == state).map_or("", |(word, _)| word)
}
