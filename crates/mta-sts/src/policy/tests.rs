use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> Result<Parsed<Policy>, PolicyError> {
    Policy::parse(text.as_bytes())
}

fn labels(parsed: &Parsed<Policy>) -> Vec<&'static str> {
    parsed.warnings.iter().map(Warning::label).collect()
}

const GOOD: &str = "version: STSv1\nmode: enforce\nmx: mail.example.com\nmax_age: 86400\n";

#[test]
fn a_line_that_could_hide_a_known_key_is_never_overlooked() {
    for line in [
        "mode : none",
        " mode: none",
        "\tmax_age: 1",
        "mode none",
        "mode=none",
        "MODE = none",
        "mode",
        "mo de: none",
        "\u{feff}mode: none",
        "m\0ode: none",
        "mode\u{a0}: none",
        "mode\u{ff1a} none",
        "mx mail.example.com",
        "comment: ok\rmode: none",
        "comment ok\u{b}mode: none",
        "mx: mail.example.net\u{c}mode: none",
    ] {
        let text = format!("{GOOD}{line}\n");
        let error = parse(&text).unwrap_err();
        assert!(matches!(error, PolicyError::MalformedKnownField { line: 5 }), "{line:?}: {error}");
    }
    let error = parse(&format!("{GOOD}mx: a.example\rmode: none\n")).unwrap_err();
    assert_eq!(error, PolicyError::ControlInKnownField { line: 5 });
}

#[test]
fn lines_that_name_no_known_key_are_overlooked_with_a_warning() {
    for (line, label) in [
        ("modest: ok\u{1}", "malformed extension"),
        ("mode2 none", "line without colon"),
        ("mx.note", "line without colon"),
        ("the mode is none", "line without colon"),
        ("# mode: none", "malformed extension"),
        (" \t", "blank line"),
    ] {
        let parsed = parse(&format!("{GOOD}{line}\n")).unwrap();
        assert_eq!(labels(&parsed), [label], "{line:?}");
        assert_eq!(parsed.value.to_string(), GOOD);
    }
}

/// RFC 8461 §3.2: a valid field that is not known is ignored, and the ABNF knows keys in lower
/// case only.
#[test]
fn a_known_key_in_another_case_is_an_extension() {
    let parsed = parse(&format!("Mode: none\n{GOOD}")).unwrap();
    assert_eq!(labels(&parsed), ["other case"]);
    assert_eq!(parsed.value.mode(), Mode::Enforce);
}

#[test]
fn the_first_of_a_repeated_field_wins_whatever_the_later_ones_say() {
    for later in [
        "mode: off",
        "mode: none",
        "mode:",
        "mode: Enforce",
        "max_age: never",
        "max_age:",
        "max_age: 12345678901",
        "max_age: 99999999",
        "version: STSv2",
        "version:",
        "version: \u{e9}\u{0}",
    ] {
        let parsed = parse(&format!("{GOOD}{later}\n")).unwrap();
        assert_eq!(parsed.value.to_string(), GOOD, "{later}");
        assert_eq!(parsed.warnings, [], "{later}");
    }
    for (first, error) in [
        ("mode: off", PolicyError::Mode),
        ("mode:", PolicyError::Mode),
        ("max_age: never", PolicyError::MaxAge),
        ("max_age: 12345678901", PolicyError::MaxAge),
        ("version: STSv2", PolicyError::Version),
    ] {
        assert_eq!(parse(&format!("{first}\n{GOOD}")), Err(error), "{first}");
    }
}

#[test]
fn an_underscore_in_an_mx_is_overlooked_with_a_warning() {
    let good = GOOD.replace("mail", "mail_1");
    let parsed = parse(&good).unwrap();
    assert_eq!(labels(&parsed), ["underscore"]);
    assert_eq!(parsed.value.to_string(), good);
    assert!(parsed.value.admits(&MxHost::parse("mail_1.example.com").unwrap()));
    let parsed = parse(&good.replace(".com", ".com.")).unwrap();
    assert_eq!(labels(&parsed), ["trailing dot", "underscore"]);
}

#[test]
fn of_too_many_mx_the_first_are_kept_and_one_warning_says_so() {
    let mx: String = (0..3 * MX_PATTERNS_MAX).map(|n| format!("mx: h{n}.example\n")).collect();
    let parsed = parse(&GOOD.replace("mx: mail.example.com\n", &mx)).unwrap();
    assert_eq!(labels(&parsed), ["too many mx"]);
    assert_eq!(parsed.warnings, [Warning::TooManyMx { line: MX_PATTERNS_MAX + 3 }]);
    assert_eq!(parsed.value.mx().len(), MX_PATTERNS_MAX);
    let admits =
        |number| parsed.value.admits(&MxHost::parse(&format!("h{number}.example")).unwrap());
    assert!(admits(0) && admits(MX_PATTERNS_MAX - 1) && !admits(MX_PATTERNS_MAX));
}

#[test]
fn a_dot_at_the_end_of_an_mx_is_overlooked_with_a_warning() {
    let parsed = parse("version: STSv1\nmode: enforce\nmx: mail.example.com.\nmax_age: 86400\n");
    let parsed = parsed.unwrap();
    assert_eq!(labels(&parsed), ["trailing dot"]);
    assert_eq!(parsed.value.to_string(), GOOD);
}

