//! Commands about a queue that several relays share: on any node for all of them, and where none runs.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};
use testbed::{MxBehaviour, MxHost, PolicyText, Sender, World};
use tokio::time::{sleep, timeout};

use crate::cli::{asked, asked_json, refused, stderr, with_authority};
use crate::database::Database;
use crate::process;
use crate::shared_store::Node;
use crate::world::{MESSAGE, PATIENCE, SENDER, submit};

/// A domain whose host offers no TLS although its policy enforces it: its mail waits.
const WAITING: &str = "example.test";

/// Two relays over one database, and mail of the first that waits.
struct Queued {
    _world: World,
    mx: MxHost,
    first: Node,
    second: Node,
    id: String,
}

impl Queued {
    async fn new(database: &Database) -> Self {
        let world = World::new().await;
        let mx = world.mx("mx.example.test", MxBehaviour::starttls_not_offered()).await;
        let policy = PolicyText::enforce([mx.name()]);
        world.domain(WAITING).mx(10, &mx).sts("a1").policy(policy).await;
        let first = Box::pin(Node::start(&world, &database.settings(), "first")).await;
        let second = Box::pin(Node::start(&world, &database.settings(), "second")).await;
        let mut client = Sender::connect(first.listener).await.unwrap();
        assert!(client.ehlo("client.test").await.unwrap().is_positive());
        let id = submit(&mut client, SENDER, &["<bob@example.test>"], MESSAGE).await.to_string();
        let queued = Self { _world: world, mx, first, second, id };
        let tried = |queued: &Self| {
            let listed = asked_json(&queued.second.config, &["queue", "list"]);
            listed[0]["attempts"].as_u64() >= Some(1)
        };
        queued.until(tried).await;
        queued
    }

    /// What the second relay shows of the message.
    fn shown(&self) -> Value {
        asked_json(&self.second.config, &["queue", "show", &self.id])
    }

    async fn until(&self, is_so: impl Fn(&Self) -> bool) {
        let waited = timeout(PATIENCE, async {
            while !is_so(self) {
                sleep(Duration::from_millis(50)).await;
            }
        });
        assert!(
            waited.await.is_ok(),
            "{}\n{}",
            self.first.process.said(),
            self.second.process.said()
        );
    }
}

