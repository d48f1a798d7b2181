//! Counts stay exact, whatever is folded and in whatever order.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::address::MailAddress;
use crate::failure::FailureDetail;
use crate::policy::{AppliedPolicy, TlsaRecord};
use crate::report::Report;
use crate::result_type::ResultType;
use crate::submitter::{Instance, Submitter};

fn domain(name: &str) -> DomainName {
    DomainName::parse(name).unwrap()
}

fn policy(number: u8) -> Arc<AppliedPolicy> {
    let name = domain(&format!("mx{}.example", number % 25));
    let data = vec![number];
    let record = TlsaRecord { usage: 3, selector: 1, matching_type: 1, data };
    Arc::new(match number {
        0 => AppliedPolicy::none(domain("example.org")),
        1 => AppliedPolicy::sts(domain("example.org"), "version: STSv1\n", &["*.example"]),
        _ => AppliedPolicy::tlsa(name, [record]),
    })
}

fn failure(result_type: ResultType, host: u8, address: u8) -> FailureDetail {
    FailureDetail {
        receiving_mx_hostname: Some(domain(&format!("mx{host}.example"))),
        receiving_ip: Some([192, 0, 2, address].into()),
        ..FailureDetail::new(result_type)
    }
}

fn submitter() -> Submitter {
    let contact = MailAddress::parse("tls-reports@sender.example").unwrap();
    Submitter::new(contact, "Sender", Instance::parse("001").unwrap())
}

/// The report of these tallies, merged one after the other.
fn report(tallies: Vec<DomainTally>) -> Option<Report> {
    let mut merged = DomainTally::new(domain("example.org"));
    for tally in tallies {
        merged.merge(tally);
    }
    Report::new(&submitter(), Day::parse("2026-11-30").unwrap(), &merged)
}

#[test]
fn what_is_the_same_adds_up() {
    let mut tally = DomainTally::new(domain("example.org"));
    let failed =
        || Row { policy: policy(1), failure: Some(failure(ResultType::CertificateExpired, 1, 1)) };
    tally.count(failed(), 2);
    tally.count(failed(), 3);
    tally.count(Row { policy: policy(1), failure: None }, 7);
    tally.count(Row { policy: policy(0), failure: None }, 0);
    let report = report(vec![tally]).unwrap();
    let [policy] = report.policies() else { panic!("{report:?}") };
    assert_eq!((policy.successes, policy.failed()), (7, 5));
    assert_eq!(policy.failures.len(), 1);
}

#[test]
fn the_most_frequent_failure_comes_first() {
    let mut tally = DomainTally::new(domain("example.org"));
    for (address, sessions) in [(1, 1), (2, 9), (3, 5)] {
        let failure = Some(failure(ResultType::CertificateExpired, 1, address));
        tally.count(Row { policy: policy(1), failure }, sessions);
    }
    let report = report(vec![tally]).unwrap();
    let sessions: Vec<_> = report.policies()[0].failures.iter().map(|(_, count)| *count).collect();
    assert_eq!(sessions, [9, 5, 1]);
}

#[test]
fn nothing_counted_is_no_report() {
    assert_eq!(report(vec![]), None);
}

#[test]
fn addresses_are_left_out_before_hosts_and_counts_stay_exact() {
    let count = |hosts: u8, addresses: u8| {
        let mut tally = DomainTally::new(domain("example.org"));
        for host in 0..hosts {
            for address in 0..addresses {
                let failure = Some(failure(ResultType::CertificateExpired, host, address));
                tally.count(Row { policy: policy(1), failure }, 1);
            }
        }
        report(vec![tally]).unwrap()
    };
    for (hosts, addresses, details) in [(10, 10, 100), (10, 11, 10), (101, 1, 1), (100, 1, 100)] {
        let report = count(hosts, addresses);
        assert_eq!(report.failures(), u64::from(hosts) * u64::from(addresses));
        assert_eq!(report.policies()[0].failures.len(), details, "{hosts} {addresses}");
    }
}

#[test]
fn many_failures_of_one_kind_take_no_room_from_the_others() {
    let mut tally = DomainTally::new(domain("example.org"));
    let expired = failure(ResultType::CertificateExpired, 1, 1);
    tally.count(Row { policy: policy(1), failure: Some(expired.clone()) }, 1);
    for host in 0..=255 {
        let failure = Some(failure(ResultType::ValidationFailure, host, 1));
        tally.count(Row { policy: policy(1), failure }, 1);
    }
    let report = report(vec![tally]).unwrap();
    let folded = FailureDetail::new(ResultType::ValidationFailure);
    assert_eq!(report.policies()[0].failures, [(folded, 256), (expired, 1)]);
}

#[test]
fn the_text_of_policies_is_left_out_before_their_domains() {
    for (policies, kept) in [(22, 20), (27, 20), (42, 2)] {
        let mut tally = DomainTally::new(domain("example.org"));
        for number in 2..policies {
            tally.count(Row { policy: policy(number), failure: None }, 1);
        }
        let report = report(vec![tally]).unwrap();
        assert_eq!(report.successes(), u64::from(policies) - 2);
        assert!(report.policies().len() <= kept, "{policies}");
    }
}

