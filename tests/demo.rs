//! `sts-relay demo`: what it shows is what happened, and the README's picture shows the same.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// Runs the demonstration in a temporary directory of its own, which must be empty at its end.
fn demo(arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_sts-relay"))
        .arg("demo")
        .args(arguments)
        .env_clear()
        .env("TMPDIR", folder.path())
        .output()
        .unwrap();
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(output.status.success(), "{output:?}");
    output
}

/// A domain, its policy, what became of its mail, and a part of the reason.
const PROMISED: [(&str, &str, &str, &str); 12] = [
    ("good.test", "enforce", "verified", "proved its name"),
    ("failover.test", "enforce", "verified", "mx2.failover.test proved its name"),
    ("stripped.test", "enforce", "waiting", "4.7.10 the MTA-STS policy of stripped.test"),
    ("self-signed.test", "enforce", "waiting", "4.7.5 the MTA-STS policy of self-signed.test"),
    ("wrong-name.test", "enforce", "waiting", "not valid for mx.wrong-name.test"),
    ("expired.test", "enforce", "waiting", "expired"),
    (
        "unnamed.test",
        "enforce",
        "waiting",
        "thief.unnamed.test: the policy does not name this host",
    ),
    ("cached.test", "enforce", "waiting", "STARTTLS was not offered"),
    ("dane.test", "dane", "verified", "mx.dane.test matched its TLSA record"),
    ("dane-other.test", "dane", "waiting", "4.7.5 DANE lets mail to dane-other.test"),
    ("testing.test", "testing", "encrypted", "mode-testing"),
    ("plain.test", "none", "clear", "no-policy"),
];

#[test]
fn the_demo_keeps_every_promise_and_leaves_nothing_behind() {
    let output = demo(&["--json"]);
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&answer["as_promised"], &answer["otherwise"]), (&12.into(), &0.into()), "{answer}");
    let rows = answer["domains"].as_array().unwrap();
    assert_eq!(rows.len(), PROMISED.len());
    for (row, (domain, policy, fate, why)) in rows.iter().zip(PROMISED) {
        assert_eq!(row["domain"], domain);
        assert_eq!(row["policy"], policy, "{row}");
        assert_eq!(row["fate"], fate, "{row}");
        assert_eq!(row["promised"], fate, "{row}");
        assert!(row["why"].as_str().unwrap().contains(why), "{row}");
        let in_clear = row["in_clear"].as_array().unwrap();
        assert_eq!(in_clear.contains(&"MAIL".into()), fate == "clear", "{row}");
    }
    // The host that the policy does not name is not even asked what it can do.
    assert_eq!(rows[6]["in_clear"], Value::Array(Vec::new()));
}

#[test]
fn the_picture_in_the_readme_shows_what_the_demo_prints() {
    let output = demo(&[]);
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(!printed.contains('\u{1b}'), "colours without a terminal: {printed:?}");
    let picture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/demo.svg");
    let picture = fs::read_to_string(picture).unwrap();
    let shown: Vec<_> =
        picture.lines().filter(|line| line.starts_with("<text")).map(text).collect();
    assert_eq!(shown.first().map(String::as_str), Some("$ sts-relay demo"));
    let lines: Vec<_> = printed.lines().filter(|line| !line.is_empty()).collect();
    assert_eq!(shown[1..], lines, "run docs/record-demo: it draws the picture");
}

/// What a line of the picture says.
fn text(line: &str) -> String {
    let pieces = line.split('<').filter_map(|piece| Some(piece.split_once('>')?.1));
    let text: String = pieces.collect();
    text.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}
