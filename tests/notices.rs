//! Operators are told: real receivers get what they should, and those that fail are tried again.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use testbed::MxBehaviour;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::cli::{asked, asked_json, stderr, stdout};
use crate::process::run;
use crate::process_in_world::ProcessInWorld;
use crate::world::PATIENCE;

/// The secret of the webhook, which is nowhere shown.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A part of the URLs, which is nowhere shown either.
const KEY: &str = "T0-secret-B0";

/// What a receiver answers.
#[derive(Clone, Debug)]
enum Answer {
    Nothing,
    Status(&'static str),
    To(String),
}

/// A receiver of notices.
struct Receiver {
    address: String,
    answer: Arc<Mutex<Answer>>,
    got: Arc<Mutex<Vec<Request>>>,
    _serving: JoinSet<()>,
}

/// What was posted.
#[derive(Clone, Debug)]
struct Request {
    head: String,
    body: Value,
}

impl Request {
    fn field(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines
            .into_iter()
            .find(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }
}

impl Receiver {
    async fn start() -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap().to_string();
        let answer = Arc::new(Mutex::new(Answer::Status("204 No Content")));
        let got = Arc::<Mutex<Vec<Request>>>::default();
        let mut serving = JoinSet::new();
        let (answers, requests) = (Arc::clone(&answer), Arc::clone(&got));
        serving.spawn(async move {
            let mut open = JoinSet::new();
            loop {
                let (stream, _) = socket.accept().await.unwrap();
                let (answers, requests) = (Arc::clone(&answers), Arc::clone(&requests));
                open.spawn(async move {
                    serve(stream, &answers, &requests).await;
                });
            }
        });
        Self { address, answer, got, _serving: serving }
    }

    fn answers(&self, answer: Answer) {
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = answer;
    }

