//! Hosts that stall, wherever they can: they hold a few connections and their own mail, and nothing of
//! anybody else's.

use std::net::SocketAddr;
use std::time::Duration;

use queue::Filter;
use testbed::{Act, Connection, ConnectionState, Fault, MxBehaviour, MxHost, PolicyBehaviour};
use testbed::{PolicyText, Rule, Sender, Step};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;

use crate::world::{MESSAGE, PATIENCE, RelayInWorld, SENDER, looked, submit};

/// Few deliveries at a time, so that a few dozen domains are more than all of them.
const FEW: &str = "delivery.concurrency = 4\ndelivery.connections = 80\n";

/// How long `/readyz` gives the same answer again.
const ANSWER_KEPT: Duration = Duration::from_millis(1100);

/// How many domains stall.
const DOMAINS: usize = 40;

/// How many connections an address holds at which no message was ever dealt with.
const HANDFUL: usize = 5;

fn stalling(n: usize) -> String {
    format!("s{n}.evil.test")
}

/// The recipients of a message to all domains that stall.
fn to_all() -> Vec<String> {
    (0..DOMAINS).map(|n| format!("<eve@{}>", stalling(n))).collect()
}

/// A relay and the internet of these tests.
struct Scene {
    relay: RelayInWorld,
    /// A host of a domain that has answered.
    good: MxHost,
}

impl Scene {
    async fn start(settings: &str) -> Self {
        let relay = RelayInWorld::start_with(&format!("{FEW}{settings}")).await;
        let good = relay.domain("good.test", MxBehaviour::valid()).await;
        relay.submit(&["<bob@good.test>"]).await;
        good.wait_for_messages(1, PATIENCE).await.unwrap();
        Self { relay, good }
    }

    /// A host that all stalling domains name.
    async fn evil(&self, behaviour: MxBehaviour) -> MxHost {
        let evil = self.relay.world.mx("mx.evil.test", behaviour).await;
        for n in 0..DOMAINS {
            self.relay.world.domain(&stalling(n)).mx(10, &evil);
        }
        evil
    }

    /// Two messages for each of the domains that stall.
    async fn submit_to_all(&self, message: &[u8]) {
        for _ in 0..2 {
            self.submit_one_to_all(message).await;
        }
    }

    /// One message for each of the domains that stall.
    async fn submit_one_to_all(&self, message: &[u8]) {
        let to_all = to_all();
        let recipients: Vec<&str> = to_all.iter().map(String::as_str).collect();
        let mut client = Sender::connect(self.relay.listener()).await.unwrap();
        assert!(client.ehlo("client.test").await.unwrap().is_positive());
        submit(&mut client, SENDER, &recipients, message).await;
    }

    /// Mail for a domain that has answered and for one of which nothing is known leaves now.
    async fn others_mail_leaves(&self) {
        let new = self.relay.domain("new.test", MxBehaviour::valid()).await;
        self.relay.submit(&["<bob@good.test>"]).await;
        self.relay.submit(&["<bob@new.test>"]).await;
        self.good.wait_for_messages(2, PATIENCE).await.unwrap();
        new.wait_for_messages(1, PATIENCE).await.unwrap();
    }
}

/// How many connections to a host are open.
fn open(connections: &[Connection], address: SocketAddr) -> usize {
    let here = |one: &&Connection| one.address == address && one.state == ConnectionState::Open;
    connections.iter().filter(here).count()
}

/// Other mail leaves while hosts behave like this, and they hold a handful of connections.
async fn mail_leaves_beside(behaviour: MxBehaviour) {
    Box::pin(mail_leaves_beside_with("", behaviour)).await;
}

async fn mail_leaves_beside_with(settings: &str, behaviour: MxBehaviour) {
    let scene = Scene::start(settings).await;
    let evil = scene.evil(behaviour).await;
    scene.submit_to_all(MESSAGE).await;
    let (tap, address) = (scene.relay.world.tap(), evil.address());
    let full = |connections: &[Connection]| open(connections, address) >= HANDFUL;
    tap.wait_until(PATIENCE, full).await.unwrap();
    scene.others_mail_leaves().await;
    assert_eq!(open(&tap.connections(), address), HANDFUL, "{tap}");
    // Nobody has to wait for what is still under way.
    evil.close().await;
}

