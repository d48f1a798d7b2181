use std::collections::BTreeSet;

use super::*;
use crate::name_server::{Scripted, Zones, resolver};

const HEAD: &str = r"
@ 300 IN SOA ns.example.test. hostmaster.example.test. 1 3600 600 86400 60
@ 300 IN NS ns.example.test.
";

async fn hosts_with(records: &str) -> MailHosts {
    let zones = Zones::serve(&[("example.test.", &format!("{HEAD}{records}\n"))]).await;
    let domain = Domain::parse("example.test").unwrap();
    mail_hosts(&resolver(&[zones.address]), &domain).await.unwrap()
}

fn names(found: &MailHosts) -> Vec<String> {
    let MailHosts::Hosts { hosts, .. } = found else { panic!("{found:?}") };
    hosts
        .iter()
        .map(|mx| match &mx.exchange {
            MxTarget::Host(host) => host.to_string(),
            MxTarget::Root => ".".to_owned(),
            MxTarget::Unusable(text) => format!("({text})"),
        })
        .collect()
}

#[tokio::test]
async fn mx_hosts_come_in_order_of_preference() {
    let found = hosts_with(
        "@ 300 IN MX 30 c.example.test.\n@ 300 IN MX 0 a.example.test.\n\
         @ 300 IN MX 20 b.example.test.",
    )
    .await;
    assert_eq!(names(&found), ["a.example.test", "b.example.test", "c.example.test"]);
}

#[tokio::test]
async fn mx_hosts_of_equal_preference_come_in_random_order() {
    let records: Vec<Mx> = (0..8)
        .map(|n| {
            let host = Domain::parse(&format!("mx{n}.example.test")).unwrap();
            Mx { preference: if n < 4 { 10 } else { 20 }, exchange: MxTarget::Host(host) }
        })
        .collect();
    let mut orders = BTreeSet::new();
    for _ in 0..200 {
        let found = explicit(
            &Domain::parse("example.test").unwrap(),
            Records {
                records: records.clone(),
                security: Security::Insecure,
                canonical: None,
                valid_for: std::time::Duration::ZERO,
            },
        );
        let names = names(&found);
        let mut better = names[..4].to_vec();
        better.sort();
        assert_eq!(better, ["mx0", "mx1", "mx2", "mx3"].map(|mx| format!("{mx}.example.test")));
        orders.insert(names);
    }
    assert!(orders.len() > 50, "{}", orders.len());
}

#[tokio::test]
async fn without_mx_records_a_domain_with_addresses_is_its_own_host() {
    let implicit = MailHosts::Implicit {
        host: Domain::parse("example.test").unwrap(),
        security: Security::Insecure,
    };
    assert_eq!(hosts_with("@ 300 IN A 192.0.2.1").await, implicit);
    assert_eq!(hosts_with("@ 300 IN AAAA 2001:db8::1").await, implicit);
}

#[tokio::test]
async fn without_mx_records_and_addresses_there_is_no_mail_host() {
    assert_eq!(hosts_with("www 300 IN A 192.0.2.1").await, MailHosts::NoMailHost);
}

#[tokio::test]
async fn mx_records_keep_the_addresses_of_the_domain_from_counting() {
    let found = hosts_with("@ 300 IN MX 10 192.0.2.7.\n@ 300 IN A 192.0.2.1").await;
    assert_eq!(found, MailHosts::NoMailHost);
}

#[tokio::test]
async fn a_null_mx_says_that_no_mail_is_taken() {
    let found = hosts_with("@ 300 IN MX 0 .\n@ 300 IN A 192.0.2.1").await;
    assert_eq!(found, MailHosts::NullMx);
}

#[tokio::test]
async fn a_null_mx_beside_others_does_not_count() {
    let found = hosts_with("@ 300 IN MX 0 .\n@ 300 IN MX 10 mx.example.test.").await;
    assert_eq!(names(&found), [".", "mx.example.test"]);
    let MailHosts::Hosts { hosts, .. } = found else { panic!() };
    assert_eq!(hosts.iter().filter_map(Mx::host).count(), 1);
}

#[tokio::test]
async fn an_mx_that_is_no_host_name_is_kept_for_the_log() {
    let found = hosts_with("@ 300 IN MX 5 192.0.2.7.\n@ 300 IN MX 10 mx.example.test.").await;
    assert_eq!(names(&found), ["(192.0.2.7)", "mx.example.test"]);
}

#[tokio::test]
async fn a_domain_that_does_not_exist_is_no_such_domain() {
    let zones = Zones::serve(&[("example.test.", HEAD)]).await;
    let domain = Domain::parse("no.example.test").unwrap();
    let found = mail_hosts(&resolver(&[zones.address]), &domain).await.unwrap();
    assert_eq!(found, MailHosts::NoSuchDomain);
}

#[tokio::test]
async fn a_failure_to_learn_the_mx_records_is_never_an_absence() {
    use hickory_resolver::proto::op::ResponseCode;
    use hickory_resolver::proto::rr::RecordType;
    for failing in [RecordType::MX, RecordType::A] {
        let server = Scripted::answering(move |message| {
            if message.queries[0].query_type() == failing {
                message.metadata.response_code = ResponseCode::ServFail;
            }
        })
        .await;
        let domain = Domain::parse("example.test").unwrap();
        let found = mail_hosts(&resolver(&[server.address]), &domain).await;
        assert_eq!(found.unwrap_err().label(), "servfail", "{failing}");
    }
}

#[tokio::test]
async fn of_a_thousand_mx_records_the_best_are_kept() {
    let records: String =
        (0..1000).map(|n| format!("@ 300 IN MX {} h{n}.example.test.\n", 2000 - n)).collect();
    let found = hosts_with(&records).await;
    let best: Vec<_> = (900..1000).rev().map(|n| format!("h{n}.example.test")).collect();
    assert_eq!(names(&found), best);
}

#[tokio::test]
async fn mx_records_without_a_host_take_no_place_from_one_that_has() {
    let bad: String = (0..800).map(|n| format!("@ 300 IN MX 1 192.0.2.{}.\n", n % 250)).collect();
    let found = hosts_with(&format!("{bad}@ 300 IN MX 20 mx.example.test.")).await;
    assert!(names(&found).contains(&"mx.example.test".to_owned()), "{found:?}");
}
