//! The tree of keys: what exists, and how to reach it.

use toml::{Table, Value};

use crate::raw::{RawListener, RawSettings};
use crate::raw_access::RawNetwork;
use crate::raw_dkim::RawDkim;
use crate::raw_limit::RawLimit;
use crate::raw_notify::RawNotify;
use crate::raw_rewrite::RawRewrite;
use crate::raw_route::RawRoute;

/// The keys that hold a list of tables.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum List {
    /// `[[access.network]]`
    AccessNetwork,
    /// `[[dkim]]`
    Dkim,
    /// `[[exception]]`
    Exception,
    /// `[[limit]]`
    Limit,
    /// `[[listener]]`
    Listener,
    /// `[[notify]]`
    Notify,
    /// `[[rewrite]]`
    Rewrite,
    /// `[[route]]`
    Route,
}

impl List {
    const ALL: [Self; 8] = [
        Self::AccessNetwork,
        Self::Dkim,
        Self::Exception,
        Self::Limit,
        Self::Listener,
        Self::Notify,
        Self::Rewrite,
        Self::Route,
    ];

    /// The list at `path`.
    pub(crate) fn at(path: &[String]) -> Option<Self> {
        Self::named(&path.join("."))
    }

    /// The list of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|list| list.name() == name)
    }

    /// Where it stands.
    pub(crate) fn path(self) -> Vec<String> {
        self.name().split('.').map(str::to_owned).collect()
    }

    /// Its key.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::AccessNetwork => "access.network",
            Self::Dkim => "dkim",
            Self::Exception => "exception",
            Self::Limit => "limit",
            Self::Listener => "listener",
            Self::Notify => "notify",
            Self::Rewrite => "rewrite",
            Self::Route => "route",
        }
    }

    /// A table of it with every key that one can have.
    pub(crate) fn sample(self) -> Table {
        // Serialising cannot fail: every key has a TOML form (a test reads all).
        match self {
            Self::AccessNetwork => Table::try_from(RawNetwork::default()).unwrap_or_default(),
            Self::Dkim => Table::try_from(RawDkim::default()).unwrap_or_default(),
            Self::Exception => {
                let text = |text: &str| Value::String(text.to_owned());
                Table::from_iter([
                    ("domain".to_owned(), text("example.org")),
                    ("until".to_owned(), text("2026-12-24")),
                    ("reason".to_owned(), text("their certificate expired")),
                    ("what".to_owned(), Value::Array(vec![text("mta-sts")])),
                ])
            }
            Self::Limit => Table::try_from(RawLimit::sample()).unwrap_or_default(),
            Self::Listener => Table::try_from(RawListener::default()).unwrap_or_default(),
            Self::Notify => Table::try_from(RawNotify::default()).unwrap_or_default(),
            Self::Rewrite => Table::try_from(RawRewrite::default()).unwrap_or_default(),
            Self::Route => Table::try_from(RawRoute::default()).unwrap_or_default(),
        }
    }

    /// The keys that a table of it cannot do without.
    pub(crate) const fn required(self) -> &'static [&'static str] {
        match self {
            Self::AccessNetwork => &["cidr", "senders"],
            Self::Dkim => &["domain", "selector", "key_file"],
            Self::Exception => &["domain", "until", "reason"],
            Self::Listener => &["address"],
            Self::Notify => &["name", "kind"],
            Self::Rewrite => &["to"],
            // Which of their keys are needed depends on the others.
            Self::Limit | Self::Route => &[],
        }
    }

    /// How the list is written in a variable.
    pub(crate) const fn example(self) -> &'static str {
        match self {
            Self::AccessNetwork => "[{ cidr = \"10.1.0.0/16\", senders = [\"@example.org\"] }]",
            Self::Dkim => "[{ domain = \"example.org\", selector = \"mail\", key_file = \"...\" }]",
            Self::Exception => {
                "[{ domain = \"example.org\", until = \"2026-12-24\", reason = \"...\" }]"
            }
            Self::Limit => "[{ mx = \".example.net\", rate = \"60/m\" }]",
            Self::Listener => "[{ address = \"0.0.0.0:25\" }]",
            Self::Notify => "[{ name = \"ops\", kind = \"mail\", to = \"ops@example.net\" }]",
            Self::Rewrite => "[{ from = \"@internal\", to = \"ops@example.org\" }]",
            Self::Route => "[{ recipient = \"*\", next_hop = \"smtp.example.net:587\" }]",
        }
    }
}

/// The settings as a tree.
pub(crate) fn table(raw: &RawSettings) -> Table {
    // Serialising cannot fail: every key is text, every value has a TOML form (a test reads all).
    Table::try_from(raw).unwrap_or_default()
}

/// Every key there is, with its default.
pub(crate) fn defaults() -> Table {
    table(&RawSettings::default())
}

/// The keys whose default is another where there is no settings file: a relay that is tried out
/// keeps its mail in the working directory.
pub(crate) fn trial() -> Table {
    let path = ["data_dir".to_owned()];
    nest(&path, Value::String(crate::defaults::TRIAL_DATA_DIR.to_owned()))
}

/// The value at `path`.
pub(crate) fn find<'a>(table: &'a Table, path: &[String]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    let value = table.get(first)?;
    match (rest, value) {
        ([], found) => Some(found),
        (rest, Value::Table(section)) => find(section, rest),
        _ => None,
    }
}

/// Puts `value` at `path`, making the sections on the way.
pub(crate) fn set(table: &mut Table, path: &[String], value: Value) {
    let Some((first, rest)) = path.split_first() else { return };
    if rest.is_empty() {
        drop(table.insert(first.clone(), value));
        return;
    }
    let section = table.entry(first.clone()).or_insert_with(|| Value::Table(Table::new()));
    if let Value::Table(section) = section {
        set(section, rest, value);
    }
}

/// A table that holds `value` at `path` and nothing else.
pub(crate) fn nest(path: &[String], value: Value) -> Table {
    let mut table = Table::new();
    set(&mut table, path, value);
    table
}

/// Every key of the tree with its value; a list is one value.
pub(crate) fn leaves(table: &Table) -> Vec<(Vec<String>, Value)> {
    let mut found = Vec::new();
    for (name, value) in table {
        let Some(section) = value.as_table() else {
            found.push((vec![name.clone()], value.clone()));
            continue;
        };
        for (mut path, value) in leaves(section) {
            path.insert(0, name.clone());
            found.push((path, value));
        }
    }
    found
}

/// Every key there is: its section ("" for none; the list's name for the keys of its tables), its name.
pub(crate) fn names() -> Vec<(String, String)> {
    let mut names: Vec<_> = leaves(&defaults())
        .into_iter()
        .filter_map(|(mut path, _)| {
            let name = path.pop()?;
            Some((path.join("."), name))
        })
        .collect();
    for list in List::ALL {
        names.extend(list.sample().into_iter().map(|(key, _)| (list.name().to_owned(), key)));
    }
    names
}

/// The sections and lists of tables there are.
pub(crate) fn sections() -> Vec<String> {
    let mut sections: Vec<_> = names().into_iter().map(|(section, _)| section).collect();
    sections.retain(|section| !section.is_empty());
    sections.dedup();
    sections
}
