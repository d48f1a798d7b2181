use std::net::Ipv4Addr;

use hickory_resolver::proto::op::Edns;
use hickory_resolver::proto::rr::rdata::{A, CNAME, NS, SOA};

use super::*;

const TTL: u32 = 300;

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

fn question() -> Question {
    Question::new("a.example", RecordType::A).unwrap()
}

fn address(owner: &str, ttl: u32) -> Record {
    Record::from_rdata(name(owner), ttl, RData::A(A(Ipv4Addr::new(192, 0, 2, 1))))
}

fn alias(owner: &str, target: &str, ttl: u32) -> Record {
    Record::from_rdata(name(owner), ttl, RData::CNAME(CNAME(name(target))))
}

fn soa(ttl: u32, minimum: u32) -> Record {
    let soa = SOA::new(name("ns.example."), name("hostmaster.example."), 1, 2, 3, 4, minimum);
    Record::from_rdata(name("example."), ttl, RData::SOA(soa))
}

fn nameserver() -> Record {
    Record::from_rdata(name("example."), TTL, RData::NS(NS(name("ns.example."))))
}

fn response(code: ResponseCode, answers: Vec<Record>, authorities: Vec<Record>) -> Message {
    let mut message = Message::response(1, OpCode::Query);
    message.metadata.response_code = code;
    message.add_query(question().to_query());
    message.add_answers(answers);
    message.authorities = authorities;
    message
}

fn read(message: Message) -> Result<Reading, LookupError> {
    let (response, server) = (DnsResponse::from_message(message).unwrap(), "192.0.2.53:53");
    Reading::of(&question(), &response, server.parse().unwrap(), AdBit::Ignored)
}

fn answer(message: Message) -> Answer {
    match read(message) {
        Ok(Reading::Answered(answer)) => answer,
        other => panic!("{other:?}"),
    }
}

fn malformation(message: Message) -> Malformation {
    match read(message) {
        Err(LookupError::Malformed { source }) => source,
        other => panic!("{other:?}"),
    }
}

#[test]
fn aliases_are_followed_in_any_order_and_the_shortest_ttl_counts() {
    let answers = vec![
        address("c.example.", TTL),
        alias("b.example.", "C.Example.", 20),
        alias("a.example.", "b.example.", 100),
    ];
    let answer = answer(response(ResponseCode::NoError, answers, vec![]));
    assert!(
        matches!(answer.finding, Finding::Found(FoundRecords { data, security: Security::Insecure, canonical: Some(name) }) if data.len() == 1 && *name == *"c.example")
    );
    assert_eq!(answer.valid_for, Duration::from_secs(20));
}

#[test]
fn records_of_other_names_are_no_part_of_the_answer() {
    let answers = vec![address("evil.example.", TTL), alias("b.example.", "evil.example.", TTL)];
    let answer = answer(response(ResponseCode::NoError, answers, vec![soa(TTL, TTL)]));
    assert!(matches!(answer.finding, Finding::NoData(Security::Insecure)));
}

#[test]
fn aliases_that_form_a_loop_are_malformed() {
    let answers =
        vec![alias("a.example.", "b.example.", TTL), alias("b.example.", "a.example.", TTL)];
    let fault = malformation(response(ResponseCode::NoError, answers, vec![]));
    assert!(matches!(fault, Malformation::CnameLoop));
}

#[test]
fn an_alias_to_nowhere_is_what_the_rcode_says() {
    let to_nowhere = || vec![alias("a.example.", "b.example.", 30)];
    let nodata = answer(response(ResponseCode::NoError, to_nowhere(), vec![soa(60, 60)]));
    assert!(matches!(nodata.finding, Finding::NoData(Security::Insecure)));
    assert_eq!(nodata.valid_for, Duration::from_secs(30));
    let nxdomain = answer(response(ResponseCode::NXDomain, to_nowhere(), vec![soa(60, 20)]));
    assert!(matches!(nxdomain.finding, Finding::NxDomain(Security::Insecure)));
    assert_eq!(nxdomain.valid_for, Duration::from_secs(20));
}

#[test]
fn an_alias_of_which_nothing_more_is_said_is_no_absence() {
    let answers = vec![alias("a.example.", "b.example.", 30)];
    match read(response(ResponseCode::NoError, answers, vec![])) {
        Ok(Reading::Alias(alias)) => assert_eq!(alias.next.name(), &name("b.example.")),
        other => panic!("{other:?}"),
    }
}

#[test]
fn nxdomain_with_records_of_the_name_is_malformed() {
    let answers = vec![address("a.example.", TTL)];
    let fault = malformation(response(ResponseCode::NXDomain, answers, vec![]));
    assert!(matches!(fault, Malformation::Contradiction));
}

