//! What a request about the queue asks for, in the words of its query: written by the command
//! line, read by the running relay.

use std::fmt::Write as _;
use std::time::Duration;

use queue::{Filter, QueueId, ReasonClass, Selection};
use serde::Deserialize;
use smtp::{MailboxDomain, ReversePath};

use crate::api::change::Bounce;
use crate::api::refusal::{Refusal, refusal};
use crate::api::state_word::{state_kind, state_word};

/// The most entries of one answer.
pub const PAGE: usize = 1000;

/// Which part of which list is asked for, or is to be changed.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    after: Option<String>,
    until: Option<String>,
    limit: Option<usize>,
    sender: Option<String>,
    domain: Option<String>,
    state: Option<String>,
    reason: Option<String>,
    older_than: Option<u64>,
    bounce: Option<bool>,
}

/// A part of the messages that meet a filter.
#[derive(Clone, Debug, Default)]
pub struct Part {
    /// Which messages.
    pub filter: Filter,
    /// After this one.
    pub after: Option<QueueId>,
    /// Up to this one.
    pub until: Option<QueueId>,
}

/// What is to be tried now.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RetryQuery {
    all: Option<bool>,
    domain: Option<String>,
    id: Option<String>,
}

impl ListQuery {
    /// What is asked for, and at most how many.
    pub(crate) fn read(&self) -> Result<(Part, usize), Refusal> {
        let id = |text: &Option<String>| text.as_deref().map(str::parse::<QueueId>).transpose();
        let after = id(&self.after).map_err(|error| refusal(&error))?;
        let until = id(&self.until).map_err(|error| refusal(&error))?;
        let sender = self.sender.as_deref().map(reverse_path).transpose()?;
        let destination = self.domain.as_deref().map(MailboxDomain::parse).transpose();
        let destination = destination.map_err(|error| refusal(&error))?;
        let state = self.state.as_deref().map(state_kind).transpose()?;
        let reason = self.reason.as_deref().map(reason_class).transpose()?;
        let older_than = self.older_than.map(Duration::from_secs);
        let limit = self.limit.unwrap_or(PAGE).clamp(1, PAGE);
        let filter = Filter { sender, destination, state, reason, older_than };
        Ok((Part { filter, after, until }, limit))
    }

    /// Whether senders of messages that are removed are told.
    pub(crate) fn bounce(&self) -> Bounce {
        if self.bounce == Some(true) { Bounce::Sent } else { Bounce::None }
    }
}

impl RetryQuery {
    /// The one selection that is asked for.
    pub(crate) fn selection(self) -> Result<Selection, Refusal> {
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

/// The query that asks for a part of the messages, or for a change of it.
pub fn list_query(part: &Part, bounce: Bounce) -> String {
    let Part { filter, after, until } = part;
    let state = filter.state.map(|state| state_word(state).to_owned());
    query(&[
        ("after", after.map(|id| id.to_string())),
        ("until", until.map(|id| id.to_string())),
        ("bounce", (bounce == Bounce::Sent).then(|| "true".to_owned())),
        ("reason", filter.reason.map(|class| class.word().to_owned())),
        ("sender", filter.sender.as_ref().map(ToString::to_string)),
        ("domain", filter.destination.as_ref().map(ToString::to_string)),
        ("state", state),
        ("older_than", filter.older_than.map(|least| least.as_secs().to_string())),
    ])
}

/// The query that asks for a selection to be tried now.
pub fn retry_query(selection: &Selection) -> String {
    match selection {
        Selection::All => query(&[("all", Some("true".to_owned()))]),
        Selection::Destination(domain) => query(&[("domain", Some(domain.to_string()))]),
        Selection::Message(id) => query(&[("id", Some(id.to_string()))]),
    }
}

/// The classes that a filter can name: mail of no known class is among the others.
const CLASSES: [ReasonClass; 7] = [
    ReasonClass::Policy,
    ReasonClass::Dane,
    ReasonClass::Tls,
    ReasonClass::Dns,
    ReasonClass::Connect,
    ReasonClass::Reply,
    ReasonClass::Other,
];

/// The class of reasons that a word names.
pub fn reason_class(word: &str) -> Result<ReasonClass, Refusal> {
    let found = CLASSES.into_iter().find(|class| class.word() == word);
    found.ok_or_else(|| {
        let words = CLASSES.map(ReasonClass::word).join(", ");
        Refusal { error: format!("`{word}` is no class of reasons: {words}") }
    })
}

/// A reverse-path, with or without its brackets.
pub fn reverse_path(text: &str) -> Result<ReversePath, Refusal> {
    let parsed = if text.starts_with('<') {
        ReversePath::parse(text)
    } else {
        ReversePath::parse(&format!("<{text}>"))
    };
    parsed.map_err(|error| refusal(&error))
}

/// A query of those parameters that have a value.
pub(crate) fn query(parameters: &[(&str, Option<String>)]) -> String {
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

#[cfg(test)]
mod tests {
    use axum::extract::Query;
    use axum::http::Uri;
    use queue::StateKind;

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
                    state: Some(StateKind::OnHold),
                    reason: Some(ReasonClass::Policy),
                    older_than: Some(Duration::from_secs(90)),
                };
                let until = "0000000000001".parse().ok();
                let part = Part { filter: filter.clone(), after: None, until };
                let query: ListQuery = read(&list_query(&part, Bounce::Sent));
                let (Part { filter: found, after, until: end }, limit) = query.read().unwrap();
                assert_eq!((found.sender, found.destination), (filter.sender, filter.destination));
                assert_eq!((found.state, found.older_than), (filter.state, filter.older_than));
                assert_eq!((found.reason, end), (filter.reason, until));
                assert_eq!((after, limit, query.bounce()), (None, PAGE, Bounce::Sent));
            }
        }
    }

    #[test]
    fn mail_on_hold_is_named_with_or_without_a_blank() {
        for word in ["on hold", "on-hold"] {
            assert_eq!(state_kind(word).unwrap(), StateKind::OnHold);
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
        assert_eq!(list_query(&Part::default(), Bounce::None), "");
    }

    #[test]
    fn what_is_no_state_sender_or_domain_is_refused() {
        for query in [
            "?state=held",
            "?reason=lost",
            "?until=%2B",
            "?sender=%40",
            "?domain=a%20b",
            "?after=%2B",
        ] {
            assert!(read::<ListQuery>(query).read().is_err(), "{query}");
        }
        for query in ["", "?all=false", "?all=true&id=0000000000001", "?domain="] {
            assert!(read::<RetryQuery>(query).selection().is_err(), "{query}");
        }
    }
}
