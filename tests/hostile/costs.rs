//! What the worst answers of a domain cost: counted in lines of the log, questions to the DNS,
//! connections and bytes of memory, never in seconds.
//!
//! Each domain here says as much as a protocol lets it say, of one kind: its mail may wait, and must
//! not cost more than a small number of anything, whatever its number is.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use testbed::{Act, MxBehaviour, PolicyBehaviour, PolicyText, Step, World};

use crate::process::Process;
use crate::world::{MESSAGE, PATIENCE, SENDER, submit, write_settings};

/// As many records as fit into an answer of 64 KiB, as the world's DNS server writes it.
const MANY: usize = 1100;

/// The most lines that one message may add to the log: its way in, its way out, what is wrong with
/// the domain.
const LINES_MOST: usize = 8;

/// The most bytes that they may have together.
const BYTES_MOST: usize = 16 << 10;

/// The most memory that a relay of these tests may ever have.
const MEMORY_MOST: u64 = 256 << 20;

/// A policy of some 62 kB that names none of the domain's hosts.
fn large_policy() -> PolicyText {
    PolicyText::enforce((0..2400).map(|n| format!("p{n}.elsewhere.test")))
}

/// Adds a name that is an alias of the next, so many times, until `end`.
fn chain(world: &World, name: &str, links: usize, end: &str) {
    let mut from = name.to_owned();
    for link in 0..links {
        let to = format!("link{link}.{name}");
        world.names().add_cname(&from, &to);
        from = to;
    }
    world.names().add_cname(&from, end);
}

/// Sets up a domain of each kind; their names.
async fn worst_domains(world: &World) -> Vec<&'static str> {
    let names = world.names();
    // An enforced policy that is large and names nobody, and hosts without number.
    let domain = world.domain("unnamed.test").sts("1");
    domain.policy(large_policy()).await;
    for n in 0..MANY {
        names.add_mx("unnamed.test", 10, &format!("h{n}.other.test"));
    }
    // MX records that name no host.
    for n in 0..MANY {
        names.add_mx("no-host.test", 10, &format!("192.0.{}.{}", n / 250, n % 250));
    }
    names.add_mx("no-host.test", 20, "nobody.other.test");
    // Texts without number beside the record, which is itself as long as can be.
    let fields = "x=y;".repeat(2000);
    world.domain("texts.test").sts_record(&format!("v=STSv1; id=1; {fields}"));
    for n in 0..1000 {
        names.add_txt("_mta-sts.texts.test", &format!("text {n}"));
    }
    let junk = format!("{}{}", large_policy(), "no field\n".repeat(100));
    world.domain("texts.test").mx_named(10, "mx.nowhere.test").policy(junk.as_str()).await;
    // A host with addresses without number, at none of which anybody listens.
    for n in 0..MANY {
        let [_, _, high, low] = u32::try_from(n).unwrap().to_be_bytes();
        names.add_address("mx.addresses.test", IpAddr::V4(Ipv4Addr::new(127, 240, high, low)));
    }
    world.domain("addresses.test").mx_named(10, "mx.addresses.test");
    // Aliases up to the longest chain, and one beyond.
    let real = world.mx("mx.real.test", MxBehaviour::starttls_refused("454 4.7.0 no")).await;
    world.domain("real.test").mx(10, &real);
    chain(world, "aliases.test", 30, "real.test");
    // A policy that is all lines, and one that is all faults.
    let lines = format!(
        "version: STSv1\nmode: enforce\nmx: a.test\nmax_age: 86400\n{}",
        "\n".repeat(65_000)
    );
    world
        .domain("lines.test")
        .sts("1")
        .mx_named(10, "mx.nowhere.test")
        .policy(lines.as_str())
        .await;
    let mut faults = String::from("version: STSv1\nmode: enforce\nmx: a.test\nmax_age: 86400\n");
    while faults.len() < 65_000 {
        faults.push_str("mx: -\n?\rx\u{b}y\u{c}z\n");
    }
    world
        .domain("faults.test")
        .sts("1")
        .mx_named(10, "mx.nowhere.test")
        .policy(faults.as_str())
        .await;
    // A host that has much to say at every step.
    let reply = |code: &str| {
        let mut lines = String::new();
        (0..400).for_each(|n| write!(lines, "{code}-line {n} of a long story\r\n").unwrap());
        Act::Raw(format!("{lines}{code} the end\r\n").into_bytes())
    };
    let talking = MxBehaviour::valid().at(Step::MailFrom, reply("451"));
    let mx = world.mx("mx.talking.test", talking).await;
    world.domain("talking.test").mx(10, &mx);
    // A body for the policy that never comes to its end within what is read.
    let endless = PolicyBehaviour::serve("x".repeat(1 << 20)).chunked();
    world.domain("endless.test").sts("1").mx_named(10, "mx.nowhere.test").policy(endless).await;
    vec![
        "unnamed.test",
        "no-host.test",
        "texts.test",
        "addresses.test",
        "aliases.test",
        "lines.test",
        "faults.test",
        "talking.test",
        "endless.test",
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn the_worst_answers_of_a_domain_cost_little_and_hold_up_nobody() {
    let world = World::new().await;
    let listener = SocketAddr::new(world.address(), world.smtp_port());
    let domains = worst_domains(&world).await;
    let good = world.mx("mx.good.test", MxBehaviour::valid()).await;
    world
        .domain("good.test")
        .mx(10, &good)
        .sts("1")
        .policy(PolicyText::enforce([good.name()]))
        .await;
    let config = write_settings(&world, listener, "");
    let mut relay = Process::start(&config, world.directory().join("log"));
    let mut client = relay.connected(listener).await;
    client.ehlo("client.test").await.unwrap();
    let before = relay.log_lines().len();

    for (sent, domain) in domains.iter().enumerate() {
        let lines_before = relay.log_lines();
        submit(&mut client, SENDER, &[&format!("<bob@{domain}>")], MESSAGE).await;
        relay.logged("deferred", sent + 1).await;
        let lines = relay.log_lines();
        let added = &lines[lines_before.len()..];
        let bytes: usize = added.iter().map(String::len).sum();
        assert!(added.len() <= LINES_MOST, "{domain}: {} lines\n{}", added.len(), relay.said());
        assert!(bytes <= BYTES_MOST, "{domain}: {bytes} bytes of log");
    }
    // All of it once more, for many messages at once, and with the good domain's mail behind.
    for round in 0..5 {
        for domain in &domains {
            submit(&mut client, SENDER, &[&format!("<bob{round}@{domain}>")], MESSAGE).await;
        }
    }
    submit(&mut client, SENDER, &["<bob@good.test>"], MESSAGE).await;
    good.wait_for_messages(1, PATIENCE).await.unwrap();
    let lines = relay.log_lines();
    let added = lines.len() - before;
    assert!(added <= LINES_MOST * (6 * domains.len() + 1), "{added} lines");
    // Of hosts that no policy names, and beyond the best, nobody is looked up.
    let names = world.names();
    let asked: usize = (0..MANY).map(|n| names.queries(&format!("h{n}.other.test"))).sum();
    assert_eq!(asked, 0, "hosts that the policy does not name were looked up");
    let memory = relay.most_memory();
    assert!(memory < MEMORY_MOST, "{memory} bytes");
    assert!(relay.terminate().await.success(), "{}", relay.said());
}
