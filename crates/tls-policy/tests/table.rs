//! Every row of the table, by name.

use std::net::IpAddr;
use std::time::Duration;

use dns::{Lookup, LookupError, Records, Security, TlsaData, Validation};
use mta_sts::danger::TlsRequiredNo;
use mta_sts::{Decision, ExceptionScope, Lifts, MxHost, OpenHost};
use tls_policy::{
    DaneDemand, DaneInputs, DaneLookup, DaneSettings, Excepted, HostDane, HostNaming,
    HostRequirement, Inputs, MessageDemand, RecordsLicence, Refusal, TlsRequirement, TlsStart,
    Trust as _,
};

use crate::decisions::{Case, decide_beside};

/// What a route asks for.
const ROUTES: [(&str, TlsRequirement<()>); 3] = [
    ("as the policy", TlsRequirement::AsPolicy),
    ("proof", TlsRequirement::Proven { start: TlsStart::Starttls, login: None }),
    ("proof, implicit TLS", TlsRequirement::Proven { start: TlsStart::Implicit, login: Some(()) }),
];

/// The hosts: one that the policy names, another one, and an address.
fn hosts() -> [OpenHost; 3] {
    let name = |name: &str| OpenHost::Name(MxHost::parse(name).unwrap());
    [name("mx.example.org"), name("mx.example.net"), OpenHost::Literal([192, 0, 2, 1].into())]
}

/// What the DNS says of a host's TLSA records.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Tlsa {
    /// There are none.
    Absent,
    /// Their lookup fails.
    Fails,
    /// None can be used.
    Unusable,
    /// One can.
    Usable,
}

impl Tlsa {
    const ALL: [Self; 4] = [Self::Absent, Self::Fails, Self::Unusable, Self::Usable];

    /// What the lookup finds for a host; an address has no records, and a report asks for none.
    fn of(self, decision: &Decision, host: &OpenHost) -> HostDane {
        let naming = match host {
            OpenHost::Name(mx) => HostNaming::a_priori(mx),
            OpenHost::Literal(_) => HostNaming::Insecure,
        };
        let (port, settings, validation) = (25, DaneSettings::default(), Validation::Active);
        let inputs = DaneInputs { decision, host, port, naming: &naming, settings, validation };
        let address: IpAddr = [192, 0, 2, 1].into();
        let mut step = DaneLookup::begin(&inputs);
        loop {
            step = match step {
                DaneLookup::Addresses(question) => question.answer(&found(vec![address])),
                DaneLookup::Alias(_) => panic!("no host is an alias"),
                DaneLookup::Tlsa(question) => question.answer(self.lookup()),
                DaneLookup::Answered(answer) => return answer,
            };
        }
    }

    fn lookup(self) -> Result<Lookup<TlsaData>, LookupError> {
        let record = |usage| TlsaData { usage, selector: 1, matching: 1, data: vec![7; 32] };
        match self {
            Self::Absent => Ok(Lookup::NoData(Security::Secure)),
            Self::Fails => Err(LookupError::TimedOut),
            Self::Unusable => found(vec![record(1)]),
            Self::Usable => found(vec![record(3)]),
        }
    }
}

fn found<T>(records: Vec<T>) -> Result<Lookup<T>, LookupError> {
    let (security, valid_for) = (Security::Secure, Duration::ZERO);
    Ok(Lookup::Found(Records { records, security, canonical: None, valid_for }))
}

/// Whether a policy is enforced, by the way in which a decision came about.
const CASES: [(&str, Case, bool); 9] = [
    ("an enforced policy", Case::Enforced, true),
    ("no policy, for an address has none", Case::AddressLiteral, false),
    ("an exception from an enforced policy", Case::Exception, false),
    ("a policy that was withdrawn", Case::ModeNone, false),
    ("no policy", Case::NoPolicy, false),
    ("a report to a domain with an enforced policy", Case::Report, false),
    ("a policy in testing", Case::Testing, false),
    ("a message that says TLS-Required: No", Case::TlsRequiredNo, false),
    ("a DNS that has been silent for too long", Case::UndecidedTooLong, false),
];

