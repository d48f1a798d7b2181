//! Who may send as whom, what is put right in a message, and where staging lets it go: from a client to
//! the hosts of the recipients' domains.

use mail::State;
use testbed::MxBehaviour;

use crate::metrics::{ask, counted};
use crate::world::{PATIENCE, RelayInWorld, SENDER, submit};

#[tokio::test(flavor = "multi_thread")]
async fn what_a_message_lacks_is_added_and_its_bcc_does_not_arrive() {
    let relay = RelayInWorld::start_with("submission.bare_newlines = \"repair\"\n").await;
    let mx = relay.domain("far.test", MxBehaviour::valid()).await;
    let mut client = relay.client().await;
    let message = b"Subject: x\nBcc: hidden@far.test\n\n.\nQUIT\r\n";
    let id = submit(&mut client, SENDER, &["b@far.test"], message).await;
    let arrived = mx.wait_for_messages(1, PATIENCE).await.unwrap();
    let text = arrived[0].text();
    assert_eq!(arrived[0].header("Message-ID"), Some(format!("<{id}@relay.test>")), "{text}");
    assert!(arrived[0].header("Date").is_some() && arrived[0].header("Bcc").is_none(), "{text}");
    assert!(text.ends_with("Subject: x\r\n\r\n.\r\nQUIT\r\n"), "{text}");
    relay.empty().await;
    relay.is_well_behaved();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_sends_from_its_senders_to_listed_recipients_alone() {
    let relay = RelayInWorld::start_with(
        "access.network = [{ cidr = \"127.0.0.1\", senders = [\"@sender.test\"] }]\n\
         access.recipients = [\"@far.test\"]\naccess.check_from = true\n",
    )
    .await;
    let mx = relay.domain("far.test", MxBehaviour::valid()).await;
    let mut client = relay.client().await;
    for (from, to, header, code) in [
        (SENDER, "b@far.test", "From: ann@sender.test", 250),
        ("<boss@far.test>", "b@far.test", "From: ann@sender.test", 550),
        (SENDER, "b@other.test", "From: ann@sender.test", 550),
        (SENDER, "b@far.test", "From: boss@far.test", 550),
    ] {
        let message = format!("{header}\r\n\r\n");
        let reply = client.send(from, &[to], message.as_bytes()).await.unwrap();
        assert_eq!(reply.code, code, "{from} {to} {header}: {reply}");
        assert!(code == 250 || reply.to_string().contains("5.7.1"), "{reply}");
        assert!(client.command("RSET").await.unwrap().is_positive());
    }
    relay.empty().await;
    assert_eq!(mx.wait_for_messages(1, PATIENCE).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn staging_redirects_what_is_not_for_allowed_recipients_and_says_so() {
    let relay = RelayInWorld::start_with(
        "staging.redirect_to = [\"sink@own.test\"]\nstaging.allow = [\"ann@own.test\"]\n\
         admin.address = \"127.0.0.1:0\"\n",
    )
    .await;
    let own = relay.domain("own.test", MxBehaviour::valid()).await;
    let far = relay.domain("far.test", MxBehaviour::valid()).await;
    let _ours = relay.submit(&["ann@own.test"]).await;
    let [direct] = &own.wait_for_messages(1, PATIENCE).await.unwrap()[..] else { panic!() };
    assert_eq!(direct.recipients, ["ann@own.test"]);
    assert!(direct.header("X-Original-To").is_none(), "{}", direct.text());
    drop(own.forget_messages());
    let _theirs = relay.submit(&["ann@own.test", "b@far.test", "c@far.test"]).await;
    let [staged] = &own.wait_for_messages(1, PATIENCE).await.unwrap()[..] else { panic!() };
    assert_eq!(staged.recipients, ["sink@own.test"]);
    let fields =
        "X-Original-To: ann@own.test\r\nX-Original-To: b@far.test\r\nX-Original-To: c@far.test\r\n";
    assert!(staged.text().contains(fields), "{}", staged.text());
    relay.empty().await;
    assert!(far.connections().is_empty(), "nobody there was asked");
    let ready = ask(relay.monitors(), "GET", "/readyz").await;
    let said = "staging is on: mail goes to sink@own.test unless it is for ann@own.test";
    assert!(ready.status == 200 && ready.body.contains(said), "{ready:?}");
    counted(&relay, "staging", 1.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_staging_holds_stays_held_until_an_operator_releases_it() {
    let mut relay = RelayInWorld::start_with("staging.hold_all = true\n").await;
    let mx = relay.domain("far.test", MxBehaviour::valid()).await;
    let id = relay.submit(&["b@far.test"]).await;
    assert_eq!(relay.show(id).unwrap().state, State::HeldByStaging);
    relay.restart().await;
    relay.retry().await;
    assert_eq!(relay.show(id).unwrap().state, State::HeldByStaging);
    assert!(mx.connections().is_empty());
    assert!(relay.queue().release(id).await.unwrap());
    mx.wait_for_messages(1, PATIENCE).await.unwrap();
    relay.gone(id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn staging_refuses_others_where_that_is_chosen_or_holds_their_mail() {
    for (others, code) in [("refuse", 550), ("hold", 250)] {
        let settings = format!("staging.allow = [\"@own.test\"]\nstaging.others = \"{others}\"\n");
        let relay = RelayInWorld::start_with(&settings).await;
        let own = relay.domain("own.test", MxBehaviour::valid()).await;
        let far = relay.domain("far.test", MxBehaviour::valid()).await;
        let mut client = relay.client().await;
        let message = b"Subject: x\r\n\r\n";
        let reply = client.send(SENDER, &["b@far.test"], message).await.unwrap();
        assert_eq!(reply.code, code, "{reply}");
        let _rest = client.command("RSET").await.unwrap();
        submit(&mut client, SENDER, &["a@own.test"], message).await;
        own.wait_for_messages(1, PATIENCE).await.unwrap();
        if others == "hold" {
            let id = relay.only().await;
            assert_eq!(relay.show(id).unwrap().state, State::HeldByStaging);
        } else {
            relay.empty().await;
        }
        assert!(far.connections().is_empty());
    }
}
