//! Which file imports which, read from the source.

use std::collections::{BTreeMap, BTreeSet};

/// Files and what each of them imports.
pub(crate) type Imports = BTreeMap<String, BTreeSet<String>>;

/// The code of a file above its tests: comments are gone, strings are empty.
pub(crate) fn code(text: &str) -> String {
    let above = text.split("\n#[cfg(test)]\nmod tests").next().unwrap();
    let mut code = String::new();
    let mut rest = above;
    while let Some(c) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("'\"'") || rest.starts_with("'\\\"'") {
            rest[1..].find('\'').unwrap() + 2
        } else if c == '"' {
            code.push_str("\"\"");
            let raw = code.ends_with("r#\"\"");
            if raw { rest.find("\"#").map_or(rest.len(), |end| end + 1) } else { string(rest) }
        } else {
            code.push(c);
            c.len_utf8()
        };
        rest = &rest[length..];
    }
    code
}

/// How long the string is that begins here.
fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            '"' if !escaped => return at + 1,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    text.len()
}

/// Every path that the code names, in full: `a::{b, c::d}` is two.
pub(crate) fn paths(code: &str) -> Vec<Vec<&str>> {
    let mut found = Vec::new();
    let mut rest = code;
    let mut before = ' ';
    while let Some(c) = rest.chars().next() {
        let length = match word(rest) {
            // What a macro names by `$crate` is named by the file that uses the macro.
            Some(first) if !matches!(before, ':' | '.' | '$') => {
                let tree = &rest[first.len()..];
                if tree.starts_with("::") {
                    rest.len() - branches(&mut found, vec![first], tree).len()
                } else {
                    first.len()
                }
            }
            Some(other) => other.len(),
            None => c.len_utf8(),
        };
        before = rest[..length].chars().next_back().unwrap();
        rest = &rest[length..];
    }
    found
}

/// The word at the start of a text.
fn word(text: &str) -> Option<&str> {
    let length = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    text.get(..length).filter(|word| !word.is_empty())
}

/// Adds the paths that go on from `path`; answers with the text behind them.
fn branches<'a>(found: &mut Vec<Vec<&'a str>>, mut path: Vec<&'a str>, text: &'a str) -> &'a str {
    let mut rest = text;
    while let Some(next) = rest.strip_prefix("::") {
        if let Some(name) = word(next) {
            path.push(name);
            rest = &next[name.len()..];
        } else if let Some(group) = next.strip_prefix('{') {
            return group_of(found, &path, group);
        } else {
            break;
        }
    }
    found.push(path);
    rest
}

/// Adds the paths of a group in braces; answers with the text behind it.
fn group_of<'a>(found: &mut Vec<Vec<&'a str>>, path: &[&'a str], text: &'a str) -> &'a str {
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', '\n', ',']);
        let Some(name) = word(rest) else { break };
        let mut longer = path.to_vec();
        if name != "self" {
            longer.push(name);
        }
        rest = branches(found, longer, &rest[name.len()..]);
        if let Some(alias) = rest.strip_prefix(" as ") {
            rest = &alias[word(alias).map_or(0, str::len)..];
        }
    }
    rest.strip_prefix('}').unwrap_or(rest)
}

/// What the files of one crate import from each other; the files by their path below `src`.
///
/// A file imports its children, too: it declares them.
pub(crate) fn within(files: &BTreeMap<String, String>) -> Imports {
    let known: BTreeMap<Vec<&str>, &String> =
        files.keys().map(|file| (module(file), file)).collect();
    let mut imports: Imports = files.keys().map(|file| (file.clone(), BTreeSet::new())).collect();
    let mut import = |from: &String, to: &String| {
        if from != to {
            imports.get_mut(from).unwrap().insert(to.clone());
        }
    };
    for (file, text) in files {
        let own = module(file);
        if let Some((_, parents)) = own.split_last()
            && let Some(parent) = known.get(parents)
        {
            import(parent, file);
        }
        for path in paths(&code(text)) {
            if let Some(target) = target(&known, &own, &path) {
                import(file, target);
            }
        }
    }
    imports
}

/// The module that a file is, from the crate's root.
pub(crate) fn module(file: &str) -> Vec<&str> {
    match file.trim_end_matches(".rs") {
        "lib" | "main" => Vec::new(),
        path => path.split('/').collect(),
    }
}

