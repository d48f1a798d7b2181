//! `sts-relay check`: what it says of domains, good and bad, with a tap on the wire.

use std::process::{Command, Output};
use std::time::Duration;

use clock::{Clock as _, SystemClock};
use serde_json::Value;
use testbed::{Certificate, Fault, MxBehaviour, PolicyBehaviour, PolicyText, World};

use crate::world::{RelayInWorld, write_settings};

/// Runs the check of a domain, with these settings besides the usual ones.
pub(crate) async fn check_with(world: &World, domain: &str, more: &str, json: &[&str]) -> Output {
    let listener = (world.address(), world.smtp_port()).into();
    let config = write_settings(world, listener, more);
    let mut command = Command::new(env!("CARGO_BIN_EXE_sts-relay"));
    command.args(["check", domain, "--config"]).arg(config).args(json).env_clear();
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

/// What the check says of a domain, and whether it says yes.
pub(crate) async fn check(world: &World, domain: &str) -> (Value, bool) {
    let output = check_with(world, domain, "", &["--json"]).await;
    let errors = String::from_utf8_lossy(&output.stderr);
    let said = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{errors}"));
    assert!(world.tap().envelope().is_empty(), "mail was begun: {}", world.tap());
    (said, output.status.success())
}

/// The stages of the domain and of its hosts that are in a state.
pub(crate) fn stages<'a>(said: &'a Value, state: &str) -> Vec<&'a Value> {
    let hosts = said["hosts"].as_array().unwrap();
    let lists = std::iter::once(&said["stages"]).chain(hosts.iter().map(|host| &host["stages"]));
    let all = lists.flat_map(|list| list.as_array().unwrap());
    all.filter(|stage| stage["state"] == state).collect()
}

/// A domain with an enforced policy for `mx.` and its name.
async fn enforcing(world: &World, domain: &str, behaviour: MxBehaviour) {
    let mx = world.mx(&format!("mx.{domain}"), behaviour).await;
    let policy = PolicyText::enforce([mx.name()]);
    world.domain(domain).mx(10, &mx).sts("1").policy(policy).await;
}

#[tokio::test]
async fn a_domain_whose_hosts_meet_its_policy_is_said_to_be_verified() {
    let world = World::new().await;
    enforcing(&world, "example.test", MxBehaviour::valid()).await;
    let (said, yes) = check(&world, "example.test").await;
    assert!(yes, "{said}");
    assert_eq!(said["verdict"], "verified", "{said}");
    assert_eq!(said["mode"], "enforce");
    assert_eq!(said["hosts"][0]["verdict"], "verified");
    assert!(stages(&said, "wrong").is_empty(), "{said}");
    assert!(stages(&said, "warning").is_empty(), "{said}");
}

#[tokio::test]
async fn a_host_that_does_not_meet_the_policy_is_named_with_what_mends_it() {
    let world = World::new().await;
    let presents = MxBehaviour::presenting;
    for (domain, behaviour, stage, fix) in [
        ("plain.test", MxBehaviour::starttls_not_offered(), "starttls", "offer STARTTLS"),
        ("refused.test", MxBehaviour::starttls_refused("454 4.7.0 no"), "starttls", "start TLS"),
        ("garbage.test", MxBehaviour::handshake_garbage(), "starttls", "TLS 1.2"),
        ("expired.test", presents(Certificate::Expired), "certificate", "renew"),
        ("other.test", presents(Certificate::WrongName), "certificate", "names mx.other.test"),
        ("self.test", presents(Certificate::SelfSigned), "certificate", "public authority"),
        ("cn.test", presents(Certificate::CommonNameOnly), "certificate", "as a DNS name"),
    ] {
        enforcing(&world, domain, behaviour).await;
        let (said, yes) = check(&world, domain).await;
        assert!(!yes, "{said}");
        assert_eq!(said["verdict"], "waiting", "{said}");
        let [wrong] = &stages(&said, "wrong")[..] else { panic!("{said}") };
        assert_eq!(wrong["name"], stage, "{said}");
        assert!(wrong["fix"].as_str().unwrap().contains(fix), "{said}");
    }
}

