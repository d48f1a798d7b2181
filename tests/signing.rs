//! Mail that is accepted is signed by the keys of its author's domain (RFC 6376), and so is what the
//! relay itself writes.
//!
//! Whether a signature is good is judged by what this file makes of the message that a mail host got:
//! the same key signs the same again. Programs of others judge the same in `tests/real`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use dkim::{
    Algorithm, KeyRecord, KeyState, ListedKey, MessageHash, Selector, SignedFields, Signer,
    SigningKey,
};
use smtp::Domain;
use testbed::{Message, MxBehaviour, World};

use crate::metrics::ask;
use crate::world::{MESSAGE, PATIENCE, RelayInWorld};

/// A key, its record and its file.
pub(crate) struct Key {
    signer: Signer,
    file: PathBuf,
    folder: tempfile::TempDir,
}

impl Key {
    pub(crate) fn new(domain: &str, selector: &str, algorithm: Algorithm) -> Self {
        let key = SigningKey::generate(algorithm).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        std::fs::write(&file, key.to_pem().unwrap()).unwrap();
        let (domain, selector) = (Domain::parse(domain), Selector::parse(selector));
        let fields = SignedFields::of_mail();
        let signer = Signer::new(domain.unwrap(), selector.unwrap(), key, fields).unwrap();
        Self { signer, file, folder }
    }

    pub(crate) fn publish(&self, world: &World) {
        let record = KeyRecord::of(self.signer.key()).to_string();
        world.names().add_txt(self.signer.record_name().as_str(), &record);
    }

    /// Whether the message has one signature, which is this key's.
    pub(crate) fn alone_has_signed(&self, message: &Message) -> bool {
        let (signatures, signed) = taken_apart(&message.data);
        matches!(&signatures[..], [one] if is_by(&self.signer, one, &signed))
    }

    /// Its table of the settings.
    pub(crate) fn settings(&self) -> String {
        assert!(self.folder.path().exists());
        let (domain, selector) = (self.signer.domain(), self.signer.selector());
        let file = &self.file;
        format!("[[dkim]]\ndomain = \"{domain}\"\nselector = \"{selector}\"\nkey_file = {file:?}\n")
    }
}

/// A relay with these keys, whose records are published but for `unpublished`.
pub(crate) async fn relay_with(
    keys: &[&Key],
    unpublished: &[&Key],
    settings: &str,
) -> RelayInWorld {
    let world = World::new().await;
    keys.iter().for_each(|key| key.publish(&world));
    let tables: String = [keys, unpublished].concat().iter().map(|key| key.settings()).collect();
    let listener = SocketAddr::new(world.address(), world.smtp_port());
    let relay = RelayInWorld::start_in(world, listener, &format!("{tables}{settings}")).await;
    let known = || {
        let mut states = relay.settings().dkim.table.keys().map(ListedKey::state);
        states.all(|state| state != KeyState::Unknown).then_some(())
    };
    relay.until("the records of keys to be looked up", known).await;
    relay
}

/// Hands in a message.
async fn submit(relay: &RelayInWorld, message: &[u8]) {
    crate::world::submit(
        &mut relay.client().await,
        "<ann@sender.test>",
        &["<bob@example.test>"],
        message,
    )
    .await;
}

/// The signatures of a message, the first fields after our Received field; and what they sign.
fn taken_apart(message: &[u8]) -> (Vec<String>, Vec<u8>) {
    let text = String::from_utf8_lossy(message);
    let mut lines = text.split_inclusive("\r\n").peekable();
    let mut fields = Vec::<String>::new();
    let is_ours = |line: &str| line.starts_with("Received:") || line.starts_with("DKIM-Signature:");
    while let Some(line) = lines.next_if(|line| is_ours(line) || line.starts_with([' ', '\t'])) {
        if line.starts_with([' ', '\t']) {
            fields.last_mut().unwrap().push_str(line);
        } else {
            fields.push(line.to_owned());
        }
    }
    let octets: usize = fields.iter().map(String::len).sum();
    fields.retain(|field| field.starts_with("DKIM-Signature:"));
    (fields, message[octets..].to_vec())
}

