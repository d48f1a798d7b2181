//! The decisions and the architecture page speak of what exists.

use std::collections::BTreeMap;

use crate::tidy::{files, no, page, root, shown, sources};

/// Where decisions are pointed to, besides the sources.
const MANIFESTS: [&str; 4] = ["Cargo.toml", "check", "crates/relay/Cargo.toml", "deny.toml"];

#[test]
fn each_decision_has_a_number_of_its_own_and_is_pointed_to_by_what_it_explains() {
    let mut texts: Vec<_> = MANIFESTS.iter().map(|path| page(path)).collect();
    texts.extend(sources().into_iter().map(|(_, text)| text));
    let mut faults = Vec::new();
    let mut numbers = BTreeMap::new();
    for path in files(&root().join("docs/decisions"), "md") {
        let path = shown(&path);
        let number =
            path.trim_start_matches("docs/decisions/").split('-').next().unwrap().to_owned();
        if !page(&path).starts_with(&format!("# {number} ")) {
            faults.push(format!("{path}: its heading has another number"));
        }
        if !texts.iter().any(|text| text.contains(&path)) {
            faults.push(format!("{path}: nothing that it explains points to it"));
        }
        if let Some(other) = numbers.insert(number, path.clone()) {
            faults.push(format!("{path}: {other} has the same number"));
        }
    }
    assert!(!numbers.is_empty(), "no decision was found");
    for text in &texts {
        for named in text.split("docs/decisions/").skip(1) {
            let name = named.split(".md").next().unwrap();
            let is_name = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
            if is_name && !root().join(format!("docs/decisions/{name}.md")).exists() {
                faults.push(format!("there is no decision {name}"));
            }
        }
    }
    no(&faults);
}
