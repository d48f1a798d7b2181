//! Each sentence about stores is tested with every store.

use std::collections::BTreeSet;

use super::{files, no, page, root, shown, sources_below};

/// The crates that have such sentences, each with a macro that runs them.
const CRATES: [&str; 2] = ["store", "queue"];

/// The sentences that the macro of a crate runs, each as often as it is listed.
fn run(text: &str) -> Vec<&str> {
    let listed = text.split("macro_rules!").nth(1).unwrap_or_default();
    let names =
        listed.lines().filter_map(|line| line.strip_prefix("            ")?.strip_suffix(','));
    names.filter(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '_')).collect()
}

/// The sentences in a file: what is given a store, or a home for one.
fn said(text: &str) -> Vec<&str> {
    let given = ["home: Box<dyn Home>", "store: Arc<dyn Store>"];
    let heads = text.split("pub async fn ").skip(1).filter_map(|head| head.split_once('('));
    let named = heads.filter(|(_, rest)| {
        let argument = rest.split(')').next().unwrap().trim().trim_end_matches(',');
        given.contains(&argument)
    });
    named.map(|(name, _)| name).collect()
}

/// What is said and not run, run and not said, or run twice.
fn unequal<'t>(said: &[&'t str], run: &[&'t str]) -> Vec<&'t str> {
    let (said_once, run_once) = (BTreeSet::from_iter(said), BTreeSet::from_iter(run));
    let twice = run.iter().filter(|name| run.iter().filter(|other| other == name).count() > 1);
    said_once.symmetric_difference(&run_once).copied().chain(twice).copied().collect()
}

#[test]
fn each_sentence_about_stores_is_run_by_the_macro_of_its_crate() {
    let mut faults = Vec::new();
    for name in CRATES {
        let listed = page(&format!("crates/{name}/src/conformance.rs"));
        let files = sources_below(&root().join(format!("crates/{name}/src")));
        let files: Vec<_> =
            files.iter().filter(|(path, _)| shown(path).contains("/conformance")).collect();
        let said: Vec<&str> = files.iter().flat_map(|(_, text)| said(text)).collect();
        assert!(said.len() > 15, "{name}: {said:?}");
        faults
            .extend(unequal(&said, &run(&listed)).into_iter().map(|one| format!("{name}: {one}")));
    }
    no(&faults);
}

#[test]
fn every_store_runs_the_sentences_of_both_crates() {
    let mut faults = Vec::new();
    let manifests = files(&root().join("crates"), "toml");
    let stores = manifests.iter().map(|path| shown(path));
    let stores = stores.filter_map(|path| {
        let folder = path.strip_suffix("/Cargo.toml")?.to_owned();
        folder.starts_with("crates/store-").then_some(folder)
    });
    let stores: Vec<String> = stores.collect();
    assert!(stores.contains(&"crates/store-embedded".to_owned()), "{stores:?}");
    for store in stores {
        let tests = sources_below(&root().join(&store).join("tests"));
        for name in CRATES {
            let call = format!("{name}::conformance_tests!(");
            if !tests.iter().any(|(_, text)| text.contains(&call)) {
                faults.push(format!("{store} does not run {name}::conformance_tests"));
            }
        }
    }
    no(&faults);
}

#[test]
fn a_sentence_that_is_not_run_is_found() {
    let text = "pub async fn one(store: Arc<dyn Store>) {\n}\n\
                pub async fn two(\n    home: Box<dyn Home>,\n) {\n}\n\
                pub async fn help(store: &dyn Store) {\n}\n";
    assert_eq!(said(text), ["one", "two"]);
    let listed = "macro_rules! m {\n            two,\n            three,\n            three,\n}";
    assert_eq!(run(listed), ["two", "three", "three"]);
    assert_eq!(unequal(&said(text), &run(listed)), ["one", "three", "three", "three"]);
    assert_eq!(unequal(&["one"], &["one"]), [""; 0]);
}
