//! Chains against records: each rule of RFC 7672 §3 by itself.

use dane::{MatchedCertificate, Mismatch, TlsaRecord};
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa};
use rcgen::{NameConstraints, date_time_ymd};
use rustls::pki_types::CertificateDer;

use crate::pki::{Change, EXPIRED, Entity, HOST, NOT_YET, PLAIN, associate, now, record};

/// Which certificate matched, or a word for why none did.
fn judged(
    records: &[TlsaRecord],
    chain: &[&CertificateDer<'static>],
) -> Result<MatchedCertificate, Mismatch> {
    let chain: Vec<_> = chain.iter().map(|certificate| (*certificate).clone()).collect();
    let matched = associate(records.to_vec()).judge(&chain, now());
    matched.map(|matched| matched.certificate())
}

/// A server, the authority that issued its certificate, and the root above.
struct Three {
    root: Entity,
    middle: Entity,
    server: Entity,
}

impl Three {
    fn new(root: Change, middle: Change, server: Change) -> Self {
        let root = Entity::root("root", root);
        let middle = root.authority("middle", middle);
        let server = middle.server(&[HOST], server);
        Self { root, middle, server }
    }

    fn chain(&self) -> [&CertificateDer<'static>; 3] {
        [&self.server.certificate, &self.middle.certificate, &self.root.certificate]
    }

    /// What becomes of its chain with a record of the root.
    fn by_root(&self) -> Result<MatchedCertificate, Mismatch> {
        judged(&[self.root.record([2, 0, 1])], &self.chain())
    }

    /// What becomes of its chain with a record of the authority in the middle.
    fn by_middle(&self) -> Result<MatchedCertificate, Mismatch> {
        judged(&[self.middle.record([2, 0, 1])], &self.chain())
    }
}

const SHOWN_AT: fn(usize) -> Result<MatchedCertificate, Mismatch> =
    |place| Ok(MatchedCertificate::Shown(place));

#[test]
fn every_selector_and_matching_type_matches_the_certificate_it_means() {
    let three = Three::new(PLAIN, PLAIN, PLAIN);
    let other = Three::new(PLAIN, PLAIN, PLAIN);
    for selector in 0..=1 {
        for matching in 0..=2 {
            let ee = |of: &Three| of.server.record([3, selector, matching]);
            let ta = |of: &Entity| of.record([2, selector, matching]);
            let judged = |record| judged(&[record], &three.chain());
            assert_eq!(judged(ee(&three)), SHOWN_AT(0), "3 {selector} {matching}");
            assert_eq!(judged(ee(&other)), Err(Mismatch::NoMatch), "3 {selector} {matching}");
            assert_eq!(judged(ta(&three.middle)), SHOWN_AT(1), "2 {selector} {matching}");
            assert_eq!(judged(ta(&three.root)), SHOWN_AT(2), "2 {selector} {matching}");
            // A stranger of the same name: in full it is an anchor, but has signed nothing here.
            let stranger = if matching == 0 { Mismatch::BadSignature } else { Mismatch::NoMatch };
            assert_eq!(judged(ta(&other.root)), Err(stranger), "2 {selector} {matching}");
        }
    }
}

#[test]
fn neither_names_nor_dates_of_a_dane_ee_certificate_count() {
    for change in [PLAIN, EXPIRED, NOT_YET] {
        let server = Entity::self_signed(&["elsewhere.example.net"], change);
        let records = [server.record([3, 1, 1])];
        assert_eq!(judged(&records, &[&server.certificate]), SHOWN_AT(0));
    }
    let nameless = Entity::self_signed(&[], PLAIN);
    assert_eq!(judged(&[nameless.record([3, 0, 1])], &[&nameless.certificate]), SHOWN_AT(0));
}

#[test]
fn a_certificate_of_version_1_is_as_good_as_any_under_dane_ee() {
    let certificate = CertificateDer::from(include_bytes!("vectors/version-1.der").as_slice());
    let records = [record([3, 0, 1], &certificate)];
    assert_eq!(judged(&records, &[&certificate]), SHOWN_AT(0));
    let key = pkix::subject_public_key_info(&certificate).unwrap();
    assert_eq!(judged(&[record([3, 1, 1], key)], &[&certificate]), SHOWN_AT(0));
}

#[test]
fn dane_ee_means_the_servers_own_certificate_and_dane_ta_one_of_the_others() {
    let three = Three::new(PLAIN, PLAIN, PLAIN);
    let issuers_as_server = [three.middle.record([3, 1, 1]), three.root.record([3, 0, 1])];
    assert_eq!(judged(&issuers_as_server, &three.chain()), Err(Mismatch::NoMatch));
    let server_as_anchor = [three.server.record([2, 0, 1]), three.server.record([2, 1, 1])];
    assert_eq!(judged(&server_as_anchor, &three.chain()), Err(Mismatch::NoMatch));
    // Shown twice, it is still no authority.
    let own = Entity::self_signed(&[HOST], PLAIN);
    let twice = [&own.certificate, &own.certificate];
    assert!(matches!(judged(&[own.record([2, 0, 1])], &twice), Err(Mismatch::Anchor(_))));
}

#[test]
fn one_match_of_any_record_is_enough() {
    let (three, other) = (Three::new(EXPIRED, PLAIN, PLAIN), Three::new(PLAIN, PLAIN, PLAIN));
    let rollover = [other.server.record([3, 1, 1]), three.server.record([3, 1, 1])];
    assert_eq!(judged(&rollover, &three.chain()), SHOWN_AT(0));
    let failing_anchor_beside = [three.root.record([2, 0, 1]), three.server.record([3, 1, 1])];
    assert_eq!(judged(&failing_anchor_beside, &three.chain()), SHOWN_AT(0));
    let anchor_beside_a_stranger = [other.server.record([3, 1, 1]), other.root.record([2, 1, 1])];
    assert_eq!(judged(&anchor_beside_a_stranger, &other.chain()), SHOWN_AT(0));
    let unusable_beside = [three.root.record([0, 0, 1]), three.server.record([3, 0, 2])];
    assert_eq!(judged(&unusable_beside, &three.chain()), SHOWN_AT(0));
}

#[test]
fn a_weaker_digest_does_not_count_beside_a_stronger_one() {
    let (three, other) = (Three::new(PLAIN, PLAIN, PLAIN), Three::new(PLAIN, PLAIN, PLAIN));
    let weak = three.server.record([3, 1, 1]);
    let strong = other.server.record([3, 1, 2]);
    assert_eq!(judged(&[weak.clone(), strong.clone()], &three.chain()), Err(Mismatch::NoMatch));
    let full = three.server.record([3, 1, 0]);
    assert_eq!(judged(&[weak.clone(), strong, full], &three.chain()), SHOWN_AT(0));
    let other_selector = other.server.record([3, 0, 2]);
    assert_eq!(judged(&[weak.clone(), other_selector], &three.chain()), SHOWN_AT(0));
    let of_no_use: TlsaRecord = "3 1 2 00".parse().unwrap();
    assert_eq!(judged(&[weak, of_no_use], &three.chain()), SHOWN_AT(0));
}

#[test]
fn dates_count_from_the_anchor_down() {
    let expired = |result| matches!(result, Err(Mismatch::Expired { .. }));
    let not_yet = |result| matches!(result, Err(Mismatch::NotYetValid { .. }));
    let server = Three::new(PLAIN, PLAIN, EXPIRED);
    assert!(expired(server.by_root()) && expired(server.by_middle()));
    let middle = Three::new(PLAIN, EXPIRED, PLAIN);
    assert!(expired(middle.by_root()));
    // The record vouches for an anchor that another authority once vouched for.
    assert_eq!(middle.by_middle(), SHOWN_AT(1));
    let root = Three::new(EXPIRED, PLAIN, PLAIN);
    assert!(expired(root.by_root()));
    assert_eq!(root.by_middle(), SHOWN_AT(1));
    assert!(not_yet(Three::new(PLAIN, PLAIN, NOT_YET).by_root()));
    assert!(not_yet(Three::new(PLAIN, NOT_YET, PLAIN).by_root()));
    assert!(not_yet(Three::new(NOT_YET, PLAIN, PLAIN).by_root()));
}

#[test]
fn dane_ta_checks_the_name_for_the_base_domain_and_the_next_hop() {
    let root = Entity::root("root", PLAIN);
    let by = |names: &[&str]| {
        let server = root.server(names, PLAIN);
        judged(&[root.record([2, 0, 1])], &[&server.certificate, &root.certificate])
    };
    for good in [HOST, "MX.Example.ORG", "example.org", "*.example.org"] {
        assert_eq!(by(&["elsewhere.example", good]), SHOWN_AT(1), "{good}");
    }
    for bad in ["example.net", "*.org", "a.mx.example.org", "*.mx.example.org", "m*.example.org"] {
        let Err(Mismatch::WrongName { presented }) = by(&[bad]) else { panic!("{bad}") };
        assert_eq!(presented, [bad]);
    }
    // The common name of the subject is no name of a server.
    let named_by_subject: Change =
        |params| params.distinguished_name.push(rcgen::DnType::CommonName, HOST);
    let server = root.server(&[], named_by_subject);
    let judged = judged(&[root.record([2, 0, 1])], &[&server.certificate, &root.certificate]);
    assert_eq!(judged, Err(Mismatch::WrongName { presented: Vec::new() }));
}

#[test]
fn the_anchor_has_to_have_issued_the_servers_certificate() {
    let (three, other) = (Three::new(PLAIN, PLAIN, PLAIN), Three::new(PLAIN, PLAIN, PLAIN));
    let another = Entity::root("another", PLAIN);
    let bystander = [&three.server.certificate, &another.certificate];
    assert_eq!(judged(&[another.record([2, 0, 1])], &bystander), Err(Mismatch::NotIssued));
    let same_names = [&three.server.certificate, &other.middle.certificate];
    assert_eq!(judged(&[other.middle.record([2, 0, 1])], &same_names), Err(Mismatch::BadSignature));
    // Without the middle, nothing leads from the server to the root.
    let torn = [&three.server.certificate, &three.root.certificate];
    assert_eq!(judged(&[three.root.record([2, 0, 1])], &torn), Err(Mismatch::NotIssued));
    // In any order, it does.
    let turned = [&three.server.certificate, &three.root.certificate, &three.middle.certificate];
    assert_eq!(judged(&[three.root.record([2, 0, 1])], &turned), SHOWN_AT(1));
}

#[test]
fn an_anchor_that_a_digest_means_has_to_be_shown() {
    let three = Three::new(PLAIN, PLAIN, PLAIN);
    let shown = [&three.server.certificate, &three.middle.certificate];
    for selector in 0..=1 {
        for matching in 1..=2 {
            let records = [three.root.record([2, selector, matching])];
            assert_eq!(judged(&records, &shown), Err(Mismatch::NoMatch), "{}", records[0]);
        }
    }
    assert_eq!(judged(&[three.root.record([2, 0, 1])], &[]), Err(Mismatch::NoCertificate));
}

#[test]
fn an_anchor_in_full_need_not_be_shown() {
    let three = Three::new(PLAIN, PLAIN, PLAIN);
    let shown = [&three.server.certificate, &three.middle.certificate];
    let by_record = Ok(MatchedCertificate::OfTheRecord);
    for selector in 0..=1 {
        assert_eq!(judged(&[three.root.record([2, selector, 0])], &shown), by_record);
        assert_eq!(judged(&[three.middle.record([2, selector, 0])], &shown[..1]), by_record);
        let stranger = Entity::root("root", PLAIN);
        let judged = judged(&[stranger.record([2, selector, 0])], &shown);
        assert_eq!(judged, Err(Mismatch::BadSignature));
    }
    let expired = Three::new(EXPIRED, PLAIN, PLAIN);
    let shown = [&expired.server.certificate, &expired.middle.certificate];
    let judged = judged(&[expired.root.record([2, 0, 0])], &shown);
    assert!(matches!(judged, Err(Mismatch::Expired { .. })));
}

#[test]
fn what_the_key_of_a_record_has_signed_is_held_to_dates_and_names_all_the_same() {
    let by_key = |middle, names: &[&str]| {
        let root = Entity::root("root", PLAIN);
        let middle = root.authority("middle", middle);
        let server = middle.server(names, PLAIN);
        judged(&[root.record([2, 1, 0])], &[&server.certificate, &middle.certificate])
    };
    assert_eq!(by_key(PLAIN, &[HOST]), Ok(MatchedCertificate::OfTheRecord));
    assert!(matches!(by_key(EXPIRED, &[HOST]), Err(Mismatch::Expired { .. })));
    assert!(matches!(by_key(PLAIN, &["mx.example.net"]), Err(Mismatch::WrongName { .. })));
}

#[test]
fn a_key_in_full_does_not_excuse_the_certificate_of_its_owner() {
    let root = Entity::root("root", EXPIRED);
    let server = root.server(&[HOST], PLAIN);
    let shown = [&server.certificate, &root.certificate];
    let judged_shown = judged(&[root.record([2, 1, 0])], &shown);
    assert!(matches!(judged_shown, Err(Mismatch::Expired { .. })), "{judged_shown:?}");
    let renewed = root.again("root", PLAIN);
    let judged = judged(&[root.record([2, 1, 1])], &[&server.certificate, &renewed]);
    assert_eq!(judged, SHOWN_AT(1));
}

#[test]
fn who_is_no_authority_is_no_anchor() {
    let refused = |change: Change| {
        let three = Three::new(PLAIN, change, PLAIN);
        matches!(three.by_middle(), Err(Mismatch::Anchor(_))) && three.by_root().is_err()
    };
    assert!(refused(|params| params.is_ca = IsCa::NoCa));
    assert!(refused(|params| params.is_ca = IsCa::ExplicitNoCa));
    let for_mail: Change = |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::EmailProtection];
    };
    assert!(refused(for_mail));
    assert_eq!(Three::new(PLAIN, PLAIN, for_mail).by_root(), Err(Mismatch::Purpose));
}

