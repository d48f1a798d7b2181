//! Every fault of a policy file, line by line, for the one who writes it.
//!
//! Whether a file is a policy is for [`Policy::parse`] to say, and it stops at the first reason why
//! not. Here each line is held against the same parser by itself, in a policy without other faults.

use mta_sts::{MxPattern, Policy};
use settings::nearest;

/// The keys there are (RFC 8461 §3.2).
const KEYS: [&str; 4] = ["version", "mode", "max_age", "mx"];

/// A line for each key that is as it should be.
const GOOD: [(&str, &str); 4] = [
    ("version", "version: STSv1\n"),
    ("mode", "mode: enforce\n"),
    ("mx", "mx: mail.example.org\n"),
    ("max_age", "max_age: 1209600\n"),
];

/// Below this a policy protects little: whoever can block a fetch for so long is rid of it.
const SHORT_SECONDS: u64 = 7 * 86_400;

/// More than this is not listed: the file is hardly a policy.
const LISTED_MAX: usize = 50;

/// How much of a value is shown.
const SHOWN_MAX: usize = 60;

/// What is to be said of a file.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// What makes senders reject it.
    pub(super) faults: Vec<String>,
    /// What they accept, and its writer hardly means.
    pub(super) advice: Vec<String>,
}

/// A line of the file.
struct Line<'a> {
    number: usize,
    bytes: &'a [u8],
    /// What stands before the colon.
    key: String,
    /// What stands behind it.
    value: String,
}

impl Findings {
    /// Everything that is to be said of `file`.
    pub(super) fn of(file: &[u8]) -> Self {
        let mut findings = Self::default();
        let text = file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file);
        let lines = text.split(|byte| *byte == b'\n');
        let mut seen: Vec<(&str, usize)> = Vec::new();
        let mut good_mx: usize = 0;
        for line in (1..).zip(lines).filter_map(|(number, bytes)| Line::read(number, bytes)) {
            let known = KEYS.into_iter().find(|key| *key == line.key && line.has_colon());
            let Some(key) = known else {
                findings.unknown(&line);
                continue;
            };
            let first = seen.iter().find(|(other, _)| *other == key);
            match first {
                Some((_, first)) if key != "mx" => findings.advice.push(format!(
                    "line {}: `{key}` is in line {first} already, and senders take that one",
                    line.number
                )),
                _ => {
                    if findings.known(key, &line) && key == "mx" {
                        good_mx = good_mx.saturating_add(1);
                    }
                    seen.push((key, line.number));
                }
            }
        }
        findings.missing(&seen, good_mx, text);
        for list in [&mut findings.faults, &mut findings.advice] {
            let more = list.len().saturating_sub(LISTED_MAX);
            list.truncate(LISTED_MAX);
            list.extend((more > 0).then(|| format!("and {more} more")));
        }
        findings
    }

    /// A line with one of the keys there are; whether it is as it should be.
    fn known(&mut self, key: &str, line: &Line<'_>) -> bool {
        let number = line.number;
        if key == "mx" && MxPattern::parse(line.value.trim_end_matches('.')).is_err() {
            // Senders overlook it beside good ones.
            self.faults.push(format!("line {number}: {}", bad_mx(&line.value)));
            return false;
        }
        let others = GOOD.iter().filter(|(other, _)| *other != key).map(|(_, line)| *line);
        let mut policy = others.collect::<String>().into_bytes();
        policy.extend_from_slice(line.bytes);
        policy.push(b'\n');
        match Policy::parse(&policy) {
            Err(_) => {
                self.faults.push(format!("line {number}: {}", bad_value(key, &line.value)));
                false
            }
            Ok(parsed) => {
                let seconds = parsed.value.max_age().as_secs();
                if key == "max_age" && seconds < SHORT_SECONDS {
                    self.advice.push(format!(
                        "line {number}: max_age {seconds} is below a week (604800): an attacker who \
                         can block fetches for that long defeats the policy; weeks are usual"
                    ));
                }
                true
            }
        }
    }

    /// A line with a key that is none, or with none.
    fn unknown(&mut self, line: &Line<'_>) {
        let number = line.number;
        let mut policy: Vec<u8> = GOOD.iter().flat_map(|(_, line)| line.bytes()).collect();
        policy.extend_from_slice(line.bytes);
        policy.push(b'\n');
        let rejected = Policy::parse(&policy).is_err();
        let shown = shortened(&line.key);
        let meant = nearest(&line.key, KEYS);
        let meant = meant.map(|key| format!("; did you mean `{key}`?")).unwrap_or_default();
        let said = if line.has_colon() {
            format!("line {number}: unknown key `{shown}`{meant}")
        } else {
            format!("line {number}: no colon behind `{shown}`: a line is KEY: VALUE{meant}")
        };
        if rejected { self.faults.push(said) } else { self.advice.push(said) }
    }

    /// The keys that are not there.
    fn missing(&mut self, seen: &[(&str, usize)], good_mx: usize, text: &[u8]) {
        let has = |key: &str| seen.iter().any(|(other, _)| *other == key);
        for (key, example) in GOOD.iter().filter(|(key, _)| *key != "mx") {
            if !has(key) {
                self.faults.push(format!("`{key}` is missing: write {}", example.trim_end()));
            }
        }
        let withdrawn = text.split(|byte| *byte == b'\n').any(|line| {
            Line::read(0, line).is_some_and(|line| line.key == "mode" && line.value == "none")
        });
        if !has("mx") && !withdrawn {
            self.faults.push("`mx` is missing: write a line mx: HOST for each MX host".to_owned());
        } else if good_mx > 0 {
            // A bad mx is overlooked beside a good one.
            let (overlooked, faults) = std::mem::take(&mut self.faults)
                .into_iter()
                .partition(|fault: &String| fault.contains("is not an mx pattern"));
            self.faults = faults;
            let mut advice: Vec<String> = overlooked;
            advice.append(&mut self.advice);
            self.advice = advice;
        }
    }
}