/// The names and states that `node list` shows.
fn nodes(node: &Node) -> Vec<(String, String)> {
    let listed = asked_json(&node.config, &["node", "list"]);
    let text = |one: &Value, key: &str| one[key].as_str().unwrap().to_owned();
    let nodes = listed.as_array().unwrap().iter();
    nodes.map(|one| (text(one, "name"), text(one, "state"))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_relay_shows_and_changes_the_mail_of_all() {
    Database::with(async |database| {
        let queued = Queued::new(&database).await;
        let (second, id) = (&queued.second.config, &queued.id);
        let alive = |name: &str| (name.to_owned(), "alive".to_owned());
        assert_eq!(nodes(&queued.first), [alive("first"), alive("second")]);
        asked(second, &["queue", "hold", id]);
        let on_first = asked_json(&queued.first.config, &["queue", "show", id]);
        assert_eq!(on_first["state"], json!("on hold"), "{on_first}");
        assert_eq!(asked_json(&queued.first.config, &["queue", "stats"])["messages"], json!(1));

        // What is set aside on one relay is set aside on the other, and not when it is withdrawn.
        let grant = ["exception", "add", WAITING, "--reason", "ticket 4711"];
        asked(second, &grant);
        let listed = asked_json(&queued.first.config, &["exception", "list"]);
        assert_eq!(listed[0]["domain"], json!(WAITING), "{listed}");
        asked(second, &["exception", "remove", WAITING]);
        asked(second, &grant);
        asked(second, &["queue", "release", id]);
        queued.mx.wait_for_messages(1, PATIENCE).await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_relay_the_database_itself_is_asked() {
    Database::with(async |database| {
        let mut queued = Queued::new(&database).await;
        for node in [&mut queued.first, &mut queued.second] {
            assert!(node.process.terminate().await.success(), "{}", node.process.said());
        }
        let (config, id) = (&queued.second.config, &queued.id);
        assert_eq!(asked_json(config, &["node", "list"]), json!([]), "they have left in order");
        let listed = asked_json(config, &["queue", "list"]);
        assert_eq!(listed[0]["id"], json!(id), "{listed}");
        assert!(asked(config, &["queue", "show", id, "--body"]).contains("How are you?"));
        asked(config, &["queue", "hold", id]);
        assert_eq!(queued.shown()["state"], json!("on hold"));
        asked(config, &["queue", "release", id]);
        assert!(asked(config, &["policy", "list"]).contains(WAITING));
        asked(config, &["exception", "add", WAITING, "--reason", "ticket 4711"]);
        let verified = asked(config, &["queue", "verify"]);
        assert!(!verified.is_empty());
        assert_eq!(
            asked_json(config, &["node", "list"]),
            json!([]),
            "commands leave nothing behind"
        );

        asked(config, &["queue", "retry", id]);
        queued.first.restart(1).await;
        queued.mx.wait_for_messages(1, PATIENCE).await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_without_tables_is_said_to_be_one_and_can_be_made_one() {
    Database::with(async |database| {
        let settings = format!("{}store.postgres.migrate = \"manual\"\n", database.settings());
        let (_folder, config) = with_authority(&format!(
            "hostname = \"relay.test\"\ndata_dir = \"/nonexistent\"\n{settings}"
        ));
        assert!(refused(&config, &["queue", "list"]).contains("sts-relay store init"));
        let check = || {
            let output = process::run(&config, &["store", "check", "--json"]);
            let examined: Value = serde_json::from_slice(&output.stdout).unwrap();
            (output.status.code(), examined["problems"].to_string())
        };
        let (status, problems) = check();
        assert!(status == Some(1) && problems.contains("there are no tables"), "{problems}");
        assert_eq!(asked_json(&config, &["store", "init"]), json!({ "made": true }));
        assert_eq!(asked_json(&config, &["store", "init"]), json!({ "made": false }));
        let (status, problems) = check();
        assert_eq!(status, Some(0), "no standby is asked for");
        assert!(problems.contains("synchronous_standby_names"), "{problems}");
        assert!(!problems.contains("tables"), "{problems}");
        assert_eq!(asked_json(&config, &["queue", "list"]), json!([]));

        let (_folder, embedded) = with_authority("hostname = \"relay.test\"\n");
        assert!(refused(&embedded, &["node", "list"]).contains("store.kind is \"embedded\""));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_on_the_network_that_does_not_prove_its_name_is_not_used() {
    Database::with(async |database| {
        let key = rcgen::KeyPair::generate().unwrap();
        let parameters = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        database.server.encrypt(&certificate.pem(), &key.serialize_pem());
        let folder = tempfile::tempdir().unwrap();
        let ca_file = folder.path().join("ca.pem");
        fs::write(&ca_file, certificate.pem()).unwrap();
        let port = database.server.port();
        let listed = |host: &str, authority: &str| {
            let (_folder, config) = with_authority(&format!(
                "hostname = \"relay.test\"\ndata_dir = \"/nonexistent\"\n{}{authority}",
                database.settings_at(&format!("{host}:{port}"))
            ));
            let output = process::run(&config, &["store", "init"]);
            (output.status.success(), stderr(&output).to_owned())
        };
        let authority = format!("store.postgres.ca_file = {ca_file:?}\n");
        // The server takes the certificate over a moment after it was told.
        let served = timeout(PATIENCE, async {
            while !listed("localhost", &authority).0 {
                sleep(Duration::from_millis(50)).await;
            }
        });
        served.await.unwrap();
        let (is_used, said) = listed("127.0.0.1", &authority);
        assert!(!is_used && said.contains("not valid for name"), "{said}");
        let (is_used, said) = listed("localhost", "");
        assert!(!is_used && said.contains("invalid peer certificate"), "{said}");
    })
    .await;
}
