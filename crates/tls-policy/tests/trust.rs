//! What a session may be used for again.

use std::net::IpAddr;
use std::time::Duration;

use dns::{Lookup, Records, Security, TlsaData, Validation};
use mta_sts::danger::TlsRequiredNo;
use mta_sts::{Decision, MxHost, NextHop, OpenHost, PolicyDomain};
use tls_policy::{
    DaneInputs, DaneLookup, DaneSettings, Demanded, Encrypted, HostDane, HostNaming, Matched,
    RecordsLicence, Trust, Unverified,
};

use crate::decisions::{fallback, fallback_to};

fn host() -> MxHost {
    MxHost::parse("mx.example.org").unwrap()
}

/// What the lookup finds for the host if these are its records, all of them secure.
async fn found(records: Vec<TlsaData>) -> HostDane {
    let decision = Decision::Permit(fallback(None).await);
    let (host, naming) = (OpenHost::Name(host()), HostNaming::a_priori(&host()));
    let (port, settings, validation) = (25, DaneSettings::default(), Validation::Active);
    let (decision, host, naming) = (&decision, &host, &naming);
    let inputs = DaneInputs { decision, host, port, naming, settings, validation };
    let DaneLookup::Addresses(question) = DaneLookup::begin(&inputs) else { panic!() };
    let address: IpAddr = [192, 0, 2, 1].into();
    let DaneLookup::Tlsa(question) = question.answer(&Ok(secure(vec![address]))) else { panic!() };
    let DaneLookup::Answered(answer) = question.answer(Ok(secure(records))) else { panic!() };
    answer
}

fn secure<T>(records: Vec<T>) -> Lookup<T> {
    let security = Security::Secure;
    if records.is_empty() {
        return Lookup::NoData(security);
    }
    Lookup::Found(Records { records, security, canonical: None, valid_for: Duration::ZERO })
}

fn record(usage: u8, octet: u8) -> TlsaData {
    TlsaData { usage, selector: 1, matching: 1, data: vec![octet; 32] }
}

#[tokio::test]
async fn a_session_without_a_policy_takes_mail_for_its_next_hop_and_reason_alone() {
    let elsewhere = NextHop::Domain(PolicyDomain::parse("example.net").unwrap());
    let (own, host) = (fallback(None).await, OpenHost::Name(host()));
    let (none, one) = (found(Vec::new()).await, found(vec![record(3, 1)]).await);
    let unusable = found(vec![record(1, 1)]).await;
    let demanded = Demanded::route(&own, &host, &none).unwrap();
    let open = Unverified::route(&own, &host, &none).unwrap();
    let matched = Matched::route(&own, &host, &one).unwrap();
    let encrypted = Encrypted::route(&own, &host, &unusable).unwrap();
    for (other, fits) in [
        (fallback(None).await, true),
        (fallback(Some("testing")).await, false),
        (fallback_to(&elsewhere, None).await, false),
    ] {
        assert_eq!(Demanded::covers(&demanded, &other), fits, "{other:?}");
        assert_eq!(Encrypted::covers(&encrypted, &other), fits, "{other:?}");
        assert_eq!(Matched::covers(&matched, &other), fits, "{other:?}");
        assert_eq!(Unverified::covers(&open, &other), fits, "{other:?}");
    }
}

/// Other records, other connection.
#[tokio::test]
async fn a_session_goes_on_under_the_records_that_it_was_made_under_alone() {
    let (own, host) = (fallback(None).await, OpenHost::Name(host()));
    let all = [
        found(Vec::new()).await,
        found(vec![record(1, 1)]).await,
        found(vec![record(3, 1)]).await,
        found(vec![record(3, 2)]).await,
        found(vec![record(3, 1), record(3, 2)]).await,
    ];
    let mut asked = 0;
    for (then, made_under) in all.iter().enumerate() {
        for (now, dane) in all.iter().enumerate() {
            let same = then == now;
            if let Ok(route) = Unverified::route(&own, &host, made_under) {
                assert_eq!(Unverified::is_under(&route, dane), same, "{then} {now}");
                asked += 1;
            }
            if let Ok(route) = Encrypted::route(&own, &host, made_under) {
                assert_eq!(Encrypted::is_under(&route, dane), same, "{then} {now}");
                asked += 1;
            }
            if let Ok(route) = Matched::route(&own, &host, made_under) {
                assert_eq!(Matched::is_under(&route, dane), same, "{then} {now}");
                asked += 1;
            }
            let demanded = Demanded::route(&own, &host, made_under).unwrap();
            // Records of no use ask for no more than the proof that there is anyway.
            let same = same || (then < 2 && now < 2);
            assert_eq!(Demanded::is_under(&demanded, dane), same, "{then} {now}");
        }
    }
    assert_eq!(asked, 5 * all.len(), "each of them has one kind of session");
}

/// Records that are set aside are noted by a route that asks for a name, and bind nothing.
#[tokio::test]
async fn a_session_beside_records_that_are_set_aside_takes_no_mail_that_they_bind() {
    let (own, host) = (fallback(None).await, OpenHost::Name(host()));
    let licence = TlsRequiredNo::assertion();
    let binding = found(vec![record(3, 1)]).await;
    let aside = found(vec![record(3, 1)]).await.set_aside(&host, RecordsLicence::Sender(&licence));
    let bound = Demanded::route(&own, &host, &binding).unwrap();
    let free = Demanded::route(&own, &host, &aside).unwrap();
    assert!(bound.association().is_some() && bound.noted().is_none());
    assert!(free.association().is_none() && free.noted().unwrap().usable().is_some());
    assert!(Demanded::is_under(&bound, &binding) && Demanded::is_under(&free, &aside));
    assert!(!Demanded::is_under(&bound, &aside) && !Demanded::is_under(&free, &binding));
}
