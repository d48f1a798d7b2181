//! What a peer or a zone may throw at the library.

use std::time::{Duration, Instant};

use dane::{Association, Mismatch, ReferenceNames, SecureRecords, TlsaRecord};
use proptest::prelude::*;
use rustls::pki_types::CertificateDer;

use crate::pki::{Entity, HOST, PLAIN, associate, now};

/// All kinds of records for these certificates.
fn records(of: &[&Entity]) -> Vec<TlsaRecord> {
    let kinds = (2..=3).flat_map(|u| (0..=1).flat_map(move |s| (0..=2).map(move |m| [u, s, m])));
    kinds.flat_map(|numbers| of.iter().map(move |entity| entity.record(numbers))).collect()
}

fn association(records: Vec<TlsaRecord>) -> Option<Association> {
    let names = ReferenceNames::new(HOST, &[]).unwrap();
    SecureRecords::assertion(records).ok()?.associate(names).ok()
}

#[test]
#[expect(clippy::disallowed_methods, reason = "how long it really takes is the point")]
fn a_chain_as_long_as_a_handshake_allows_is_judged_in_bounded_time() {
    let root = Entity::root("root", PLAIN);
    let host = root.server(&[HOST], PLAIN);
    // All of one name, so that each could have issued each other.
    let crowd: Vec<_> = (0..120).map(|_| Entity::root("root", PLAIN)).collect();
    let mut chain = vec![host.certificate.clone()];
    chain.extend(crowd.iter().map(|entity| entity.certificate.clone()));
    let many: Vec<_> = crowd.iter().take(60).map(|entity| entity.record([2, 0, 0])).collect();
    let started = Instant::now();
    assert!(associate(many).judge(&chain, now()).is_err());
    // In truth it takes some hundredths of this.
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    chain.push(root.certificate.clone());
    let beyond_the_limit = associate(vec![root.record([2, 0, 1])]).judge(&chain, now());
    assert_eq!(beyond_the_limit, Err(Mismatch::NoMatch));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_certificate_is_too_odd_to_be_judged_and_none_that_was_altered_matches(
        place in 0_usize..3,
        at in any::<prop::sample::Index>(),
        new in any::<u8>(),
    ) {
        let root = Entity::root("root", PLAIN);
        let middle = root.authority("middle", PLAIN);
        let host = middle.server(&[HOST], PLAIN);
        let all = [&host, &middle, &root];
        let mut chain: Vec<Vec<u8>> =
            all.iter().map(|entity| entity.certificate.to_vec()).collect();
        let altered = &mut chain[place];
        let octet = &mut altered[at.index(all[place].certificate.len())];
        let is_changed = *octet != new;
        *octet = new;
        let chain: Vec<_> = chain.into_iter().map(CertificateDer::from).collect();
        for record in records(&all) {
            drop(associate(vec![record]).judge(&chain, now()));
        }
        // Whoever is meant by all of a certificate is not meant by another.
        let kind = if place == 0 { 3 } else { 2 };
        let judged = associate(vec![all[place].record([kind, 0, 1])]).judge(&chain, now());
        prop_assert_eq!(judged.is_ok(), !is_changed);
        // Between the server and the anchor nothing can be altered.
        let judged = associate(vec![root.record([2, 0, 0])]).judge(&chain[..2], now());
        prop_assert!(judged.is_err() || !is_changed || place == 2);
    }

    #[test]
    fn no_records_are_too_odd_to_be_read(
        rdata in prop::collection::vec(
            (0_u8..5, 0_u8..3, 0_u8..4, prop::collection::vec(any::<u8>(), 0..80)), 0..70,
        ),
        chain in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..4),
    ) {
        let read = |(usage, selector, matching, data): (u8, u8, u8, Vec<u8>)| {
            TlsaRecord::from_rdata(&[&[usage, selector, matching], &data[..]].concat()).unwrap()
        };
        let records: Vec<_> = rdata.into_iter().map(read).collect();
        let chain: Vec<_> = chain.into_iter().map(CertificateDer::from).collect();
        let usable = records.iter().any(|record| record.usable_for_smtp().is_ok());
        let is_read = (1..=64).contains(&records.len());
        match association(records) {
            Some(association) => {
                prop_assert!(usable && is_read);
                prop_assert!(association.judge(&chain, now()).is_err());
            }
            None => prop_assert!(!usable || !is_read),
        }
    }

    #[test]
    fn the_order_of_the_records_does_not_matter(seed in any::<prop::sample::Index>()) {
        let root = Entity::root("root", PLAIN);
        let host = root.server(&[HOST], PLAIN);
        let chain = [host.certificate.clone(), root.certificate.clone()];
        let mut records = records(&[&host, &root]);
        let (one, count) = (associate(records.clone()), records.len());
        records.rotate_left(seed.index(count));
        let other = associate(records);
        prop_assert_eq!(one.fingerprint(), other.fingerprint());
        prop_assert_eq!(one.judge(&chain, now()), other.judge(&chain, now()));
    }
}
