//! Every way to a host's TLSA records, over a DNS server of a signed world: what is asked there, and
//! what comes of it.

use std::time::Duration;

use dns::{DnsSettings, Resolver};
use mta_sts::Decision;
use smtp::{Domain, MailboxDomain};
use testbed::{Fault, Names, RecordType, World};
use tls_policy::{DaneInputs, DaneSettings, HostDane, HostNaming, InsecureMx};

use super::*;
use crate::mx_hosts::hosts;
use crate::scripted::fallback;
use crate::settings::DeliverySettings;
use crate::target::{Target, TlsRequirement};

const DOMAIN: &str = "example.test";
const MX: &str = "mx.example.test";
const END: &str = "host.provider.test";
const PORT: u16 = 25;

/// Where the records of a host are.
fn tlsa_name(host: &str) -> String {
    format!("_{PORT}._tcp.{host}")
}

/// A world in which everything is signed, with one host that has records.
async fn signed_world() -> World {
    let world = World::new().await;
    let names = world.names();
    names.authenticate(".");
    names.add_mx(DOMAIN, 10, MX);
    names.add_address(MX, [192, 0, 2, 1].into());
    names.add_tlsa(&tlsa_name(MX), (3, 1, 1), &[7; 32]);
    world
}

/// The same, but the host is an alias of a provider's.
async fn world_of_an_alias() -> World {
    let world = signed_world().await;
    let names = world.names();
    names.remove(MX, RecordType::A);
    names.add_cname(MX, END);
    names.add_address(END, [192, 0, 2, 1].into());
    names.add_tlsa(&tlsa_name(END), (2, 0, 1), &[8; 32]);
    world
}

fn resolver(world: &World) -> Resolver {
    let settings = DnsSettings {
        servers: vec![world.dns_address()],
        timeout: Duration::from_millis(400),
        attempts: 1,
        ..DnsSettings::default()
    };
    Resolver::new(settings).unwrap()
}

/// Hosts of the domain, as delivery finds them.
async fn targets(resolver: &Resolver) -> Vec<Target> {
    let settings = DeliverySettings::new(Domain::parse("relay.example.com").unwrap());
    let destination = MailboxDomain::Domain(Domain::parse(DOMAIN).unwrap());
    hosts(resolver, (&destination, &TlsRequirement::AsPolicy), &settings).await.unwrap()
}

/// What the lookup for the only host of the domain comes to, in words.
async fn outcome(world: &World) -> String {
    outcome_with(world, DaneSettings::default()).await
}

async fn outcome_with(world: &World, settings: DaneSettings) -> String {
    let resolver = resolver(world);
    let target = targets(&resolver).await.remove(0);
    words(&dane_of(&resolver, &target, settings).await)
}

async fn dane_of(resolver: &Resolver, target: &Target, settings: DaneSettings) -> HostDane {
    let decision = Decision::Permit(fallback(None).await);
    let Target { host, naming, .. } = target;
    let validation = resolver.validation();
    let inputs = DaneInputs { decision: &decision, host, port: PORT, naming, settings, validation };
    host_dane(resolver, DaneLookup::begin(&inputs), TlsaAge::Any).await
}

fn words(answer: &HostDane) -> String {
    match answer {
        HostDane::Dane(host) => {
            let names: Vec<&str> = host.association().names().all().map(AsRef::as_ref).collect();
            format!("{:?}: {}", host.destination(), names.join(" "))
        }
        HostDane::EncryptOnly(host) => format!("encrypt {}", host.base()),
        HostDane::NoDane(none) => none.why().label().to_owned(),
        HostDane::Skipped(why) => format!("skipped: {why}"),
    }
}

/// How often the TLSA records of both hosts were asked for.
fn tlsa_questions(names: &Names) -> [usize; 2] {
    [MX, END].map(|host| names.queries_of(&tlsa_name(host), RecordType::Tlsa))
}

/// What is not told, by each fault, and the word for it.
const FAULTS: [(Fault, &str); 3] = [
    (Fault::Bogus, "DNSSEC validation failed"),
    (Fault::ServFail, "SERVFAIL"),
    (Fault::Silence, "no resolver answered in time"),
];

fn assert_skipped(outcome: &str, begins: &str, ends: &str) {
    assert!(outcome.starts_with(begins) && outcome.ends_with(ends), "{outcome}");
}

#[tokio::test]
async fn a_host_of_secure_mx_records_with_a_secure_address_has_its_own_records() {
    let world = signed_world().await;
    assert_eq!(outcome(&world).await, "Proven: mx.example.test example.test");
    assert_eq!(tlsa_questions(world.names()), [1, 0]);
}

#[tokio::test]
async fn hosts_of_insecure_mx_records_are_asked_for_no_tlsa_records() {
    let world = signed_world().await;
    let names = world.names();
    names.leave_unsigned(DOMAIN);
    names.authenticate(MX);
    assert_eq!(outcome(&world).await, "insecure-mx");
    assert_eq!(tlsa_questions(names), [0, 0]);
    let apply = DaneSettings { insecure_mx: InsecureMx::Apply, ..DaneSettings::default() };
    assert_eq!(outcome_with(&world, apply).await, "Unproven: mx.example.test");
}

