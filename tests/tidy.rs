//! The repository keeps its own rules: layers, sizes, names, and pages that speak of what exists.

mod circles;
mod compared;
mod decisions;
mod imports;
mod log;
mod sentences;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The crates from the bottom up; each may depend on those of a lower row alone.
const LAYERS: [&[&str]; 12] = [
    &["clock", "pkix", "smtp"],
    &["access", "dane", "dkim", "dns", "mta-sts", "submission", "tls-rpt"],
    &["mail"],
    &["store", "tls-policy"],
    &["store-embedded", "store-postgres"],
    &["queue"],
    &["delivery", "history", "listener", "notify", "reporting"],
    &["admin"],
    &["settings"],
    &["sts-relay"],
    &[],
    &["testbed"],
];

/// The most lines a file has above its tests.
const LINES_MOST: usize = 500;

/// Names that say nothing.
const EMPTY_NAMES: [&str; 9] =
    ["common", "helper", "helpers", "manager", "misc", "mod", "util", "utilities", "utils"];

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Every file with this ending below `folder`, in order.
pub(crate) fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Every Rust file of the repository with its text.
pub(crate) fn sources() -> Vec<(PathBuf, String)> {
    ["crates", "tests"].iter().flat_map(|folder| sources_below(&root().join(folder))).collect()
}

/// Every Rust file below a folder with its text.
fn sources_below(folder: &Path) -> Vec<(PathBuf, String)> {
    let read = |path: PathBuf| (path.clone(), fs::read_to_string(path).unwrap());
    files(folder, "rs").into_iter().map(read).collect()
}

