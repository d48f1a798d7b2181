//! Mistakes that people make, each with all that is said of it, to the letter.
//!
//! `tests-data/settings-mistakes.txt` holds them; `STS_RELAY_UPDATE=1 cargo test -p settings
//! every_mistake` writes what is said now.

use std::fmt::Write as _;

use super::*;

/// Words that a Rust programmer knows and a postmaster does not.
const RUST_WORDS: [&str; 14] = [
    "struct",
    "enum",
    "variant",
    "field `",
    "sequence",
    "syntax",
    "parse",
    "Raw",
    "u16",
    "u32",
    "usize",
    "invalid type",
    "expected",
    "os error",
];

/// One mistake.
#[derive(Default)]
struct Mistake {
    name: String,
    file: String,
    environment: Vec<(String, String)>,
    /// What is said, line by line.
    said: String,
}

/// The mistakes of the file, in its order.
fn mistakes(text: &str) -> Vec<Mistake> {
    let mut found = Vec::new();
    for block in text.split("== ").skip(1) {
        let (name, rest) = block.split_once('\n').unwrap();
        let (written, said) = rest.split_once("-- says\n").unwrap();
        let (file, variables) = written.split_once("-- environment\n").unwrap_or((written, ""));
        let variable = |line: &str| {
            let (name, value) = line.split_once('=').unwrap();
            (name.to_owned(), value.to_owned())
        };
        found.push(Mistake {
            name: name.to_owned(),
            file: file.to_owned(),
            environment: variables.lines().map(variable).collect(),
            said: said.trim_end().to_owned(),
        });
    }
    found
}

/// What is said of these settings; `FILE` stands for the file's path.
fn said(file: &[u8], environment: &[(String, String)]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sts-relay.toml");
    fs::write(&path, file).unwrap();
    let authority = concat!(env!("CARGO_MANIFEST_DIR"), "/tests-data/authority.pem").to_owned();
    let usual = ("STS_RELAY__TRUST__CA_FILE".to_owned(), authority);
    let own_trust = String::from_utf8_lossy(file).contains("[trust]");
    let usual = (!own_trust).then_some(usual);
    let variables = environment.iter().cloned().chain(usual);
    let variables = variables.map(|(name, value)| (name.into(), value.into()));
    let source = Source::gather(Some(&path), variables);
    let now = "2026-12-01T00:00:00Z".parse::<jiff::Timestamp>().unwrap().into();
    let said = Settings::check(&source, now);
    let said = said.map_or_else(|faults| faults.to_string(), |_| "nothing".to_owned());
    said.replace(&path.display().to_string(), "FILE")
}

#[test]
fn every_mistake_is_named_with_its_place_and_how_it_is_written_right() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests-data/settings-mistakes.txt");
    let text = fs::read_to_string(&path).unwrap();
    let mistakes = mistakes(&text);
    let (mut now, mut surprises) = (text.split("== ").next().unwrap().to_owned(), Vec::new());
    for Mistake { name, file, environment, said: expected } in &mistakes {
        let said = said(file.as_bytes(), environment);
        write!(now, "== {name}\n{file}").unwrap();
        if !environment.is_empty() {
            now.push_str("-- environment\n");
        }
        environment.iter().for_each(|(name, value)| writeln!(now, "{name}={value}").unwrap());
        write!(now, "-- says\n{said}\n\n").unwrap();
        if said != *expected {
            surprises.push(format!("== {name}\nexpected {expected}\n     got {said}"));
        }
        for word in RUST_WORDS.iter().filter(|word| said.contains(**word)) {
            surprises.push(format!("== {name}\n{word} is in {said}"));
        }
    }
    if std::env::var_os("STS_RELAY_UPDATE").is_some() {
        fs::write(&path, now.trim_end().to_owned() + "\n").unwrap();
    } else {
        assert!(surprises.is_empty(), "{}", surprises.join("\n"));
    }
    assert!(mistakes.len() >= 60, "{}", mistakes.len());
}

#[test]
fn a_file_that_is_not_utf_8_says_what_it_is() {
    let utf_16: Vec<u8> =
        "hostname = \"a.example\"".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let marked = [&b"\xff\xfe"[..], &utf_16].concat();
    assert_eq!(said(&marked, &[]), "FILE: is UTF-16: save it as UTF-8");
    assert_eq!(
        said(b"# gr\xfc\xdfe\n", &[]),
        "FILE:1:5: this character is not UTF-8: save the file as UTF-8"
    );
    assert_eq!(
        said(&utf_16, &[]),
        "FILE: is UTF-16: save it as UTF-8",
        "also without a byte order mark"
    );
}

#[test]
fn a_byte_order_mark_and_line_ends_of_windows_are_no_mistakes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sts-relay.toml");
    fs::write(&path, "\u{feff}hostname = \"a.example\"\r\n[dns]\r\nattempts = 3\r\n").unwrap();
    let source = Source::read(Some(&path), []).unwrap();
    assert_eq!(source.raw().dns.attempts, 3);
    let in_file = SettingLocation::File { path, line: 1, column: 12 };
    assert_eq!(source.location("hostname"), in_file, "a byte order mark is no column");
}

#[test]
fn a_file_that_cannot_be_read_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let said = |path: &Path| {
        let said = Source::read(Some(path), []).unwrap_err().to_string();
        said.replace(&folder.path().display().to_string(), "FOLDER")
    };
    assert_eq!(said(&folder.path().join("none.toml")), "FOLDER/none.toml: no such file");
    assert_eq!(said(folder.path()), "FOLDER: is a directory, not a file");
}
