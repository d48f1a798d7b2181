use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hickory_resolver::net::xfer::Protocol;
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::rdata::{A, AAAA, CNAME, TXT};
use hickory_resolver::proto::rr::{RData, Record};

use super::*;
use crate::MxTarget;
use crate::name_server::{Reply, Scripted, Zones, let_pass, resolver, response_to, text};

const ZONE: &str = r#"
@ 300 IN SOA ns.example.test. hostmaster.example.test. 1 3600 600 86400 60
@ 300 IN NS ns.example.test.
@ 300 IN MX 10 MX1.Example.TEST.
@ 300 IN MX 20 mx2.example.test.
mx1 300 IN A 192.0.2.1
mx1 120 IN AAAA 2001:db8::1
mx2 300 IN A 192.0.2.2
_mta-sts 30 IN TXT "v=STSv1; id=2026" "1122T000000;"
_mta-sts 30 IN TXT "another"
_25._tcp.mx1 300 IN TLSA 3 1 1 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff
*.wild 300 IN A 192.0.2.3
alias 20 IN CNAME mx1.example.test.
gone 300 IN CNAME nowhere.example.test.
far 300 IN CNAME host.elsewhere.test.
"#;

const ELSEWHERE: &str = r"
@ 300 IN SOA ns.elsewhere.test. hostmaster.elsewhere.test. 1 3600 600 86400 60
@ 300 IN NS ns.elsewhere.test.
host 300 IN A 192.0.2.4
";

async fn zones() -> (Zones, Resolver) {
    let zones = Zones::serve(&[("example.test.", ZONE), ("elsewhere.test.", ELSEWHERE)]).await;
    let resolver = resolver(&[zones.address]);
    (zones, resolver)
}

fn domain(text: &str) -> Domain {
    Domain::parse(text).unwrap()
}

fn found<T>(lookup: Result<Lookup<T>, LookupError>) -> Records<T> {
    lookup.unwrap().into_records().unwrap()
}

fn label<T: fmt::Debug>(lookup: Result<Lookup<T>, LookupError>) -> &'static str {
    lookup.unwrap_err().label()
}

#[tokio::test]
async fn mx_records_are_found_with_their_hosts_in_lower_case() {
    let (_zones, resolver) = zones().await;
    let mut records = found(resolver.mx(&domain("EXAMPLE.test")).await).records;
    records.sort_by_key(|mx| mx.preference);
    let mx = |preference, host| Mx { preference, exchange: MxTarget::Host(domain(host)) };
    assert_eq!(records, [mx(10, "mx1.example.test"), mx(20, "mx2.example.test")]);
    assert_eq!(records[0].host().unwrap().as_str(), "mx1.example.test");
}