#[tokio::test]
async fn a_host_that_the_policy_does_not_name_is_told_from_one_that_it_does() {
    let world = World::new().await;
    enforcing(&world, "example.test", MxBehaviour::valid()).await;
    let second = world.mx("new.example.test", MxBehaviour::valid()).await;
    world.domain("example.test").mx(5, &second);
    let (said, yes) = check(&world, "example.test").await;
    assert!(yes, "the named host takes the mail: {said}");
    assert_eq!(said["hosts"][0]["verdict"], "not-named");
    assert_eq!(said["hosts"][1]["verdict"], "verified");
    let [wrong] = &stages(&said, "wrong")[..] else { panic!("{said}") };
    assert!(wrong["fix"].as_str().unwrap().contains("mx: new.example.test"), "{said}");
}

#[tokio::test]
async fn a_policy_that_cannot_be_had_is_named_with_what_mends_it() {
    let world = World::new().await;
    let good = || PolicyBehaviour::from(PolicyText::enforce(["mx.example.test"]));
    let mx = world.mx("mx.example.test", MxBehaviour::valid()).await;
    let domain = || world.domain("example.test");
    drop(domain().mx(10, &mx).sts("1"));
    for (behaviour, fix) in [
        (PolicyBehaviour::status(404), "status 200"),
        (good().with_certificate(Certificate::WrongName), "names mta-sts.example.test"),
        (good().media_type("text/html"), "text/plain"),
        (PolicyBehaviour::from("version: STSv1\nmode: enforced\n"), "policy lint"),
    ] {
        drop(domain().policy(behaviour).await);
        let (said, yes) = check(&world, "example.test").await;
        assert!(!yes, "{said}");
        assert_eq!(said["verdict"], "unverified", "{said}");
        let [wrong] = &stages(&said, "wrong")[..] else { panic!("{said}") };
        assert!(wrong["fix"].as_str().unwrap().contains(fix), "{said}");
    }
    drop(domain().policy(good()).await);
    world.names().add_txt("_mta-sts.example.test", "v=STSv1; id=2;");
    let (said, _) = check(&world, "example.test").await;
    assert_eq!(stages(&said, "wrong")[0]["name"], "record", "{said}");
    world.names().fail("_mta-sts.example.test", Fault::ServFail);
    let (said, yes) = check(&world, "example.test").await;
    assert!(!yes && stages(&said, "wrong")[0]["name"] == "record", "{said}");
}

#[tokio::test]
async fn a_domain_without_a_policy_is_well_if_it_can_be_reached() {
    let world = World::new().await;
    let mx = world.mx("mx.example.test", MxBehaviour::valid()).await;
    world.domain("example.test").mx(10, &mx);
    let (said, yes) = check(&world, "example.test").await;
    assert!(yes && said["verdict"] == "no-policy", "{said}");
    mx.close().await;
    let (said, yes) = check(&world, "example.test").await;
    assert!(!yes && said["verdict"] == "waiting", "{said}");
}

#[tokio::test]
async fn a_policy_in_testing_is_checked_as_if_it_were_enforced() {
    let world = World::new().await;
    let mx = world.mx("mx.example.test", MxBehaviour::valid()).await;
    let policy = PolicyText::testing([mx.name()]);
    world.domain("example.test").mx(10, &mx).sts("1").policy(policy).await;
    let (said, yes) = check(&world, "example.test").await;
    assert!(yes && said["verdict"] == "verified", "{said}");
    mx.behave(MxBehaviour::presenting(Certificate::SelfSigned));
    let (said, yes) = check(&world, "example.test").await;
    assert!(!yes && said["verdict"] == "unverified", "{said}");
}