fn silent_at(step: Step) -> MxBehaviour {
    MxBehaviour::valid().at(step, Act::Silence)
}

/// A host that reads the first line of a message, and then nothing for longer than a test takes.
fn reading_nothing() -> MxBehaviour {
    MxBehaviour::valid().at(Step::Message, Act::Delay(Duration::from_secs(3600)))
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_of_others_leaves_while_hosts_do_not_greet() {
    mail_leaves_beside(silent_at(Step::Greeting)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_of_others_leaves_while_hosts_do_not_answer_ehlo() {
    mail_leaves_beside(silent_at(Step::Ehlo)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_of_others_leaves_while_hosts_do_not_answer_starttls() {
    mail_leaves_beside(silent_at(Step::Starttls)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_of_others_leaves_while_hosts_do_not_shake_hands() {
    mail_leaves_beside(MxBehaviour::handshake_silent()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_of_others_leaves_while_hosts_do_not_answer_ehlo_under_tls() {
    mail_leaves_beside(MxBehaviour::valid().rule(Rule::new(Step::Ehlo, Act::Silence).in_tls()))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_of_others_leaves_while_a_next_hop_does_not_answer_auth() {
    let route = "[[route]]\nrecipient = \".evil.test\"\nnext_hop = \"[mx.evil.test]\"\n\
        username = \"ann\"\npassword = \"x\"\n";
    let behaviour = silent_at(Step::Auth).with_login(&["PLAIN"], "ann", "x");
    Box::pin(mail_leaves_beside_with(route, behaviour)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_of_others_leaves_while_hosts_do_not_answer_mail() {
    mail_leaves_beside(silent_at(Step::MailFrom)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_of_others_leaves_while_hosts_do_not_answer_rcpt() {
    mail_leaves_beside(silent_at(Step::RcptTo)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_of_others_leaves_while_hosts_do_not_answer_data() {
    mail_leaves_beside(silent_at(Step::Data)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_of_others_leaves_while_hosts_do_not_answer_the_final_dot() {
    mail_leaves_beside(silent_at(Step::EndOfData)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_of_others_leaves_while_hosts_take_messages_and_do_not_say_so() {
    mail_leaves_beside(silent_at(Step::Taken)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_of_others_leaves_while_hosts_do_not_read_the_message() {
    let scene = Scene::start("").await;
    let evil = scene.evil(reading_nothing()).await;
    // Longer than all that the sockets' buffers hold.
    let long = [MESSAGE, &b"A line of the message\r\n".repeat(700_000)].concat();
    scene.submit_to_all(&long).await;
    let tap = scene.relay.world.tap();
    let full = |connections: &[Connection]| open(connections, evil.address()) >= HANDFUL;
    tap.wait_until(PATIENCE, full).await.unwrap();
    scene.others_mail_leaves().await;
    evil.close().await;
}

/// Hosts that deal with a first message and stall with the next: they have earned more connections
/// than a handful.
async fn mail_leaves_beside_hosts_that_answer_once(step: Step) {
    let scene = Scene::start("").await;
    let evil = scene.evil(silent_at(step)).await;
    // A second one for the same domain stalls, and may hold all connections that others' first needs.
    scene.submit_one_to_all(MESSAGE).await;
    evil.wait_for_messages(DOMAINS, PATIENCE).await.unwrap();
    scene.submit_to_all(MESSAGE).await;
    scene.others_mail_leaves().await;
    evil.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_of_others_leaves_while_hosts_do_not_answer_rset() {
    Box::pin(mail_leaves_beside_hosts_that_answer_once(Step::Rset)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_of_others_leaves_while_hosts_do_not_answer_quit() {
    Box::pin(mail_leaves_beside_hosts_that_answer_once(Step::Quit)).await;
}

/// Says this on every connection to `address`, again and again, and reads nothing.
async fn drip(address: SocketAddr, text: &'static [u8]) -> JoinSet<()> {
    let listener = TcpListener::bind(address).await.unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            connections.spawn(async move {
                for part in text.chunks(1).cycle() {
                    if stream.write_all(part).await.is_err() {
                        return;
                    }
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            });
        }
    });
    tasks
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_of_others_leaves_while_hosts_greet_without_end() {
    for text in [&b"220 mx.evil.test and still not at the end of its line "[..], b"220-mx\r\n"] {
        let scene = Scene::start("").await;
        let evil = scene.evil(MxBehaviour::valid()).await;
        evil.close().await;
        let _tasks = drip(evil.address(), text).await;
        scene.submit_to_all(MESSAGE).await;
        scene.others_mail_leaves().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_of_others_leaves_while_hosts_do_not_take_the_connection() {
    let scene = Scene::start("").await;
    let evil = scene.evil(MxBehaviour::valid()).await;
    evil.close().await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(evil.address()).unwrap();
    let _listener = socket.listen(1).unwrap();
    // Nobody accepts: behind a few connections the backlog is full.
    let mut waiting = JoinSet::new();
    for _ in 0..16 {
        waiting.spawn(TcpStream::connect(evil.address()));
    }
    scene.submit_to_all(MESSAGE).await;
    scene.others_mail_leaves().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_of_others_leaves_while_domains_are_not_answered_for_in_the_dns() {
    let scene = Scene::start("").await;
    let names = scene.relay.world.names();
    for n in 0..DOMAINS {
        names.fail(&stalling(n), Fault::Silence);
        names.fail(&format!("_mta-sts.{}", stalling(n)), Fault::Silence);
    }
    scene.submit_to_all(MESSAGE).await;
    scene.others_mail_leaves().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_of_others_leaves_while_policy_hosts_say_their_policies_without_end() {
    let scene = Scene::start("").await;
    let evil = scene.evil(MxBehaviour::valid()).await;
    for n in 0..DOMAINS {
        let policy = PolicyBehaviour::from(PolicyText::enforce([evil.name()]));
        let domain = scene.relay.world.domain(&stalling(n)).sts("1");
        domain.policy(policy.dripping(Duration::from_secs(1))).await;
    }
    scene.submit_to_all(MESSAGE).await;
    scene.others_mail_leaves().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_of_others_leaves_when_many_domains_that_have_answered_stall_at_once() {
    let settings = "delivery.connections = 24\ndelivery.connection_idle = \"0s\"\n";
    let relay = RelayInWorld::start_with(&format!("delivery.concurrency = 4\n{settings}")).await;
    let good = relay.domain("good.test", MxBehaviour::valid()).await;
    let scene = Scene { relay, good };
    scene.relay.submit(&["<bob@good.test>"]).await;
    let evil = scene.evil(MxBehaviour::valid()).await;
    scene.submit_to_all(MESSAGE).await;
    scene.relay.empty().await;
    evil.behave(silent_at(Step::MailFrom));
    scene.submit_to_all(MESSAGE).await;
    let full = |connections: &[Connection]| open(connections, evil.address()) >= 6;
    scene.relay.world.tap().wait_until(PATIENCE, full).await.unwrap();
    scene.relay.submit(&["<bob@good.test>"]).await;
    scene.good.wait_for_messages(2, PATIENCE).await.unwrap();
    evil.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_has_an_end_wherever_its_host_stalls_and_says_where_that_was() {
    let settings = "delivery.timeouts.attempt = \"2s\"\ndelivery.timeouts.data_block = \"2s\"\n";
    let relay = RelayInWorld::start_with(settings).await;
    let over = "before the attempt timed out";
    let under_tls = MxBehaviour::valid().rule(Rule::new(Step::Ehlo, Act::Silence).in_tls());
    let cases = [
        ("greeting", silent_at(Step::Greeting), &[over, "at greeting"][..]),
        ("hello", silent_at(Step::Ehlo), &[over, "at EHLO"]),
        ("starttls", silent_at(Step::Starttls), &[over, "STARTTLS was not answered"]),
        ("handshake", MxBehaviour::handshake_silent(), &["TLS"]),
        ("again", under_tls, &[over, "at EHLO under TLS"]),
        ("mail", silent_at(Step::MailFrom), &[over, "at MAIL"]),
        ("rcpt", silent_at(Step::RcptTo), &[over, "at RCPT"]),
        ("data", silent_at(Step::Data), &[over, "at DATA"]),
        ("message", reading_nothing(), &["timed out", "at the message"]),
    ];
    let long = [MESSAGE, &b"A line of the message\r\n".repeat(700_000)].concat();
    let mut submitted = Vec::new();
    for (place, behaviour, words) in cases {
        relay.domain(&format!("{place}.test"), behaviour).await;
        let mut client = Sender::connect(relay.listener()).await.unwrap();
        assert!(client.ehlo("client.test").await.unwrap().is_positive());
        let message = if place == "message" { &long[..] } else { MESSAGE };
        let to = format!("<eve@{place}.test>");
        submitted.push((place, words, submit(&mut client, SENDER, &[&to], message).await));
    }
    for (place, words, id) in submitted {
        let [reason] = &relay.deferred(id, 1).await[..] else { panic!("{place}") };
        let mx = format!("mx.{place}.test");
        assert_eq!(reason.mx.as_deref(), Some(mx.as_str()), "{reason:?}");
        assert!(reason.addr.is_some(), "{reason:?}");
        for words in words {
            assert!(reason.text.contains(words), "{place}: {words:?} in {reason:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_an_attempt_breaks_no_message_off() {
    let relay = RelayInWorld::start_with("delivery.timeouts.attempt = \"1s\"\n").await;
    let slow = MxBehaviour::valid().at(Step::EndOfData, Act::Delay(Duration::from_secs(3)));
    let mx = relay.domain("slow.test", slow).await;
    let id = relay.submit(&["<bob@slow.test>"]).await;
    relay.gone(id).await;
    assert_eq!(mx.messages().len(), 1);
    assert_eq!(mx.connections().len(), 1, "{}", relay.story());
}

/// What `GET` of this path says at the relay's port for monitors.
async fn asked(relay: &RelayInWorld, path: &str) -> String {
    let mut stream = TcpStream::connect(relay.monitors()).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: relay.test\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn monitors_are_told_that_mail_is_due_and_none_leaves() {
    const WORDS: &str = "mail is due and none has left for 20 minutes";
    let relay = RelayInWorld::start_with("admin.address = \"127.0.0.1:0\"").await;
    let mx = relay.domain("silent.test", silent_at(Step::Greeting)).await;
    let id = relay.submit(&["<eve@silent.test>"]).await;
    let begun = |connections: &[Connection]| open(connections, mx.address()) > 0;
    relay.world.tap().wait_until(PATIENCE, begun).await.unwrap();
    let ready = asked(&relay, "/readyz").await;
    assert!(ready.starts_with("HTTP/1.1 200"), "{ready}");

    relay.clock.advance(Duration::from_secs(20 * 60));
    tokio::time::sleep(ANSWER_KEPT).await;
    let ready = asked(&relay, "/readyz").await;
    assert!(ready.starts_with("HTTP/1.1 503") && ready.contains(WORDS), "{ready}");
    let metrics = asked(&relay, "/metrics").await;
    assert!(metrics.contains("\nsts_relay_none_left_seconds 1200\n"), "{metrics}");
    // It is nothing that a new start would mend.
    let health = asked(&relay, "/healthz").await;
    assert!(health.contains(WORDS) && health.contains("\"healthy\":true"), "{health}");

    // Other mail leaves: the host is silent, and the relay is not to blame.
    relay.domain("good.test", MxBehaviour::valid()).await;
    relay.submit(&["<bob@good.test>"]).await;
    relay.world.wait_for_messages(1, PATIENCE).await.unwrap();
    relay
        .until("only one message to be left", || {
            let listed = looked(relay.queue().store().list(&Filter::default(), None, 3)).unwrap();
            (listed.len() == 1 && listed[0].id == id).then_some(())
        })
        .await;
    let health = asked(&relay, "/healthz").await;
    assert!(!health.contains(WORDS), "{health}");
    mx.close().await;
}
