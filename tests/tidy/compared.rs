//! No field of fixed words is compared with words: what a program decides by is a type.

use std::collections::{BTreeMap, BTreeSet};

use super::imports::code;
use super::{LAYERS, folder, no, program_files};

/// What stands behind a field that holds fixed words.
const FIXED_WORDS: &str = ": &'static str,";

/// The fields of fixed words that these files have.
fn fields(files: &BTreeMap<String, String>) -> BTreeSet<String> {
    let lines = files.values().flat_map(|text| text.lines());
    let declared = lines.filter_map(|line| line.trim().strip_suffix(FIXED_WORDS));
    declared.filter_map(|line| line.rsplit(' ').next()).map(str::to_owned).collect()
}

/// Whether a line compares the field with a string, or chooses by it: then `next` is the first arm.
fn compares(line: &str, next: &str, field: &str) -> bool {
    let ends = |text: &str| !text.starts_with(|c: char| c.is_alphanumeric() || "_(".contains(c));
    let part = |c: char| c.is_alphanumeric() || "_.&*".contains(c);
    let arm = next.split("=>").next().unwrap().contains('"');
    line.match_indices(&format!(".{field}")).any(|(at, found)| {
        let (before, after) = (&line[..at], &line[at + found.len()..]);
        let operand = before.trim_end_matches(part).trim_end();
        let compared = ["\"\" ==", "\"\" !="].iter().any(|words| operand.ends_with(words))
            || ["== \"", "!= \""].iter().any(|words| after.trim_start().starts_with(words));
        let chosen = before.contains("matches!(") && after.contains('"')
            || before.contains("match ") && line.trim_end().ends_with('{') && arm;
        ends(after) && (compared || chosen)
    })
}

/// The comparisons in the files of one crate.
fn comparisons(files: &BTreeMap<String, String>) -> Vec<String> {
    let fields = fields(files);
    let mut found = Vec::new();
    for (file, text) in files {
        let code = code(text);
        for (line, next) in code.lines().zip(code.lines().skip(1).chain([""])) {
            let compared = fields.iter().filter(|field| compares(line, next, field));
            found.extend(compared.map(|field| format!("  {file}: {field}: {}", line.trim())));
        }
    }
    found
}

#[test]
fn no_field_of_fixed_words_is_compared() {
    let of_crate = |name: &str| comparisons(&program_files(folder(name)));
    let faults: Vec<String> = LAYERS.concat().into_iter().flat_map(of_crate).collect();
    no(&faults);
}

#[test]
fn a_field_of_fixed_words_that_is_compared_is_found() {
    let found = |line: &str| {
        let text =
            format!("struct A {{\n    pub mode: &'static str,\n    size: u64,\n}}\n{line}\n");
        comparisons(&BTreeMap::from([("a.rs".to_owned(), text)])).len()
    };
    for line in [
        "if terms.mode == \"enforce\" {",
        "if \"enforce\" != self.terms.mode {",
        "match terms.mode {\n    \"enforce\" => 1,",
        "match (terms.mode, terms.size) {\n    (\"enforce\", 0) => 1,",
        "matches!((terms.mode, terms.size), (\"enforce\", 0))",
    ] {
        assert_eq!(found(line), 1, "{line}");
    }
    for line in [
        "if terms.size == 1 {",
        "write(terms.mode)",
        "terms.mode() == \"a\"",
        "terms.modes == \"a\"",
        "match terms.mode.kind() {\n    Kind::A => \"a\",",
    ] {
        assert_eq!(found(line), 0, "{line}");
    }
}