#[tokio::test]
async fn an_exception_is_shown_with_its_reason() {
    let world = World::new().await;
    enforcing(&world, "example.test", MxBehaviour::stripped()).await;
    let until = SystemClock.now() + Duration::from_secs(10 * 86_400);
    let until = jiff::Timestamp::try_from(until).unwrap().strftime("%Y-%m-%d").to_string();
    let exception = format!(
        "exception = [{{ domain = \"example.test\", until = {until}, reason = \"ticket 4711\" }}]"
    );
    let output = check_with(&world, "example.test", &exception, &[]).await;
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!output.status.success(), "{text}");
    assert!(text.contains("by your exception until") && text.contains("ticket 4711"), "{text}");
    assert!(!text.contains('\x1b'), "a program is not shown colours: {text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_running_relay_keeps_counts_although_the_record_is_gone() {
    let relay = RelayInWorld::start().await;
    let mx = relay.enforcing_domain("example.test", MxBehaviour::valid()).await;
    let id = relay.submit(&["<bob@example.test>"]).await;
    relay.gone(id).await;
    relay.world.domain("example.test").without_sts_record();
    relay.world.tap().forget();
    mx.behave(MxBehaviour::stripped());
    let (said, yes) = check(&relay.world, "example.test").await;
    assert!(!yes && said["verdict"] == "waiting", "{said}");
    assert_eq!(said["mode"], "enforce", "{said}");
}

/// The route of these tests: a next hop at a port of its own, with a login.
fn route(host: &str, port: u16, password: &str) -> String {
    format!(
        "[[route]]\nrecipient = \"example.test\"\nnext_hop = \"{host}:{port}\"\nusername = \"ann\"\n\
         password = \"{password}\"\n"
    )
}

/// A smart host at a port that is not that of other mail, where ann can log in.
async fn smart_host(world: &World, behaviour: MxBehaviour) -> testbed::MxHost {
    let usual = world.mx("smtp.test", MxBehaviour::stripped()).await;
    let address = std::net::SocketAddr::new(usual.address().ip(), 2525);
    let behaviour = behaviour.with_login(&["PLAIN"], "ann", "s3cret");
    world.mx_at("smtp.test", address, behaviour).await.unwrap()
}

/// What `check` prints as JSON, and its exit status.
async fn said(world: &World, domain: &str, more: &str, options: &[&str]) -> (Value, Option<i32>) {
    let output = check_with(world, domain, more, &[options, &["--json"]].concat()).await;
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let said = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{errors}"));
    assert!(world.tap().envelope().is_empty(), "mail was begun: {}", world.tap());
    (said, output.status.code())
}

