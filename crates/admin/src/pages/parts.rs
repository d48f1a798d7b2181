//! What several pages show in the same way.

use access::Role;
use queue::{ReasonClass, StateKind};

use crate::api::answers::Why;
use crate::api::query::reason_class;
use crate::api::state_word::state_kind;
use crate::pages::form::Fields;
use crate::pages::logins::Visit;

/// Whether somebody may see whole addresses.
fn sees_addresses(visit: &Visit) -> bool {
    visit.visitor.role.may(Role::Operator)
}

/// Whether somebody may look for what these fields say: who sees no address learns none by looking for
/// it.
///
/// # Errors
///
/// That one of these names, which hold addresses, is asked for by somebody who sees none; in words.
pub(crate) fn may_look_for(names: &[&str], fields: &Fields, visit: &Visit) -> Result<(), String> {
    if !sees_addresses(visit) && names.iter().any(|name| fields.get(name).is_some()) {
        return Err("A viewer sees no addresses, and cannot look for one.".to_owned());
    }
    Ok(())
}

/// An address, or as much of it as somebody may see: a viewer sees the domain.
pub(crate) fn address(visit: &Visit, address: &str) -> String {
    if sees_addresses(visit) {
        return address.to_owned();
    }
    match address.rsplit_once('@') {
        Some((_local, domain)) => format!("\u{2026}@{domain}"),
        None => "\u{2026}".to_owned(),
    }
}

/// A reverse-path in the same way.
pub(crate) fn sender(visit: &Visit, path: Option<&str>) -> String {
    path.filter(|path| !path.is_empty())
        .map_or_else(|| "<>".to_owned(), |path| address(visit, path))
}

/// Whether mail in this state is tried.
pub(crate) fn is_queued(state: &str) -> bool {
    matches!(state_kind(state), Ok(StateKind::Queued))
}

/// Why mail waits, for people: in a word, and in full.
#[derive(Debug)]
pub(crate) struct Waiting {
    /// What the mail waits for.
    pub(crate) class: String,
    /// Whether that is something that a policy or TLSA records ask for.
    pub(crate) is_held: bool,
    /// In the fewest words.
    pub(crate) short: String,
    /// In full.
    pub(crate) text: String,
    /// RFC 3463's status.
    pub(crate) status: String,
    /// The host that was tried.
    pub(crate) mx: Option<String>,
    /// What it replied.
    pub(crate) reply: Option<String>,
}

impl Waiting {
    pub(crate) fn of(why: &Why) -> Self {
        let class = reason_class(&why.class).unwrap_or(ReasonClass::Unknown);
        Self {
            class: why.class.clone(),
            is_held: matches!(class, ReasonClass::Dane | ReasonClass::Policy),
            short: why.cause.clone().unwrap_or_else(|| why.text.clone()),
            text: why.text.clone(),
            status: why.status.clone(),
            mx: why.mx.clone(),
            reply: why.reply.clone(),
        }
    }
}

/// A number with its thousands apart.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len().saturating_mul(2));
    for (place, digit) in digits.char_indices() {
        let left = digits.len().saturating_sub(place);
        if place > 0 && left.checked_rem(3) == Some(0) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of things: `1 message`, `2 messages`.
pub(crate) fn many(number: u64, thing: &str) -> String {
    format!("{} {thing}{}", count(number), if number == 1 { "" } else { "s" })
}

/// That so many messages wait: `1 message waits`, `2 messages wait`.
pub(crate) fn waits(messages: u64) -> String {
    format!("{} wait{}", many(messages, "message"), if messages == 1 { "s" } else { "" })
}

/// A part of a whole, in tenths of a percent; of nothing there is no part.
pub(crate) fn share(part: u64, whole: u64) -> String {
    let tenths = part.saturating_mul(1_000).checked_div(whole);
    let Some(tenths) = tenths else { return "\u{2013}".to_owned() };
    let (percent, tenth) =
        (tenths.checked_div(10).unwrap_or(0), tenths.checked_rem(10).unwrap_or(0));
    format!("{percent}.{tenth}\u{a0}%")
}

/// Bytes as people read them.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let found = UNITS.into_iter().find(|(length, _)| bytes >= *length);
    let Some((length, unit)) = found else { return format!("{bytes} B") };
    let tenths = bytes.saturating_mul(10).checked_div(length).unwrap_or(0);
    let (whole, tenth) = (tenths.checked_div(10).unwrap_or(0), tenths.checked_rem(10).unwrap_or(0));
    format!("{whole}.{tenth} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::logins::Visitor;
    use crate::pages::secret::Secret;
    use crate::server::operator::Operator;

    fn visit(role: Role) -> Visit {
        let visitor = Visitor { by: Operator::of(Some(0)), role }.into();
        Visit { visitor, id: Secret::new(), token: Secret::new() }
    }

    #[test]
    fn a_viewer_sees_no_address() {
        let viewer = visit(Role::Viewer);
        assert_eq!(address(&viewer, "ann@example.org"), "\u{2026}@example.org");
        assert_eq!(address(&viewer, "\"a@b\"@example.org"), "\u{2026}@example.org");
        assert_eq!(address(&viewer, "6f1a"), "\u{2026}");
        assert_eq!(sender(&viewer, None), "<>");
        let operator = visit(Role::Operator);
        assert_eq!(address(&operator, "ann@example.org"), "ann@example.org");
    }

    #[test]
    fn numbers_are_written_for_people() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (3_912_448, "3,912,448")] {
            assert_eq!(count(number), text);
        }
        assert_eq!(
            (many(1, "message"), many(41, "message")),
            ("1 message".to_owned(), "41 messages".to_owned())
        );
        assert_eq!(
            (waits(1), waits(2)),
            ("1 message waits".to_owned(), "2 messages wait".to_owned())
        );
        assert_eq!((size(999), size(39_321)), ("999 B".to_owned(), "38.3 KiB".to_owned()));
    }
}
