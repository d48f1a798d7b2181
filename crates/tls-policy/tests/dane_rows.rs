//! Every row of the lookup for a host's TLSA records, by name, and a model of RFC 7672 §2.2 beside it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use dns::{Canonical, Lookup, LookupError, Records, Security, TlsaData, Validation};
use mta_sts::{Decision, MxHost, OpenHost};
use proptest::prelude::*;
use smtp::Domain;
use tls_policy::{
    DaneInputs, DaneLookup, DaneMode, DaneSettings, HostDane, HostNaming, InsecureMx, NextHopNames,
    ProofOfDestination, WhyNoDane, WhySkipped,
};

use crate::decisions::Case;

const HOST: &str = "mx.example.org";
const END: &str = "mx.example.net";
const PORT: u16 = 2525;

/// What one question is answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Says {
    Fails,
    InsecurelyNot,
    SecurelyNot,
    Insecure,
    Secure,
    /// Secure records, of which SMTP can use none.
    Unusable,
}

/// A DNS in which there is one host, which may be an alias.
#[derive(Clone, Copy, Debug)]
struct Names {
    is_alias: bool,
    addresses: Says,
    alias: Says,
    tlsa_of_end: Says,
    tlsa_of_host: Says,
}

impl Names {
    const fn of_host(addresses: Says, tlsa_of_host: Says) -> Self {
        let (alias, tlsa_of_end) = (Says::Fails, Says::Fails);
        Self { is_alias: false, addresses, alias, tlsa_of_end, tlsa_of_host }
    }

    const fn of_alias(addresses: Says, alias: Says, tlsa_of_end: Says, tlsa_of_host: Says) -> Self {
        Self { is_alias: true, addresses, alias, tlsa_of_end, tlsa_of_host }
    }
}

/// A lookup of these records, which are at the name asked for or at the end of its aliases.
fn lookup<T>(says: Says, records: Vec<T>, end: Option<&str>) -> Result<Lookup<T>, LookupError> {
    let found = |security| {
        let canonical = end.map(Arc::from);
        Ok(Lookup::Found(Records { records, security, canonical, valid_for: Duration::ZERO }))
    };
    match says {
        Says::Fails => Err(LookupError::Bogus),
        Says::InsecurelyNot => Ok(Lookup::NoData(Security::Insecure)),
        Says::SecurelyNot => Ok(Lookup::NxDomain(Security::Secure)),
        Says::Insecure => found(Security::Insecure),
        Says::Secure | Says::Unusable => found(Security::Secure),
    }
}

fn tlsa(says: Says) -> Result<Lookup<TlsaData>, LookupError> {
    let usage = if says == Says::Unusable { 1 } else { 3 };
    lookup(says, vec![TlsaData { usage, selector: 1, matching: 1, data: vec![7; 32] }], None)
}

fn next_hop() -> HostNaming {
    let domain = Domain::parse("example.org").unwrap();
    HostNaming::Secure(NextHopNames { domain, canonical: Some("mail.example.org".into()) })
}

fn settings(mode: DaneMode, insecure_mx: InsecureMx) -> DaneSettings {
    DaneSettings { mode, insecure_mx }
}

fn host() -> OpenHost {
    OpenHost::Name(MxHost::parse(HOST).unwrap())
}

/// The answer of the table, and what was asked on the way.
fn look_up(inputs: &DaneInputs<'_>, names: &Names) -> (HostDane, Vec<String>) {
    let mut asked = Vec::new();
    let mut step = DaneLookup::begin(inputs);
    loop {
        step = match step {
            DaneLookup::Addresses(question) => {
                asked.push(format!("A {}", question.host()));
                let address: IpAddr = [192, 0, 2, 1].into();
                question.answer(&lookup(
                    names.addresses,
                    vec![address],
                    names.is_alias.then_some(END),
                ))
            }
            DaneLookup::Alias(question) => {
                asked.push(format!("CNAME {}", question.host()));
                let target = Canonical(END.into());
                question.answer(&lookup(names.alias, vec![target], None))
            }
            DaneLookup::Tlsa(question) => {
                asked.push(format!("TLSA _{}._tcp.{}", question.port(), question.base()));
                let is_end = question.base().as_str() == END;
                question.answer(tlsa(if is_end { names.tlsa_of_end } else { names.tlsa_of_host }))
            }
            DaneLookup::Answered(answer) => return (answer, asked),
        };
    }
}

