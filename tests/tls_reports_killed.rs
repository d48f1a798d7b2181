//! Relays that are killed while they send a TLS report: whoever gets it twice gets the same one.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use clock::{Clock as _, SystemClock};
use dkim::Algorithm;
use reporting::Tallies;
use testbed::{
    Act, Connection, Fault, MxBehaviour, MxHost, PolicyBehaviour, PolicyHost, Step, World,
};
use tls_rpt::{Day, DomainName, ReceivedReport};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;

use crate::cli::asked_json;
use crate::counted::{open_store, succeeded};
use crate::process::{self, Process};
use crate::signing::Key;
use crate::world::{MESSAGE, PATIENCE, SENDER, submit, write_settings};

/// When a relay that has kept a report is killed.
#[derive(Clone, Copy, Debug)]
enum Killed {
    /// The host has heard of the message, and has not answered.
    Announced,
    /// The host waits for the message.
    Begun,
    /// The host has the message, and the relay has no answer.
    Taken,
    /// The host has the message, and the relay knows.
    Accepted,
}

impl Killed {
    /// What the host does until then.
    fn behaviour(self) -> MxBehaviour {
        match self {
            Self::Announced => MxBehaviour::valid().at(Step::MailFrom, Act::Silence),
            Self::Begun => MxBehaviour::valid().at(Step::Data, Act::Silence),
            Self::Taken => MxBehaviour::valid().at(Step::Taken, Act::Silence),
            Self::Accepted => MxBehaviour::valid(),
        }
    }

    /// Waits until then.
    async fn reached(self, config: &Path, world: &World, host: &MxHost, relay: &Process) {
        match self {
            Self::Announced => said(world, host, "MAIL FROM").await,
            Self::Begun => said(world, host, "DATA").await,
            Self::Taken => drop(host.wait_for_messages(1, PATIENCE).await.unwrap()),
            Self::Accepted => {
                host.wait_for_messages(1, PATIENCE).await.unwrap();
                over(config).await;
                relay.logged(" reported ", 1).await;
            }
        }
    }
}

/// Waits until a host was told this.
async fn said(world: &World, host: &MxHost, command: &str) {
    let is_said = |connections: &[Connection]| {
        let mut own = connections.iter().filter(|one| one.host == host.name());
        own.any(|one| one.to_string().contains(command))
    };
    world.tap().wait_until(PATIENCE, is_said).await.unwrap();
}

