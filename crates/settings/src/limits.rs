//! `[[limit]]`: how much some destinations get at a time.

use delivery::{DomainPattern, Limit, Limits, SourceAddresses};

use crate::check::Check;
use crate::raw_limit::RawLimit;

impl Check<'_> {
    /// The limits.
    pub(crate) fn destination_limits(&mut self) -> Limits {
        let mut limits = Vec::<Limit>::new();
        for (number, raw) in self.raw.limit.iter().enumerate() {
            let at = LimitNumber { number };
            let recipients = self.patterns(&at.key("recipient"), &raw.recipient);
            let hosts = self.patterns(&at.key("mx"), &raw.mx);
            self.unshadowed(&at.key("recipient"), &recipients, &limits, |limit| &limit.recipients);
            self.unshadowed(&at.key("mx"), &hosts, &limits, |limit| &limit.hosts);
            limits.extend(self.limit(at, raw, recipients, hosts));
        }
        Limits::new(limits)
    }

    /// One limit, if it is for anything.
    fn limit(
        &mut self,
        at: LimitNumber,
        raw: &RawLimit,
        recipients: Vec<DomainPattern>,
        hosts: Vec<DomainPattern>,
    ) -> Option<Limit> {
        if raw.recipient.is_empty() && raw.mx.is_empty() {
            let problem = "say what this limit is for: recipient = \"example.com\", or the provider's \
                           hosts, mx = \".example.net\"";
            self.wrong_with(&at.key("recipient"), &at.key("mx"), problem);
        }
        for (name, number) in [
            ("connections", raw.connections),
            ("messages_per_connection", raw.messages_per_connection),
        ] {
            if let Some(number) = number {
                let _checked = self.at_least_one(&at.key(name), number);
            }
        }
        let section = format!("limit.{}", at.number);
        let source = self.source(&section, raw.source_address4, raw.source_address6);
        let first = recipients.first().map(ToString::to_string);
        let name = first.or_else(|| Some(format!("mx {}", hosts.first()?)))?;
        let limit = Limit {
            name: name.into(),
            recipients,
            hosts,
            connections: raw.connections,
            rate: raw.rate,
            messages_per_connection: raw.messages_per_connection,
            source,
        };
        self.limits_something(at, &limit);
        Some(limit)
    }

    /// Refuses a limit that changes nothing.
    fn limits_something(&mut self, at: LimitNumber, limit: &Limit) {
        let is_set = limit.connections.is_some()
            || limit.rate.is_some()
            || limit.messages_per_connection.is_some()
            || limit.source != SourceAddresses::default();
        let keys = [
            "connections",
            "rate",
            "messages_per_connection",
            "source_address4",
            "source_address6",
        ];
        if !is_set && keys.iter().all(|key| self.source.is_certain(&at.key(key))) {
            let key = if limit.recipients.is_empty() { "mx" } else { "recipient" };
            let problem = format!("nothing is limited: set one of {}", keys.join(", "));
            self.wrong(&at.key(key), &problem);
        }
    }

    /// Refuses a pattern that matches nothing that an earlier one does not match.
    fn unshadowed(
        &mut self,
        key: &str,
        patterns: &[DomainPattern],
        earlier: &[Limit],
        of: impl Fn(&Limit) -> &Vec<DomainPattern>,
    ) {
        for (place, pattern) in patterns.iter().enumerate() {
            if patterns.iter().take(place).any(|other| other.covers(pattern)) {
                self.wrong(key, &format!("`{pattern}` is part of another pattern beside it"));
            }
            let has_it = |limit: &Limit| of(limit).iter().any(|other| other.covers(pattern));
            if let Some(number) = earlier.iter().position(has_it) {
                let problem =
                    format!("`{pattern}` is never looked at: limit {number} has it already");
                self.wrong(key, &problem);
            }
        }
    }
}

/// Which limit is meant.
#[derive(Clone, Copy, Debug)]
struct LimitNumber {
    number: usize,
}

impl LimitNumber {
    fn key(self, name: &str) -> String {
        format!("limit.{}.{name}", self.number)
    }
}