impl<'a> Line<'a> {
    fn has_colon(&self) -> bool {
        self.bytes.contains(&b':')
    }

    /// The line, unless it is blank.
    fn read(number: usize, bytes: &'a [u8]) -> Option<Self> {
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        let text = String::from_utf8_lossy(bytes);
        if text.trim().is_empty() {
            return None;
        }
        let (key, value) = text.split_once(':').unwrap_or((&text, ""));
        let value = value.trim_matches([' ', '\t']).to_owned();
        Some(Self { number, bytes, key: key.to_owned(), value })
    }
}

/// An mx value that names no host.
fn bad_mx(value: &str) -> String {
    let shown = shortened(value);
    if value.contains([',', ' ', '\t', ';']) {
        return format!("`{shown}` is not an mx pattern: write a line of its own for each host");
    }
    format!("`{shown}` is not an mx pattern, such as mail.example.org or *.example.org")
}

/// A value that the key cannot have.
fn bad_value(key: &str, value: &str) -> String {
    let shown = shortened(value);
    match key {
        "version" => format!("version is STSv1, and not `{shown}`"),
        "mode" => {
            let meant = nearest(value, ["enforce", "testing", "none"]);
            let meant = meant.map(|mode| format!("; did you mean {mode}?")).unwrap_or_default();
            format!("mode is enforce, testing or none, and not `{shown}`{meant}")
        }
        "max_age" => format!("max_age is a number of seconds, such as 1209600, and not `{shown}`"),
        _ => format!("`{key}` cannot be `{shown}`"),
    }
}

/// A value as far as it is worth showing.
fn shortened(value: &str) -> String {
    let mut shown: String = value.chars().take(SHOWN_MAX).collect();
    if shown.len() < value.len() {
        shown.push_str("...");
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD_FILE: &str =
        "version: STSv1\nmode: enforce\nmx: mail.example.org\nmax_age: 1209600\n";

    #[test]
    fn nothing_is_said_of_a_good_file() {
        for file in [GOOD_FILE.to_owned(), GOOD_FILE.replace('\n', "\r\n")] {
            let Findings { faults, advice } = Findings::of(file.as_bytes());
            assert!(faults.is_empty() && advice.is_empty(), "{faults:?} {advice:?}");
        }
    }

    #[test]
    fn every_fault_is_named_with_its_line() {
        let file = "version: STSv2\nmode: enforced\nmx: a.example.org, b.example.org\nmax-age: 1209600\nMode : none\n";
        assert_eq!(
            Findings::of(file.as_bytes()).faults,
            [
                "line 1: version is STSv1, and not `STSv2`",
                "line 2: mode is enforce, testing or none, and not `enforced`; did you mean enforce?",
                "line 3: `a.example.org, b.example.org` is not an mx pattern: write a line of its own \
                 for each host",
                "line 5: unknown key `Mode `; did you mean `mode`?",
                "`max_age` is missing: write max_age: 1209600",
            ]
        );
        assert_eq!(
            Findings::of(file.as_bytes()).advice,
            ["line 4: unknown key `max-age`; did you mean `max_age`?"]
        );
    }

    #[test]
    fn what_senders_accept_and_the_writer_hardly_means_is_advice() {
        for (more, says) in [
            ("max_age: 60\n", "line 5: `max_age` is in line 4 already"),
            ("mx: a, b\n", "line 5: `a, b` is not an mx pattern: write a line of its own"),
            ("mxs: a.example.org\n", "line 5: unknown key `mxs`; did you mean `mx`?"),
            ("frobnicate: 1\n", "line 5: unknown key `frobnicate`"),
            ("frobnicate\n", "line 5: no colon behind `frobnicate`"),
        ] {
            let Findings { faults, advice } = Findings::of(format!("{GOOD_FILE}{more}").as_bytes());
            assert!(faults.is_empty() && advice.len() == 1, "{more}: {faults:?} {advice:?}");
            assert!(advice[0].starts_with(says), "{more}: {advice:?}");
        }
        let short = GOOD_FILE.replace("1209600", "86400");
        let advice = Findings::of(short.as_bytes()).advice;
        assert!(
            advice[0].starts_with("line 4: max_age 86400 is below a week (604800)"),
            "{advice:?}"
        );
    }

    #[test]
    fn a_file_of_faults_is_not_listed_to_its_end() {
        let file = "version\n".repeat(9000);
        let faults = Findings::of(file.as_bytes()).faults;
        assert!(faults.len() <= LISTED_MAX + 1, "{}", faults.len());
        assert!(faults.last().unwrap().starts_with("and "), "{faults:?}");
    }
}
