//! `[[rewrite]]`: what leaves in the place of what a client has handed in, to the hosts of the
//! recipients' domains.

use dkim::Algorithm;
use testbed::{MxBehaviour, MxHost};

use crate::signing::{Key, relay_with};
use crate::world::{PATIENCE, RelayInWorld, submit};

/// A host of an application calls itself `internal.test`, and its mail is from `own.test`.
const ONE_ADDRESS: &str = "[[rewrite]]\nfrom = \"@internal.test\"\nto = \"ops@own.test\"\n";

/// The same, each local part for itself, and replies go there as well.
const ONE_DOMAIN: &str = "[[rewrite]]\nfrom = \"@internal.test\"\nto = \"@own.test\"\n\
                          fields = [\"envelope\", \"from\", \"sender\", \"reply-to\"]\n";

/// Who hands in mail.
const ROOT: &str = "<root@internal.test>";

/// Hands in a message for a mail host, and waits until it is there.
async fn arrived(
    relay: &RelayInWorld,
    sender: &str,
    message: &str,
    mx: &MxHost,
) -> std::sync::Arc<testbed::Message> {
    let to = ["b@far.test"];
    let _id = submit(&mut relay.client().await, sender, &to, message.as_bytes()).await;
    let arrived = mx.wait_for_messages(1, PATIENCE).await.unwrap();
    drop(mx.forget_messages());
    std::sync::Arc::clone(&arrived[0])
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_leaves_from_the_rewritten_address_and_is_signed_by_its_domain() {
    let key = Key::new("own.test", "s", Algorithm::RsaSha256);
    let relay = relay_with(&[&key], &[], ONE_ADDRESS).await;
    let mx = relay.enforcing_domain("far.test", MxBehaviour::valid()).await;
    let message = "Date: Tue, 1 Jan 2030 00:00:00 +0000\r\nMessage-ID: <1@internal.test>\r\n\
                   From: =?utf-8?q?R=C3=B6ot?= (cron)\r\n <root@internal.test>\r\n\
                   To: root@internal.test\r\nSubject: root@internal.test\r\n\r\n\
                   From: root@internal.test\r\n";
    let message = arrived(&relay, ROOT, message, &mx).await;
    assert_eq!(message.reverse_path, "ops@own.test");
    let text = message.text();
    let expected = "Message-ID: <1@internal.test>\r\n\
                    Reply-To: =?utf-8?q?R=C3=B6ot?= (cron)\r\n <root@internal.test>\r\n\
                    From: =?utf-8?q?R=C3=B6ot?= (cron)\r\n <ops@own.test>\r\n\
                    To: root@internal.test\r\nSubject: root@internal.test\r\n\r\n\
                    From: root@internal.test\r\n";
    assert!(text.ends_with(expected), "{text}");
    assert!(key.alone_has_signed(&message), "{text}");
    relay.empty().await;
    relay.is_well_behaved();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_that_is_there_already_stays_and_is_joined_by_ours() {
    let key = Key::new("own.test", "s", Algorithm::Ed25519Sha256);
    let relay = relay_with(&[&key], &[], ONE_DOMAIN).await;
    let mx = relay.enforcing_domain("far.test", MxBehaviour::valid()).await;
    let theirs = "DKIM-Signature: v=1; d=internal.test; b=x\r\n";
    let message = format!("{theirs}From: root@internal.test\r\n\r\nx\r\n");
    let text = arrived(&relay, ROOT, &message, &mx).await.text();
    assert!(text.ends_with(&format!("{theirs}From: root@own.test\r\n\r\nx\r\n")), "{text}");
    assert!(text.contains("\r\n d=own.test;"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bounce_goes_to_the_rewritten_address() {
    let relay = RelayInWorld::start_with(ONE_DOMAIN).await;
    let own = relay.domain("own.test", MxBehaviour::valid()).await;
    let internal = relay.domain("internal.test", MxBehaviour::valid()).await;
    relay.world.names().add_mx("far.test", 0, ".");
    relay.submit_from(ROOT, &["b@far.test"]).await;
    let [bounce] = &own.wait_for_messages(1, PATIENCE).await.unwrap()[..] else { panic!() };
    assert_eq!(
        (bounce.reverse_path.as_str(), &bounce.recipients[..]),
        ("", &["root@own.test".to_owned()][..])
    );
    assert_eq!(bounce.header("To"), Some("root@own.test".to_owned()), "{}", bounce.text());
    relay.empty().await;
    assert!(internal.connections().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn access_judges_what_the_client_said_and_the_rewritten_address_leaves() {
    let access = "[access]\nnetwork = [{ cidr = \"127.0.0.1\", senders = [\"@internal.test\"] }]\n\
                  networks = []\ncheck_from = true\n";
    let relay = RelayInWorld::start_with(&format!("{access}{ONE_DOMAIN}")).await;
    let mx = relay.domain("far.test", MxBehaviour::valid()).await;
    let mut client = relay.client().await;
    for (sender, from, code) in [
        (ROOT, "root@internal.test", 250),
        ("<root@own.test>", "root@internal.test", 550),
        (ROOT, "root@own.test", 550),
    ] {
        let message = format!("From: {from}\r\n\r\n");
        let reply = client.send(sender, &["b@far.test"], message.as_bytes()).await.unwrap();
        assert_eq!(reply.code, code, "{sender} {from}: {reply}");
        assert!(client.command("RSET").await.unwrap().is_positive());
    }
    let [message] = &mx.wait_for_messages(1, PATIENCE).await.unwrap()[..] else { panic!() };
    assert_eq!(message.reverse_path, "root@own.test");
    assert_eq!(message.header("From"), Some("root@own.test".to_owned()));
    relay.empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn internationalised_mail_is_rewritten_without_harm() {
    let relay = RelayInWorld::start_with(ONE_DOMAIN).await;
    let mx = relay.domain("far.test", MxBehaviour::valid()).await;
    let message = "From: J\u{f6}rg <j\u{f6}rg@internal.test>\r\nSubject: \u{fc}\r\n\r\n\u{e4}\r\n";
    let sender = "<j\u{f6}rg@internal.test> SMTPUTF8";
    let message = arrived(&relay, sender, message, &mx).await;
    assert_eq!(message.reverse_path, "j\u{f6}rg@own.test");
    assert!(message.mail_parameters.contains(&"SMTPUTF8".to_owned()));
    let expected = "From: J\u{f6}rg <j\u{f6}rg@own.test>\r\nSubject: \u{fc}\r\n\r\n\u{e4}\r\n";
    assert!(message.text().ends_with(expected), "{}", message.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_relays_own_mail_and_the_null_sender_are_not_rewritten() {
    let all = "[[rewrite]]\nfrom = \"*\"\nto = \"ops@own.test\"\n";
    let relay = RelayInWorld::start_with(all).await;
    let mx = relay.domain("far.test", MxBehaviour::valid()).await;
    let own = relay.domain("own.test", MxBehaviour::valid()).await;
    let bounce = "From: <>\r\nSubject: x\r\n\r\n";
    assert_eq!(arrived(&relay, "<>", bounce, &mx).await.reverse_path, "");
    relay.world.names().add_mx("none.test", 0, ".");
    relay.submit_from(ROOT, &["b@none.test"]).await;
    let [bounce] = &own.wait_for_messages(1, PATIENCE).await.unwrap()[..] else { panic!() };
    let from = bounce.header("From").unwrap();
    assert!(bounce.reverse_path.is_empty() && from.ends_with("@relay.test>"), "{from}");
}
