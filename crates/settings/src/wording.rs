//! Why a key or a value does not fit, in words, with the one that was likely meant.

use toml::Value;

use crate::keys::{self, List};
use crate::misfit::Misfit;
use crate::nearest::{is_one_slip, nearest};
use crate::written::{Tree, Written};

/// A key that is not there, in the section (or list of tables) at `path`.
pub(crate) fn unknown_key(path: &[String], key: &str, value: &Written) -> String {
    let section = path.join(".");
    if let (Tree::Section(_), true) = (&value.tree, path.is_empty()) {
        let known = keys::sections();
        let meant = nearest(key, known.iter().map(String::as_str));
        let meant = meant.map(|name| format!("; did you mean {}?", shown_section(name)));
        return format!("unknown section [{key}]{}", meant.unwrap_or_default());
    }
    let within = match path {
        [] => String::new(),
        [..] => format!(" in {}", shown_section(&section)),
    };
    let meant = meant(&section, key).map(|meant| format!("; did you mean {meant}?"));
    format!("unknown key `{key}`{within}{}", meant.unwrap_or_default())
}

/// The key that was likely meant: one beside it, if it is one letter away or none of this name is
/// elsewhere; else that one, or one nearly so.
fn meant(section: &str, key: &str) -> Option<String> {
    let all = keys::names();
    let depth = |(section, _): &&(String, String)| section.matches('.').count();
    let same = all.iter().filter(|(_, name)| name == key).min_by_key(depth);
    if let Some(name) = beside(section, key)
        && (same.is_none() || is_one_slip(key, &name))
    {
        return Some(format!("`{name}`"));
    }
    let near = || {
        let name = nearest(key, all.iter().map(|(_, name)| &**name))?;
        all.iter().find(|(_, other)| other == name)
    };
    let (within, name) = same.or_else(near)?;
    Some(match (within.as_str(), List::named(within)) {
        ("", _) => format!("`{name}`, above the first [section]"),
        (_, Some(_)) => format!("`{name}` in a [[{within}]]"),
        (_, None) => format!("`{name}` in [{within}]"),
    })
}

/// The key of the same section that was likely meant.
pub(crate) fn beside(section: &str, key: &str) -> Option<String> {
    let all = keys::names();
    let names = all.iter().filter_map(|(within, name)| (within == section).then_some(&**name));
    nearest(key, names).map(str::to_owned)
}

/// A section as its header is written.
fn shown_section(name: &str) -> String {
    if List::named(name).is_some() { format!("[[{name}]]") } else { format!("[{name}]") }
}

/// Something else where a section is wanted.
pub(crate) fn not_a_section(path: &[String], written: &Written) -> String {
    let name = path.join(".");
    match &written.tree {
        Tree::List(_) => {
            format!("`{name}` is one section: write [{name}], in single brackets")
        }
        Tree::Leaf(_) | Tree::Section(_) => {
            format!("`{name}` is a section: write [{name}] on a line of its own, its keys below")
        }
    }
}

/// Something else where a list of tables is wanted.
pub(crate) fn not_a_list_of_tables(list: List, written: &Written) -> String {
    let name = list.name();
    match &written.tree {
        Tree::Section(_) => {
            format!("there may be several of `{name}`: write [[{name}]], in double brackets")
        }
        Tree::Leaf(_) | Tree::List(_) => format!(
            "`{name}` is a list of tables: write [[{name}]] on a line of its own, its keys below"
        ),
    }
}

/// Something else where one table of a list is wanted.
pub(crate) fn not_a_table(list: List, written: &Written) -> String {
    let name = list.name();
    let given = written.in_words();
    format!("`{name}` is a list of tables, as in {}; this is {given}", list.example())
}

/// A key that a table of a list cannot do without.
pub(crate) fn missing(list: List, key: &str) -> String {
    let name = list.name();
    match list.sample().get(key) {
        Some(Value::String(text)) if text.is_empty() => format!("this [[{name}]] needs `{key}`"),
        Some(example) => format!("this [[{name}]] needs `{key}`, as in {key} = {example}"),
        None => format!("this [[{name}]] needs `{key}`"),
    }
}

/// An entry of the list of `key` that does not fit.
pub(crate) fn of_entry(key: &str, misfit: &Misfit, entry: &Written) -> String {
    match misfit {
        Misfit::Said(problem) => problem.clone(),
        Misfit::NoneOf { words } => none_of(key, words, entry),
        Misfit::Kind | Misfit::Range { .. } => {
            format!("`{key}` is a list of texts in quotes; this is {}", entry.in_words())
        }
    }
}

/// A value that does not fit its key, which usually has values like `sample`.
pub(crate) fn of_value(key: &str, misfit: &Misfit, written: &Written, sample: &Value) -> String {
    // A password without quotes is one all the same.
    let is_secret = key.contains("password") || key.contains("token");
    let given = if is_secret { "something else".to_owned() } else { written.in_words() };
    match misfit {
        Misfit::Said(problem) => problem.clone(),
        Misfit::NoneOf { words } => none_of(key, words, written),
        Misfit::Range { most: Some(most) } => {
            format!("`{key}` is a whole number from 0 to {most}; this is {given}")
        }
        Misfit::Range { most: None } => {
            format!("`{key}` is a whole number of 0 or more; this is {given}")
        }
        Misfit::Kind => match (sample, &written.tree) {
            (Value::Table(_), _) => format!("`{key}` is a section; this is {given}"),
            (_, Tree::Section(_)) => {
                format!("`{key}` is a key, not a section: write {key} = {}", example(sample))
            }
            (Value::Array(_), Tree::Leaf(Value::String(text))) => {
                format!("`{key}` is a list: write {key} = [{text:?}]")
            }
            (Value::Array(_), _) => format!(
                "`{key}` is a list of texts in quotes, as in {}; this is {given}",
                example(sample)
            ),
            (Value::Boolean(_), _) => {
                format!("`{key}` is true or false, without quotes; this is {given}")
            }
            (Value::Integer(_), _) => format!(
                "`{key}` is a whole number without quotes, as in {}; this is {given}",
                example(sample)
            ),
            (Value::String(_) | Value::Float(_) | Value::Datetime(_), _) => {
                let as_in = match example(sample).as_str() {
                    "\"...\"" => String::new(),
                    example => format!(", as in {example}"),
                };
                format!("`{key}` is text in quotes{as_in}; this is {given}")
            }
        },
    }
}

/// A word that is none of those there are.
fn none_of(key: &str, words: &[&str], written: &Written) -> String {
    let quoted: Vec<_> = words.iter().map(|word| format!("{word:?}")).collect();
    let choice = match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, first)) => format!("{} or {last}", first.join(", ")),
        None => "nothing".to_owned(),
    };
    let Tree::Leaf(Value::String(text)) = &written.tree else {
        return format!("`{key}` is {choice}; this is {}", written.in_words());
    };
    let meant = nearest(text, words.iter().copied());
    let meant = meant.map(|word| format!("; did you mean {word:?}?")).unwrap_or_default();
    format!("`{key}` is {choice}, and not {text:?}{meant}")
}

/// A value as it is written.
fn example(sample: &Value) -> String {
    match sample {
        Value::Array(list) if list.is_empty() => "[\"...\"]".to_owned(),
        Value::String(text) if text.is_empty() => "\"...\"".to_owned(),
        Value::String(_)
        | Value::Integer(_)
        | Value::Float(_)
        | Value::Boolean(_)
        | Value::Datetime(_)
        | Value::Array(_)
        | Value::Table(_) => sample.to_string(),
    }
}