/// What is needed of the three hosts, by the policy, the records and the route: with an enforced
/// policy and without, each for routes that ask for nothing, for proof and for implicit TLS.
const ROWS: [(Tlsa, [[[&str; 3]; 3]; 2]); 4] = [
    (
        Tlsa::Absent,
        [
            [
                ["verified, Starttls", "not named", "no name"],
                ["verified, Starttls", "not named", "no name"],
                ["verified, Implicit", "not named", "no name"],
            ],
            [
                ["open", "open", "open"],
                ["demanded, Starttls", "demanded, Starttls", "no name"],
                ["demanded, Implicit", "demanded, Implicit", "no name"],
            ],
        ],
    ),
    (
        Tlsa::Fails,
        [
            [["skipped", "skipped", "no name"]; 3],
            [
                ["skipped", "skipped", "open"],
                ["skipped", "skipped", "no name"],
                ["skipped", "skipped", "no name"],
            ],
        ],
    ),
    (
        Tlsa::Unusable,
        [
            [
                ["verified, Starttls", "not named", "no name"],
                ["verified, Starttls", "not named", "no name"],
                ["verified, Implicit", "not named", "no name"],
            ],
            [
                ["encrypted", "encrypted", "open"],
                ["demanded, Starttls", "demanded, Starttls", "no name"],
                ["demanded, Implicit", "demanded, Implicit", "no name"],
            ],
        ],
    ),
    (
        Tlsa::Usable,
        [
            [
                ["verified, Starttls, and a match", "not named", "no name"],
                ["verified, Starttls, and a match", "not named", "no name"],
                ["verified, Implicit, and a match", "not named", "no name"],
            ],
            [
                ["matched", "matched", "open"],
                ["demanded, Starttls, and a match", "demanded, Starttls, and a match", "no name"],
                ["demanded, Implicit, and a match", "demanded, Implicit, and a match", "no name"],
            ],
        ],
    ),
];

/// The answer of the table as words.
fn words(answer: &Result<HostRequirement<'_>, Refusal>) -> String {
    let matched = |has| if has { ", and a match" } else { "" };
    match answer {
        Ok(HostRequirement::Demanded(host)) => {
            let has = host.route().unwrap().association().is_some();
            format!("demanded, {:?}{}", host.start(), matched(has))
        }
        Ok(HostRequirement::Encrypted(host)) => {
            assert_eq!(host.start(), TlsStart::Starttls);
            "encrypted".to_owned()
        }
        Ok(HostRequirement::Excepted(host)) => {
            let has = host.route().unwrap().association().is_some();
            format!("excepted, {:?}{}", host.start(), matched(has))
        }
        Ok(HostRequirement::Matched(host)) => {
            assert_eq!(host.start(), TlsStart::Starttls);
            "matched".to_owned()
        }
        Ok(HostRequirement::Open(host)) => {
            assert_eq!(host.start(), TlsStart::Starttls);
            "open".to_owned()
        }
        Ok(HostRequirement::Verified(host)) => {
            let has = host.route().unwrap().association().is_some();
            format!("verified, {:?}{}", host.start(), matched(has))
        }
        Ok(HostRequirement::VerifiedOrExcepted(host, excepted)) => {
            let has = host.route().unwrap().association().is_some();
            assert_eq!(excepted.route().unwrap().association().is_some(), has);
            format!("verified or excepted, {:?}{}", host.start(), matched(has))
        }
        Err(Refusal::DaneRequired(_)) => "required".to_owned(),
        Err(Refusal::NoName(_)) => "no name".to_owned(),
        Err(Refusal::NotNamed(_)) => "not named".to_owned(),
        Err(Refusal::NotSecured) => "not secured".to_owned(),
        Err(Refusal::OtherRecords) => "other records".to_owned(),
        Err(Refusal::Skipped(_)) => "skipped".to_owned(),
    }
}