#[tokio::test]
async fn an_insecure_alias_on_the_way_to_mx_records_makes_them_insecure() {
    let world = signed_world().await;
    let names = world.names();
    names.remove(DOMAIN, RecordType::Mx);
    names.add_cname(DOMAIN, "mail.example.test");
    names.add_mx("mail.example.test", 10, MX);
    assert_eq!(outcome(&world).await, "Proven: mx.example.test example.test mail.example.test");
    names.leave_unsigned(DOMAIN);
    names.authenticate("mail.example.test");
    names.authenticate(MX);
    assert_eq!(outcome(&world).await, "insecure-mx");
}

#[tokio::test]
async fn a_domain_that_securely_has_no_mx_records_is_its_own_host() {
    let world = signed_world().await;
    let names = world.names();
    names.remove(DOMAIN, RecordType::Mx);
    names.add_address(DOMAIN, [192, 0, 2, 1].into());
    names.add_tlsa(&tlsa_name(DOMAIN), (3, 1, 1), &[7; 32]);
    assert_eq!(outcome(&world).await, "Proven: example.test");
}

#[tokio::test]
async fn a_host_with_insecure_addresses_is_never_asked_for_tlsa_records() {
    let world = signed_world().await;
    let names = world.names();
    names.leave_unsigned(MX);
    // Such a server does not bear the question.
    names.fail(&tlsa_name(MX), Fault::ServFail);
    assert_eq!(outcome(&world).await, "insecure-addresses");
    assert_eq!((tlsa_questions(names), names.queries_of(MX, RecordType::Cname)), ([0, 0], 0));
}

#[tokio::test]
async fn one_family_of_addresses_is_enough_and_a_failing_other_one_is_passed_over() {
    for (fault, _) in FAULTS {
        let world = signed_world().await;
        world.names().fail_type(MX, RecordType::Aaaa, fault);
        assert_eq!(outcome(&world).await, "Proven: mx.example.test example.test", "{fault:?}");
    }
}

#[tokio::test]
async fn a_host_whose_addresses_cannot_be_told_or_that_has_none_is_skipped() {
    for (fault, word) in FAULTS {
        let world = signed_world().await;
        world.names().fail_type(MX, RecordType::A, fault);
        assert_skipped(&outcome(&world).await, "skipped: no address: ", word);
        assert_eq!(tlsa_questions(world.names()), [0, 0], "{fault:?}");
    }
    let world = signed_world().await;
    world.names().remove(MX, RecordType::A);
    assert_eq!(outcome(&world).await, "skipped: no address");
}

#[tokio::test]
async fn records_that_cannot_be_told_skip_the_host_and_are_never_taken_for_none() {
    for (fault, word) in FAULTS {
        let world = signed_world().await;
        world.names().fail(&tlsa_name(MX), fault);
        let begins = "skipped: TLSA lookup for mx.example.test failed: ";
        assert_skipped(&outcome(&world).await, begins, word);
        // At the end of an alias no other base domain is asked in its place.
        let world = world_of_an_alias().await;
        world.names().fail(&tlsa_name(END), fault);
        let begins = "skipped: TLSA lookup for host.provider.test failed: ";
        assert_skipped(&outcome(&world).await, begins, word);
        assert_eq!(tlsa_questions(world.names())[0], 0, "{fault:?}");
    }
}

#[tokio::test]
async fn absent_and_insecure_records_mean_that_there_is_no_dane() {
    let world = signed_world().await;
    world.names().leave_unsigned(&tlsa_name(MX));
    assert_eq!(outcome(&world).await, "no-records");
    for fault in [Fault::NoData, Fault::NxDomain] {
        let world = signed_world().await;
        world.names().fail(&tlsa_name(MX), fault);
        assert_eq!(outcome(&world).await, "no-records", "securely {fault:?}");
        world.names().leave_unsigned(&tlsa_name(MX));
        assert_eq!(outcome(&world).await, "no-records", "insecurely {fault:?}");
    }
}

#[tokio::test]
async fn records_of_no_use_ask_for_tls_with_anyone() {
    let world = signed_world().await;
    world.names().remove_all(&tlsa_name(MX));
    world.names().add_tlsa(&tlsa_name(MX), (1, 1, 1), &[7; 32]);
    assert_eq!(outcome(&world).await, "encrypt mx.example.test");
}

#[tokio::test]
async fn tlsa_records_may_be_an_alias_which_moves_no_base_domain() {
    let world = signed_world().await;
    let names = world.names();
    names.remove_all(&tlsa_name(MX));
    names.add_cname(&tlsa_name(MX), "shared._dane.provider.test");
    names.add_tlsa("shared._dane.provider.test", (2, 0, 1), &[9; 32]);
    assert_eq!(outcome(&world).await, "Proven: mx.example.test example.test");
    // It has to be secure from end to end.
    names.leave_unsigned("provider.test");
    assert_eq!(outcome(&world).await, "no-records");
}

