//! Pages speak of files and items that exist.

use std::collections::BTreeMap;
use std::path::Path;

use crate::tidy::{files, no, page, root, shown};

/// What stands before the name of an item where it is made.
const KEYWORDS: [&str; 10] =
    ["const", "enum", "fn", "for", "impl", "mod", "static", "struct", "trait", "type"];

/// Whether a source makes an item, or a variant, of this name.
fn makes(source: &str, name: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    source.lines().map(str::trim_start).filter(|line| !line.starts_with("//")).any(|line| {
        let words: Vec<_> = line.split(|c| !is_word(c)).filter(|word| !word.is_empty()).collect();
        let variant = line.strip_prefix(name).is_some_and(|rest| rest.starts_with([',', '(', ' ']));
        variant || words.windows(2).any(|pair| KEYWORDS.contains(&pair[0]) && pair[1] == name)
    })
}

/// The faults of one step of a walk: each item is followed by the file that makes it.
fn faults_of_step(step: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let mut items = Vec::new();
    for quoted in step.split('`').skip(1).step_by(2) {
        if !quoted.ends_with(".rs") {
            items.push(quoted);
        } else if root().join(quoted).is_file() {
            let source = page(quoted);
            let gone = |item: &&str| !item.split("::").all(|part| makes(&source, part));
            faults.extend(items.drain(..).filter(gone).map(|item| format!("{quoted}: no {item}")));
        } else {
            faults.push(format!("there is no {quoted}"));
        }
    }
    faults.extend(items.into_iter().map(|item| format!("`{item}` is not followed by its file")));
    faults
}

/// The numbered steps of the architecture page's walks.
fn steps(page: &str) -> Vec<String> {
    let mut steps = Vec::<String>::new();
    for line in page.lines() {
        let is_step = line.split_once(". ").is_some_and(|(number, _)| number.parse::<u8>().is_ok());
        if is_step {
            steps.push(line.to_owned());
        } else if line.starts_with("   ")
            && let Some(step) = steps.last_mut()
        {
            step.push(' ');
            step.push_str(line.trim());
        }
    }
    steps
}

#[test]
fn each_step_of_a_walk_names_items_that_are_in_the_named_files() {
    let page = page("docs/architecture.md");
    let (_, walks) = page.split_once("\n## Walks\n").unwrap();
    let walks = walks.split("\n## ").next().unwrap();
    let steps = steps(walks);
    assert_eq!(
        walks.matches("\n### ").count(),
        5,
        "a message in, a message out, a policy, a setting, a row"
    );
    let named = |step: &String| step.contains(".rs`");
    let mut faults: Vec<_> = steps.iter().flat_map(|step| faults_of_step(step)).collect();
    faults.extend(steps.iter().filter(|step| !named(step)).map(|step| format!("no file: {step}")));
    assert!(steps.len() > 30, "{steps:?}");
    no(&faults);
}

#[test]
fn a_walk_with_an_item_that_is_gone_is_refused() {
    let file = "tests/architecture.rs";
    assert_eq!(faults_of_step(&format!("1. `steps` and `makes` (`{file}`) do it.")), [""; 0]);
    assert_eq!(faults_of_step(&format!("1. `gone` (`{file}`).")), [format!("{file}: no gone")]);
    assert_eq!(faults_of_step("1. `steps` (`gone.rs`).").len(), 2);
    assert_eq!(faults_of_step("1. `steps` does it.").len(), 1);
}

/// The pages that users and developers read.
fn pages() -> Vec<String> {
    let mut pages: Vec<_> = files(&root().join("docs"), "md").iter().map(|p| shown(p)).collect();
    pages.extend(["README.md", "docker/README.md"].map(str::to_owned));
    pages
}

/// Whether a word of a page is a path into this repository, and not a pattern of one.
fn is_path(word: &str) -> bool {
    let folders = ["crates/", "tests/", "config/", "docs/", "docker/", ".ci/", ".cargo/"];
    let is_pattern = word.contains(['*', '{', '<']) || word.contains("...");
    folders.iter().any(|folder| word.starts_with(folder)) && !is_pattern
}

#[test]
fn pages_name_and_link_files_that_exist() {
    let mut faults = Vec::new();
    for name in pages() {
        let text = page(&name);
        let words = text.split('`').skip(1).step_by(2).flat_map(str::split_whitespace);
        let gone = |word: &&str| is_path(word) && !root().join(word).exists();
        faults.extend(words.filter(gone).map(|word| format!("{name} names {word}")));
        let folder = root().join(&name);
        let links = text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
        let gone = |link: &&str| {
            !link.is_empty()
                && !link.contains("://")
                && !folder.parent().is_some_and(|folder| folder.join(link).exists())
        };
        faults.extend(links.filter(gone).map(|link| format!("{name} links {link}")));
    }
    no(&faults);
}

/// The sources of a crate by the file's name without its ending; none where there is no such crate.
fn crate_sources(name: &str) -> Vec<(String, String)> {
    let folder = root().join("crates").join(name.replace('_', "-")).join("src");
    let stem = |path: &Path| path.file_stem().unwrap().to_string_lossy().into_owned();
    if !folder.is_dir() {
        return Vec::new();
    }
    files(&folder, "rs").iter().map(|path| (stem(path), page(&shown(path)))).collect()
}

#[test]
fn each_row_of_the_rfc_coverage_names_items_that_exist() {
    let mut crates = BTreeMap::<String, Vec<(String, String)>>::new();
    let mut faults = Vec::new();
    for row in page("docs/rfc-coverage.md").lines().filter(|line| line.starts_with("| RFC")) {
        let cells: Vec<_> = row.split(" | ").collect();
        for item in cells[cells.len() - 2].split('`').skip(1).step_by(2) {
            let mut parts = item.split("::");
            let name = parts.next().unwrap();
            let sources =
                crates.entry(name.to_owned()).or_insert_with_key(|name| crate_sources(name));
            let is_there = |part| {
                sources.iter().any(|(file, source)| file.as_str() == part || makes(source, part))
            };
            if sources.is_empty() || !parts.all(is_there) {
                faults.push(format!("there is no {item}: {row}"));
            }
        }
    }
    no(&faults);
}