#[tokio::test]
async fn every_row_of_the_table_asks_for_what_it_says() {
    for (policy, case, is_enforced) in CASES {
        let decision = case.decide().await;
        for tlsa in Tlsa::ALL {
            // A report has to arrive in spite of failures.
            let counted = if case == Case::Report { Tlsa::Absent } else { tlsa };
            let (_, rows) = ROWS.iter().find(|(row, _)| *row == counted).unwrap();
            let [enforced, permitted] = rows;
            let by_route = if is_enforced { enforced } else { permitted };
            for ((asks, route), expected) in ROUTES.iter().zip(by_route) {
                for (host, expected) in hosts().iter().zip(expected) {
                    let (dane, demand) = (&tlsa.of(&decision, host), DaneDemand::None);
                    let inputs = Inputs {
                        decision: &decision,
                        route,
                        host,
                        dane,
                        demand,
                        message: MessageDemand::None,
                    };
                    let row = format!("{policy}; {tlsa:?} TLSA; a route: {asks}; {host:?}");
                    assert_eq!(words(&inputs.requirement()), *expected, "{row}");
                }
            }
        }
    }
}

#[tokio::test]
async fn where_the_operator_demands_records_nothing_goes_to_a_host_without() {
    for (policy, case, _) in CASES {
        let decision = case.decide().await;
        for ((_, route), tlsa) in
            ROUTES.iter().flat_map(|route| Tlsa::ALL.map(|tlsa| (route, tlsa)))
        {
            for host in &hosts() {
                let dane = &tlsa.of(&decision, host);
                let of = |demand| {
                    let inputs = Inputs {
                        decision: &decision,
                        route,
                        host,
                        dane,
                        demand,
                        message: MessageDemand::None,
                    };
                    words(&inputs.requirement())
                };
                let is_exempt = case == Case::Report || matches!(host, OpenHost::Literal(_));
                let is_known = matches!(dane, HostDane::Dane(_) | HostDane::Skipped(_));
                let otherwise = of(DaneDemand::None);
                let expected = if is_exempt || is_known { &*otherwise } else { "required" };
                let row = format!("{policy}; {tlsa:?} TLSA; {route:?}; {host:?}");
                assert_eq!(of(DaneDemand::Required), expected, "{row}");
            }
        }
    }
}

#[tokio::test]
async fn a_route_of_the_table_leads_to_the_host_that_was_asked_about() {
    let (enforced, none) = (Case::Enforced.decide().await, Case::NoPolicy.decide().await);
    let [named, other, address] = hosts();
    let [(_, as_policy), (_, proof), _] = ROUTES;
    let demand = DaneDemand::None;
    let dane = Tlsa::Absent.of(&enforced, &named);
    let inputs = Inputs {
        decision: &enforced,
        route: &as_policy,
        host: &named,
        dane: &dane,
        demand,
        message: MessageDemand::None,
    };
    let Ok(HostRequirement::Verified(host)) = inputs.requirement() else { panic!() };
    assert_eq!(OpenHost::Name(host.route().unwrap().route().mx().clone()), named);
    let dane = Tlsa::Absent.of(&none, &other);
    let inputs = Inputs {
        decision: &none,
        route: &proof,
        host: &other,
        dane: &dane,
        demand,
        message: MessageDemand::None,
    };
    let Ok(HostRequirement::Demanded(host)) = inputs.requirement() else { panic!() };
    assert_eq!(OpenHost::Name(host.route().unwrap().route().host().clone()), other);
    let dane = Tlsa::Usable.of(&none, &other);
    let inputs = Inputs {
        decision: &none,
        route: &as_policy,
        host: &other,
        dane: &dane,
        demand,
        message: MessageDemand::None,
    };
    let Ok(HostRequirement::Matched(host)) = inputs.requirement() else { panic!() };
    assert_eq!(host.route().unwrap().route().host(), &other);
    let dane = Tlsa::Absent.of(&none, &address);
    let inputs = Inputs {
        decision: &none,
        route: &as_policy,
        host: &address,
        dane: &dane,
        demand,
        message: MessageDemand::None,
    };
    let Ok(HostRequirement::Open(host)) = inputs.requirement() else { panic!() };
    assert_eq!(host.route().unwrap().route().host(), &address);
}

