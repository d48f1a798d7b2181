//! No files of a crate import each other in a circle, and no crate imports from one above it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::imports::{Imports, circles, code, module, paths, within};
use super::{LAYERS, folder, layer, no, program_files};

/// The circles as they are shown: each file with those of its circle that it imports.
fn shown(imports: &Imports) -> String {
    let mut shown = String::new();
    for circle in circles(imports) {
        for file in &circle {
            let others = imports[*file].iter().filter(|other| circle.contains(other));
            let others: Vec<_> = others.map(String::as_str).collect();
            writeln!(shown, "  {file} imports {}", others.join(", ")).unwrap();
        }
        shown.push('\n');
    }
    shown
}

#[test]
fn no_two_files_of_a_crate_import_each_other() {
    let mut faults = Vec::new();
    for name in LAYERS.concat() {
        let imports = within(&program_files(folder(name)));
        if !circles(&imports).is_empty() {
            faults.push(format!("{name}:\n{}", shown(&imports)));
        }
    }
    no(&faults);
}

/// The crates of the same or a higher row that the files of a crate name.
fn upward(name: &str, files: &BTreeMap<String, String>) -> Vec<String> {
    let mut found = Vec::new();
    for (file, text) in files {
        let child = |word: &str| {
            let child = [module(file), vec![word]].concat();
            files.keys().any(|other| module(other) == child)
        };
        for path in paths(&code(text)) {
            let other = path[0].replace('_', "-");
            let above = other != name && layer(&other) >= layer(name) && !child(path[0]);
            if above && layer(&other).is_some() {
                found.push(format!("{name}/{file} imports {other}"));
            }
        }
    }
    found
}

#[test]
fn no_crate_imports_from_a_row_above_it() {
    let mut faults = Vec::new();
    for name in LAYERS.concat() {
        let mut files = program_files(folder(name));
        // The program can show itself at work in the tests' own internet.
        files.retain(|file, _| name != "sts-relay" || !file.starts_with("demo"));
        faults.extend(upward(name, &files));
    }
    no(&faults);
}

#[test]
fn an_import_from_a_row_above_is_found() {
    let file = |text: &str| BTreeMap::from([("a.rs".to_owned(), text.to_owned())]);
    assert_eq!(upward("smtp", &file("use dns::A;")), ["smtp/a.rs imports dns"]);
    assert_eq!(upward("dns", &file("fn a() { mta_sts::b() }")), ["dns/a.rs imports mta-sts"]);
    assert_eq!(upward("listener", &file("use delivery::A;")), ["listener/a.rs imports delivery"]);
    assert_eq!(upward("dns", &file("use smtp::A; use std::b; use crate::c;")), [""; 0]);
}