#[tokio::test]
async fn a_route_is_tried_at_its_own_port_with_tls_and_login_and_no_mail() {
    let world = World::new().await;
    enforcing(&world, "example.test", MxBehaviour::stripped()).await;
    let smtp = smart_host(&world, MxBehaviour::valid()).await;
    let good = route("smtp.test", 2525, "s3cret");
    for options in [&[][..], &["--route"]] {
        let (said, status) = said(&world, "example.test", &good, options).await;
        assert_eq!((said["verdict"].as_str(), status), (Some("verified"), Some(0)), "{said}");
        let names: Vec<_> = said["route"][0]["stages"].as_array().unwrap().clone();
        let names: Vec<_> = names.iter().map(|stage| stage["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["connection", "tls", "login"], "{said}");
        assert_eq!(said["hosts"].as_array().unwrap().is_empty(), !options.is_empty(), "{said}");
    }
    assert_eq!(smtp.connections().len(), 2);

    let wrong = route("smtp.test", 2525, "wrong");
    let (said_of_wrong, status) = said(&world, "example.test", &wrong, &["--route"]).await;
    assert_eq!((said_of_wrong["verdict"].as_str(), status), (Some("waiting"), Some(2)));
    assert_eq!(said_of_wrong["route"][0]["stages"][0]["name"], "login", "{said_of_wrong}");

    smtp.behave(MxBehaviour::presenting(Certificate::WrongName));
    let (said_of_tls, status) = said(&world, "example.test", &good, &[]).await;
    assert_eq!((said_of_tls["verdict"].as_str(), status), (Some("waiting"), Some(2)));
    assert_eq!(said_of_tls["route"][0]["stages"][0]["name"], "tls", "{said_of_tls}");
}

#[tokio::test]
async fn a_check_of_routes_alone_needs_one() {
    let world = World::new().await;
    let output = check_with(&world, "example.test", "", &["--route"]).await;
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("no [[route]] of the settings is for this domain"), "{errors}");
}

#[tokio::test]
async fn an_address_is_checked_as_its_domain() {
    let world = World::new().await;
    enforcing(&world, "example.test", MxBehaviour::valid()).await;
    for typed in ["bob@example.test", "\"a@b\"@EXAMPLE.test"] {
        let (said, status) = said(&world, typed, "", &[]).await;
        assert_eq!((said["domain"].as_str(), status), (Some("example.test"), Some(0)), "{said}");
    }
}

#[tokio::test]
async fn held_unverified_and_not_known_have_exit_statuses_of_their_own() {
    let world = World::new().await;
    enforcing(&world, "held.test", MxBehaviour::stripped()).await;
    enforcing(&world, "unverified.test", MxBehaviour::valid()).await;
    drop(world.domain("unverified.test").policy(PolicyBehaviour::status(404)).await);
    for (domain, verdict, status) in
        [("held.test", "waiting", 2), ("unverified.test", "unverified", 3)]
    {
        let (said, code) = said(&world, domain, "", &[]).await;
        assert_eq!((said["verdict"].as_str(), code), (Some(verdict), Some(status)), "{said}");
    }
}

#[tokio::test]
async fn a_resolver_that_does_not_answer_is_the_relays_own_fault_and_not_the_domains() {
    let world = World::new().await;
    enforcing(&world, "example.test", MxBehaviour::valid()).await;
    // Nobody listens there.
    let closed = std::net::UdpSocket::bind((world.address(), 0)).unwrap().local_addr().unwrap();
    let listener = (world.address(), world.smtp_port()).into();
    let config = write_settings(&world, listener, "");
    let mut command = Command::new(env!("CARGO_BIN_EXE_sts-relay"));
    command.args(["check", "example.test", "--json", "--config"]).arg(config).env_clear();
    command.env("STS_RELAY__DNS__SERVERS", closed.to_string());
    command.env("STS_RELAY__DNS__TIMEOUT", "500ms");
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((said["verdict"].as_str(), output.status.code()), (Some("cannot-tell"), Some(4)));
    assert_eq!(said["stages"][0]["name"], "resolver", "{said}");
    let text = said["stages"][0]["text"].as_str().unwrap();
    assert!(text.starts_with(&format!("the resolver of this relay ({closed})")), "{text}");

    // A domain whose own servers fail is no fault of the resolver.
    world.names().fail("example.test", Fault::ServFail);
    let (said, status) = self::said(&world, "example.test", "", &[]).await;
    assert_eq!((said["verdict"].as_str(), status), (Some("waiting"), Some(2)), "{said}");
    assert!(said["summary"].as_str().unwrap().contains("its MX lookup failed"), "{said}");
}

#[tokio::test]
async fn a_domain_that_does_not_exist_is_told_from_one_without_hosts() {
    let world = World::new().await;
    world.domain("closed.test").null_mx();
    world.names().add_txt("empty.test", "nothing of mail");
    for (domain, why) in [
        ("nowhere.test", "the domain does not exist"),
        ("empty.test", "neither MX nor address records"),
        ("closed.test", "takes no mail (null MX)"),
    ] {
        let (said, status) = said(&world, domain, "", &[]).await;
        assert_eq!((said["verdict"].as_str(), status), (Some("waiting"), Some(2)), "{said}");
        assert!(said["summary"].as_str().unwrap().contains(why), "{said}");
    }
}

#[tokio::test]
async fn a_route_is_shown_and_that_the_domains_own_policy_has_no_say() {
    let world = World::new().await;
    enforcing(&world, "example.test", MxBehaviour::valid()).await;
    let route = "[[route]]\nrecipient = \"example.test\"\nnext_hop = \"[smtp.test]:587\"\n";
    let output = check_with(&world, "example.test", route, &["--json"]).await;
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    let [warning] = &stages(&said, "warning")[..] else { panic!("{said}") };
    assert_eq!(warning["name"], "route", "{said}");
    assert!(warning["text"].as_str().unwrap().contains("smtp.test:587"), "{said}");
    assert!(said["summary"].as_str().unwrap().contains("[[route]] to smtp.test:587"), "{said}");
}
