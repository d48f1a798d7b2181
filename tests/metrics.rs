//! What monitors are told: the counts, whether the relay is ready, and nothing of anybody's mail.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use clock::{Clock as _, SystemClock};
use serde_json::Value;
use testbed::{Certificate, Fault, MxBehaviour, Sender, World};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::process::{self, Process};
use crate::world::{PATIENCE, RelayInWorld, write_settings};

/// The setting that opens the port for monitors.
const PORT: &str = "admin.address = \"127.0.0.1:0\"";

/// What Prometheus says that it reads.
const ACCEPT: &str = "Accept: application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.2";

/// An answer to a monitor.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

/// What a scrape has, by name and labels as they are written.
#[derive(Debug)]
pub(crate) struct Scrape {
    types: BTreeMap<String, String>,
    series: BTreeMap<String, f64>,
}

/// Asks at `address`, as any client of HTTP may.
pub(crate) async fn ask(address: SocketAddr, method: &str, path: &str) -> Answer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("{method} {path} HTTP/1.1\r\nHost: relay.test\r\n{ACCEPT}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("no end").unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

async fn scrape(relay: &RelayInWorld) -> Scrape {
    let answer = ask(relay.monitors(), "GET", "/metrics").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.head.contains("content-type: application/openmetrics-text"), "{answer:?}");
    assert!(answer.body.ends_with("# EOF\n"), "{answer:?}");
    let mut scrape = Scrape { types: BTreeMap::new(), series: BTreeMap::new() };
    for line in answer.body.lines() {
        if let Some(declared) = line.strip_prefix("# TYPE ") {
            let (name, kind) = declared.split_once(' ').unwrap();
            let suffix = if kind == "counter" { "_total" } else { "" };
            scrape.types.insert(format!("{name}{suffix}"), kind.to_owned());
        } else if !line.starts_with('#') {
            let (series, value) = line.rsplit_once(' ').unwrap();
            scrape.series.insert(series.to_owned(), value.parse().unwrap());
        }
    }
    scrape
}

/// Scrapes until a series has a value; what happens is counted a moment after it is seen.
pub(crate) async fn counted(relay: &RelayInWorld, series: &str, value: f64) -> Scrape {
    let found = timeout(PATIENCE, async {
        loop {
            let scrape = scrape(relay).await;
            if scrape.of(series) == value {
                return scrape;
            }
            sleep(Duration::from_millis(5)).await;
        }
    });
    match found.await {
        Ok(scrape) => scrape,
        Err(_elapsed) => {
            panic!("{series} is never {value}: {:#?}\n{}", scrape(relay).await, relay.story())
        }
    }
}

impl Scrape {
    /// The value of a series, 0 where there is none.
    pub(crate) fn of(&self, series: &str) -> f64 {
        self.series.get(&format!("sts_relay_{series}")).copied().unwrap_or_default()
    }

    /// The sum of all series of a name.
    fn sum(&self, name: &str) -> f64 {
        let name = format!("sts_relay_{name}");
        let of_name = |series: &str| series.split('{').next() == Some(&name);
        self.series.iter().filter(|(series, _)| of_name(series)).map(|(_, value)| value).sum()
    }

    fn has(&self, expected: &[(&str, f64)]) {
        for (series, value) in expected {
            assert_eq!(self.of(series), *value, "{series} in {self:#?}");
        }
    }
}

