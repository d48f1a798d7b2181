//! Reports good, odd and hostile.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;

use super::*;
use crate::address::MailAddress;
use crate::day::Day;
use crate::domain::DomainName;
use crate::failure::{FailureDetail, ReceivingMxHelo};
use crate::policy::{AppliedPolicy, TlsaRecord};
use crate::reason::FailureReason;
use crate::report::Report;
use crate::row::Row;
use crate::submitter::{Instance, Submitter};
use crate::tally::DomainTally;

/// RFC 8460, appendix B.
const APPENDIX_B: &[u8] = include_bytes!("tests/appendix-b.json");

fn read(json: &str) -> Parsed<ReceivedReport, Deviation> {
    ReceivedReport::read(json.as_bytes()).unwrap_or_else(|error| panic!("{json}: {error}"))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A report of one failure, with each occurrence of `from` replaced.
fn changed(from: &str, to: &str) -> String {
    let report = r#"{
        "organization-name": "Sender", "contact-info": "a@sender.example", "report-id": "1",
        "date-range": {"start-datetime": "2026-11-29T00:00:00Z", "end-datetime": "2026-11-29T23:59:59Z"},
        "policies": [{
            "policy": {"policy-type": "sts", "policy-string": ["version: STSv1"],
                "policy-domain": "example.org", "mx-host": ["*.example.org"]},
            "summary": {"total-successful-session-count": 5, "total-failure-session-count": 2},
            "failure-details": [{"result-type": "certificate-expired", "sending-mta-ip": "192.0.2.1",
                "receiving-mx-hostname": "mx.example.org", "receiving-ip": "2001:db8::1",
                "failed-session-count": 2, "failure-reason-code": "none"}]
        }]
    }"#;
    assert!(report.contains(from), "{from}");
    report.replace(from, to)
}

#[test]
fn the_example_of_the_rfc_is_read() {
    let Parsed { value: report, warnings } = ReceivedReport::read(APPENDIX_B).unwrap();
    assert_eq!(warnings, [Deviation::MxHostAsText]);
    assert_eq!(report.organization.as_deref(), Some("Company-X"));
    assert_eq!(report.id.as_deref(), Some("5065427c-23d3-47ca-b6e0-946ea0e8c4be"));
    let day = Day::parse("2016-04-01").unwrap();
    assert_eq!((report.begins, report.ends), (Some(day.begins()), Some(day.ends())));
    let [policy] = &report.policies[..] else { panic!("{report:?}") };
    assert_eq!(policy.mx_hosts, ["*.mail.company-y.example"]);
    assert_eq!((policy.successes, policy.failures), (5326, 303));
    let sessions: Vec<_> = policy.details.iter().map(|detail| detail.sessions).collect();
    assert_eq!(sessions, [100, 200, 3]);
    let first = &policy.details[0];
    assert_eq!(first.result_type, Named::Known(ResultType::CertificateExpired));
    assert_eq!(first.sending_mta_ip, Some("2001:db8:abcd:12::1".parse().unwrap()));
    let reason = policy.details[2].failure_reason_code.as_deref();
    assert_eq!(reason, Some("X509_V_ERR_PROXY_PATH_LENGTH_EXCEEDED"));
    assert_eq!(ReceivedReport::read(&gzip(APPENDIX_B)).unwrap().value, report);
}

