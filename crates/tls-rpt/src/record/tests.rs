//! Records good and bad.

use proptest::prelude::*;

use super::*;
use crate::destination_error::DestinationError;

/// The record's destinations as they print.
fn destinations(text: &str) -> Vec<String> {
    let parsed = Record::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"));
    parsed.value.destinations().iter().map(ToString::to_string).collect()
}

/// What was overlooked.
fn warnings(text: &str) -> Vec<&'static str> {
    let parsed = Record::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"));
    parsed.warnings.iter().map(Warning::label).collect()
}

#[test]
fn a_record_by_the_abnf_is_read_without_warning() {
    let long = "x".repeat(31);
    for (text, expected) in [
        ("v=TLSRPTv1;rua=mailto:reports@example.com", vec!["mailto:reports@example.com"]),
        ("v=TLSRPTv1; rua=mailto:a@b.example;", vec!["mailto:a@b.example"]),
        ("v=TLSRPTv1; \t rua=mailto:a@b.example \t ; ", vec!["mailto:a@b.example"]),
        (
            "v=TLSRPTv1; rua=https://reporting.example.com/v1/tlsrpt",
            vec!["https://reporting.example.com/v1/tlsrpt"],
        ),
        (
            "v=TLSRPTv1; rua=mailto:a@b.example , https://c.example/?d=e&f=g",
            vec!["mailto:a@b.example", "https://c.example/?d=e&f=g"],
        ),
        // `rua` need not be the second field, and may come again.
        ("v=TLSRPTv1; x=y; rua=mailto:a@b.example", vec!["mailto:a@b.example"]),
        (
            "v=TLSRPTv1; rua=mailto:a@b.example; x.y-z_1=!#$; rua=mailto:c@d.example",
            vec!["mailto:a@b.example", "mailto:c@d.example"],
        ),
        (&format!("v=TLSRPTv1; a{long}=b; rua=mailto:a@b.example"), vec!["mailto:a@b.example"]),
        // RFC 6068: what is encoded is decoded.
        ("v=TLSRPTv1; rua=mailto:a%2Bb@c.example", vec!["mailto:a+b@c.example"]),
        ("v=TLSRPTv1; rua=MAILTO:a%40@b.example", vec![]),
        ("v=TLSRPTv1; rua=HTTPS://A.Example:443", vec!["https://a.example/"]),
        ("v=TLSRPTv1; rua=https://a.example:8443/", vec!["https://a.example:8443/"]),
        ("v=TLSRPTv1; rua=https://[2001:DB8::1]/x", vec!["https://[2001:db8::1]/x"]),
        ("v=TLSRPTv1; rua=https://192.0.2.1?x", vec!["https://192.0.2.1/?x"]),
        ("v=TLSRPTv1; rua=https://a.example/b%2Cc%21%3B", vec!["https://a.example/b%2Cc%21%3B"]),
    ] {
        if expected.is_empty() {
            assert_eq!(Record::parse(text.as_bytes()), Err(RecordError::NoDestination), "{text}");
        } else {
            assert_eq!(destinations(text), expected, "{text}");
            assert!(warnings(text).is_empty(), "{text}: {:?}", warnings(text));
        }
    }
}