#[test]
fn domains_are_counted_apart_up_to_a_limit_and_old_days_go() {
    let day = Day::parse("2026-11-30").unwrap();
    let row = || Row { policy: policy(0), failure: None };
    let mut tally = Tally::default();
    for number in 0..DOMAINS_MAX {
        tally.count(day, &domain(&format!("d{number}.example")), row(), 1).unwrap();
    }
    assert_eq!(tally.count(day, &domain("one.example"), row(), 1), Err(TooManyDomains));
    assert_eq!(tally.count(day, &domain("d0.example"), row(), 1), Ok(()));
    assert_eq!(tally.count(day.after(), &domain("one.example"), row(), 1), Ok(()));
    let mut other = Tally::default();
    other.count(day, &domain("one.example"), row(), 1).unwrap();
    other.count(day, &domain("d0.example"), row(), 3).unwrap();
    assert_eq!(tally.merge(other), 1);
    assert_eq!(tally.domain(day, &domain("d0.example")).unwrap().rows().next().unwrap().1, 5);
    assert_eq!(tally.drop_before(day.after()), DOMAINS_MAX);
    assert_eq!(tally.domains().count(), 1);
    assert!(tally.take(day.after(), &domain("one.example")).is_some());
    assert_eq!(tally.domains().count(), 0);
}

#[test]
fn a_tally_is_kept_with_each_policy_once() {
    let mut tally = DomainTally::new(domain("example.org"));
    tally.count(Row { policy: policy(0), failure: None }, 7);
    let failed = FailureDetail::new(ResultType::StarttlsNotSupported);
    tally.count(Row { policy: policy(0), failure: Some(failed) }, u64::MAX);
    let kept = serde_json::to_string(&tally).unwrap();
    let expected = concat!(
        r#"{"domain":"example.org","policies":[{"policy":{"policy-type":"no-policy-found","#,
        r#""policy-domain":"example.org"},"successes":7,"failures":[[{"result-type":"#,
        r#""starttls-not-supported"},18446744073709551615]]}]}"#
    );
    assert_eq!(kept, expected);
}

/// Rows of few or of many kinds.
fn rows() -> impl Strategy<Value = Vec<(Row, u64)>> {
    let result_type = prop_oneof![
        Just(ResultType::CertificateExpired),
        Just(ResultType::StarttlsNotSupported),
        Just(ResultType::ValidationFailure),
    ];
    let failure = (result_type, 0..60_u8, 0..4_u8)
        .prop_map(|(result_type, host, address)| failure(result_type, host, address));
    let row = (0..30_u8, prop::option::of(failure))
        .prop_map(|(number, failure)| Row { policy: policy(number), failure });
    prop::collection::vec((row, 1..9_u64), 0..300)
}

/// The rows counted into tallies of `parts`.
fn counted(rows: &[(Row, u64)], parts: &[u8]) -> Vec<DomainTally> {
    let mut tallies = vec![DomainTally::new(domain("example.org")); 4];
    for ((row, sessions), part) in rows.iter().zip(parts.iter().cycle()) {
        tallies[usize::from(part % 4)].count(row.clone(), *sessions);
    }
    tallies
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_report_is_the_same_in_whatever_order_and_parts_it_was_counted(
        (rows, shuffled) in rows().prop_flat_map(|rows| {
            (Just(rows.clone()), Just(rows).prop_shuffle())
        }),
        parts in prop::collection::vec(0..4_u8, 1..20),
    ) {
        let whole = report(counted(&rows, &[0]));
        let mut parted = counted(&shuffled, &parts);
        prop_assert_eq!(&whole, &report(parted.clone()));
        parted.reverse();
        prop_assert_eq!(&whole, &report(parted));
    }

    #[test]
    fn a_report_is_the_same_if_what_was_counted_was_kept_meanwhile(
        rows in rows(),
        parts in prop::collection::vec(0..4_u8, 1..20),
    ) {
        let whole = report(counted(&rows, &[0]));
        let mut kept = serde_json::to_vec(&DomainTally::new(domain("example.org"))).unwrap();
        for part in counted(&rows, &parts) {
            let mut sum: DomainTally = serde_json::from_slice(&kept).unwrap();
            sum.merge(part);
            kept = serde_json::to_vec(&sum).unwrap();
        }
        prop_assert_eq!(whole, report(vec![serde_json::from_slice(&kept).unwrap()]));
    }

    #[test]
    fn totals_are_those_of_a_naive_count(rows in rows()) {
        let total = |failed: bool| {
            let of_kind = rows.iter().filter(|(row, _)| row.failure.is_some() == failed);
            of_kind.map(|(_, sessions)| sessions).sum::<u64>()
        };
        match report(counted(&rows, &[0, 1])) {
            None => prop_assert!(rows.is_empty()),
            Some(report) => {
                prop_assert_eq!(report.successes(), total(false));
                prop_assert_eq!(report.failures(), total(true));
                let policies: BTreeSet<_> =
                    report.policies().iter().map(|report| &report.policy).collect();
                prop_assert_eq!(policies.len(), report.policies().len());
                prop_assert!(policies.len() <= 20);
            }
        }
    }
}
