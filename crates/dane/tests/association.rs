//! What tells one association from another.

use dane::{ReferenceNames, SecureRecords};

fn fingerprint(records: &[&str], base: &str, others: &[&str]) -> [u8; 32] {
    let records = records.iter().map(|record| record.parse().unwrap()).collect();
    let names = ReferenceNames::new(base, others).unwrap();
    SecureRecords::assertion(records).unwrap().associate(names).unwrap().fingerprint()
}

#[test]
fn the_fingerprint_tells_records_and_the_names_that_count_apart() {
    let (a, b) = ("ab".repeat(32), "cd".repeat(32));
    let (ee, other, ta) = (&*format!("3 1 1 {a}"), &*format!("3 1 1 {b}"), &*format!("2 1 1 {a}"));
    let plain = fingerprint(&[ee], "mx.example.org", &[]);
    assert_eq!(fingerprint(&[ee, ee], "MX.example.org", &[]), plain);
    assert_eq!(
        fingerprint(&[ee, other], "mx.example.org", &[]),
        fingerprint(&[other, ee], "mx.example.org", &[]),
    );
    assert_eq!(fingerprint(&[ee], "mx.example.org", &["example.org"]), plain);
    assert_ne!(fingerprint(&[other], "mx.example.org", &[]), plain);
    assert_ne!(fingerprint(&[ee, "3 1 1 00"], "mx.example.org", &[]), plain);
    assert_ne!(fingerprint(&[ee], "mx2.example.org", &[]), plain);
    assert_ne!(
        fingerprint(&[ta], "mx.example.org", &["example.org"]),
        fingerprint(&[ta], "mx.example.org", &["example.net"]),
    );
}