/// A page of the repository.
pub(crate) fn page(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The path as it is seen from the root.
pub(crate) fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

/// Fails with all of `faults`.
pub(crate) fn no(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn files_have_at_most_500_lines_above_their_tests() {
    let mut faults = Vec::new();
    for (path, text) in sources() {
        if path.ends_with("tests.rs") {
            continue;
        }
        let above = text.split("\n#[cfg(test)]\nmod ").next().unwrap();
        let lines = above.lines().count();
        if lines > LINES_MOST {
            faults.push(format!("{}: {lines} lines above its tests", shown(&path)));
        }
    }
    no(&faults);
}

#[test]
fn no_file_has_a_name_that_says_nothing() {
    let empty = |path: &PathBuf| {
        path.file_stem().is_some_and(|stem| EMPTY_NAMES.iter().any(|name| stem == *name))
    };
    let faults: Vec<_> = sources()
        .into_iter()
        .map(|(path, _)| path)
        .filter(empty)
        .map(|path| shown(&path))
        .collect();
    no(&faults);
}

#[test]
fn what_is_left_to_do_names_its_issue() {
    // Written in two parts, so that this file does not find itself.
    let word = concat!("TO", "DO");
    let mut faults = Vec::new();
    for (path, text) in sources() {
        for (number, line) in (1..).zip(text.lines()) {
            let Some((_, after)) = line.split_once(word) else { continue };
            let issue = after.strip_prefix("(#").and_then(|rest| rest.split_once(')'));
            if issue.is_none_or(|(number, _)| number.parse::<u32>().is_err()) {
                faults.push(format!("{}:{number}: {}", shown(&path), line.trim()));
            }
        }
    }
    no(&faults);
}

/// The manifests of our crates, by the crate's name.
fn manifests() -> BTreeMap<String, toml::Table> {
    fs::read_dir(root().join("crates"))
        .unwrap()
        .map(|entry| fs::read_to_string(entry.unwrap().path().join("Cargo.toml")).unwrap())
        .map(|text| text.parse::<toml::Table>().unwrap())
        .map(|table| (table["package"]["name"].as_str().unwrap().to_owned(), table))
        .collect()
}

/// The folder of a crate of ours.
fn folder(name: &str) -> &str {
    if name == "sts-relay" { "relay" } else { name }
}

/// The row of a crate; none for crates that are not ours.
fn layer(name: &str) -> Option<usize> {
    LAYERS.iter().position(|row| row.contains(&name))
}

#[test]
fn crates_depend_downwards_only() {
    let mut faults = Vec::new();
    for (name, manifest) in manifests() {
        let Some(own) = layer(&name) else {
            faults.push(format!("{name} has no layer"));
            continue;
        };
        let keys = |section: &str| -> Vec<String> {
            let table = manifest.get(section).and_then(toml::Value::as_table);
            table.into_iter().flat_map(|table| table.keys().cloned()).collect()
        };
        // The program can show itself at work in the tests' own internet: behind a feature.
        let shown = |other: &String| {
            let dependency = manifest["dependencies"].get(other);
            let optional = dependency.and_then(|table| table.get("optional"));
            name == "sts-relay" && other == "testbed" && optional == Some(&toml::Value::from(true))
        };
        let upwards =
            |other: &String| layer(other).is_some_and(|layer| layer >= own) && !shown(other);
        for other in keys("dependencies").into_iter().chain(keys("build-dependencies")) {
            if upwards(&other) {
                faults.push(format!("{name} depends on {other}"));
            }
        }
        // Tests may build a whole world around a crate.
        for other in keys("dev-dependencies") {
            // A store is tried with the queue over it.
            let is_above = name.starts_with("store-") && other == "queue";
            if upwards(&other) && other != "testbed" && !is_above {
                faults.push(format!("{name} depends on {other} for its tests"));
            }
        }
    }
    no(&faults);
}

#[test]
fn rules_meant_for_others_stand_alone() {
    let manifests = manifests();
    for name in ["mta-sts", "tls-rpt", "testbed"] {
        let dependencies = manifests[name]["dependencies"].as_table().unwrap();
        let ours: Vec<_> = dependencies.keys().filter(|other| layer(other).is_some()).collect();
        assert!(ours.is_empty(), "{name} depends on {ours:?}");
    }
}

/// The modules that crates have for their tests alone, by the folder of the crate.
fn test_modules(sources: &[(PathBuf, String)]) -> BTreeSet<(PathBuf, String)> {
    let mut found = BTreeSet::new();
    for (path, text) in sources {
        for (attribute, declaration) in text.lines().zip(text.lines().skip(1)) {
            let name = declaration.rsplit(' ').next().and_then(|last| last.strip_suffix(';'));
            if let (true, Some(name)) = (attribute.contains("#[cfg(test)]"), name) {
                found.insert((crate_of(path), name.to_owned()));
            }
        }
    }
    found
}

/// The folder of the crate that a file belongs to.
fn crate_of(path: &Path) -> PathBuf {
    path.strip_prefix(root()).unwrap().components().take(2).collect()
}

/// The files that make the program, without those for tests alone.
fn program_sources(mut sources: Vec<(PathBuf, String)>) -> Vec<(PathBuf, String)> {
    let tests = test_modules(&sources);
    sources.retain(|(path, _)| {
        let own = path.strip_prefix(root()).unwrap().with_extension("");
        let mut parts = own.iter().skip(2).map(|part| part.to_string_lossy().into_owned());
        parts.next().is_some_and(|folder| folder == "src")
            && !parts.any(|part| tests.contains(&(crate_of(path), part)))
    });
    sources
}

/// The files that make one crate, by their path below its `src`.
fn program_files(folder: &str) -> BTreeMap<String, String> {
    let src = root().join("crates").join(folder).join("src");
    let sources = program_sources(sources_below(&src)).into_iter();
    let below = |path: &Path| path.strip_prefix(&src).unwrap().display().to_string();
    sources.map(|(path, text)| (below(&path), text)).collect()
}

/// The files whose code above the tests has a line that holds `text`.
fn holders(text: &str) -> Vec<String> {
    let holds = |source: &str| {
        let code = source.split("\n#[cfg(test)]\nmod tests {").next().unwrap();
        code.lines().any(|line| line.contains(text) && !line.trim_start().starts_with("//"))
    };
    let sources = program_sources(sources()).into_iter();
    sources.filter(|(_, source)| holds(source)).map(|(path, _)| shown(&path)).collect()
}

#[test]
fn what_can_weaken_a_promise_is_named_in_one_place() {
    let (accepts_any, verifies) =
        ("crates/delivery/src/tls/danger.rs", "crates/pkix/src/verification.rs");
    let accepts_one = "crates/delivery/src/tls/danger/accepted.rs";
    let matches_records = "crates/dane/src/verifier.rs";
    let reports_to_any = "crates/reporting/src/https/danger.rs";
    assert_eq!(
        holders(".with_purpose("),
        ["crates/queue/src/queue.rs", "crates/store/src/rows/envelope.rs"]
    );
    assert_eq!(
        holders("mod danger"),
        [
            "crates/delivery/src/tls.rs",
            "crates/mta-sts/src/lib.rs",
            "crates/reporting/src/https.rs"
        ]
    );
    assert_eq!(
        holders("ServerCertVerified::assertion"),
        [matches_records, accepts_one, accepts_any, verifies, reports_to_any]
    );
    assert_eq!(
        holders("SecureRecords::assertion("),
        ["crates/relay/src/examined_records.rs", "crates/tls-policy/src/dane_lookup.rs"]
    );
    assert_eq!(
        holders("HandshakeSignatureValid::assertion"),
        [matches_records, accepts_one, accepts_any]
    );
    assert_eq!(holders("ExceptedRoute::by_exception("), ["crates/mta-sts/src/decision.rs"]);
    assert_eq!(
        holders("required.except("),
        ["crates/tls-policy/src/requirement.rs", "crates/tls-policy/src/trust.rs"]
    );
    for answer in ["NoDane::new(", "DaneHost::new(", "EncryptOnly::new("] {
        assert_eq!(holders(answer), ["crates/tls-policy/src/dane_lookup.rs"], "{answer}");
    }
    assert_eq!(
        holders("HostProof for "),
        ["crates/mta-sts/src/fetch/proof.rs", "crates/settings/src/policy_host_proof.rs"]
    );
    assert_eq!(holders("Decision::of_"), ["crates/mta-sts/src/policies.rs"]);
    assert_eq!(
        holders("Submitter::admitted("),
        [
            "crates/access/src/local_user.rs",
            "crates/access/src/networks.rs",
            "crates/access/src/users.rs"
        ]
    );
    assert_eq!(holders("fallback.via("), ["crates/tls-policy/src/host_route.rs"]);
    for route in ["required.admit(", "fallback.demand(", "edRoute::new("] {
        assert_eq!(holders(route), ["crates/tls-policy/src/trust.rs"], "{route}");
    }
    assert_eq!(holders("PolicyStore for "), ["crates/relay/src/policy_store.rs"]);
}

/// The crates that make a promise of a commit in more than one file.
fn makers_twice(holders: &[String]) -> Vec<&str> {
    let crates: Vec<_> = holders.iter().filter_map(|path| path.split('/').nth(1)).collect();
    crates.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect()
}

#[test]
fn each_store_promises_a_commit_in_one_file_and_nothing_else_does() {
    let holders = holders("Committed::assertion(");
    assert!(holders.iter().all(|path| path.starts_with("crates/store-")), "{holders:?}");
    assert!(makers_twice(&holders).is_empty(), "{holders:?}");
}

#[test]
fn a_store_that_promises_a_commit_in_two_files_is_found() {
    let paths = |names: &[&str]| -> Vec<String> {
        names.iter().map(|name| format!("crates/{name}")).collect()
    };
    assert_eq!(makers_twice(&paths(&["store-a/src/a.rs", "store-a/src/b.rs"])), ["store-a"]);
    assert_eq!(makers_twice(&paths(&["store-a/src/a.rs", "store-b/src/a.rs"])), [""; 0]);
}

#[test]
fn nothing_that_serves_knows_the_private_internet_of_the_demo() {
    let knowing = |text: &str| -> Vec<String> {
        let of_the_program = |path: &String| path.starts_with("crates/relay/src/");
        holders(text).into_iter().filter(of_the_program).collect()
    };
    let module = "crates/relay/src/demo";
    let (known, led) = (knowing("testbed"), knowing("crate::demo"));
    assert!(known.len() > 1 && known.iter().all(|path| path.starts_with(module)), "{known:?}");
    assert_eq!(led, ["crates/relay/src/cli/demo.rs"]);
}

/// The names of everything that is tested: functions in Rust, scenarios in Python.
fn tested() -> BTreeSet<String> {
    let python = files(&root().join("tests"), "py");
    let scripts = python.iter().map(|path| ("def ", fs::read_to_string(path).unwrap()));
    let rust = sources().into_iter().map(|(_, text)| ("fn ", text));
    let mut names = BTreeSet::new();
    for (word, text) in rust.chain(scripts) {
        for line in text.lines() {
            let line = line.trim_start();
            // What every store is tested with is public, for the tests of each store.
            let line = line.strip_prefix("pub async ").unwrap_or(line);
            let line = line.strip_prefix("async ").unwrap_or(line);
            if let Some(start) = line.strip_prefix(word) {
                names.extend(start.split(['(', '<']).next().map(str::to_owned));
            }
        }
    }
    names
}

#[test]
fn each_row_of_the_rfc_coverage_names_tests_that_exist() {
    let tested = tested();
    let mut faults = Vec::new();
    let mut rows = 0;
    for line in page("docs/rfc-coverage.md").lines().filter(|line| line.starts_with('|')) {
        let cells: Vec<_> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let named = cells.last().unwrap();
        if *named == "test" || named.starts_with("--") {
            continue;
        }
        rows += 1;
        let tests: Vec<_> = named.split('`').skip(1).step_by(2).collect();
        if tests.is_empty() {
            faults.push(format!("no test: {line}"));
        }
        for test in tests {
            let name = test.rsplit("::").next().unwrap();
            if !tested.contains(name) {
                faults.push(format!("there is no test {name}: {line}"));
            }
        }
    }
    no(&faults);
    assert!(rows > 0, "no row was understood");
}

/// How a test ends before its last line.
const EARLY_ENDS: [&str; 3] = ["return;", "return }", "return Ok(())"];

/// The lines of each test, with their numbers.
fn bodies_of_tests(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut lines = (1..).zip(text.lines());
    while let Some((_, line)) = lines.next() {
        let attribute = line.trim_start();
        if !attribute.starts_with("#[test]") && !attribute.starts_with("#[tokio::test") {
            continue;
        }
        let end = format!("{}}}", " ".repeat(line.len() - attribute.len()));
        found.extend(lines.by_ref().take_while(|(_, line)| *line != end));
    }
    found
}

#[test]
fn no_test_ends_before_its_work_is_done() {
    let mut faults = Vec::new();
    for (path, text) in sources() {
        for (number, line) in bodies_of_tests(&text) {
            if EARLY_ENDS.iter().any(|end| line.contains(end)) {
                faults.push(format!("{}:{number}: {}", shown(&path), line.trim()));
            }
        }
    }
    no(&faults);
}

#[test]
fn every_reason_for_unverified_mail_is_explained_to_operators() {
    let source = page("crates/mta-sts/src/decision.rs");
    let reasons = source.split("impl WhyFallback").nth(1).unwrap();
    let label = reasons.split("fn label").nth(1).unwrap().split("\n    }\n").next().unwrap();
    let labels: Vec<_> = label.split('"').skip(1).step_by(2).collect();
    let operations = page("docs/operations.md");
    assert!(labels.len() >= 7, "{labels:?}");
    for label in labels {
        assert!(operations.contains(&format!("| `{label}` |")), "{label} is not explained");
    }
}

#[test]
fn the_changelog_has_a_place_for_what_is_not_released() {
    assert!(page("CHANGELOG.md").lines().any(|line| line.starts_with("## Unreleased")));
}
