//! What hosts with TLSA records are counted as for TLS reports (RFC 8460 §4.3.2.1).

use dane::SecureRecords;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use testbed::{Certificate, Fault, MxBehaviour, RecordType};

use crate::counted::{Counted, Mail, RECORD};

#[tokio::test(flavor = "multi_thread")]
async fn a_host_without_the_tlsa_records_that_are_required_is_counted_without_a_connection() {
    let mut counted = Counted::start("dane.require = [\"signed.test\"]").await;
    counted.relay.world.names().authenticate("signed.test");
    let mx = counted.enforced("signed.test", MxBehaviour::valid()).await;
    counted.send("signed.test", Mail::Waits, &["tlsa dane-required 1"]).await;
    assert_eq!(mx.connections().len(), 0);
    counted.check_without_a_policy().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_whose_addresses_or_tlsa_records_cannot_be_told_is_counted_without_a_connection() {
    let mut counted = Counted::start("dns.timeout = \"1s\"").await;
    counted.relay.world.names().authenticate("signed.test");
    for (word, fault) in
        [("bogus", Fault::Bogus), ("servfail", Fault::ServFail), ("timeout", Fault::Silence)]
    {
        for what in ["addresses", "records"] {
            let domain = format!("{word}-{what}.signed.test");
            let mx = counted.enforced(&domain, MxBehaviour::valid()).await;
            let world = &counted.relay.world;
            let failing = match what {
                "addresses" => mx.name().to_owned(),
                _ => world.tlsa_name(mx.name()),
            };
            world.names().fail(&failing, fault);
            let row = format!("tlsa dnssec-invalid {word} 1");
            counted.send(&domain, Mail::Waits, &[&row]).await;
            assert_eq!(mx.connections().len(), 0, "{domain}");
        }
    }
    counted.check_without_a_policy().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_that_cannot_be_told_are_no_fault_of_dnssec_where_mx_records_are_insecure() {
    let mut counted = Counted::start("dane.insecure_mx = \"apply\"").await;
    let names = counted.relay.world.names();
    names.fail("mx.unsigned.test", Fault::ServFail);
    let mx = counted.enforced("unsigned.test", MxBehaviour::valid()).await;
    counted.send("unsigned.test", Mail::Waits, &[]).await;
    assert_eq!(mx.connections().len(), 0);
    counted.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_ends_in_a_lookup_says_nothing_of_the_host_and_is_not_counted() {
    let settings = "dns.timeout = \"20s\"\ndelivery.timeouts.attempt = \"1s\"";
    let mut counted = Counted::start(settings).await;
    counted.relay.world.names().authenticate("signed.test");
    let mx = counted.enforced("signed.test", MxBehaviour::valid()).await;
    counted.relay.world.names().fail(mx.name(), Fault::Silence);
    counted.send("signed.test", Mail::Waits, &[]).await;
    counted.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_with_tlsa_records_is_counted_by_them_and_by_the_policy_each_with_its_own_verdict() {
    let mut counted = Counted::start("").await;
    counted.relay.world.names().authenticate("signed.test");
    let stranger = counted.relay.world.mx("stranger.test", MxBehaviour::valid()).await;
    let other = stranger.certificate_chain().remove(0);
    let cases = [
        ("both.signed.test", None, Mail::Delivered, vec!["sts success 1", "tlsa success 1"]),
        (
            "other.signed.test",
            Some(&other),
            Mail::Waits,
            vec!["sts success 1", "tlsa validation-failure dane-no-match 1"],
        ),
    ];
    for (domain, data, mail, rows) in cases {
        let mx = counted.enforced(domain, MxBehaviour::valid()).await;
        let own = mx.certificate_chain().remove(0);
        counted.relay.world.add_tlsa(mx.name(), (3, 0, 0), data.unwrap_or(&own));
        counted.send(domain, mail, &rows).await;
    }
    // Records of no use excuse nothing that a policy asks for, and the domain learns of both.
    for (domain, certificate, mail, sts) in [
        ("named.signed.test", Certificate::Valid, Mail::Delivered, "sts success 1"),
        ("late.signed.test", Certificate::Expired, Mail::Waits, "sts certificate-expired 1"),
    ] {
        let mx = counted.enforced(domain, MxBehaviour::presenting(certificate)).await;
        counted.relay.world.add_tlsa(mx.name(), (1, 0, 0), &mx.certificate_chain()[0]);
        counted.send(domain, mail, &[sts, "tlsa tlsa-invalid all-records-unusable 1"]).await;
    }
    let unusable = "tlsa tlsa-invalid all-records-unusable 1";
    for (domain, parameters, row) in [
        ("alone.signed.test", (3, 0, 0), "tlsa success 1"),
        ("unusable.signed.test", (1, 0, 0), unusable),
    ] {
        let mx = counted.domain(domain, MxBehaviour::valid()).await;
        counted.relay.world.add_tlsa(mx.name(), parameters, &mx.certificate_chain()[0]);
        counted.send(domain, Mail::Delivered, &[row]).await;
    }
    counted.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_a_trust_anchor_of_tlsa_records_has_to_vouch_for_fails_like_any_other() {
    let mut counted = Counted::start("").await;
    counted.relay.world.names().authenticate("signed.test");
    let anchor = counted.relay.world.authority().pem();
    let anchor = CertificateDer::from_pem_slice(anchor.as_bytes()).unwrap();
    for (name, certificate, mail, row) in [
        ("good", Certificate::Valid, Mail::Delivered, "tlsa success 1"),
        ("late", Certificate::Expired, Mail::Waits, "tlsa certificate-expired 1"),
        ("other", Certificate::WrongName, Mail::Waits, "tlsa certificate-host-mismatch 1"),
    ] {
        let domain = format!("{name}.signed.test");
        let mx = counted.domain(&domain, MxBehaviour::presenting(certificate)).await;
        counted.relay.world.add_tlsa(mx.name(), (2, 0, 0), &anchor);
        counted.send(&domain, mail, &[row]).await;
    }
    counted.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_whose_alias_cannot_be_told_is_counted_without_a_connection() {
    let mut counted = Counted::start("dns.timeout = \"1s\"").await;
    counted.relay.world.names().authenticate("signed.test");
    for (word, fault) in
        [("bogus", Fault::Bogus), ("servfail", Fault::ServFail), ("timeout", Fault::Silence)]
    {
        let domain = format!("{word}.signed.test");
        // The addresses are those of an unsigned zone: whether the alias is secure has to be asked.
        let hosted = format!("{word}.hoster.test");
        let host = counted.relay.world.mx(&hosted, MxBehaviour::valid()).await;
        let world = &counted.relay.world;
        world.names().leave_unsigned("hoster.test");
        let alias = format!("mx.{domain}");
        world.names().add_cname(&alias, &hosted);
        world.names().fail_type(&alias, RecordType::Cname, fault);
        world.domain(&domain).mx_named(10, &alias).tls_rpt_record(RECORD);
        counted.send(&domain, Mail::Waits, &[&format!("tlsa dnssec-invalid {word} 1")]).await;
        assert_eq!(host.connections().len(), 0, "{domain}");
    }
    counted.check_without_a_policy().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tlsa_records_that_are_too_many_or_too_large_are_counted_without_a_connection() {
    let mut counted = Counted::start("").await;
    counted.relay.world.names().authenticate("signed.test");
    for (domain, records, octets) in
        [("many.signed.test", SecureRecords::MAX_RECORDS + 1, 32), ("large.signed.test", 1, 4097)]
    {
        let mx = counted.enforced(domain, MxBehaviour::valid()).await;
        for number in 0..records {
            let data = vec![u8::try_from(number).unwrap(); octets];
            counted.relay.world.add_tlsa(mx.name(), (3, 1, 1), &data);
        }
        counted.send(domain, Mail::Waits, &["tlsa tlsa-invalid too-large 1"]).await;
        assert_eq!(mx.connections().len(), 0, "{domain}");
    }
    counted.check_without_a_policy().await;
}

/// A relay with exceptions from the TLSA records of these domains of `signed.test`, and the certificate of
/// a host of none of them.
async fn excepted(names: &[&str]) -> (Counted, Vec<u8>) {
    let exception = |name: &&str| {
        format!(
            "[[exception]]\ndomain = \"{name}.signed.test\"\nuntil = 2030-01-10\n\
             reason = \"ticket 4711\"\nwhat = [\"dane\"]\n"
        )
    };
    let counted = Counted::start(&names.iter().map(exception).collect::<String>()).await;
    counted.relay.world.names().authenticate("signed.test");
    let stranger = counted.relay.world.mx("stranger.test", MxBehaviour::valid()).await;
    (counted, stranger.certificate_chain().remove(0))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exception_sets_tlsa_records_aside_and_the_domain_learns_what_was_wrong() {
    let (mut counted, other) = excepted(&["other", "unusable", "none", "clear", "servfail"]).await;
    for (name, behaviour, parameters, row) in [
        ("other", MxBehaviour::valid(), (3, 0, 0), "tlsa validation-failure dane-no-match 1"),
        ("unusable", MxBehaviour::valid(), (1, 0, 0), "tlsa tlsa-invalid all-records-unusable 1"),
        (
            "clear",
            MxBehaviour::starttls_not_offered(),
            (3, 0, 0),
            "tlsa starttls-not-supported starttls-not-offered 1",
        ),
    ] {
        let domain = format!("{name}.signed.test");
        let mx = counted.domain(&domain, behaviour).await;
        counted.relay.world.add_tlsa(mx.name(), parameters, &other);
        counted.send(&domain, Mail::Delivered, &[row]).await;
    }
    counted.domain("none.signed.test", MxBehaviour::valid()).await;
    counted.send("none.signed.test", Mail::Delivered, &["no-policy-found success 1"]).await;
    counted.domain("servfail.signed.test", MxBehaviour::valid()).await;
    let records = counted.relay.world.tlsa_name("mx.servfail.signed.test");
    counted.relay.world.names().fail(&records, Fault::ServFail);
    let rows = ["no-policy-found success 1", "tlsa dnssec-invalid servfail 1"];
    counted.send("servfail.signed.test", Mail::Delivered, &rows).await;
    counted.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_an_exception_sets_aside_beside_an_enforced_policy_have_their_own_verdict() {
    let (mut counted, other) = excepted(&["own", "other", "unusable", "late"]).await;
    let (no_match, unusable) =
        ("tlsa validation-failure dane-no-match 1", "tlsa tlsa-invalid all-records-unusable 1");
    let (met, late) = ("sts success 1", "sts certificate-expired 1");
    for (name, certificate, data, usage, mail, rows) in [
        ("own", Certificate::Valid, None, 3, Mail::Delivered, [met, "tlsa success 1"]),
        ("other", Certificate::Valid, Some(&other), 3, Mail::Delivered, [met, no_match]),
        ("unusable", Certificate::Valid, Some(&other), 1, Mail::Delivered, [met, unusable]),
        // The policy stays in force, and the records are judged beside its refusal.
        ("late", Certificate::Expired, Some(&other), 3, Mail::Waits, [late, no_match]),
    ] {
        let domain = format!("{name}.signed.test");
        let mx = counted.enforced(&domain, MxBehaviour::presenting(certificate)).await;
        let own = mx.certificate_chain().remove(0);
        counted.relay.world.add_tlsa(mx.name(), (usage, 0, 0), data.unwrap_or(&own));
        counted.send(&domain, mail, &rows).await;
    }
    counted.check().await;
}
