//! What hosts with TLSA records are counted as for TLS reports (RFC 8460 §4.3.2.1).

use testbed::{Certificate, Fault, MxBehaviour};

use crate::counted::{Counted, Mail, RECORD};

#[tokio::test(flavor = "multi_thread")]
async fn a_host_whose_tlsa_records_cannot_be_had_or_are_missed_is_counted_without_a_connection() {
    let mut counted = Counted::start("dane.require = [\"required.signed.test\"]").await;
    counted.relay.world.names().authenticate("signed.test");
    let cases = [
        ("servfail", Some(Fault::ServFail), "tlsa dnssec-invalid servfail 1"),
        ("bogus", Some(Fault::Bogus), "tlsa dnssec-invalid bogus 1"),
        ("required", None, "tlsa dane-required 1"),
    ];
    for (name, fault, row) in cases {
        let domain = format!("{name}.signed.test");
        let mx = counted.relay.enforcing_domain(&domain, MxBehaviour::valid()).await;
        counted.relay.world.domain(&domain).tls_rpt_record(RECORD);
        let records = format!("_{}._tcp.{}", counted.relay.world.smtp_port(), mx.name());
        if let Some(fault) = fault {
            counted.relay.world.names().fail(&records, fault);
        }
        counted.send(&domain, Mail::Waits, &[row]).await;
        assert_eq!(mx.connections().len(), 0, "{domain}");
    }
    let kept = counted.stop().await;
    for (domain, expected) in &counted.expected {
        assert_eq!(&kept.rows(domain).await, expected, "{domain}");
        let tally = kept.tally(domain).await.unwrap();
        let (row, _sessions) = tally.rows().next().unwrap();
        assert!(row.policy.strings().is_empty(), "no policy was seen");
    }
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
        let mx = counted.relay.enforcing_domain(domain, MxBehaviour::valid()).await;
        counted.relay.world.domain(domain).tls_rpt_record(RECORD);
        let own = mx.certificate_chain().remove(0);
        let name = format!("_{}._tcp.{}", counted.relay.world.smtp_port(), mx.name());
        counted.relay.world.names().add_tlsa(&name, (3, 0, 0), data.unwrap_or(&own));
        counted.send(domain, mail, &rows).await;
    }
    // Records of no use excuse nothing that a policy asks for, and the domain learns of both.
    for (domain, certificate, mail, sts) in [
        ("named.signed.test", Certificate::Valid, Mail::Delivered, "sts success 1"),
        ("late.signed.test", Certificate::Expired, Mail::Waits, "sts certificate-expired 1"),
    ] {
        let mx = counted.relay.enforcing_domain(domain, MxBehaviour::presenting(certificate)).await;
        counted.relay.world.domain(domain).tls_rpt_record(RECORD);
        let name = format!("_{}._tcp.{}", counted.relay.world.smtp_port(), mx.name());
        let own = mx.certificate_chain().remove(0);
        counted.relay.world.names().add_tlsa(&name, (1, 0, 0), &own);
        counted.send(domain, mail, &[sts, "tlsa tlsa-invalid all-records-unusable 1"]).await;
    }
    let unusable = "tlsa tlsa-invalid all-records-unusable 1";
    for (domain, parameters, row) in [
        ("alone.signed.test", (3, 0, 0), "tlsa success 1"),
        ("unusable.signed.test", (1, 0, 0), unusable),
    ] {
        let mx = counted.relay.domain(domain, MxBehaviour::valid()).await;
        counted.relay.world.domain(domain).tls_rpt_record(RECORD);
        let name = format!("_{}._tcp.{}", counted.relay.world.smtp_port(), mx.name());
        let own = mx.certificate_chain().remove(0);
        counted.relay.world.names().add_tlsa(&name, parameters, &own);
        counted.send(domain, Mail::Delivered, &[row]).await;
    }
    counted.check().await;
}