    fn requests(&self) -> Vec<Request> {
        self.got.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until it has had so many requests.
    async fn wait_for(&self, count: usize) -> Vec<Request> {
        let waited = timeout(PATIENCE, async {
            while self.requests().len() < count {
                sleep(Duration::from_millis(20)).await;
            }
        });
        waited.await.unwrap_or_else(|_| panic!("{count} requests: {:?}", self.requests()));
        self.requests()
    }
}

/// Reads one request and answers it.
async fn serve(
    mut stream: TcpStream,
    answer: &Mutex<Answer>,
    got: &Mutex<Vec<Request>>,
) -> Option<()> {
    let mut read = Vec::new();
    let (head, length) = loop {
        if stream.read_buf(&mut read).await.ok()? == 0 {
            return None;
        }
        let text = String::from_utf8_lossy(&read).into_owned();
        if let Some((head, _)) = text.split_once("\r\n\r\n") {
            let request = Request { head: head.to_owned(), body: Value::Null };
            break (head.to_owned(), request.field("content-length")?.parse::<usize>().ok()?);
        }
    };
    while read.len() < head.len() + 4 + length {
        stream.read_buf(&mut read).await.ok()?;
    }
    let body = serde_json::from_slice(&read[head.len() + 4..]).ok()?;
    got.lock().unwrap_or_else(PoisonError::into_inner).push(Request { head, body });
    let answer = answer.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let reply = match answer {
        Answer::Nothing => return std::future::pending().await,
        Answer::Status(status) => format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n"),
        Answer::To(url) => {
            format!("HTTP/1.1 307 Elsewhere\r\nlocation: {url}\r\ncontent-length: 0\r\n\r\n")
        }
    };
    stream.write_all(reply.as_bytes()).await.ok()
}

/// The tables of a webhook, a chat and a mailbox.
fn tables(folder: &Path, webhook: &Receiver, chat: &Receiver) -> String {
    let (secret, url) = (folder.join("secret"), folder.join("url"));
    std::fs::write(&secret, SECRET).unwrap();
    std::fs::write(&url, format!("http://{}/{KEY}\n", chat.address)).unwrap();
    format!(
        "[[notify]]\nname = \"hook\"\nkind = \"webhook\"\nurl = \"http://{}/{KEY}\"\nsecret_file = {secret:?}\n\
         [[notify]]\nname = \"chat\"\nkind = \"slack\"\nurl_file = {url:?}\n\
         [[notify]]\nname = \"post\"\nkind = \"mail\"\nto = \"ops@example.test\"\n",
        webhook.address
    )
}

/// Grants an exception, which is told at once.
fn grant(relay: &ProcessInWorld, domain: &str) {
    let add = ["exception", "add", domain, "--for", "2h", "--reason", "agreed <b>"];
    assert!(asked(&relay.config, &add).contains(domain));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exception_is_told_by_webhook_chat_and_mail_and_no_secret_is_shown() {
    let (webhook, chat) = (Receiver::start().await, Receiver::start().await);
    let folder = tempfile::tempdir().unwrap();
    let relay = ProcessInWorld::start(&tables(folder.path(), &webhook, &chat)).await;
    let mx = relay.domain("example.test", MxBehaviour::valid()).await;
    grant(&relay, "far.test");
    let hooked = &webhook.wait_for(1).await[0];
    assert!(hooked.head.starts_with(&format!("POST /{KEY} HTTP/1.1")), "{}", hooked.head);
    let (id, signature) = (hooked.field("webhook-id"), hooked.field("webhook-signature"));
    assert!(id.unwrap().starts_with("msg_") && signature.unwrap().starts_with("v1,"));
    let alert = &hooked.body["alerts"][0];
    assert_eq!((&hooked.body["version"], &hooked.body["status"]), (&json!("4"), &json!("firing")));
    assert_eq!(alert["labels"]["alertname"], "exception-granted");
    assert_eq!(
        (&alert["labels"]["domain"], &alert["labels"]["severity"]),
        (&json!("far.test"), &json!("warning"))
    );
    let said = chat.wait_for(1).await[0].body["text"].as_str().unwrap().to_owned();
    assert!(
        said.contains("mail for far.test may leave unverified")
            && said.contains("(agreed &lt;b&gt;)"),
        "{said}"
    );
    let messages = mx.wait_for_messages(1, PATIENCE).await.unwrap();
    let message = &messages[0];
    let text = String::from_utf8_lossy(&message.data).into_owned();
    assert_eq!(message.reverse_path, "");
    assert!(text.contains("\r\nAuto-Submitted: auto-generated\r\n"), "{text}");
    assert!(text.contains("Subject: [sts-relay] warning: mail for far.test may leave"), "{text}");
    let shown = asked(&relay.config, &["check-config"]) + &relay.relay.log_lines().join("\n");
    assert!(
        shown.contains("notice sent") && !shown.contains(KEY) && !shown.contains(&SECRET[6..]),
        "{shown}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_hangs_redirects_or_fails_delays_nobody_and_is_tried_again_after_a_kill() {
    let (webhook, chat, elsewhere) =
        (Receiver::start().await, Receiver::start().await, Receiver::start().await);
    let folder = tempfile::tempdir().unwrap();
    let tables = tables(folder.path(), &webhook, &chat);
    webhook.answers(Answer::To(format!("http://{}/", elsewhere.address)));
    chat.answers(Answer::Nothing);
    let mut relay = ProcessInWorld::start(&tables).await;
    let mx = relay.domain("example.test", MxBehaviour::valid()).await;
    grant(&relay, "far.test");
    let id = webhook.wait_for(1).await[0].field("webhook-id").unwrap().to_owned();
    relay.relay.logged(" notice not sent: it is tried for a day ", 1).await;
    relay.relay.logged(" notice sent destination=\"post\" ", 1).await;
    mx.wait_for_messages(1, PATIENCE).await.unwrap();
    relay.restart_after_kill().await;
    webhook.answers(Answer::Status("500 Not Now"));
    let before = webhook.requests().len();
    let tried = webhook.wait_for(before + 1).await;
    webhook.answers(Answer::Status("200 OK"));
    chat.answers(Answer::Status("200 OK"));
    relay.relay.logged(" notices are taken again ", 1).await;
    assert_eq!(tried.last().unwrap().field("webhook-id"), Some(&*id), "one id for all tries");
    assert_eq!(elsewhere.requests().len(), 0, "a redirection is not followed");
    let lines = relay.relay.log_lines();
    let mailed = lines.iter().filter(|line| line.contains(" notice sent destination=\"post\" "));
    assert_eq!(mailed.count(), 0, "what was told is not told again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_tells_of_each_destination_whether_it_was_sent() {
    let (webhook, chat) = (Receiver::start().await, Receiver::start().await);
    let folder = tempfile::tempdir().unwrap();
    let mut relay = ProcessInWorld::start(&tables(folder.path(), &webhook, &chat)).await;
    relay.domain("example.test", MxBehaviour::valid()).await;
    chat.answers(Answer::Status("403 No"));
    let output = run(&relay.config, &["notify", "test"]);
    assert_eq!(output.status.code(), Some(1));
    let said = stdout(&output);
    assert!(said.contains("hook: sent\n") && said.contains("post: sent\n"), "{said}");
    assert!(said.contains("chat: not sent: the server answered with status 403\n"), "{said}");
    assert_eq!(webhook.requests()[0].body["alerts"][0]["labels"]["alertname"], "test");
    let one = asked_json(&relay.config, &["notify", "test", "hook"]);
    assert_eq!(one, json!([{"name": "hook"}]));
    let none = run(&relay.config, &["notify", "test", "other"]);
    assert!(stderr(&none).contains("the settings have no [[notify]] of the name other"));
    relay.reload("").await;
    let none = run(&relay.config, &["notify", "test"]);
    assert!(stderr(&none).contains("the settings have no [[notify]]"), "{}", stderr(&none));
}
