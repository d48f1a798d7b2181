//! Each decision has a number of its own, and the code that it explains points to it.

use std::collections::BTreeMap;

use super::{files, no, page, root, sources};

/// Where decisions are pointed to, besides the sources.
const MANIFESTS: [&str; 4] = ["Cargo.toml", "check", "crates/relay/Cargo.toml", "deny.toml"];

/// What is wrong with decisions of these names, where the code says this.
fn faults(names: &[&str], code: &str) -> Vec<String> {
    let mut numbers = BTreeMap::<&str, Vec<&str>>::new();
    for name in names {
        numbers.entry(name.split('-').next().unwrap()).or_default().push(name);
    }
    let twice = numbers.values().filter(|names| names.len() > 1);
    let mut faults: Vec<_> =
        twice.map(|names| format!("one number for {}", names.join(" and "))).collect();
    let alone = names.iter().filter(|name| !code.contains(&format!("docs/decisions/{name}")));
    faults.extend(alone.map(|name| format!("no code points to {name}")));
    let pointed = code.split("docs/decisions/").skip(1);
    for target in pointed.filter_map(|after| after.split_once(".md")).map(|(name, _)| name) {
        let is_name = target.starts_with(|c: char| c.is_ascii_digit());
        if is_name && !names.contains(&format!("{target}.md").as_str()) {
            faults.push(format!("there is no {target}.md"));
        }
    }
    faults
}

#[test]
fn decisions_have_numbers_of_their_own_and_code_points_to_each() {
    let names: Vec<_> = files(&root().join("docs/decisions"), "md")
        .iter()
        .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    let manifests = MANIFESTS.into_iter().map(page);
    let code: String = sources().into_iter().map(|(_, text)| text).chain(manifests).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let mut faults = faults(&names, &code);
    for name in names {
        let number = name.split('-').next().unwrap();
        if !page(&format!("docs/decisions/{name}")).starts_with(&format!("# {number} ")) {
            faults.push(format!("the heading of {name} has another number"));
        }
    }
    no(&faults);
}

#[test]
fn a_number_for_two_decisions_and_a_decision_without_code_are_found() {
    let (one, two) = ("0001-one.md", "0001-two.md");
    let pointer = |name: &str| format!("//! ({}/{name})\n", "docs/decisions");
    let both = pointer(one) + &pointer(two);
    assert_eq!(faults(&[one, two], &both), ["one number for 0001-one.md and 0001-two.md"]);
    assert_eq!(faults(&[one], ""), ["no code points to 0001-one.md"]);
    assert_eq!(faults(&[one], &both), ["there is no 0001-two.md"]);
    assert_eq!(faults(&[one], &pointer(one)), [""; 0]);
}