#[test]
fn a_referral_is_no_absence() {
    let referral = || response(ResponseCode::NoError, vec![], vec![nameserver()]);
    assert!(matches!(malformation(referral()), Malformation::Referral));
    let mut authoritative = referral();
    authoritative.metadata.authoritative = true;
    assert!(matches!(answer(authoritative).finding, Finding::NoData(Security::Insecure)));
    let absence = response(ResponseCode::NoError, vec![], vec![nameserver(), soa(TTL, TTL)]);
    assert!(matches!(answer(absence).finding, Finding::NoData(Security::Insecure)));
}

#[test]
fn an_answer_to_another_question_is_malformed() {
    let mut other = response(ResponseCode::NoError, vec![], vec![soa(TTL, TTL)]);
    other.queries = vec![Question::new("b.example", RecordType::A).unwrap().to_query()];
    assert!(matches!(malformation(other.clone()), Malformation::OtherQuestion));
    other.queries = vec![];
    assert!(matches!(malformation(other.clone()), Malformation::OtherQuestion));
    other.queries = vec![question().to_query()];
    other.metadata.op_code = OpCode::Update;
    assert!(matches!(malformation(other), Malformation::OtherQuestion));
}

#[test]
fn ttls_are_capped_and_a_ttl_with_the_highest_bit_is_zero() {
    let cases = [
        (0, Duration::ZERO),
        (300, Duration::from_secs(300)),
        (604_800, LONGEST_FOUND),
        (0x7fff_ffff, LONGEST_FOUND),
        (0x8000_0000, Duration::ZERO),
        (u32::MAX, Duration::ZERO),
    ];
    for (ttl, valid_for) in cases {
        let answers = vec![address("a.example.", ttl)];
        let answer = answer(response(ResponseCode::NoError, answers, vec![]));
        assert_eq!(answer.valid_for, valid_for, "{ttl}");
    }
}

#[test]
fn an_absence_is_kept_as_the_soa_record_says_at_most_three_hours_and_not_without_one() {
    let cases = [
        (vec![soa(60, 3600)], Duration::from_secs(60)),
        (vec![soa(3600, 60)], Duration::from_secs(60)),
        (vec![soa(86_400, 86_400)], LONGEST_ABSENT),
        (vec![soa(60, 0)], Duration::ZERO),
        (vec![], Duration::ZERO),
    ];
    for (authorities, valid_for) in cases {
        let answer = answer(response(ResponseCode::NXDomain, vec![], authorities));
        assert_eq!(answer.valid_for, valid_for);
    }
}

#[test]
fn the_ad_bit_makes_an_answer_secure_only_where_it_is_trusted() {
    let cases = [
        (AdBit::Trusted, true, Security::Secure),
        (AdBit::Trusted, false, Security::Insecure),
        (AdBit::Ignored, true, Security::Insecure),
    ];
    for (ad_bit, authentic_data, expected) in cases {
        let mut message = response(ResponseCode::NoError, vec![address("a.example.", TTL)], vec![]);
        message.metadata.authentic_data = authentic_data;
        assert_eq!(security(&message, ad_bit), expected);
    }
}

#[test]
fn what_is_found_through_an_insecure_alias_is_insecure() {
    let first = Alias {
        next: question(),
        security: Security::Insecure,
        valid_for: Duration::from_secs(10),
        size: 1,
    };
    let rest = Answer {
        finding: Finding::Found(FoundRecords {
            data: vec![],
            security: Security::Secure,
            canonical: None,
        }),
        valid_for: Duration::from_secs(60),
        size: 1,
    };
    match first.join(Reading::Answered(rest)) {
        Reading::Answered(answer) => {
            assert!(matches!(
                answer.finding,
                Finding::Found(FoundRecords { security: Security::Insecure, .. })
            ));
            assert_eq!(answer.valid_for, Duration::from_secs(10));
        }
        Reading::Alias(alias) => panic!("{alias:?}"),
    }
}

#[test]
fn a_servfail_that_blames_dnssec_is_bogus() {
    let with_extended_error = |code: u16| {
        let mut edns = Edns::new();
        let data = [code.to_be_bytes().as_slice(), b"why"].concat();
        edns.options_mut().insert(EdnsOption::Unknown(EXTENDED_ERROR, data));
        let mut message = response(ResponseCode::ServFail, vec![], vec![]);
        message.edns = Some(edns);
        read(message).unwrap_err().label()
    };
    // RFC 8914 §5.2: 6 DNSSEC Bogus, 7 Signature Expired, 22 No Reachable Authority.
    assert_eq!(with_extended_error(6), "bogus");
    assert_eq!(with_extended_error(7), "bogus");
    assert_eq!(with_extended_error(22), "servfail");
}

#[test]
fn every_other_rcode_leaves_the_question_open() {
    for code in (0..=23_u16).filter(|code| ![0, 3].contains(code)) {
        let code: ResponseCode = code.into();
        let error = read(response(code, vec![], vec![soa(TTL, TTL)])).unwrap_err();
        let expected = match u16::from(code) {
            2 => "servfail",
            5 => "refused",
            _ => "other",
        };
        assert_eq!(error.label(), expected, "{code}");
    }
}