/// The checks of `/readyz` that did not go well, with their words.
async fn unready(relay: &RelayInWorld) -> (u16, Vec<(String, String)>) {
    let answer = ask(relay.monitors(), "GET", "/readyz").await;
    let readiness: Value = serde_json::from_str(&answer.body).unwrap();
    let words = |check: &Value, key: &str| check[key].as_str().unwrap().to_owned();
    let checks = readiness["checks"].as_array().unwrap();
    assert_eq!(checks.len(), 6, "{readiness}");
    let failed = checks.iter().filter(|check| check["ok"] == false);
    let failed = failed.map(|check| (words(check, "name"), words(check, "detail"))).collect();
    assert_eq!(readiness["ready"], answer.status == 200, "{readiness}");
    (answer.status, failed)
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_is_counted_by_what_protected_it_and_by_what_held_it() {
    let relay = RelayInWorld::start_with(PORT).await;
    relay.enforcing_domain("good.test", MxBehaviour::valid()).await;
    let bad = MxBehaviour::presenting(Certificate::WrongName);
    relay.enforcing_domain("bad.test", bad).await;
    relay.domain("open.test", MxBehaviour::valid()).await;
    relay.domain("clear.test", MxBehaviour::starttls_not_offered()).await;
    let held = relay.submit(&["<bob@bad.test>"]).await;
    relay.submit(&["<bob@good.test>", "<eve@good.test>"]).await;
    relay.submit(&["<bob@open.test>"]).await;
    relay.submit(&["<bob@clear.test>"]).await;
    relay.deferred(held, 1).await;

    counted(&relay, "delivery_latency_seconds_count", 3.0).await;
    let held = "deferred_messages_total{reason=\"policy\",policy=\"enforce\"}";
    counted(&relay, held, 1.0).await;
    let scrape = counted(&relay, "queue_messages{state=\"queued\"}", 1.0).await;
    let delivered = |protection, policy, why| {
        format!("{{protection=\"{protection}\",policy=\"{policy}\",why=\"{why}\"}}")
    };
    let verified = delivered("verified", "enforce", "");
    let result = |policy_type, mode, result| {
        let labels = format!("policy_type=\"{policy_type}\",mode=\"{mode}\",result=\"{result}\"");
        format!("tls_results_total{{{labels}}}")
    };
    scrape.has(&[
        ("accepted_messages_total{channel=\"plaintext\"}", 4.0),
        ("accepted_recipients_total", 5.0),
        (&format!("delivered_messages_total{verified}"), 1.0),
        (&format!("delivered_recipients_total{verified}"), 2.0),
        (&format!("delivered_messages_total{}", delivered("tls", "none", "no-policy")), 1.0),
        (&format!("delivered_messages_total{}", delivered("plaintext", "none", "no-policy")), 1.0),
        (&result("sts", "enforce", "success"), 1.0),
        (&result("sts", "enforce", "certificate-host-mismatch"), 1.0),
        (&result("no-policy-found", "none", "success"), 1.0),
        (&result("no-policy-found", "none", "starttls-not-supported"), 1.0),
        ("sessions_total{protection=\"verified\"}", 1.0),
        ("sessions_total{protection=\"tls\"}", 1.0),
        ("sessions_total{protection=\"plaintext\"}", 1.0),
        ("policy_decisions_total{policy=\"enforce\",why=\"\"}", 2.0),
        ("policy_decisions_total{policy=\"none\",why=\"no-policy\"}", 2.0),
        ("policy_fetches_total{occasion=\"first\",result=\"success\"}", 2.0),
        ("queue_messages{state=\"queued\"}", 1.0),
        ("queue_messages{state=\"on hold\"}", 0.0),
        ("queue_messages{state=\"held by staging\"}", 0.0),
        ("queue_waiting_recipients{reason=\"policy\"}", 1.0),
        ("queue_waiting_recipients{reason=\"connect\"}", 0.0),
        ("queue_recipients", 1.0),
        ("dns_lookups_total{type=\"mx\",result=\"found\"}", 4.0),
        ("ready", 1.0),
    ]);
    assert_eq!(scrape.sum("delivered_messages_total"), 3.0);
    assert_eq!(scrape.sum("bounced_messages_total"), 0.0);
    let syncs = scrape.of("commit_sync_seconds_count{file=\"spool\"}");
    assert!(syncs >= 1.0 && syncs <= scrape.of("commit_batch_jobs_count"));
    assert!(scrape.of("commit_batch_jobs_sum") >= 8.0, "4 taken, 4 settled");
    labels_are_documented(&scrape);

    relay.pass(Duration::from_secs(3600)).await;
    counted(&relay, held, 2.0).await;
    counted(&relay, "queue_oldest_age_seconds{state=\"queued\"}", 3600.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_listeners_refuse_is_counted_by_the_reason_in_the_log() {
    let relay = RelayInWorld::start_with(PORT).await;
    let mut client = Sender::connect(relay.listener()).await.unwrap();
    assert!(client.ehlo("client.test").await.unwrap().is_positive());
    assert_eq!(client.command("RCPT TO:<bob@example.test>").await.unwrap().code, 503);
    let scrape = counted(&relay, "connections_open", 1.0).await;
    scrape.has(&[
        ("connections_total", 1.0),
        ("refusals_total{what=\"command\",reason=\"sequence\"}", 1.0),
        ("accepted_messages_total{channel=\"plaintext\"}", 0.0),
    ]);
    labels_are_documented(&scrape);
    drop(client);
    counted(&relay, "connections_open", 0.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_cannot_be_had_and_one_that_cannot_be_told_are_counted() {
    let relay = RelayInWorld::start_with(PORT).await;
    let domain = relay.domain("lost.test", MxBehaviour::valid()).await;
    let names = relay.world.names();
    relay.world.domain("lost.test").sts("1");
    names.add_address("mta-sts.lost.test", relay.world.address());
    relay.domain("dark.test", MxBehaviour::valid()).await;
    names.fail("_mta-sts.dark.test", Fault::ServFail);
    relay.submit(&["<bob@lost.test>"]).await;
    relay.submit(&["<bob@dark.test>"]).await;
    let held = "deferred_messages_total{reason=\"undecided\",policy=\"undecided\"}";
    counted(&relay, held, 1.0).await;
    let scrape = counted(&relay, "delivery_latency_seconds_count", 1.0).await;
    scrape.has(&[
        ("policy_decisions_total{policy=\"undecided\",why=\"names-failed\"}", 1.0),
        ("policy_fetches_total{occasion=\"first\",result=\"sts-policy-fetch-error\"}", 1.0),
        ("policy_fetches_total{occasion=\"first\",result=\"success\"}", 0.0),
        ("dns_lookups_total{type=\"txt\",result=\"servfail\"}", 1.0),
    ]);
    labels_are_documented(&scrape);
    assert_eq!(domain.messages().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exception_is_counted_where_it_is_used() {
    // The clock of the relay stands at the beginning of 2030.
    let settings = format!(
        "exception = [{{ domain = \"bad.test\", until = 2030-01-10, reason = \"ticket 4711\" }}]\n\
         {PORT}"
    );
    let relay = RelayInWorld::start_with(&settings).await;
    let bad = MxBehaviour::presenting(Certificate::WrongName);
    relay.enforcing_domain("bad.test", bad).await;
    relay.submit(&["<bob@bad.test>"]).await;
    let delivered = "{protection=\"tls\",policy=\"enforce\",why=\"exception\"}";
    let scrape = counted(&relay, &format!("delivered_messages_total{delivered}"), 1.0).await;
    scrape.has(&[
        ("exceptions_used_total", 1.0),
        ("exceptions{state=\"active\"}", 1.0),
        ("exceptions{state=\"ended\"}", 0.0),
        ("policy_decisions_total{policy=\"enforce\",why=\"exception\"}", 1.0),
    ]);
    relay.pass(Duration::from_secs(20 * 86_400)).await;
    counted(&relay, "exceptions{state=\"ended\"}", 1.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_without_a_resolver_is_not_ready_until_there_is_one() {
    let relay = RelayInWorld::start_with(PORT).await;
    assert_eq!(unready(&relay).await, (200, Vec::new()));
    for name in ["relay.test", "example.com"] {
        relay.world.names().fail(name, Fault::ServFail);
    }
    let scrape = counted(&relay, "ready", 0.0).await;
    scrape.has(&[("ready_check{check=\"resolver\"}", 0.0), ("ready_check{check=\"queue\"}", 1.0)]);
    let (status, failed) = unready(&relay).await;
    assert_eq!((status, failed.len(), failed[0].0.as_str()), (503, 1, "resolver"), "{failed:?}");
    assert!(failed[0].1.contains("asked for relay.test"), "{failed:?}");
    // A name of its own that cannot be asked for does not make a resolver bad.
    relay.world.names().mend("example.com");
    counted(&relay, "ready", 1.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_whose_clock_was_never_set_is_not_ready() {
    let relay = RelayInWorld::start_with(PORT).await;
    relay.clock.set(std::time::SystemTime::UNIX_EPOCH);
    counted(&relay, "ready_check{check=\"clock\"}", 0.0).await;
    let (status, failed) = unready(&relay).await;
    assert_eq!((status, failed.len(), failed[0].0.as_str()), (503, 1, "clock"), "{failed:?}");
    assert!(relay.clock.now() == std::time::SystemTime::UNIX_EPOCH);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_keeps_its_reserve_of_disk_is_not_ready() {
    // More room than any disk has.
    let settings = format!("limits.free_space = \"1000000GiB\"\n{PORT}");
    let relay = RelayInWorld::start_with(&settings).await;
    let (status, failed) = unready(&relay).await;
    assert_eq!((status, failed.len(), failed[0].0.as_str()), (503, 1, "queue"), "{failed:?}");
    assert!(failed[0].1.contains("nearly full"), "{failed:?}");
    assert_eq!(ask(relay.monitors(), "GET", "/healthz").await.status, 200, "it runs");
}

#[tokio::test(flavor = "multi_thread")]
async fn over_the_network_nothing_can_be_changed_and_no_message_is_seen() {
    let relay = RelayInWorld::start_with(PORT).await;
    let mx = relay.domain("example.test", MxBehaviour::valid()).await;
    mx.close().await;
    let id = relay.submit(&["<bob@example.test>"]).await;
    relay.deferred(id, 1).await;
    for path in ["/queue", "/stats", "/verify", "/policies", &format!("/queue/{id}"), "/"] {
        assert_eq!(ask(relay.monitors(), "GET", path).await.status, 404, "{path}");
    }
    for (method, path) in [("DELETE", format!("/queue/{id}")), ("POST", "/queue/retry".to_owned())]
    {
        assert_eq!(ask(relay.monitors(), method, &path).await.status, 404, "{path}");
    }
    assert_eq!(ask(relay.monitors(), "POST", "/metrics").await.status, 405);
    let body = ask(relay.monitors(), "GET", "/metrics").await.body;
    for secret in ["example.test", "bob", "sender.test", &id.to_string()] {
        assert!(!body.contains(secret), "{secret} in {body}");
    }
}

#[tokio::test]
async fn an_exception_is_shown_with_what_waits() {
    let world = World::new().await;
    let until = SystemClock.now() + Duration::from_secs(10 * 86_400);
    let until = jiff::Timestamp::try_from(until).unwrap().strftime("%Y-%m-%d");
    let exception = format!(
        "exception = [{{ domain = \"bad.test\", until = {until}, reason = \"ticket 4711\" }}, \
         {{ domain = \"tlsa.test\", until = {until}, reason = \"ticket 12\", what = [\"dane\"] }}]"
    );
    let listener = SocketAddr::new(world.address(), world.smtp_port());
    let config = write_settings(&world, listener, &exception);
    let mut relay = Process::start(&config, world.directory().join("log"));
    drop(relay.connected(listener).await);
    for arguments in [&["queue", "stats"][..], &["queue", "stats", "--json"]] {
        let output = process::run(&config, arguments);
        let said = String::from_utf8(output.stdout).unwrap();
        for part in ["bad.test", "ticket 4711", "mta-sts", "tlsa.test", "ticket 12", "dane"] {
            let shown = said.contains(part);
            assert!(shown, "{part}: {said}{}", String::from_utf8_lossy(&output.stderr));
        }
    }
}

/// The metrics that `docs/metrics.md` lists: the name, then its type and its labels.
fn documented() -> BTreeMap<String, (String, BTreeSet<String>)> {
    let quoted = |cell: &str| -> BTreeSet<String> {
        cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    };
    let mut found = BTreeMap::new();
    for line in page("docs/metrics.md").lines().filter(|line| line.starts_with("| `sts_relay_")) {
        let cells: Vec<_> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [name, kind, labels, _meaning] = cells[..] else { panic!("{line}") };
        let name = name.trim_matches('`').to_owned();
        let known = found.insert(name, (kind.to_owned(), quoted(labels)));
        assert!(known.is_none(), "twice: {line}");
    }
    found
}

/// A page of the repository.
fn page(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The documented name of a series' metric: without what a histogram appends.
fn base<'a>(name: &'a str, documented: &BTreeMap<String, impl Sized>) -> &'a str {
    let suffixes = ["", "_bucket", "_sum", "_count"];
    let bases = suffixes.iter().filter_map(|suffix| name.strip_suffix(suffix));
    bases.into_iter().find(|base| documented.contains_key(*base)).unwrap_or(name)
}

/// Each label that a series has is in the documentation of its metric.
fn labels_are_documented(scrape: &Scrape) {
    let documented = documented();
    for series in scrape.series.keys() {
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let (_, known) = &documented[base(name, &documented)];
        let labels = labels.trim_end_matches('}').split("\",").filter(|label| !label.is_empty());
        for label in labels {
            let (label, _value) = label.split_once('=').unwrap();
            assert!(known.contains(label) || label == "le", "{label} of {series}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_is_documented_and_every_documented_one_is_there() {
    let relay = RelayInWorld::start_with(PORT).await;
    let scraped = scrape(&relay).await.types;
    let documented: BTreeMap<_, _> =
        documented().into_iter().map(|(name, (kind, _labels))| (name, kind)).collect();
    assert_eq!(scraped, documented);
}

#[test]
fn queries_dashboard_and_alerts_name_metrics_that_there_are() {
    let documented = documented();
    let dashboard = page("config/grafana-dashboard.json");
    let parsed: Value = serde_json::from_str(&dashboard).unwrap();
    assert!(parsed["panels"].as_array().unwrap().len() >= 8);
    for (path, least) in [
        ("config/grafana-dashboard.json", 8),
        ("config/alerts.yaml", 8),
        ("docs/metrics.md", documented.len()),
    ] {
        let text = page(path);
        let mut named = BTreeSet::new();
        for word in text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
            if word.starts_with("sts_relay_") {
                named.insert(word);
            }
        }
        for name in &named {
            assert!(documented.contains_key(base(name, &documented)), "{name} in {path}");
        }
        assert!(named.len() >= least, "{path}: {named:?}");
    }
}