#[test]
fn a_file_of_faults_yields_few_warnings() {
    let parsed = parse(&format!("{GOOD}{}", "\n".repeat(60_000))).unwrap();
    assert!(parsed.warnings.len() < 100);
}

#[test]
fn extensions_have_names_of_at_most_32_octets_and_warnings_are_as_many() {
    let field = |length: usize| format!("{}: x\n", "n".repeat(length));
    assert_eq!(labels(&parse(&(GOOD.to_owned() + &field(32))).unwrap()), [""; 0]);
    let malformed = field(33).repeat(100);
    let parsed = parse(&(GOOD.to_owned() + &malformed)).unwrap();
    assert_eq!(labels(&parsed), ["malformed extension"; 32]);
}

/// A session that was verified under one policy may carry mail under an equal one.
#[test]
fn policies_with_other_hosts_modes_or_ends_are_not_equal() {
    let policy = parse(GOOD).unwrap().value;
    assert_eq!(policy, parse(GOOD).unwrap().value);
    for (from, to) in [
        ("mx: mail.", "mx: other."),
        ("mx: ", "mx: a.example\nmx: "),
        ("enforce", "testing"),
        ("max_age: ", "max_age: 1"),
    ] {
        let changed = GOOD.replacen(from, to, 1);
        assert_ne!(changed, GOOD, "{from}");
        assert_ne!(parse(&changed).unwrap().value, policy, "{changed}");
    }
}

#[test]
fn a_policy_that_could_not_be_published_cannot_be_made() {
    let mx = vec![MxPattern::parse("*.example.com").unwrap()];
    let long = MAX_AGE_MAX + Duration::from_secs(1);
    assert_eq!(Policy::new(Mode::Enforce, MAX_AGE_MAX, vec![]), Err(PolicyError::NoMx));
    assert_eq!(Policy::new(Mode::Testing, MAX_AGE_MAX, vec![]), Err(PolicyError::NoMx));
    let many = vec![mx[0].clone(); MX_PATTERNS_MAX + 1];
    assert_eq!(Policy::new(Mode::Enforce, long, mx), Err(PolicyError::MaxAge));
    assert_eq!(Policy::new(Mode::Enforce, MAX_AGE_MAX, many), Err(PolicyError::TooManyMx));
    assert!(Policy::new(Mode::None, Duration::ZERO, vec![]).is_ok());
}

fn any_policy() -> impl Strategy<Value = Policy> {
    let label = "[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?";
    let pattern =
        proptest::string::string_regex(&format!("(\\*\\.)?({label}\\.){{0,3}}[a-z]{{2,8}}"))
            .unwrap();
    let mode = prop::sample::select(vec![Mode::Enforce, Mode::None, Mode::Testing]);
    (mode, 0u64..=31_557_600, prop::collection::vec(pattern, 1..5)).prop_map(
        |(mode, seconds, mx)| {
            let mx = mx.iter().map(|text| MxPattern::parse(text).unwrap()).collect();
            Policy::new(mode, Duration::from_secs(seconds), mx).unwrap()
        },
    )
}

/// Lines that a lenient reading may overlook, or may not.
fn noise() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC{0,30}",
        "[ \t]{0,3}",
        "(mode|mx|max_age|version|Mode|comment|x)[ \r\u{b}\u{2028}:=]{0,3}[a-z0-9*. \r]{0,12}",
        "[a-z_.-]{1,34}: [ -~\u{0}\u{7f}\u{e9}]{0,12}",
        "mx: [a-z0-9*._-]{0,20}",
        "(mode|max_age|version):[ -~]{0,12}",
    ]
}

proptest! {
    #[test]
    fn reading_a_policy_never_panics(file in prop::collection::vec(any::<u8>(), 0..300)) {
        drop(Policy::parse(&file));
        drop(Policy::parse(&[GOOD.as_bytes(), file.as_slice()].concat()));
    }

    #[test]
    fn reading_a_printed_policy_gives_it_back(policy in any_policy()) {
        let parsed = parse(&policy.to_string()).unwrap();
        prop_assert_eq!(parsed, Parsed { value: policy, warnings: vec![] });
    }

    #[test]
    fn a_warning_never_changes_mode_or_max_age(
        policy in any_policy(),
        noise in prop::collection::vec(noise(), 1..6),
        mark in prop::bool::ANY,
    ) {
        let mark = if mark { "\u{feff}" } else { "" };
        let text = format!("{mark}{policy}{}", noise.join("\n"));
        if let Ok(parsed) = parse(&text) {
            prop_assert_eq!(parsed.value.mode(), policy.mode());
            prop_assert_eq!(parsed.value.max_age(), policy.max_age());
            prop_assert!(parsed.value.mx().starts_with(policy.mx()));
        }
    }

    #[test]
    fn what_is_overlooked_in_front_of_a_policy_changes_nothing(
        policy in any_policy(),
        noise in prop::collection::vec(noise(), 1..6),
    ) {
        let valid = |line: &String| ["mode:", "max_age:", "version:"].iter().any(|key| line.starts_with(key));
        prop_assume!(!noise.iter().any(valid));
        if let Ok(parsed) = parse(&format!("{}\n{policy}", noise.join("\n"))) {
            prop_assert_eq!(parsed.value.mode(), policy.mode());
            prop_assert_eq!(parsed.value.max_age(), policy.max_age());
            prop_assert!(parsed.value.mx().ends_with(policy.mx()));
        }
    }
}