#[tokio::test]
async fn of_a_secure_alias_the_end_comes_first_and_then_the_host() {
    let world = world_of_an_alias().await;
    assert_eq!(outcome(&world).await, "Proven: host.provider.test example.test");
    assert_eq!(tlsa_questions(world.names()), [0, 1]);
    world.names().remove_all(&tlsa_name(END));
    assert_eq!(outcome(&world).await, "Proven: mx.example.test example.test");
    assert_eq!(tlsa_questions(world.names()), [1, 2]);
    assert_eq!(world.names().queries_of(MX, RecordType::Cname), 0);
}

#[tokio::test]
async fn names_between_a_host_and_the_end_of_its_aliases_are_no_base_domains() {
    let world = world_of_an_alias().await;
    let names = world.names();
    names.remove(MX, RecordType::Cname);
    names.add_cname(MX, "between.test");
    names.add_cname("between.test", END);
    names.add_tlsa(&tlsa_name("between.test"), (3, 1, 1), &[5; 32]);
    names.remove_all(&tlsa_name(END));
    assert_eq!(outcome(&world).await, "Proven: mx.example.test example.test");
    assert_eq!(names.queries(&tlsa_name("between.test")), 0);
}

#[tokio::test]
async fn of_a_secure_alias_that_leads_to_an_unsigned_zone_the_host_alone_counts() {
    let world = world_of_an_alias().await;
    let names = world.names();
    names.leave_unsigned("provider.test");
    assert_eq!(outcome(&world).await, "Proven: mx.example.test example.test");
    assert_eq!((tlsa_questions(names), names.queries_of(MX, RecordType::Cname)), ([1, 0], 1));
    for (fault, word) in FAULTS {
        names.fail_type(MX, RecordType::Cname, fault);
        assert_skipped(&outcome(&world).await, "skipped: CNAME lookup failed: ", word);
    }
}

#[tokio::test]
async fn of_an_insecure_alias_no_tlsa_records_are_asked_for() {
    let world = world_of_an_alias().await;
    let names = world.names();
    names.leave_unsigned("provider.test");
    names.leave_unsigned(MX);
    assert_eq!(outcome(&world).await, "insecure-addresses");
    assert_eq!(tlsa_questions(names), [0, 0]);
}

#[tokio::test]
async fn a_resolver_that_does_not_validate_changes_nothing_for_any_host() {
    let world = signed_world().await;
    let names = world.names();
    // No answer carries the AD bit, whatever is signed.
    names.leave_unsigned(".");
    names.fail(&tlsa_name(MX), Fault::ServFail);
    assert_eq!(outcome(&world).await, "inactive");
    assert_eq!(tlsa_questions(names), [0, 0]);
}

#[tokio::test]
async fn the_operators_own_hosts_have_their_records_at_the_port_that_is_connected_to() {
    let world = signed_world().await;
    let resolver = resolver(&world);
    let mut target = targets(&resolver).await.remove(0);
    assert!(matches!(target.naming, HostNaming::Secure(_)));
    let domain = Domain::parse(MX).unwrap();
    target.naming = HostNaming::Secure(tls_policy::NextHopNames { domain, canonical: None });
    let found = dane_of(&resolver, &target, DaneSettings::default()).await;
    assert_eq!(words(&found), "Proven: mx.example.test");
}

#[tokio::test]
async fn records_are_asked_for_past_the_cache_once_a_certificate_does_not_match() {
    let world = signed_world().await;
    let names = world.names();
    names.keep_for(Duration::from_secs(3600));
    names.remove_all(&tlsa_name(MX));
    names.add_tlsa(&tlsa_name(MX), (3, 1, 1), &[1; 32]);
    let resolver = resolver(&world);
    let target = targets(&resolver).await.remove(0);
    let decision = Decision::Permit(fallback(None).await);
    let inputs = DaneInputs {
        decision: &decision,
        host: &target.host,
        port: PORT,
        naming: &target.naming,
        settings: DaneSettings::default(),
        validation: resolver.validation(),
    };
    let first_octet = async |age| {
        let found = host_dane(&resolver, DaneLookup::begin(&inputs), age).await;
        let HostDane::Dane(host) = found else { panic!("{found:?}") };
        host.association().records()[0].data[0]
    };
    assert_eq!(first_octet(TlsaAge::Any).await, 1);
    names.remove_all(&tlsa_name(MX));
    names.add_tlsa(&tlsa_name(MX), (3, 1, 1), &[2; 32]);
    assert_eq!(first_octet(TlsaAge::Any).await, 1);
    assert_eq!(first_octet(TlsaAge::Fresh).await, 2);
    assert_eq!(first_octet(TlsaAge::Any).await, 2);
}
