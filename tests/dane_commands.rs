//! `sts-relay dane`: what it finds of hosts and certificates, over a signed world.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Output;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use testbed::{MxBehaviour, World};

use crate::process;
use crate::world::write_settings;

const MX: &str = "mx.signed.test";

fn text(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

fn look_up(config: &Path) -> (Option<i32>, String) {
    text(&process::run(config, &["dane", "lookup", MX]))
}

#[tokio::test(flavor = "multi_thread")]
async fn dane_lookup_tells_a_publisher_what_senders_do_and_what_to_mend() {
    let world = World::new().await;
    let names = world.names();
    let config = write_settings(&world, SocketAddr::new(world.address(), world.smtp_port()), "");
    let mx = world.mx(MX, MxBehaviour::valid()).await;

    let (status, told) = look_up(&config);
    assert!(status == Some(1) && told.contains("insecure-addresses"), "{told}");
    names.authenticate("signed.test");
    let (status, told) = look_up(&config);
    assert!(status == Some(1) && told.contains("no-records"), "{told}");
    world.add_tlsa(MX, (1, 1, 1), &[7; 32]);
    let (status, told) = look_up(&config);
    assert!(status == Some(3) && told.contains("not usable: usage PKIX-TA or PKIX-EE"), "{told}");
    world.add_tlsa(MX, (3, 1, 1), &[7; 32]);
    let (status, told) = look_up(&config);
    assert!(status == Some(2) && told.contains("matches nothing that is shown"), "{told}");
    world.add_tlsa(MX, (3, 0, 0), &mx.certificate_chain()[0]);
    let (status, told) = look_up(&config);
    assert!(status == Some(0) && told.contains("mail is protected"), "{told}");
    assert!(told.contains("keep it if it is staged for the next certificate"), "{told}");

    names.leave_unsigned(".");
    let (status, told) = look_up(&config);
    assert!(status == Some(4) && told.contains("the host is not at fault"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn dane_match_compares_certificates_with_records() {
    let world = World::new().await;
    let config = write_settings(&world, SocketAddr::new(world.address(), world.smtp_port()), "");
    let ca = world.ca_file().to_string_lossy().into_owned();
    let compare = |record: &str| {
        let words = ["dane", "match", "--chain", &ca, "--base", MX, "--", record];
        text(&process::run(&config, &words))
    };
    let none = format!("3 1 1 {}", "07".repeat(32));
    assert_eq!(
        compare(&none),
        (Some(1), "mismatch: certificates match no TLSA record\n".to_owned())
    );
    let (status, told) = compare("1 1 1 00");
    assert!(status == Some(1) && told.starts_with("unusable"), "{told}");
    // RFC 7671 §5.1: of the host's own certificate, whatever names it has.
    let certificate = CertificateDer::from_pem_file(world.ca_file()).unwrap();
    let hex: String = certificate.iter().map(|octet| format!("{octet:02x}")).collect();
    let (status, told) = compare(&format!("3 0 0 {hex}"));
    assert_eq!(status, Some(0), "{told}");
    assert!(told.starts_with("match: 3 0 0 ") && told.contains("own certificate"), "{told}");
}