#[tokio::test]
async fn addresses_of_both_families_are_one_answer() {
    let (_zones, resolver) = zones().await;
    let records = found(resolver.addresses(&domain("mx1.example.test")).await);
    let expected: [IpAddr; 2] = ["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()];
    assert_eq!(records.records, expected);
    assert!(records.valid_for <= Duration::from_secs(120));
    let records = found(resolver.addresses(&domain("mx2.example.test")).await);
    assert_eq!(records.records.len(), 1);
}

#[tokio::test]
async fn the_strings_of_a_txt_record_are_joined() {
    let (_zones, resolver) = zones().await;
    let mut records = found(resolver.txt("_mta-sts.example.test").await).records;
    records.sort();
    assert_eq!(records, [b"another".to_vec(), b"v=STSv1; id=20261122T000000;".to_vec()]);
}

#[tokio::test]
async fn tlsa_records_are_looked_up_by_port_and_host() {
    let (_zones, resolver) = zones().await;
    let records = found(resolver.tlsa(&domain("mx1.example.test"), 25).await).records;
    assert_eq!((records[0].usage, records[0].selector, records[0].matching), (3, 1, 1));
    assert_eq!(records[0].data[..3], [0x00, 0x11, 0x22]);
    assert_eq!(records[0].data.len(), 32);
    assert_eq!(
        resolver.tlsa(&domain("mx1.example.test"), 26).await.unwrap(),
        Lookup::NxDomain(Security::Insecure)
    );
}

#[tokio::test]
async fn no_data_and_nxdomain_are_told_apart() {
    let (_zones, resolver) = zones().await;
    assert_eq!(
        resolver.mx(&domain("mx1.example.test")).await.unwrap(),
        Lookup::NoData(Security::Insecure)
    );
    assert_eq!(
        resolver.mx(&domain("nowhere.example.test")).await.unwrap(),
        Lookup::NxDomain(Security::Insecure)
    );
    assert_eq!(
        resolver.addresses(&domain("example.test")).await.unwrap(),
        Lookup::NoData(Security::Insecure)
    );
    assert_eq!(
        resolver.addresses(&domain("no.example.test")).await.unwrap(),
        Lookup::NxDomain(Security::Insecure)
    );
}

#[tokio::test]
async fn a_wildcard_answers_for_the_name_that_was_asked() {
    let (_zones, resolver) = zones().await;
    let records = found(resolver.addresses(&domain("any.wild.example.test")).await).records;
    assert_eq!(records, ["192.0.2.3".parse::<IpAddr>().unwrap()]);
}

#[tokio::test]
async fn aliases_lead_to_the_records_at_their_end() {
    let (_zones, resolver) = zones().await;
    let records = found(resolver.addresses(&domain("alias.example.test")).await);
    assert_eq!(records.records.len(), 2);
    assert!(records.valid_for <= Duration::from_secs(20), "the alias is valid for no longer");
}

#[tokio::test]
async fn an_alias_into_a_zone_that_the_server_did_not_follow_is_asked_for_again() {
    let (zones, resolver) = zones().await;
    let records = found(resolver.addresses(&domain("far.example.test")).await).records;
    assert_eq!(records, ["192.0.2.4".parse::<IpAddr>().unwrap()]);
    assert!(zones.log.all().iter().any(|asked| asked.name == "host.elsewhere.test."));
}

#[tokio::test]
async fn an_alias_to_nowhere_is_an_absence() {
    let (_zones, resolver) = zones().await;
    assert_eq!(
        resolver.mx(&domain("gone.example.test")).await.unwrap(),
        Lookup::NxDomain(Security::Insecure)
    );
}

#[tokio::test]
async fn aliases_that_never_end_are_malformed() {
    let server = Scripted::answering(|message| {
        let name = message.queries[0].name().clone();
        let next = name.prepend_label("a").unwrap();
        message.add_answer(Record::from_rdata(name, 300, RData::CNAME(CNAME(next))));
    })
    .await;
    let resolver = resolver(&[server.address]);
    assert_eq!(label(resolver.txt("example.test").await), "malformed");
    assert!(server.log.count() < 20);
}

#[tokio::test]
async fn an_answer_that_fits_no_datagram_comes_over_tcp() {
    let strings = ["\"", &"x".repeat(250), "\" "].concat().repeat(40);
    let zone = format!("{ZONE}\nbig 300 IN TXT {strings}\n");
    let zones = Zones::serve(&[("example.test.", &zone)]).await;
    let resolver = resolver(&[zones.address]);
    let records = found(resolver.txt("big.example.test").await).records;
    assert_eq!(records, [vec![b'x'; 10_000]]);
    assert_eq!(zones.log.protocols(), [Protocol::Udp, Protocol::Tcp]);
}

#[tokio::test]
async fn an_answer_is_remembered_for_its_ttl_and_no_longer() {
    let (zones, resolver) = zones().await;
    let first = found(resolver.txt("_mta-sts.example.test").await);
    assert!(first.valid_for <= Duration::from_secs(30));
    let_pass(Duration::from_secs(20)).await;
    let second = found(resolver.txt("_MTA-STS.example.test.").await);
    assert!(second.valid_for <= Duration::from_secs(10), "what is left of it");
    assert_eq!(zones.log.count(), 1);
    let_pass(Duration::from_secs(11)).await;
    found(resolver.txt("_mta-sts.example.test").await);
    assert_eq!(zones.log.count(), 2);
}

#[tokio::test]
async fn an_absence_is_remembered_as_long_as_the_soa_record_says() {
    let (zones, resolver) = zones().await;
    for name in ["none.example.test", "example.test"] {
        let asked_before = zones.log.count();
        for _ in 0..3 {
            assert_eq!(resolver.txt(name).await.unwrap().into_records(), None);
        }
        assert_eq!(zones.log.count(), asked_before + 1, "{name}");
        let_pass(Duration::from_secs(61)).await;
        assert_eq!(resolver.txt(name).await.unwrap().into_records(), None);
        assert_eq!(zones.log.count(), asked_before + 2, "{name}");
    }
}

#[tokio::test]
async fn a_ttl_of_zero_and_an_absence_without_soa_are_not_remembered() {
    let server = Scripted::answering(|message| {
        if message.queries[0].name().num_labels() == 2 {
            let name = message.queries[0].name().clone();
            message.add_answer(Record::from_rdata(
                name,
                0,
                RData::TXT(TXT::new(vec![String::new()])),
            ));
        }
    })
    .await;
    let resolver = resolver(&[server.address]);
    for name in ["zero.test", "no.soa.test"] {
        let asked_before = server.log.count();
        for _ in 0..2 {
            assert!(resolver.txt(name).await.is_ok());
        }
        assert_eq!(server.log.count(), asked_before + 2, "{name}");
    }
}

#[tokio::test]
async fn a_fresh_look_is_asked_for_again_and_remembered() {
    let (zones, resolver) = zones().await;
    found(resolver.txt("_mta-sts.example.test").await);
    found(resolver.txt_fresh("_mta-sts.example.test").await);
    assert_eq!(zones.log.count(), 2);
    found(resolver.txt("_mta-sts.example.test").await);
    assert_eq!(zones.log.count(), 2);
}

#[tokio::test]
async fn all_who_ask_the_same_at_once_share_one_question() {
    let (zones, resolver) = zones().await;
    let ask = || resolver.txt("_mta-sts.example.test");
    let (a, b, c) = tokio::join!(ask(), ask(), ask());
    assert_eq!(found(a).records.len(), found(b).records.len());
    assert!(c.is_ok());
    assert_eq!(zones.log.count(), 1);
}

#[tokio::test]
async fn a_name_that_the_protocol_cannot_carry_does_not_exist() {
    let (zones, resolver) = zones().await;
    let label63 = "a".repeat(63);
    let long = domain(&format!("{label63}.{label63}.{label63}.{}.test", "a".repeat(56)));
    assert_eq!(
        resolver.txt(&format!("_mta-sts.{long}")).await.unwrap(),
        Lookup::NxDomain(Security::Insecure)
    );
    assert_eq!(label(resolver.txt("not a name").await), "other");
    assert_eq!(zones.log.count(), 0);
}

/// A server that answers A as `v4` says and AAAA as `v6` says.
async fn families(v4: Option<ResponseCode>, v6: Option<ResponseCode>) -> Scripted {
    Scripted::answering(move |message| {
        let name = message.queries[0].name().clone();
        let (code, data) = if message.queries[0].query_type() == RecordType::A {
            (v4, RData::A(A::new(192, 0, 2, 1)))
        } else {
            (v6, RData::AAAA(AAAA::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)))
        };
        match code {
            Some(code) => message.metadata.response_code = code,
            None => {
                message.add_answer(Record::from_rdata(name, 300, data));
            }
        }
    })
    .await
}