/// An answer in words.
fn words(answer: &HostDane) -> String {
    match answer {
        HostDane::Dane(host) => {
            let names = host.association().names().all();
            let names: Vec<&str> = names.map(AsRef::as_ref).collect();
            format!("DANE {:?} {}", host.destination(), names.join(" "))
        }
        HostDane::EncryptOnly(host) => format!("encrypt {}", host.base()),
        HostDane::NoDane(none) => {
            assert_eq!(*none.host(), host());
            none.why().label().to_owned()
        }
        HostDane::Skipped(why) => format!("skipped: {why}"),
    }
}

fn inputs<'a>(
    decision: &'a Decision,
    host: &'a OpenHost,
    naming: &'a HostNaming,
    settings: DaneSettings,
) -> DaneInputs<'a> {
    DaneInputs { decision, host, port: PORT, naming, settings, validation: Validation::Active }
}

/// Hosts that secure MX records name: what is known, what is asked, and the answer.
const ROWS: [(&str, Names, &[&str], &str); 18] = {
    use Says::{Fails, Insecure, InsecurelyNot, Secure, SecurelyNot, Unusable};
    const A: &str = "A mx.example.org";
    const CNAME: &str = "CNAME mx.example.org";
    const TLSA: &str = "TLSA _2525._tcp.mx.example.org";
    const TLSA_END: &str = "TLSA _2525._tcp.mx.example.net";
    const DANE: &str = "DANE Proven mx.example.org example.org mail.example.org";
    const DANE_END: &str = "DANE Proven mx.example.net example.org mail.example.org";
    const TLSA_FAILS: &str =
        "skipped: TLSA lookup for mx.example.org failed: DNSSEC validation failed";
    const TLSA_END_FAILS: &str =
        "skipped: TLSA lookup for mx.example.net failed: DNSSEC validation failed";
    [
        ("no address", Names::of_host(SecurelyNot, Secure), &[A], "skipped: no address"),
        (
            "addresses that cannot be told",
            Names::of_host(Fails, Secure),
            &[A],
            "skipped: no address: DNSSEC validation failed",
        ),
        ("insecure addresses", Names::of_host(Insecure, Fails), &[A], "insecure-addresses"),
        ("secure addresses and records", Names::of_host(Secure, Secure), &[A, TLSA], DANE),
        (
            "records of no use",
            Names::of_host(Secure, Unusable),
            &[A, TLSA],
            "encrypt mx.example.org",
        ),
        ("insecure records", Names::of_host(Secure, Insecure), &[A, TLSA], "no-records"),
        ("no records", Names::of_host(Secure, SecurelyNot), &[A, TLSA], "no-records"),
        ("insecurely none", Names::of_host(Secure, InsecurelyNot), &[A, TLSA], "no-records"),
        ("records that cannot be told", Names::of_host(Secure, Fails), &[A, TLSA], TLSA_FAILS),
        (
            "a secure alias, with records at its end",
            Names::of_alias(Secure, Fails, Secure, Fails),
            &[A, TLSA_END],
            DANE_END,
        ),
        (
            "a secure alias, with records of no use at its end",
            Names::of_alias(Secure, Fails, Unusable, Secure),
            &[A, TLSA_END],
            "encrypt mx.example.net",
        ),
        (
            "a secure alias, with insecure records at its end",
            Names::of_alias(Secure, Fails, Insecure, Secure),
            &[A, TLSA_END, TLSA],
            DANE,
        ),
        (
            "a secure alias, with none at its end",
            Names::of_alias(Secure, Fails, SecurelyNot, SecurelyNot),
            &[A, TLSA_END, TLSA],
            "no-records",
        ),
        (
            "a secure alias, of whose end nothing can be told",
            Names::of_alias(Secure, Fails, Fails, Secure),
            &[A, TLSA_END],
            TLSA_END_FAILS,
        ),
        (
            "a secure alias that leads to insecure addresses",
            Names::of_alias(Insecure, Secure, Fails, Secure),
            &[A, CNAME, TLSA],
            DANE,
        ),
        (
            "an insecure alias",
            Names::of_alias(Insecure, Insecure, Fails, Fails),
            &[A, CNAME],
            "insecure-addresses",
        ),
        (
            "an alias that is gone meanwhile",
            Names::of_alias(Insecure, SecurelyNot, Fails, Fails),
            &[A, CNAME],
            "insecure-addresses",
        ),
        (
            "an alias that cannot be told",
            Names::of_alias(Insecure, Fails, Fails, Fails),
            &[A, CNAME],
            "skipped: CNAME lookup failed: DNSSEC validation failed",
        ),
    ]
};