/// The file of this crate that a path in the module `own` leads to.
fn target<'a>(
    known: &BTreeMap<Vec<&str>, &'a String>,
    own: &[&str],
    path: &[&str],
) -> Option<&'a String> {
    let up = path.iter().take_while(|part| **part == "super").count();
    let whole = match path {
        ["crate", rest @ ..] => rest.to_vec(),
        ["super", ..] => [&own[..own.len().checked_sub(up)?], &path[up..]].concat(),
        ["self", rest @ ..] => [own, rest].concat(),
        _ => {
            let below = [own, path].concat();
            known.get(&below[..=own.len()])?;
            below
        }
    };
    (0..=whole.len()).rev().find_map(|length| known.get(&whole[..length]).copied())
}

/// The groups of files that import each other, be it through others.
pub(crate) fn circles(imports: &Imports) -> Vec<Vec<&String>> {
    let reach: BTreeMap<&String, BTreeSet<&String>> =
        imports.keys().map(|file| (file, reached(imports, file))).collect();
    let mut found: Vec<Vec<&String>> = Vec::new();
    for (file, others) in &reach {
        let new = !found.iter().any(|circle| circle.contains(file));
        if others.contains(file) && new {
            found
                .push(others.iter().copied().filter(|other| reach[other].contains(file)).collect());
        }
    }
    found
}

/// All that a file imports, and what that imports.
fn reached<'a>(imports: &'a Imports, file: &String) -> BTreeSet<&'a String> {
    let mut reached = BTreeSet::new();
    let mut next: Vec<&String> = imports[file].iter().collect();
    while let Some(file) = next.pop() {
        if reached.insert(file) {
            next.extend(&imports[file]);
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is imported where files hold these texts.
    fn imports(files: &[(&str, &str)]) -> Imports {
        let own = |(file, text): &(&str, &str)| ((*file).to_owned(), (*text).to_owned());
        within(&files.iter().map(own).collect())
    }

    /// The circles, each as its files.
    fn circles_of(files: &[(&str, &str)]) -> Vec<String> {
        let imports = imports(files);
        let join = |circle: Vec<&String>| circle.into_iter().cloned().collect::<Vec<_>>().join(" ");
        circles(&imports).into_iter().map(join).collect()
    }

    #[test]
    fn paths_are_read_in_full_and_from_code_alone() {
        let text = "use a::{b, c::{self, d as e}, f::*};\n// g::h\nlet x = \"i::j\" + k::l::<M>();\n\
                    fn n('\"', r#\"o::p\"#);\n#[cfg(test)]\nmod tests {\n    use q::r;\n}";
        let code = code(text);
        let read: Vec<_> = paths(&code).into_iter().map(|path| path.join("::")).collect();
        assert_eq!(read, ["a::b", "a::c", "a::c::d", "a::f", "k::l"]);
    }

    #[test]
    fn two_files_that_import_each_other_are_a_circle() {
        let files = [
            ("lib.rs", "mod a;\nmod b;\npub use crate::a::A;"),
            ("a.rs", "use crate::b::{B, C};"),
            ("b.rs", "fn b() { super::a::f() }"),
        ];
        assert_eq!(circles_of(&files), ["a.rs b.rs"]);
    }

    #[test]
    fn a_circle_may_lead_through_many_files() {
        let files = [
            ("a.rs", "use crate::b::c::C;"),
            ("b.rs", ""),
            ("b/c.rs", "use crate::d;"),
            ("d.rs", "use crate::a::A;"),
        ];
        assert_eq!(circles_of(&files), ["a.rs b/c.rs d.rs"]);
    }

    #[test]
    fn a_child_that_imports_from_its_parent_is_a_circle() {
        let files = [("a.rs", "mod b;"), ("a/b.rs", "use super::A;\nimpl A {}")];
        assert_eq!(circles_of(&files), ["a.rs a/b.rs"]);
        let files = [("lib.rs", "pub use crate::a::A;"), ("a.rs", "use crate::A;")];
        assert_eq!(circles_of(&files), ["a.rs lib.rs"]);
    }

    #[test]
    fn files_that_import_downwards_are_no_circle() {
        let files = [
            ("lib.rs", "mod a;\nmod b;\nmod c;\npub use crate::a::A;"),
            ("a.rs", "use self::d::D;\nuse crate::b::B;\nuse crate::c;\nc::f();"),
            ("a/d.rs", "use crate::b::B;\nuse super::super::c::C;"),
            ("b.rs", "use crate::c::C;\nuse super::c::D;"),
            ("c.rs", "use std::fs;\n//! Made by [`crate::a`]."),
        ];
        assert_eq!(circles_of(&files), [""; 0]);
    }
}
