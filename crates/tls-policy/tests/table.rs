//! Every row of the table, by name.

use mta_sts::{MxHost, OpenHost};
use tls_policy::{HostRequirement, Inputs, Refusal, TlsRequirement, TlsStart};

use crate::decisions::Case;

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

/// What is needed of the three hosts, by the policy and the route.
const ROWS: [(&str, Case, [[&str; 3]; 3]); 8] = [
    (
        "an enforced policy",
        Case::Enforced,
        [
            ["verified, Starttls", "not named", "no name"],
            ["verified, Starttls", "not named", "no name"],
            ["verified, Implicit", "not named", "no name"],
        ],
    ),
    ("no policy, for an address has none", Case::AddressLiteral, NOT_ENFORCED),
    ("an exception from an enforced policy", Case::Exception, NOT_ENFORCED),
    ("a policy that was withdrawn", Case::ModeNone, NOT_ENFORCED),
    ("no policy", Case::NoPolicy, NOT_ENFORCED),
    ("a report to a domain with an enforced policy", Case::Report, NOT_ENFORCED),
    ("a policy in testing", Case::Testing, NOT_ENFORCED),
    ("a DNS that has been silent for too long", Case::UndecidedTooLong, NOT_ENFORCED),
];

/// The same wherever no policy is enforced.
const NOT_ENFORCED: [[&str; 3]; 3] = [
    ["open", "open", "open"],
    ["demanded, Starttls", "demanded, Starttls", "no name"],
    ["demanded, Implicit", "demanded, Implicit", "no name"],
];

/// The answer of the table as words.
fn words(answer: &Result<HostRequirement<'_>, Refusal>) -> String {
    match answer {
        Ok(HostRequirement::Demanded(host)) => format!("demanded, {:?}", host.start()),
        Ok(HostRequirement::Open(host)) => {
            assert_eq!(host.start(), TlsStart::Starttls);
            "open".to_owned()
        }
        Ok(HostRequirement::Verified(host)) => format!("verified, {:?}", host.start()),
        Err(Refusal::NoName(_)) => "no name".to_owned(),
        Err(Refusal::NotNamed(_)) => "not named".to_owned(),
    }
}

#[tokio::test]
async fn every_row_of_the_table_asks_for_what_it_says() {
    for (policy, case, by_route) in ROWS {
        let decision = case.decide().await;
        for ((asks, route), expected) in ROUTES.iter().zip(by_route) {
            for (host, expected) in hosts().iter().zip(expected) {
                let answer = Inputs { decision: &decision, route, host }.requirement();
                assert_eq!(words(&answer), expected, "{policy}; a route: {asks}; {host:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_route_of_the_table_leads_to_the_host_that_was_asked_about() {
    let (enforced, none) = (Case::Enforced.decide().await, Case::NoPolicy.decide().await);
    let [named, other, address] = hosts();
    let [(_, as_policy), (_, proof), _] = ROUTES;
    let requirement = |decision, route, host| Inputs { decision, route, host }.requirement();
    let Ok(HostRequirement::Verified(host)) = requirement(&enforced, &as_policy, &named) else {
        panic!("not verified")
    };
    assert_eq!(OpenHost::Name(host.route().unwrap().mx().clone()), named);
    let Ok(HostRequirement::Demanded(host)) = requirement(&none, &proof, &other) else {
        panic!("not demanded")
    };
    assert_eq!(OpenHost::Name(host.route().unwrap().host().clone()), other);
    let Ok(HostRequirement::Open(host)) = requirement(&none, &as_policy, &address) else {
        panic!("not open")
    };
    assert_eq!(host.route().unwrap().host(), &address);
}