/// Waits until no report is on its way and no mail in the queue; whoever asks for reports has what became
/// of mail noted as well.
async fn over(config: &Path) {
    let over = async {
        loop {
            drop(process::run(config, &["tlsrpt", "send", "--today"]));
            let status = asked_json(config, &["tlsrpt", "status"]);
            let queue = asked_json(config, &["queue", "list"]);
            if [&status["on_their_way"], &queue]
                .iter()
                .all(|all| all.as_array().unwrap().is_empty())
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(2 * PATIENCE, over).await.expect("reports that come to their end");
}

/// A relay that has counted a session with the host of `good.test`.
struct Reporter {
    world: World,
    config: PathBuf,
    listener: SocketAddr,
    relay: Process,
    /// Signs its reports; the file of it is there as long as this is.
    _key: Key,
}

/// The settings of a relay that reports, where it listens, and the key that signs its reports.
fn reporter(world: &World) -> (PathBuf, SocketAddr, Key) {
    let key = Key::new("sender.test", "tls", Algorithm::Ed25519Sha256);
    key.publish(world);
    let listener = SocketAddr::new(world.address(), world.smtp_port());
    let settings = format!(
        "tls_rpt.contact = \"tls@sender.test\"\ntls_rpt.allow_private_destinations = true\n\
         delivery.retry.first = \"200ms\"\ndelivery.retry.longest = \"200ms\"\n{}",
        key.settings()
    );
    (write_settings(world, listener, &settings), listener, key)
}

impl Reporter {
    /// Starts one in a world; its report goes to `rua`.
    async fn start(world: World, rua: &str) -> Self {
        let (config, listener, key) = reporter(&world);
        let good = world.mx("mx.good.test", MxBehaviour::valid()).await;
        let record = format!("v=TLSRPTv1; rua={rua}");
        world.domain("good.test").mx(10, &good).tls_rpt_record(&record);
        let mut relay = Process::start(&config, world.directory().join("log"));
        let mut client = relay.connected(listener).await;
        client.ehlo("client.test").await.unwrap();
        submit(&mut client, SENDER, &["<bob@good.test>"], MESSAGE).await;
        good.wait_for_messages(1, PATIENCE).await.unwrap();
        let counted = async {
            while !process::run(&config, &["tlsrpt", "preview", "good.test"]).status.success() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(PATIENCE, counted).await.expect("a report to send");
        Self { world, config, listener, relay, _key: key }
    }

    /// Has it send its report; that ends when the report was tried once.
    fn send(&self) -> JoinHandle<Output> {
        let config = self.config.clone();
        spawn_blocking(move || process::run(&config, &["tlsrpt", "send", "good.test", "--today"]))
    }

    /// Kills it, starts it again, and waits until no report is on its way.
    async fn kill_and_finish(self) {
        drop(self.relay.kill());
        let log = self.world.directory().join("log-of-the-second");
        let mut relay = Process::start(&self.config, log);
        drop(relay.connected(self.listener).await);
        over(&self.config).await;
        drop(relay.kill());
    }
}

/// A relay that is killed on the way of its report, and started again; what the host has got.
async fn killed(when: Killed) -> Vec<String> {
    let world = World::new().await;
    let host = world.mx("mx.reports.test", when.behaviour()).await;
    world.domain("reports.test").mx(10, &host);
    let reporter = Reporter::start(world, "mailto:tls@reports.test").await;
    assert!(reporter.send().await.unwrap().status.success());
    let Reporter { world, config, relay, .. } = &reporter;
    when.reached(config, world, &host, relay).await;
    host.behave(MxBehaviour::valid());
    reporter.kill_and_finish().await;
    host.messages().iter().map(|message| message.text()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_whose_sender_is_killed_is_accepted_once_unless_the_answer_was_lost() {
    for (when, times) in
        [(Killed::Announced, 1), (Killed::Begun, 1), (Killed::Taken, 2), (Killed::Accepted, 1)]
    {
        let reports = killed(when).await;
        assert_eq!(reports.len(), times, "{when:?}");
        let body =
            |report: &String| report.split_once("From: tls@sender.test").unwrap().1.to_owned();
        let bodies: Vec<_> = reports.iter().map(body).collect();
        assert!(bodies.iter().all(|one| *one == bodies[0]), "{when:?}: never changed");
    }
}

/// When a relay that posts a report is killed.
#[derive(Clone, Copy, Debug)]
enum KilledPosting {
    /// The server has taken the connection, and says nothing.
    Connected,
    /// The server has the report, and has not answered.
    Posted,
    /// The server has the report, and the relay knows.
    Accepted,
}

impl KilledPosting {
    /// What the server does until then.
    fn behaviour(self) -> PolicyBehaviour {
        match self {
            Self::Connected => PolicyBehaviour::silent(),
            Self::Posted => PolicyBehaviour::silent_after_request(),
            Self::Accepted => PolicyBehaviour::status(200),
        }
    }

    /// Waits until then.
    async fn reached(self, server: &PolicyHost, relay: &Process) {
        match self {
            Self::Connected => server.wait_for_visits(1, PATIENCE).await.unwrap(),
            Self::Posted => server.wait_for_fetches(1, PATIENCE).await.unwrap(),
            Self::Accepted => drop(relay.logged(" reported ", 1).await),
        }
    }
}

/// A relay that is killed while it posts its report, and started again; what the server has got.
async fn killed_posting(when: KilledPosting) -> Vec<Vec<u8>> {
    let world = World::new().await;
    let server = world.report_host("reports.test", when.behaviour()).await;
    let rua = format!("https://reports.test:{}/v1", world.https_port());
    let reporter = Reporter::start(world, &rua).await;
    let sending = reporter.send();
    when.reached(&server, &reporter.relay).await;
    server.behave(PolicyBehaviour::status(200));
    reporter.kill_and_finish().await;
    drop(sending.await.unwrap());
    server.fetches().into_iter().map(|request| request.body).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_whose_poster_is_killed_is_posted_once_unless_the_answer_was_lost() {
    for (when, times) in
        [(KilledPosting::Connected, 1), (KilledPosting::Posted, 2), (KilledPosting::Accepted, 1)]
    {
        let reports = killed_posting(when).await;
        assert_eq!(reports.len(), times, "{when:?}");
        assert!(reports.iter().all(|one| *one == reports[0]), "{when:?}: never changed");
        let report = ReceivedReport::read(&reports[0]).unwrap().value;
        assert_eq!(report.policies[0].successes, 1, "{when:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_is_killed_between_closing_a_day_and_keeping_its_report_makes_it_later() {
    let world = World::new().await;
    let host = world.mx("mx.reports.test", MxBehaviour::valid()).await;
    world.domain("reports.test").mx(10, &host);
    world.domain("good.test").tls_rpt_record("v=TLSRPTv1; rua=mailto:tls@reports.test");
    let (config, listener, _key) = reporter(&world);
    // A day is over ten minutes after midnight.
    let yesterday = Day::of(SystemClock.now() - Duration::from_secs(600)).before();
    let store = open_store(&world);
    let tally = succeeded("good.test", 17);
    Tallies::new(&store).add(yesterday, tally).await.unwrap();
    store.close().await;
    // What comes between the two is the lookup of the record, which waits.
    let record = "_smtp._tls.good.test";
    world.names().fail(record, Fault::Silence);
    let mut relay = Process::start(&config, world.directory().join("log"));
    drop(relay.connected(listener).await);
    let asked = config.clone();
    let sending = spawn_blocking(move || process::run(&asked, &["tlsrpt", "send"]));
    world.names().wait_for_queries(record, 1, PATIENCE).await.unwrap();
    drop(relay.kill());
    drop(sending.await.unwrap());
    let store = open_store(&world);
    let tallies = Tallies::new(&store);
    let good = DomainName::parse("good.test").unwrap();
    assert!(tallies.is_closed(yesterday).await.unwrap());
    assert!(tallies.read(yesterday, &good).await.unwrap().is_some());
    assert_eq!(store.scan("tls-rpt-reports", None, 9).await.unwrap(), []);
    store.close().await;
    world.names().mend(record);
    let mut relay = Process::start(&config, world.directory().join("log-of-the-second"));
    drop(relay.connected(listener).await);
    over(&config).await;
    relay.logged(" reported ", 1).await;
    drop(process::run(&config, &["tlsrpt", "send"]));
    over(&config).await;
    let [message] = &host.messages()[..] else { panic!("{:?}", host.messages()) };
    assert!(message.text().contains("sessions that succeeded: 17\r\n"), "{}", message.text());
}