#[test]
fn name_constraints_hold_from_the_anchor_down() {
    fn only(params: &mut CertificateParams, name: &str) {
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: vec![GeneralSubtree::DnsName(name.to_owned())],
            excluded_subtrees: Vec::new(),
        });
    }
    let ours: Change = |params| only(params, "example.org");
    let theirs: Change = |params| only(params, "example.net");
    assert_eq!(Three::new(ours, ours, PLAIN).by_root(), SHOWN_AT(2));
    assert_eq!(Three::new(theirs, PLAIN, PLAIN).by_root(), Err(Mismatch::NameConstraint));
    assert_eq!(Three::new(PLAIN, theirs, PLAIN).by_root(), Err(Mismatch::NameConstraint));
    assert_eq!(Three::new(PLAIN, theirs, PLAIN).by_middle(), Err(Mismatch::NameConstraint));
    assert_eq!(Three::new(theirs, PLAIN, PLAIN).by_middle(), SHOWN_AT(1));
}

#[test]
fn an_anchor_limits_how_many_authorities_stand_below_it() {
    let none: Change = |params| params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let one: Change = |params| params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
    assert_eq!(Three::new(none, PLAIN, PLAIN).by_root(), Err(Mismatch::PathLength));
    assert_eq!(Three::new(none, PLAIN, PLAIN).by_middle(), SHOWN_AT(1));
    assert_eq!(Three::new(one, PLAIN, PLAIN).by_root(), SHOWN_AT(2));
    assert_eq!(Three::new(PLAIN, none, PLAIN).by_middle(), SHOWN_AT(1));
}

#[test]
fn the_record_that_matched_is_told() {
    let three = Three::new(PLAIN, PLAIN, |params| params.not_after = date_time_ymd(2030, 1, 1));
    let record = three.middle.record([2, 1, 2]);
    let chain: Vec<_> = three.chain().into_iter().cloned().collect();
    let records = vec![three.server.record([1, 1, 1]), record.clone()];
    let matched = associate(records).judge(&chain, now()).unwrap();
    assert_eq!(*matched.record(), record);
}