#[tokio::test]
async fn every_row_of_the_lookup_for_tlsa_records_asks_what_it_has_to_and_no_more() {
    let decision = Case::NoPolicy.decide().await;
    for (row, names, questions, expected) in ROWS {
        for mode in [DaneMode::Auto, DaneMode::Required] {
            let settings = settings(mode, InsecureMx::Ignore);
            let (host, naming) = (host(), next_hop());
            let inputs = inputs(&decision, &host, &naming, settings);
            let (answer, asked) = look_up(&inputs, &names);
            assert_eq!((words(&answer).as_str(), asked), (expected, strings(questions)), "{row}");
        }
    }
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn without_secure_mx_records_nothing_is_asked_unless_the_operator_says_so() {
    let decision = Case::NoPolicy.decide().await;
    let (host, naming) = (host(), HostNaming::Insecure);
    let secure = Names::of_alias(Says::Secure, Says::Fails, Says::Secure, Says::Secure);
    let ignoring = settings(DaneMode::Auto, InsecureMx::Ignore);
    let (answer, asked) = look_up(&inputs(&decision, &host, &naming, ignoring), &secure);
    assert_eq!((words(&answer).as_str(), asked), ("insecure-mx", Vec::new()));
    let applying = settings(DaneMode::Auto, InsecureMx::Apply);
    let (answer, asked) = look_up(&inputs(&decision, &host, &naming, applying), &secure);
    // No certificate has to have, or may have, the next hop's name.
    assert_eq!(words(&answer), "DANE Unproven mx.example.net");
    assert_eq!(asked.len(), 2);
}

#[tokio::test]
async fn addresses_reports_and_resolvers_that_do_not_validate_have_no_dane() {
    let (decision, report) = (Case::NoPolicy.decide().await, Case::Report.decide().await);
    let literal = OpenHost::Literal([192, 0, 2, 1].into());
    let (host, naming) = (host(), next_hop());
    let names = Names::of_host(Says::Secure, Says::Secure);
    let why = |inputs: &DaneInputs<'_>| match look_up(inputs, &names) {
        (HostDane::NoDane(none), asked) if asked.is_empty() => none.why(),
        other => panic!("{other:?}"),
    };
    let required = settings(DaneMode::Required, InsecureMx::Ignore);
    let auto = settings(DaneMode::Auto, InsecureMx::Ignore);
    let off = settings(DaneMode::Off, InsecureMx::Apply);
    assert_eq!(why(&inputs(&decision, &literal, &naming, required)), WhyNoDane::AddressLiteral);
    assert_eq!(why(&inputs(&report, &host, &naming, required)), WhyNoDane::TlsReport);
    assert_eq!(why(&inputs(&decision, &host, &naming, off)), WhyNoDane::Off);
    let mut inactive = inputs(&decision, &host, &naming, auto);
    inactive.validation = Validation::Inactive;
    assert_eq!(why(&inactive), WhyNoDane::Inactive);
    inactive.settings = required;
    let (answer, asked) = look_up(&inactive, &names);
    assert!(matches!(answer, HostDane::Skipped(WhySkipped::NoValidator)), "{answer:?}");
    assert!(asked.is_empty());
}

#[tokio::test]
async fn a_host_with_more_records_than_are_read_is_skipped() {
    let decision = Case::NoPolicy.decide().await;
    let (host, naming) = (host(), next_hop());
    let inputs = inputs(&decision, &host, &naming, settings(DaneMode::Auto, InsecureMx::Ignore));
    let answer = |records: Vec<TlsaData>| {
        let DaneLookup::Addresses(question) = DaneLookup::begin(&inputs) else { panic!() };
        let address: IpAddr = [192, 0, 2, 1].into();
        let step = question.answer(&lookup(Says::Secure, vec![address], None));
        let DaneLookup::Tlsa(question) = step else { panic!() };
        let DaneLookup::Answered(answer) = question.answer(lookup(Says::Secure, records, None))
        else {
            panic!()
        };
        answer
    };
    let record = |n: u8, octets: usize| TlsaData {
        usage: 3,
        selector: 1,
        matching: 1,
        data: vec![n; octets],
    };
    assert!(matches!(answer((0..64).map(|n| record(n, 32)).collect()), HostDane::Dane(_)));
    for records in [(0..65).map(|n| record(n, 32)).collect(), vec![record(0, 32), record(1, 4097)]]
    {
        let answer = answer(records);
        assert!(matches!(answer, HostDane::Skipped(WhySkipped::Unread { .. })), "{answer:?}");
    }
}