/// The licence of the DNS is for one host: shown for another, it leads nowhere.
#[tokio::test]
async fn no_dane_of_one_host_is_no_licence_for_another() {
    let none = Case::NoPolicy.decide().await;
    let [named, other, _] = hosts();
    let dane = Tlsa::Absent.of(&none, &other);
    let [(_, as_policy), ..] = ROUTES;
    let demand = DaneDemand::None;
    let inputs = Inputs {
        decision: &none,
        route: &as_policy,
        host: &named,
        dane: &dane,
        demand,
        message: MessageDemand::None,
    };
    assert_eq!(words(&inputs.requirement()), "other records");
}

/// `TLS-Required: No` (RFC 8689 §3), where it is honoured: records have no say, are noted, and what a
/// route asks for stays.
#[tokio::test]
async fn records_that_a_message_sets_aside_are_noted_and_hold_nothing_back() {
    let decision = Case::TlsRequiredNo.decide().await;
    let [named, ..] = hosts();
    for (tlsa, noted) in [
        (Tlsa::Absent, None),
        (Tlsa::Fails, None),
        (Tlsa::Unusable, Some(false)),
        (Tlsa::Usable, Some(true)),
    ] {
        let dane = tlsa
            .of(&decision, &named)
            .set_aside(&named, RecordsLicence::Sender(&TlsRequiredNo::assertion()));
        let HostDane::NoDane(no_dane) = &dane else { panic!("{dane:?}") };
        assert_eq!(no_dane.noted().map(|records| records.usable().is_some()), noted, "{tlsa:?}");
        for ((_, route), expected) in
            ROUTES.iter().zip(["open", "demanded, Starttls", "demanded, Implicit"])
        {
            let inputs = Inputs {
                decision: &decision,
                route,
                host: &named,
                dane: &dane,
                // Where the operator demands records, a message with licence needs none.
                demand: if tlsa == Tlsa::Absent { DaneDemand::None } else { DaneDemand::Required },
                message: MessageDemand::None,
            };
            assert_eq!(words(&inputs.requirement()), expected, "{tlsa:?}; {route:?}");
        }
    }
}

/// REQUIRETLS (RFC 8689 §4.2.1): a message that asks for proof gets it, or no session.
#[tokio::test]
async fn what_a_message_asks_for_adds_to_what_a_host_needs() {
    let [named, other, _] = hosts();
    let secure = HostNaming::a_priori(&MxHost::parse("mx.example.org").unwrap());
    let insecure = HostNaming::Insecure;
    let [(_, as_policy), (_, proof), _] = ROUTES;
    for (case, route, tlsa, host, naming, expected) in [
        (Case::NoPolicy, &as_policy, Tlsa::Absent, &named, &secure, "demanded, Starttls"),
        (Case::NoPolicy, &as_policy, Tlsa::Unusable, &named, &secure, "demanded, Starttls"),
        (Case::NoPolicy, &as_policy, Tlsa::Usable, &named, &secure, "matched"),
        (Case::NoPolicy, &as_policy, Tlsa::Absent, &named, &insecure, "not secured"),
        (Case::NoPolicy, &as_policy, Tlsa::Usable, &named, &insecure, "not secured"),
        (Case::NoPolicy, &proof, Tlsa::Absent, &named, &insecure, "demanded, Starttls"),
        (Case::ModeNone, &as_policy, Tlsa::Absent, &named, &insecure, "not secured"),
        (Case::Testing, &as_policy, Tlsa::Absent, &named, &insecure, "demanded, Starttls"),
        (Case::Testing, &as_policy, Tlsa::Absent, &other, &insecure, "not secured"),
        (Case::Enforced, &as_policy, Tlsa::Absent, &named, &insecure, "verified, Starttls"),
        (Case::Enforced, &as_policy, Tlsa::Absent, &other, &secure, "not named"),
    ] {
        let decision = case.decide().await;
        let (dane, demand) = (&tlsa.of(&decision, host), DaneDemand::None);
        let message = MessageDemand::Proof(naming);
        let inputs = Inputs { decision: &decision, route, host, dane, demand, message };
        let row = format!("{case:?}; {tlsa:?}; {route:?}; {host:?}; {naming:?}");
        assert_eq!(words(&inputs.requirement()), expected, "{row}");
    }
}

