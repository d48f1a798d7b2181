//! Each event of the log is explained to operators, and each crate that logs has a level.

use std::collections::{BTreeMap, BTreeSet};

use super::{manifests, no, page, shown, sources};

/// The events of a source that an operator sees: level, what it says, and its fields.
fn events(source: &str) -> Vec<(&'static str, String, Vec<String>)> {
    let shown = source.split("#[cfg(test)]").next().unwrap();
    let mut events = Vec::new();
    for level in ["error", "warn", "info"] {
        let call = format!("{level}!(");
        let pieces: Vec<_> = shown.split(&call).collect();
        for piece in pieces.windows(2) {
            if !piece[0].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
                let (says, fields) = event(piece[1]);
                events.push((level, says, fields));
            }
        }
    }
    events
}

/// What the event that begins here says, and the names of its fields.
fn event(text: &str) -> (String, Vec<String>) {
    let (mut depth, mut quoted, mut before) = (0, false, ' ');
    let mut parts = vec![String::new()];
    for c in text.chars() {
        quoted ^= c == '"' && before != '\\';
        match c {
            '(' | '[' | '{' if !quoted => depth += 1,
            ')' if !quoted && depth == 0 => break,
            ')' | ']' | '}' if !quoted => depth -= 1,
            ',' if !quoted && depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        parts.last_mut().unwrap().push(c);
        before = c;
    }
    let mut parts: Vec<_> =
        parts.iter().map(|part| part.trim()).filter(|p| !p.is_empty()).collect();
    let says = parts.pop().unwrap().trim_matches('"').to_owned();
    let name =
        |part: &str| part.split(" = ").next().unwrap().trim_start_matches(['%', '?']).to_owned();
    (says, parts.into_iter().map(name).collect())
}

#[test]
fn the_level_of_the_log_is_that_of_every_crate_of_ours_that_logs() {
    let log = page("crates/relay/src/log.rs");
    let (_, ours) = log.split_once("const OURS").unwrap();
    let ours: BTreeSet<_> =
        ours.split("];").next().unwrap().split('"').skip(1).step_by(2).collect();
    let logs = |(name, table): (String, toml::Table)| {
        let logs = table.get("dependencies").is_some_and(|all| all.get("tracing").is_some());
        logs.then(|| name.replace('-', "_"))
    };
    let logging: BTreeSet<String> = manifests().into_iter().filter_map(logs).collect();
    assert!(logging.iter().map(String::as_str).eq(ours), "these log: {logging:?}");
}

#[test]
fn every_event_of_the_log_is_explained_with_its_fields_and_no_other() {
    let mut told = BTreeMap::<String, (&str, BTreeSet<String>)>::new();
    for (path, text) in sources() {
        let path = shown(&path);
        if !path.contains("/src/") || ["testbed", "/demo"].iter().any(|no| path.contains(no)) {
            continue;
        }
        for (level, says, fields) in events(&text) {
            if !fields.iter().any(|field| field.starts_with("target:")) {
                told.entry(says).or_insert((level, BTreeSet::new())).1.extend(fields);
            }
        }
    }
    assert!(told.len() > 100, "{told:?}");
    let page = page("docs/logs.md");
    let mut explained = BTreeMap::new();
    for row in page.split("\n## ").skip(2).flat_map(str::lines) {
        let cells: Vec<_> = row.split(" | ").collect();
        if let [event, level, fields, ..] = cells[..]
            && let Some(event) = event.strip_prefix("| `")
        {
            let fields = fields.split('`').skip(1).step_by(2).map(str::to_owned).collect();
            explained.insert(event.trim_end_matches('`').to_owned(), (level, fields));
        }
    }
    let differ = |(event, is): (&String, &(&str, BTreeSet<String>))| {
        let said = explained.get(event);
        (said != Some(is)).then(|| format!("{event}: {is:?}, explained as {said:?}"))
    };
    let mut faults: Vec<_> = told.iter().filter_map(differ).collect();
    let gone = |event: &&String| !told.contains_key(*event);
    faults.extend(explained.keys().filter(gone).map(|event| format!("{event} is no event")));
    no(&faults);
}