#[test]
fn harmless_deviations_are_read_with_a_warning() {
    for (text, expected) in [
        ("v=TLSRPTv1 ;rua=mailto:a@b.example", vec!["blank after version"]),
        ("v=TLSRPTv1;;rua=mailto:a@b.example", vec!["empty field"]),
        ("v=TLSRPTv1;rua=mailto:a@b.example;;", vec!["empty field"]),
        ("v=TLSRPTv1;rua=,mailto:a@b.example", vec!["empty field"]),
        ("v=TLSRPTv1;rua=mailto:a@b.example ", vec!["trailing whitespace"]),
        ("v=TLSRPTv1;rua=mailto:a@b.example!10m", vec!["size limit"]),
        ("v=TLSRPTv1;rua=mailto:a@b.example!5", vec!["size limit"]),
        ("v=TLSRPTv1;rua=mailto:a@b.example?subject=x", vec!["mail headers"]),
        ("v=TLSRPTv1;rua=mailto:a@b.example;fo", vec!["malformed extension"]),
        ("v=TLSRPTv1;rua=mailto:a@b.example;f o=x", vec!["malformed extension"]),
        ("v=TLSRPTv1;rua=mailto:a@b.example;x=", vec!["malformed extension"]),
        ("v=TLSRPTv1;rua =x;rua=mailto:a@b.example", vec!["malformed extension"]),
        ("v=TLSRPTv1;RUA=x;rua=mailto:a@b.example", vec!["other case"]),
        ("v=TLSRPTv1;rua=mailto:a@b.example,mailto:a@B.example", vec!["repeated"]),
        ("v=TLSRPTv1;rua=mailto:a@b.example,ftp://c.example/", vec!["unusable"]),
    ] {
        assert_eq!(warnings(text), expected, "{text}");
        assert_eq!(destinations(text), ["mailto:a@b.example"], "{text}");
    }
    let marked = "v=TLSRPTv1;rua=https://a.example/b!c#d";
    assert_eq!(warnings(marked), ["exclamation mark", "fragment"]);
    assert_eq!(destinations(marked), ["https://a.example/b%21c"]);
    let malformed = format!("v=TLSRPTv1;{}=x;rua=mailto:a@b.example", "x".repeat(33));
    assert_eq!(warnings(&malformed), ["malformed extension"]);
}

#[test]
fn a_text_that_is_no_record_is_refused() {
    for (text, expected) in [
        ("", RecordError::NotTlsRpt),
        ("v=TLSRPTv1", RecordError::NotTlsRpt),
        ("v=TLSRPTv2;rua=mailto:a@b.example", RecordError::NotTlsRpt),
        ("v=tlsrptv1;rua=mailto:a@b.example", RecordError::NotTlsRpt),
        (" v=TLSRPTv1;rua=mailto:a@b.example", RecordError::NotTlsRpt),
        ("v = TLSRPTv1;rua=mailto:a@b.example", RecordError::NotTlsRpt),
        ("rua=mailto:a@b.example;v=TLSRPTv1;", RecordError::NotTlsRpt),
        ("v=TLSRPTv1;", RecordError::NoRua),
        ("v=TLSRPTv1;x=y", RecordError::NoRua),
        ("v=TLSRPTv1;Rua=mailto:a@b.example", RecordError::NoRua),
        ("v=TLSRPTv1;rua=", RecordError::NoDestination),
        ("v=TLSRPTv1;rua=http://a.example/", RecordError::NoDestination),
    ] {
        assert_eq!(Record::parse(text.as_bytes()), Err(expected), "{text}");
    }
}

#[test]
fn a_destination_that_cannot_be_used_is_skipped_and_named() {
    use DestinationError::{
        BadCharacter, BadHost, NoUri, NotOneAddress, OtherScheme, TooLong, UserName,
    };

    for (uri, expected) in [
        ("reports@example.org", NoUri),
        ("https:example.org", NoUri),
        ("http://a.example/", OtherScheme),
        ("tel:123", OtherScheme),
        ("mailto:", NotOneAddress),
        ("mailto:?to=a@b.example", NotOneAddress),
        ("mailto:a", NotOneAddress),
        ("mailto:a@b.example%2Cc@d.example", NotOneAddress),
        ("mailto:a%0D%0Ax@b.example", NotOneAddress),
        ("mailto:a@[192.0.2.1]", NotOneAddress),
        ("mailto:%C3%A4@b.example", NotOneAddress),
        ("mailto:%FF@b.example", NotOneAddress),
        ("mailto:a%4@b.example", BadCharacter),
        ("mailto:a@b.example%", BadCharacter),
        ("https://user:secret@a.example/", UserName),
        ("https://user@a.example/", UserName),
        ("https:///x", BadHost),
        ("https://a.example:0/", BadHost),
        ("https://a.example:65536/", BadHost),
        ("https://a.example:+1/", BadHost),
        ("https://[::1/", BadHost),
        ("https://[a]/", BadHost),
        ("https://ä.example/", BadHost),
        ("https://a.example/ä", BadCharacter),
        ("https://a.example/b c", BadCharacter),
        ("https://a.example/%zz", BadCharacter),
        ("https://a.example/\"", BadCharacter),
        (&format!("https://a.example/{}", "x".repeat(2048)), TooLong),
    ] {
        let text = format!("v=TLSRPTv1;rua={uri},mailto:a@b.example");
        let parsed = Record::parse(text.as_bytes()).unwrap();
        let unusable = Warning::Unusable { number: 1, why: expected };
        assert!(parsed.warnings.contains(&unusable), "{uri}: {:?}", parsed.warnings);
        assert_eq!(destinations(&text), ["mailto:a@b.example"]);
    }
}