#[test]
fn what_is_out_there_is_read_with_a_warning() {
    use Deviation::{
        AdditionalInfoUri, BadAddress, CountAsText, DateWithoutZone, EmptyValue, MxHostAsText,
        NoContact, NoCount, NoDate, NoOrganization, NoPolicyDomain, NoReportId, PolicyStringAsJson,
        PolicyStringAsText, UnexpectedValue, UnknownPolicyType, UnknownResultType,
    };

    assert_eq!(read(&changed("Sender", "Sender")).warnings, []);
    for (from, to, expected) in [
        (r#""organization-name": "Sender","#, "", &[NoOrganization][..]),
        (r#""a@sender.example""#, "null", &[EmptyValue, NoContact]),
        (r#""a@sender.example""#, "[]", &[NoContact, UnexpectedValue]),
        (r#""contact-info": "a@sender.example","#, "", &[NoContact]),
        (r#""report-id": "1""#, r#""report-id": """#, &[EmptyValue, NoReportId]),
        (r#""report-id": "1""#, r#""report-id": 1"#, &[UnexpectedValue]),
        ("2026-11-29T00:00:00Z", "2026-11-29T00:00:00", &[DateWithoutZone]),
        ("2026-11-29T00:00:00Z", "2026-11-29 00:00:00", &[DateWithoutZone]),
        ("2026-11-29T00:00:00Z", "2026-11-29", &[DateWithoutZone]),
        ("2026-11-29T00:00:00Z", "yesterday", &[NoDate]),
        (r#""policy-domain": "example.org","#, "", &[NoPolicyDomain]),
        (r#"["*.example.org"]"#, "null", &[EmptyValue]),
        (r#", "mx-host": ["*.example.org"]"#, "", &[]),
        (r#"["*.example.org"]"#, r#""*.example.org""#, &[MxHostAsText]),
        (r#"["version: STSv1"]"#, r#""version: STSv1\r\nmode: none""#, &[PolicyStringAsText]),
        (r#"["version: STSv1"]"#, r#""[\"3 1 1 AB\"]""#, &[PolicyStringAsJson]),
        (r#"["version: STSv1"]"#, r#"["[\"3 1 1 AB\", \"3 1 1 CD\"]"]"#, &[PolicyStringAsJson]),
        (r#""192.0.2.1""#, r#""""#, &[EmptyValue]),
        (r#""192.0.2.1""#, r#""unknown""#, &[BadAddress]),
        (r#""192.0.2.1""#, "7", &[BadAddress, UnexpectedValue]),
        ("failure-reason-code", "additional-info-uri", &[AdditionalInfoUri]),
        ("certificate-expired", "certificate-revoked", &[UnknownResultType]),
        (r#""result-type": "certificate-expired","#, "", &[UnknownResultType]),
        (r#""sts""#, r#""dmarc""#, &[UnknownPolicyType]),
        (r#""failed-session-count": 2"#, r#""failed-session-count": "2""#, &[CountAsText]),
        (r#""failed-session-count": 2"#, r#""failed-session-count": 2.0"#, &[]),
        (r#""failed-session-count": 2,"#, "", &[NoCount]),
        ("session-count\": 5", "session-count\": -5", &[NoCount]),
        ("session-count\": 5", "session-count\": 0.5", &[NoCount]),
        (r#""Sender""#, r#""Sender", "more": {"x": [1, null, {}]}"#, &[]),
        (r#""Sender""#, "true", &[NoOrganization, UnexpectedValue]),
    ] {
        assert_eq!(read(&changed(from, to)).warnings, expected, "{from} {to}");
    }
    let marked = format!("\u{feff}{}", changed("Sender", "Sender"));
    for bytes in [marked.clone().into_bytes(), gzip(marked.as_bytes())] {
        let read = ReceivedReport::read(&bytes).unwrap();
        assert_eq!(read.warnings, [Deviation::ByteOrderMark]);
    }
    let tlsa = read(&changed(r#"["version: STSv1"]"#, r#"["[\"3 1 1 AB\", \"3 1 1 CD\"]"]"#));
    assert_eq!(tlsa.value.policies[0].strings, ["3 1 1 AB", "3 1 1 CD"]);
    let unknown = read(&changed("certificate-expired", "certificate-revoked")).value;
    let expected = Named::Unknown("certificate-revoked".to_owned());
    assert_eq!(unknown.policies[0].details[0].result_type, expected);
}

#[test]
fn what_is_no_report_is_refused() {
    for text in ["", "x", "[]", "{", "null", "\"policies\"", r#"{"policies": {}}"#] {
        assert!(ReceivedReport::read(text.as_bytes()).is_err(), "{text}");
    }
    for text in ["{}", r#"{"policies": null}"#] {
        let error = ReceivedReport::read(text.as_bytes()).unwrap_err();
        assert!(matches!(error, ReadError::NoPolicies), "{text}");
    }
    let cut = &gzip(APPENDIX_B)[..200];
    let error = ReceivedReport::read(cut).unwrap_err();
    assert!(matches!(error, ReadError::Unpack(UnpackError::Gzip(_))), "{error}");
    let valid = read(&changed("\"policies\": [{", "\"policies\": [{}, {"));
    assert_eq!(valid.value.policies.len(), 2);
}

#[test]
fn what_is_too_large_is_refused() {
    let error = |bytes: &[u8]| ReceivedReport::read(bytes).unwrap_err();
    let spaces = vec![b' '; (32 << 20) + 1];
    assert!(matches!(error(&spaces), ReadError::Unpack(UnpackError::TooLarge)));
    assert!(matches!(error(&gzip(&spaces)), ReadError::Unpack(UnpackError::TooLarge)));
    let deep = format!("{}{}", "[".repeat(33), "]".repeat(33));
    assert!(matches!(error(deep.as_bytes()), ReadError::Unpack(UnpackError::TooDeep)));
    let objects = format!(r#"{{"policies": [{}{{}}]}}"#, "{},".repeat(250_000));
    assert!(matches!(error(objects.as_bytes()), ReadError::Unpack(UnpackError::TooManyValues)));
    let values = format!(r#"{{"x": [{}1]}}"#, "1,".repeat(2_000_000));
    assert!(matches!(error(values.as_bytes()), ReadError::Unpack(UnpackError::TooManyValues)));
    let details = |count: usize| {
        format!(r#"{{"policies": [{{"failure-details": [{}{{}}]}}]}}"#, "{},".repeat(count - 1))
    };
    assert!(ReceivedReport::read(details(100_000).as_bytes()).is_ok());
    assert!(matches!(error(details(100_001).as_bytes()), ReadError::TooManyDetails));
    // What looks like structure within a text is none.
    let quoted = changed("Sender", &format!("{}\\\"[", "[{".repeat(1000)));
    assert_eq!(read(&quoted).warnings, []);
}

#[test]
fn no_text_acts_on_a_terminal_or_has_no_end() {
    let hostile = r#"\u001b[31mred\r\n\u202eback"#;
    for from in ["Sender", "certificate-expired", "version: STSv1", "*.example.org", "none"] {
        let report = read(&changed(from, hostile)).value;
        let texts = format!("{report:?}");
        assert!(!texts.contains("\\u{1b}") && !texts.contains("\\u{202e}"), "{texts}");
        assert!(!texts.contains("\\r") && !texts.contains("\\n"), "{texts}");
    }
    let long = read(&changed("Sender", &"ä".repeat(5000))).value.organization.unwrap();
    assert_eq!(long.len(), 4096);
}

fn policy() -> impl Strategy<Value = Arc<AppliedPolicy>> {
    let domain = |name: &str| DomainName::parse(name).unwrap();
    prop_oneof![
        Just(AppliedPolicy::none(domain("example.org"))),
        ("[ -~äöü]{0,40}", prop::collection::vec("[a-z*.]{1,9}", 0..3)).prop_map(
            move |(text, mx)| {
                let mx: Vec<_> = mx.iter().map(String::as_str).collect();
                AppliedPolicy::sts(domain("example.org"), &text, &mx)
            }
        ),
        prop::collection::vec(any::<u8>(), 0..4).prop_map(move |data| {
            let record = TlsaRecord { usage: 3, selector: 1, matching_type: 0, data };
            AppliedPolicy::tlsa(domain("mx.example.org"), [record])
        }),
    ]
    .prop_map(Arc::new)
}

fn failure() -> impl Strategy<Value = FailureDetail> {
    let reason = prop_oneof![
        Just(FailureReason::MxNotInPolicy),
        any::<u8>().prop_map(FailureReason::TlsAlert),
    ];
    let addresses = prop::option::of(any::<[u8; 16]>());
    (prop::option::of(reason), addresses, prop::option::of("[!-~]{1,300}")).prop_map(
        |(failure_reason_code, address, helo)| FailureDetail {
            sending_mta_ip: address.map(IpAddr::from),
            receiving_ip: Some([192, 0, 2, 1].into()),
            receiving_mx_helo: helo.as_deref().and_then(ReceivingMxHelo::new),
            failure_reason_code,
            ..FailureDetail::new(ResultType::ValidationFailure)
        },
    )
}

fn report() -> impl Strategy<Value = Report> {
    let row = (policy(), prop::option::of(failure()));
    let row = row.prop_map(|(policy, failure)| Row { policy, failure });
    (prop::collection::vec((row, 1..1_u64 << 40), 1..20), "[ -~äöü]{0,20}").prop_map(
        |(rows, organization)| {
            let mut tally = DomainTally::new(DomainName::parse("example.org").unwrap());
            rows.into_iter().for_each(|(row, sessions)| tally.count(row, sessions));
            let contact = MailAddress::parse("a@sender.example").unwrap();
            let submitter = Submitter::new(contact, &organization, Instance::parse("001").unwrap());
            Report::new(&submitter, Day::parse("2026-11-30").unwrap(), &tally).unwrap()
        },
    )
}

/// A report as it must be read.
fn expected(report: &Report) -> ReceivedReport {
    let detail = |(detail, sessions): &(FailureDetail, u64)| ReceivedDetail {
        result_type: Named::Known(detail.result_type),
        sending_mta_ip: detail.sending_mta_ip,
        receiving_mx_hostname: detail.receiving_mx_hostname.as_ref().map(ToString::to_string),
        receiving_mx_helo: detail.receiving_mx_helo.as_ref().map(ToString::to_string),
        receiving_ip: detail.receiving_ip,
        sessions: *sessions,
        additional_information: None,
        failure_reason_code: detail.failure_reason_code.as_ref().map(ToString::to_string),
    };
    let policy = |report: &crate::report::PolicyReport| ReceivedPolicy {
        policy_type: Named::Known(report.policy.policy_type()),
        strings: report.policy.strings().to_vec(),
        domain: Some(report.policy.domain().to_string()),
        mx_hosts: report.policy.mx_hosts().to_vec(),
        successes: report.successes,
        failures: report.failed(),
        details: report.failures.iter().map(detail).collect(),
    };
    ReceivedReport {
        organization: Some(report.submitter().organization().to_owned()),
        begins: Some(report.day().begins()),
        ends: Some(report.day().ends()),
        contact: Some("a@sender.example".to_owned()),
        id: Some(report.id().to_string()),
        policies: report.policies().iter().map(policy).collect(),
    }
}

/// A value that is `null`, an empty text, or an empty array or object.
fn empty_value(json: &serde_json::Value) -> Option<&serde_json::Value> {
    use serde_json::Value::{Array, Bool, Null, Number, Object, String};

    let (is_empty, within): (bool, Vec<_>) = match json {
        Null => (true, vec![]),
        Bool(_) | Number(_) => (false, vec![]),
        String(text) => (text.is_empty(), vec![]),
        Array(values) => (values.is_empty(), values.iter().collect()),
        Object(members) => (members.is_empty(), members.values().collect()),
    };
    is_empty.then_some(json).or_else(|| within.into_iter().find_map(empty_value))
}

proptest! {
    #[test]
    fn a_report_that_is_written_is_read_as_it_is_and_without_warning(report in report()) {
        let expected = Parsed { value: expected(&report), warnings: vec![] };
        prop_assert_eq!(&ReceivedReport::read(&report.to_json()).unwrap(), &expected);
        prop_assert_eq!(&ReceivedReport::read(&report.to_gzip()).unwrap(), &expected);
        let json = serde_json::from_slice(&report.to_json()).unwrap();
        prop_assert_eq!(empty_value(&json), None);
    }

    #[test]
    fn reading_a_report_never_panics(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        at in any::<prop::sample::Index>(),
    ) {
        drop(ReceivedReport::read(&bytes));
        drop(ReceivedReport::read(&gzip(&bytes)));
        let mut changed = APPENDIX_B.to_vec();
        let at = at.index(changed.len());
        changed.splice(at..at, bytes);
        drop(ReceivedReport::read(&changed));
    }
}

#[test]
fn the_epoch_is_a_time_like_any_other() {
    let report = read(&changed("2026-11-29T00:00:00Z", "1969-12-31T23:59:59-01:00"));
    assert_eq!(report.value.begins, Some(SystemTime::UNIX_EPOCH + Duration::from_secs(3599)));
}
