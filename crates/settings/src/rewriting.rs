//! `[[rewrite]]`: other addresses in the place of those that mail is from.

use listener::{OriginatorField, Replacement, RewriteRule, Rewriting};
use smtp::AddressPattern;

use crate::check::Check;

impl Check<'_> {
    /// Which addresses become which others.
    pub(crate) fn rewriting(&mut self) -> Rewriting {
        let mut rules: Vec<RewriteRule> = Vec::new();
        for (number, raw) in self.raw.rewrite.iter().enumerate() {
            let key = |name: &str| format!("rewrite.{number}.{name}");
            let sender = self.each(&key("sender"), &raw.sender, pattern);
            let mut from = self.each(&key("from"), &raw.from, pattern);
            match (raw.from.is_empty(), raw.sender.is_empty()) {
                (true, true) => {
                    let problem = "say which addresses are rewritten: from = \"*\" is all of them";
                    self.wrong_with(&key("to"), &key("from"), problem);
                }
                (true, false) => from.push(AddressPattern::Any),
                (false, _) => {}
            }
            match Replacement::parse(&raw.to) {
                Err(error) => self.wrong(&key("to"), &format!("`{}`: {error}", raw.to)),
                Ok(to) => {
                    let rule = RewriteRule { sender, from, to, fields: raw.fields.clone() };
                    if let Some(Idle { key: name, problem }) = idle(&rule, &rules) {
                        self.wrong(&key(name), &problem);
                    }
                    rules.push(rule);
                }
            }
        }
        Rewriting::new(rules)
    }
}

/// Why a rule would never do anything.
#[derive(Debug)]
struct Idle {
    /// Which of its keys says so.
    key: &'static str,
    problem: String,
}

/// Reads a pattern.
fn pattern(text: &str) -> Result<AddressPattern, &'static str> {
    AddressPattern::parse(text)
        .map_err(|_cause| "it is neither an address, nor a domain such as @example.org, nor *")
}

/// Why a rule behind `earlier` ones, or one of its patterns, would never do anything.
fn idle(rule: &RewriteRule, earlier: &[RewriteRule]) -> Option<Idle> {
    if rule.fields.is_empty() {
        let problem = "rewrites nothing: name \"envelope\", \"from\", \"sender\" or \"reply-to\"";
        return Some(Idle { key: "fields", problem: problem.to_owned() });
    }
    rule.from.iter().find_map(|pattern| {
        let problem = if is_replaced_by_itself(pattern, &rule.to) {
            "this is what it becomes".to_owned()
        } else if let Some(number) =
            earlier.iter().position(|other| takes_all(other, pattern, rule))
        {
            format!("no address comes here: rewrite {number} takes all of them")
        } else if !can_send(pattern, rule) {
            "no sender that `sender` lists has such an address, and fields is [\"envelope\"]"
                .to_owned()
        } else {
            return None;
        };
        Some(Idle { key: "from", problem: format!("`{pattern}`: {problem}") })
    })
}

/// Whether what takes the place of the addresses of a pattern is always the address itself.
fn is_replaced_by_itself(pattern: &AddressPattern, to: &Replacement) -> bool {
    match (pattern, to) {
        (AddressPattern::Domain(domain), Replacement::Domain(to)) => domain == to,
        (AddressPattern::Mailbox(mailbox), to) => to.of(mailbox).as_ref() == Some(mailbox),
        (AddressPattern::Any, _) | (AddressPattern::Domain(_), Replacement::Mailbox(_)) => false,
    }
}

/// Whether `other` comes first for every address of a pattern of `rule`, wherever that would be
/// rewritten.
fn takes_all(other: &RewriteRule, pattern: &AddressPattern, rule: &RewriteRule) -> bool {
    (other.sender.is_empty() || other.sender == rule.sender)
        && rule.fields.iter().all(|field| other.fields.contains(field))
        && other.from.iter().any(|all| all.includes(pattern))
}

/// Whether an address of a pattern of `rule` may stand where it would be rewritten: of the envelope
/// there is one sender, which both of its lists have to cover.
fn can_send(pattern: &AddressPattern, rule: &RewriteRule) -> bool {
    let meet = |sender: &AddressPattern| sender.includes(pattern) || pattern.includes(sender);
    let elsewhere = rule.fields.iter().any(|field| *field != OriginatorField::Envelope);
    elsewhere || rule.sender.is_empty() || rule.sender.iter().any(meet)
}