#[test]
fn the_first_five_destinations_count() {
    let uris: Vec<_> = (1..=7).map(|number| format!("mailto:{number}@a.example")).collect();
    let text = format!("v=TLSRPTv1;rua={}", uris.join(","));
    assert_eq!(destinations(&text), uris[..5]);
    assert_eq!(warnings(&text), ["too many destinations", "too many destinations"]);
}

#[test]
fn no_more_fields_are_read_than_256() {
    let text = format!("v=TLSRPTv1;{}rua=mailto:a@b.example", "x=y;".repeat(255));
    assert_eq!(destinations(&text), ["mailto:a@b.example"]);
    let text = format!("v=TLSRPTv1;{}rua=mailto:a@b.example", "x=y;".repeat(256));
    assert_eq!(Record::parse(text.as_bytes()), Err(RecordError::NoRua));
}

#[test]
fn other_txt_records_are_discarded_and_two_tlsrpt_records_count_as_none() {
    let (other, good) = ("v=spf1 -all", "v=TLSRPTv1;rua=mailto:a@b.example");
    assert!(select(&[other, good]).is_ok());
    assert_eq!(select(&[other, "v=TLSRPTv2;rua=mailto:a@b.example"]), Err(NoRecord::Absent));
    assert_eq!(select::<&str>(&[]), Err(NoRecord::Absent));
    assert_eq!(select(&[good, good]), Err(NoRecord::Several(2)));
    assert_eq!(select(&[good, "v=TLSRPTv1;"]), Err(NoRecord::Several(2)));
    assert_eq!(select(&["v=TLSRPTv1;"]), Err(NoRecord::Invalid(RecordError::NoRua)));
    let name = record_name(&DomainName::parse("Example.org").unwrap());
    assert_eq!(name, "_smtp._tls.example.org");
}

proptest! {
    #[test]
    fn reading_a_record_never_panics(text in prop::collection::vec(any::<u8>(), 0..200)) {
        drop(Record::parse(&text));
        drop(Record::parse(&[b"v=TLSRPTv1;rua=", text.as_slice()].concat()));
        drop(Record::parse(&[b"v=TLSRPTv1;rua=https://a.example/", text.as_slice()].concat()));
    }

    #[test]
    fn reading_a_printed_record_gives_it_back(
        uris in prop::collection::vec(
            "(mailto:[a-z!#+/=?\"%0-9.]{1,8}@[a-z]{1,4}\\.[a-z]{2}|https://[a-z0-9.:]{1,8}/[ -~]{0,8})",
            1..7,
        ),
    ) {
        let text = format!("v=TLSRPTv1;rua={}", uris.join(","));
        if let Ok(parsed) = Record::parse(text.as_bytes()) {
            let again = Record::parse(parsed.value.to_string().as_bytes()).unwrap();
            prop_assert_eq!(again, Parsed { value: parsed.value, warnings: vec![] });
        }
    }

    #[test]
    fn what_stands_beside_a_destination_never_changes_it(
        noise in prop::collection::vec("[^;]{0,12}|[a-z=]{0,8}", 0..6),
        place in 0_usize..6,
    ) {
        let mut fields = noise;
        fields.retain(|field| !field.trim_matches([' ', '\t']).starts_with("rua="));
        let place = place.min(fields.len());
        fields.insert(place, "rua=mailto:a@b.example".to_owned());
        let text = format!("v=TLSRPTv1;{}", fields.join(";"));
        prop_assert_eq!(destinations(&text), ["mailto:a@b.example"]);
    }
}