/// A narrow exception is for what the policy alone asks of a delivery: what the route asks for, what the
/// records do and what the message does stays.
#[tokio::test]
async fn an_exception_for_a_certificate_or_a_host_lifts_nothing_but_the_policy() {
    let certificate = ExceptionScope::Certificate([7; 32].into());
    let other = ExceptionScope::Host(MxHost::parse("mx.example.net").unwrap());
    let stranger = ExceptionScope::Host(MxHost::parse("mx.example.com").unwrap());
    let naming = HostNaming::a_priori(&MxHost::parse("mx.example.org").unwrap());
    let [verified, excepted] = ["verified or excepted, Starttls", "excepted, Starttls"];
    for (scope, named, unnamed) in [
        (certificate, verified, "not named"),
        (other, "verified, Starttls", excepted),
        (stranger, "verified, Starttls", "not named"),
    ] {
        let decision = decide_beside(scope.clone()).await;
        for (place, expected) in [(0, named), (1, unnamed), (2, "no name")] {
            let host = &hosts()[place];
            for (tlsa, and) in [(Tlsa::Absent, ""), (Tlsa::Usable, ", and a match")] {
                let dane = &tlsa.of(&decision, host);
                let of = |route, message| {
                    let demand = DaneDemand::None;
                    let decision = &decision;
                    let inputs = Inputs { decision, route, host, dane, demand, message };
                    words(&inputs.requirement())
                };
                let [(_, as_policy), (_, proof), _] = &ROUTES;
                let is_session = expected.contains("Starttls");
                let expected =
                    if is_session { format!("{expected}{and}") } else { expected.to_owned() };
                let row = format!("{scope}; {host:?}; {tlsa:?}");
                assert_eq!(of(as_policy, MessageDemand::None), expected, "{row}");
                let without = match place {
                    0 => format!("verified, Starttls{and}"),
                    1 => "not named".to_owned(),
                    _ => "no name".to_owned(),
                };
                assert_eq!(of(proof, MessageDemand::None), without, "{row}");
                assert_eq!(of(as_policy, MessageDemand::Proof(&naming)), without, "{row}");
            }
        }
    }
}

/// A session that an exception let come about is for mail under that very exception.
#[tokio::test]
async fn a_session_by_an_exception_ends_with_the_exception() {
    let scope = || ExceptionScope::Certificate([7; 32].into());
    let host = &hosts()[0];
    let decision = decide_beside(scope()).await;
    let dane = Tlsa::Absent.of(&decision, host);
    let Decision::Require(required) = &decision else { panic!() };
    let route = Excepted::route(required, host, &dane).unwrap();
    assert!(Excepted::covers(&route, required));
    for other in [ExceptionScope::Certificate([8; 32].into()), ExceptionScope::Domain(Lifts::Dane)]
    {
        let decision = decide_beside(other).await;
        let Decision::Require(required) = &decision else { panic!() };
        assert!(!Excepted::covers(&route, required));
    }
    let decision = Case::Enforced.decide().await;
    let Decision::Require(required) = &decision else { panic!() };
    assert!(!Excepted::covers(&route, required));
    assert!(Excepted::route(required, host, &dane).is_err());
}