/// RFC 7672 §2.2, said a second time: the outcome of the searches for one host.
#[derive(Debug, Eq, PartialEq)]
enum Model {
    Unreachable,
    Delayed,
    Opportunistic,
    Authenticate(&'static str),
    Encrypt(&'static str),
}

/// §2.2.2 and §2.2.3 in their order: "not found", the validation status of what was found, candidate
/// base domains, and the first of them that yields a secure set.
fn model(names: &Names) -> Model {
    let address_error = names.addresses == Says::Fails;
    let not_found = matches!(names.addresses, Says::InsecurelyNot | Says::SecurelyNot);
    if address_error {
        return Model::Delayed;
    }
    if not_found {
        return Model::Unreachable;
    }
    let addresses_are_secure = names.addresses != Says::Insecure;
    let candidates: &[&'static str] = match (names.is_alias, addresses_are_secure) {
        (false, true) => &[HOST],
        (false, false) => &[],
        (true, true) => &[END, HOST],
        (true, false) => match names.alias {
            Says::Fails => return Model::Delayed,
            Says::Secure | Says::Unusable => &[HOST],
            Says::Insecure | Says::InsecurelyNot | Says::SecurelyNot => &[],
        },
    };
    for candidate in candidates {
        let rrset = if *candidate == END { names.tlsa_of_end } else { names.tlsa_of_host };
        match rrset {
            Says::Fails => return Model::Delayed,
            Says::Secure => return Model::Authenticate(candidate),
            Says::Unusable => return Model::Encrypt(candidate),
            Says::Insecure | Says::InsecurelyNot | Says::SecurelyNot => {}
        }
    }
    Model::Opportunistic
}

/// The answer of the table in the model's terms.
fn as_model(answer: &HostDane) -> Model {
    let named = |base: &str| if base == END { END } else { HOST };
    match answer {
        HostDane::Dane(host) => {
            assert_eq!(host.destination(), ProofOfDestination::Proven);
            Model::Authenticate(named(host.association().names().base().as_ref()))
        }
        HostDane::EncryptOnly(host) => Model::Encrypt(named(host.base().as_str())),
        HostDane::NoDane(_) => Model::Opportunistic,
        HostDane::Skipped(WhySkipped::NoAddress) => Model::Unreachable,
        HostDane::Skipped(_) => Model::Delayed,
    }
}

fn says() -> impl Strategy<Value = Says> {
    prop_oneof![
        Just(Says::Fails),
        Just(Says::InsecurelyNot),
        Just(Says::SecurelyNot),
        Just(Says::Insecure),
        Just(Says::Secure),
        Just(Says::Unusable),
    ]
}

fn any_names() -> impl Strategy<Value = Names> {
    (any::<bool>(), says(), says(), says(), says()).prop_map(
        |(is_alias, addresses, alias, tlsa_of_end, tlsa_of_host)| Names {
            is_alias,
            addresses,
            alias,
            tlsa_of_end,
            tlsa_of_host,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]
    #[test]
    fn the_lookup_finds_what_a_model_of_the_rfc_finds(names in any_names()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        thread_local! {
            static DECISION: std::cell::OnceCell<Decision> = const { std::cell::OnceCell::new() };
        }
        DECISION.with(|decision| {
            let decision = decision.get_or_init(|| runtime.block_on(Case::NoPolicy.decide()));
            let settings = settings(DaneMode::Auto, InsecureMx::Ignore);
            let (host, naming) = (host(), next_hop());
            let (answer, asked) = look_up(&inputs(decision, &host, &naming, settings), &names);
            prop_assert_eq!(as_model(&answer), model(&names));
            // Servers of unsigned zones are never asked for TLSA records (RFC 7672 §2.2.2).
            let alias_is_secure =
                names.is_alias && matches!(names.alias, Says::Secure | Says::Unusable);
            if names.addresses == Says::Insecure && !alias_is_secure {
                prop_assert!(!asked.iter().any(|question| question.starts_with("TLSA")));
            }
            Ok(())
        })?;
    }
}
