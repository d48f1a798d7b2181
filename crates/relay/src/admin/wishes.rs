//! What a request about the queue asks for, in the words of its query: written by the command
//! line, read by the running relay.

use std::fmt::Write as _;
use std::time::Duration;

use queue::{Filter, QueueId, Selection, StateKind};
use serde::Deserialize;
use smtp::{MailboxDomain, ReversePath};

use super::PAGE;
use super::answer::Refusal;
use crate::error_text::in_full;

/// Which part of which list is asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    after: Option<String>,
    limit: Option<usize>,
    sender: Option<String>,
    domain: Option<String>,
    state: Option<String>,
    older_than: Option<u64>,
}

/// What is to be tried now.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RetryQuery {
    all: Option<bool>,
    domain: Option<String>,
    id: Option<String>,
}

/// The words for states.
const STATES: [(&str, StateKind); 3] = [
    ("held", StateKind::Held),
    ("quarantined", StateKind::Quarantined),
    ("queued", StateKind::Queued),
];

impl ListQuery {
    /// What is asked for: of these messages, after this one, at most so many.
    pub(super) fn read(&self) -> Result<(Filter, Option<QueueId>, usize), Refusal> {
        let after = self.after.as_deref().map(str::parse::<QueueId>).transpose();
        let after = after.map_err(|error| refusal(&error))?;
        let sender = self.sender.as_deref().map(reverse_path).transpose()?;
        let destination = self.domain.as_deref().map(MailboxDomain::parse).transpose();
        let destination = destination.map_err(|error| refusal(&error))?;
        let state = self.state.as_deref().map(state_kind).transpose()?;
        let older_than = self.older_than.map(Duration::from_secs);
        let limit = self.limit.unwrap_or(PAGE).clamp(1, PAGE);
        Ok((Filter { sender, destination, state, older_than }, after, limit))
    }
}

impl RetryQuery {
    /// The one selection that is asked for.
    pub(super) fn selection(self) -> Result<Selection, Refusal> {
        match (self.id, self.domain, self.all) {
            (Some(id), None, None) => id
                .parse()
                .map(Selection::Message)
                .map_err(|error| refusal::<queue::QueueIdError>(&error)),
            (None, Some(domain), None) => MailboxDomain::parse(&domain)
                .map(Selection::Destination)
                .map_err(|error| refusal(&error)),
            (None, None, Some(true)) => Ok(Selection::All),
            _ => Err(Refusal { error: "name one of id, domain and all".to_owned() }),
        }
    }
}

/// The query that asks for messages after `after` that meet `filter`.
pub(super) fn list_query(filter: &Filter, after: Option<QueueId>) -> String {
    let state = filter.state.map(|state| state_word(state).to_owned());
    query(&[
        ("after", after.map(|id| id.to_string())),
        ("sender", filter.sender.as_ref().map(ToString::to_string)),
        ("domain", filter.destination.as_ref().map(ToString::to_string)),
        ("state", state),
        ("older_than", filter.older_than.map(|least| least.as_secs().to_string())),
    ])
}

/// The query that asks for a selection to be tried now.
pub(super) fn retry_query(selection: &Selection) -> String {
    match selection {
        Selection::All => query(&[("all", Some("true".to_owned()))]),
        Selection::Destination(domain) => query(&[("domain", Some(domain.to_string()))]),
        Selection::Message(id) => query(&[("id", Some(id.to_string()))]),
    }
}

/// The state that a word names.
pub(crate) fn state_kind(word: &str) -> Result<StateKind, Refusal> {
    let found = STATES.iter().find(|(known, _)| *known == word);
    found.map(|(_, state)| *state).ok_or_else(|| Refusal {
        error: format!("`{word}` is no state: held, quarantined or queued"),
    })
}

/// The word for a state.
pub(crate) fn state_word(state: StateKind) -> &'static str {
    STATES.iter().find(|(_, known)| *known == state).map_or("", |(word, _)| word)
}

/// A reverse-path, with or without its brackets.
pub(crate) fn reverse_path(text: &str) -> Result<ReversePath, Refusal> {
    let parsed = if text.starts_with('<') {
        ReversePath::parse(text)
    } else {
        ReversePath::parse(&format!("<{text}>"))
    };
    parsed.map_err(|error| refusal(&error))
}

/// A query of those parameters that have a value.
fn query(parameters: &[(&str, Option<String>)]) -> String {
    let mut text = String::new();
    for (name, value) in parameters {
        if let Some(value) = value {
            text.push(if text.is_empty() { '?' } else { '&' });
            text.push_str(name);
            text.push('=');
            push_encoded(&mut text, value);
        }
    }
    text
}

/// Appends `value` with all but unreserved characters escaped (RFC 3986 §2.3).
fn push_encoded(text: &mut String, value: &str) {
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                text.push(char::from(byte));
            }
            // Writing into a string does not fail.
            _ => drop(write!(text, "%{byte:02X}")),
        }
    }
}

/// Why a word was not understood.
fn refusal<E: std::error::Error>(error: &E) -> Refusal {
    Refusal { error: in_full(error) }
}

#[cfg(test)]
mod tests {
    use axum::extract::Query;
    use axum::http::Uri;

    use super::*;

    /// A query as the running relay reads it.
    fn read<T: for<'de> Deserialize<'de>>(query: &str) -> T {
        let uri: Uri = format!("/queue{query}").parse().unwrap();
        Query::try_from_uri(&uri).unwrap().0
    }

    #[test]
    fn a_filter_comes_through_its_query_unchanged() {
        for sender in
            ["<>", "<ann+x&y=z%20@example.org>", "<\"a b\"@example.org>", "<ä@example.org>"]
        {
            for domain in ["example.org", "[192.0.2.1]", "[IPv6:2001:db8::1]"] {
                let filter = Filter {
                    sender: Some(reverse_path(sender).unwrap()),
                    destination: Some(MailboxDomain::parse(domain).unwrap()),
                    state: Some(StateKind::Held),
                    older_than: Some(Duration::from_secs(90)),
                };
                let query: ListQuery = read(&list_query(&filter, None));
                let (found, after, limit) = query.read().unwrap();
                assert_eq!((found.sender, found.destination), (filter.sender, filter.destination));
                assert_eq!((found.state, found.older_than), (filter.state, filter.older_than));
                assert_eq!((after, limit), (None, PAGE));
            }
        }
    }

    #[test]
    fn a_selection_comes_through_its_query_unchanged() {
        let id = "0000000000001".parse().unwrap();
        let literal = MailboxDomain::parse("[192.0.2.1]").unwrap();
        for selection in [Selection::All, Selection::Message(id), Selection::Destination(literal)] {
            let query: RetryQuery = read(&retry_query(&selection));
            assert_eq!(query.selection().unwrap(), selection);
        }
    }

    #[test]
    fn no_filter_is_no_query() {
        assert_eq!(list_query(&Filter::default(), None), "");
    }

    #[test]
    fn what_is_no_state_sender_or_domain_is_refused() {
        for query in ["?state=lost", "?sender=%40", "?domain=a%20b", "?after=%2B"] {
            assert!(read::<ListQuery>(query).read().is_err(), "{query}");
        }
        for query in ["", "?all=false", "?all=true&id=0000000000001", "?domain="] {
            assert!(read::<RetryQuery>(query).selection().is_err(), "{query}");
        }
    }
}