#[tokio::test]
async fn one_family_found_is_enough_and_a_failure_beside_an_absence_is_a_failure() {
    use ResponseCode::{NXDomain, NoError, ServFail};
    let cases = [
        (None, None, "2 found"),
        (None, Some(ServFail), "1 found"),
        (Some(ServFail), None, "1 found"),
        (None, Some(NXDomain), "1 found"),
        (Some(NoError), None, "1 found"),
        (Some(NoError), Some(NoError), "no data"),
        (Some(NoError), Some(NXDomain), "no data"),
        (Some(NXDomain), Some(NXDomain), "nxdomain"),
        (Some(NXDomain), Some(ServFail), "servfail"),
        (Some(ServFail), Some(NoError), "servfail"),
    ];
    for (v4, v6, expected) in cases {
        let server = families(v4, v6).await;
        let said = match resolver(&[server.address]).addresses(&domain("host.test")).await {
            Ok(Lookup::Found(records)) => format!("{} found", records.records.len()),
            Ok(Lookup::NoData(_)) => "no data".to_owned(),
            Ok(Lookup::NxDomain(_)) => "nxdomain".to_owned(),
            Err(error) => error.label().to_owned(),
        };
        assert_eq!(said, expected, "{v4:?} {v6:?}");
    }
}

#[tokio::test]
async fn one_who_stops_waiting_does_not_take_the_answer_from_the_others() {
    let asked = Arc::new(AtomicUsize::new(0));
    let server = Scripted::serve({
        let asked = Arc::clone(&asked);
        move |request, _| {
            if asked.fetch_add(1, Ordering::SeqCst) == 0 {
                return Reply::KeepSilent;
            }
            let mut response = response_to(request);
            text(&mut response, "late");
            Reply::Say(response)
        }
    })
    .await;
    let resolver = resolver(&[server.address]);
    let impatient = tokio::time::timeout(Duration::from_millis(200), resolver.txt("example.test"));
    let (gone, patient) = tokio::join!(impatient, resolver.txt("example.test"));
    assert!(gone.is_err());
    assert_eq!(found(patient).records, [b"late".to_vec()]);
}
