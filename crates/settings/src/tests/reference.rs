//! docs/configuration.md is made of config/sts-relay.toml, which is tested against the settings.
//!
//! `STS_RELAY_UPDATE=1 cargo test -p settings the_reference` writes it anew.

use std::fmt::Write as _;

use super::*;

/// What the page begins with.
const HEAD: &str = "# Configuration\n\n\
    <!-- Made of config/sts-relay.toml: `STS_RELAY_UPDATE=1 cargo test -p settings the_reference` -->\n\n\
    Every key there is, with its default and the variable that sets it.\n";

/// A key as the shown file has it.
struct Entry {
    key: String,
    default: String,
    /// The sentences above it, line by line.
    text: Vec<String>,
}

/// The comment at the top of the shown file, and its keys.
fn entries() -> (Vec<String>, Vec<Entry>) {
    let (mut head, mut found) = (Vec::new(), Vec::<Entry>::new());
    let (mut section, mut text) = (String::new(), Vec::new());
    for line in shown().lines() {
        let bare = line.strip_prefix('#').unwrap_or(line);
        if bare.starts_with('[') {
            section = format!("{}.", bare.trim_matches(['[', ']']));
        } else if let Some((name, default)) = key(line) {
            // Keys that stand together share what is said above the first.
            let above = found.last().map(|above| above.text.clone()).unwrap_or_default();
            let text = if text.is_empty() { above } else { std::mem::take(&mut text) };
            found.push(Entry { key: format!("{section}{name}"), default, text });
        } else if line.is_empty() && head.is_empty() {
            head = std::mem::take(&mut text);
        } else if line.starts_with('#') {
            text.push(bare.strip_prefix(' ').unwrap_or(bare).to_owned());
        }
    }
    (head, found)
}

/// The key and default of a line that holds one.
fn key(line: &str) -> Option<(String, String)> {
    let (name, default) = line.strip_prefix('#')?.split_once(" = ")?;
    let is_name = name.starts_with(|c: char| c.is_ascii_lowercase()) && !name.contains(' ');
    is_name.then(|| (name.to_owned(), default.to_owned()))
}

/// The page.
fn page() -> String {
    let (head, entries) = entries();
    let mut page = HEAD.to_owned();
    prose(&mut page, head.get(1..).unwrap());
    let mut section = "";
    for Entry { key, default, text } in &entries {
        let own = key.rsplit_once('.').map_or("", |(section, _)| section);
        if own != section {
            section = own;
            let name = if section == "listener" { "[[listener]]" } else { &format!("[{section}]") };
            write!(page, "\n## `{name}`\n").unwrap();
        }
        let variable = match key.split_once('.') {
            Some(("listener", _)) => "within `STS_RELAY__LISTENER`".to_owned(),
            _ => format!("`STS_RELAY__{}`", key.to_ascii_uppercase().replace('.', "__")),
        };
        write!(page, "\n### `{key}`\n\nDefault `{default}`; in the environment {variable}.\n")
            .unwrap();
        prose(&mut page, text);
    }
    page
}

/// Sentences as paragraphs; what is indented is an example.
fn prose(page: &mut String, lines: &[String]) {
    let mut in_example = false;
    page.push('\n');
    for line in lines {
        let is_example = line.starts_with("  ");
        if is_example != in_example {
            page.push('\n');
            in_example = is_example;
        }
        let indent = if is_example { "  " } else { "" };
        writeln!(page, "{indent}{line}").unwrap();
    }
}

#[test]
fn the_reference_tells_every_key_as_the_shown_file_does() {
    let (_, entries) = entries();
    let mut told: Vec<_> = entries.iter().map(|entry| entry.key.clone()).collect();
    told.retain(|key| !key.starts_with("listener."));
    told.sort_unstable();
    let mut keys: Vec<_> =
        keys::leaves(&keys::defaults()).into_iter().map(|(path, _)| path.join(".")).collect();
    keys.retain(|key| key != "listener");
    keys.sort_unstable();
    assert_eq!(told, keys);
    for entry in &entries {
        assert!(!entry.text.is_empty(), "nothing is said about {}", entry.key);
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    if std::env::var_os("STS_RELAY_UPDATE").is_some() {
        fs::write(&path, page()).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(written == page(), "docs/configuration.md is not what config/sts-relay.toml says");
}