/// Whether `signature` is what `signer` makes of the message at the time that it names.
fn is_by(signer: &Signer, signature: &str, message: &[u8]) -> bool {
    let (_, time) = signature.split_once(" t=").unwrap();
    let seconds = time.split(';').next().unwrap().parse().unwrap();
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    signer.sign(&MessageHash::of(message), at).unwrap() == signature
}

async fn received(mx: &testbed::MxHost, count: usize) -> Vec<Arc<Message>> {
    mx.wait_for_messages(count, PATIENCE).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn accepted_mail_is_signed_by_every_key_of_its_authors_domain_or_one_above() {
    let rsa = Key::new("sender.test", "rsa", Algorithm::RsaSha256);
    let ed25519 = Key::new("sender.test", "ed", Algorithm::Ed25519Sha256);
    let other = Key::new("other.test", "rsa", Algorithm::Ed25519Sha256);
    let relay = relay_with(&[&rsa, &ed25519, &other], &[], "").await;
    let mx = relay.enforcing_domain("example.test", MxBehaviour::valid()).await;
    for from in ["ann@sender.test", "Ann <ann@News.Sender.TEST>"] {
        submit(&relay, format!("From: {from}\r\nSubject: x\r\n\r\nHow  are you? \r\n").as_bytes())
            .await;
    }
    for message in received(&mx, 2).await {
        let (signatures, signed) = taken_apart(&message.data);
        let [by_rsa, by_ed25519] = &signatures[..] else { panic!("{}", message.text()) };
        assert!(is_by(&rsa.signer, by_rsa, &signed), "{}", message.text());
        assert!(is_by(&ed25519.signer, by_ed25519, &signed), "{}", message.text());
        // What the relay adds to a message is signed with it.
        let named = by_rsa.split_ascii_whitespace().collect::<String>();
        assert!(named.contains(":Date:Date:") && named.contains(":Message-ID"), "{named}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_of_domains_without_a_key_is_passed_on_unsigned() {
    let key = Key::new("sender.test", "s", Algorithm::Ed25519Sha256);
    let relay = relay_with(&[&key], &[], "[dkim_signing]\nrequire = true\n").await;
    let mx = relay.enforcing_domain("example.test", MxBehaviour::valid()).await;
    let messages = ["From: a@badsender.test\r\n\r\nx\r\n", "Subject: x\r\n\r\nx\r\n", "\r\nx\r\n"];
    for message in messages {
        submit(&relay, message.as_bytes()).await;
    }
    for message in received(&mx, messages.len()).await {
        assert!(!message.text().contains("DKIM-Signature"), "{}", message.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn awkward_messages_are_signed_as_they_leave() {
    let key = Key::new("sender.test", "s", Algorithm::Ed25519Sha256);
    let relay = relay_with(&[&key], &[], "").await;
    let mx = relay.enforcing_domain("example.test", MxBehaviour::valid()).await;
    let lines = "y  y\r\n\t".repeat(20_000);
    let long_field = format!("From: ann@sender.test\r\nSubject: {lines}z\r\n\r\nx\r\n");
    let long_body = format!("From: ann@sender.test\r\n\r\n{}", "z  z\t\r\n\r\n".repeat(150_000));
    let messages = [
        "From: ann@sender.test\r\n",
        "From: ann@sender.test\r\n\r\n",
        "From: ann@sender.test\r\n\r\n\r\n\r\n \r\n",
        "From:\r\n Ann\r\n\t<ann@sender.test>\r\nSubject:  a \r\n  b\r\n\r\n.\r\n..\r\n",
        "From: ann@sender.test\r\nFrom: ann@sender.test\r\nBcc: x@sender.test\r\n\r\nx\r\n",
        "DKIM-Signature: v=1; d=sender.test\r\nFrom: ann@sender.test\r\n\r\nx\r\n",
        "From: ann@sender.test\r\nthis is no field\r\n\r\nx\r\n",
        &long_field,
        &long_body,
    ];
    for message in messages {
        submit(&relay, message.as_bytes()).await;
    }
    for message in received(&mx, messages.len()).await {
        let (signatures, signed) = taken_apart(&message.data);
        assert!(is_by(&key.signer, &signatures[0], &signed), "{:.2000}", message.text());
        // Receivers agree on where the header ends.
        assert!(message.text().contains("\r\n\r\n"), "{:.2000}", message.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repaired_message_is_signed_as_it_leaves() {
    let key = Key::new("sender.test", "s", Algorithm::Ed25519Sha256);
    let repair = "[submission]\nbare_newlines = \"repair\"\n";
    let relay = relay_with(&[&key], &[], repair).await;
    let mx = relay.enforcing_domain("example.test", MxBehaviour::valid()).await;
    submit(&relay, b"Subject: x\nFrom: ann@sender.test\n\n.\nlines  of\nold \n\n\r\n").await;
    let message = Arc::clone(&received(&mx, 1).await[0]);
    assert!(
        message.text().ends_with("\r\n\r\n.\r\nlines  of\r\nold \r\n\r\n\r\n"),
        "{}",
        message.text()
    );
    assert!(key.alone_has_signed(&message), "{}", message.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_without_its_record_does_not_sign_and_the_metric_says_so() {
    let published = Key::new("sender.test", "new", Algorithm::Ed25519Sha256);
    let missing = Key::new("sender.test", "old", Algorithm::Ed25519Sha256);
    let port = "[admin]\naddress = \"127.0.0.1:0\"\n";
    let relay = relay_with(&[&published], &[&missing], port).await;
    let mx = relay.enforcing_domain("example.test", MxBehaviour::valid()).await;
    submit(&relay, MESSAGE).await;
    let message = Arc::clone(&received(&mx, 1).await[0]);
    assert!(published.alone_has_signed(&message), "{}", message.text());
    let metrics = ask(relay.monitors(), "GET", "/metrics").await.body;
    for line in ["{state=\"published\"} 1", "{state=\"missing\"} 1", "{state=\"revoked\"} 0"] {
        assert!(metrics.contains(&format!("\nsts_relay_dkim_keys{line}\n")), "{line}: {metrics}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_that_no_key_can_sign_goes_unsigned_or_is_refused_for_now() {
    let key = Key::new("sender.test", "s", Algorithm::Ed25519Sha256);
    let relay = relay_with(&[], &[&key], "").await;
    let mx = relay.enforcing_domain("example.test", MxBehaviour::valid()).await;
    submit(&relay, MESSAGE).await;
    assert!(!received(&mx, 1).await[0].text().contains("DKIM-Signature"));

    let relay = relay_with(&[], &[&key], "[dkim_signing]\nrequire = true\n").await;
    let mut client = relay.client().await;
    let from = "<ann@sender.test>";
    let refused = client.send(from, &["<bob@example.test>"], MESSAGE).await.unwrap();
    assert!(refused.to_string().starts_with("451 4.7.5 no DKIM key record"), "{refused}");
    relay.empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notification_is_signed_by_the_key_of_the_relays_own_name() {
    let key = Key::new("relay.test", "s", Algorithm::RsaSha256);
    let relay = relay_with(&[&key], &[], "").await;
    assert!(key.signer.signs_for(&relay.settings().delivery.hostname));
    let sender = relay.domain("sender.test", MxBehaviour::valid()).await;
    relay.world.names().add_mx("example.test", 0, ".");
    submit(&relay, MESSAGE).await;
    let message = Arc::clone(&received(&sender, 1).await[0]);
    assert!(key.alone_has_signed(&message), "{}", message.text());
}
