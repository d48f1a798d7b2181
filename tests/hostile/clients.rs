//! Clients: strangers that hold connections, and old programs that mean well.

use std::net::{IpAddr, Ipv4Addr};

use testbed::{MxBehaviour, Sender, Step};

use crate::world::{MESSAGE, PATIENCE, RelayInWorld, SENDER, submit};

/// The address of a stranger.
fn stranger(number: u8) -> IpAddr {
    Ipv4Addr::new(127, 44, 0, number).into()
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_strangers_keep_no_mail_of_admitted_clients_out() {
    let relay = RelayInWorld::start_with(
        "access.networks = [\"127.0.0.1\"]\n\
         limits.connections = 40\n\
         limits.connections_per_client = 40\n\
         limits.unadmitted_timeout = \"1h\"",
    )
    .await;
    let mx = relay.enforcing_domain("example.test", MxBehaviour::valid()).await;
    let mut held = Vec::new();
    for round in 0..20 {
        for number in 0..50 {
            // Those who are refused have read why, and hold on to what they have.
            held.push(Sender::connect_from(stranger(number), relay.listener()).await);
        }
        let greeted = held.iter().flatten().filter(|held| held.greeting().code == 220).count();
        assert!(greeted <= 20, "{greeted} in round {round}");
    }
    assert_eq!(held.len(), 1_000);
    let mut admitted = Vec::new();
    for _ in 0..20 {
        let client = Sender::connect(relay.listener()).await.unwrap();
        assert_eq!(client.greeting().code, 220);
        admitted.push(client);
    }
    let client = admitted.last_mut().unwrap();
    client.ehlo("client.test").await.unwrap();
    submit(client, SENDER, &["<bob@example.test>"], MESSAGE).await;
    mx.wait_for_messages(1, PATIENCE).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_old_clients_write_leaves_as_the_standard_has_it() {
    let relay = RelayInWorld::start().await;
    let mx = relay.enforcing_domain("example.test", MxBehaviour::valid()).await;
    let mut client = Sender::connect(relay.listener()).await.unwrap();
    for line in [
        "HELO Bob's_PC ",
        "mail from:\tu..x@sender.test ",
        "RCPT TO:u.@example.test",
        "RCPT TO: <.u@example.test>\t",
        "RCPT TO:<bob@example.test>",
    ] {
        let reply = client.command(line).await.unwrap();
        assert_eq!(reply.code, 250, "{line}: {reply}");
    }
    let reply = client.data(b" indented\r\nSubject: no\r\n").await.unwrap();
    assert_eq!(reply.code, 250, "{reply}");
    let arrived = mx.wait_for_messages(1, PATIENCE).await.unwrap();
    assert_eq!(arrived[0].reverse_path, "\"u..x\"@sender.test");
    let recipients = ["\"u.\"@example.test", "\".u\"@example.test", "bob@example.test"];
    assert_eq!(arrived[0].recipients, recipients);
    let text = arrived[0].text();
    let (header, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(header.starts_with("Received: from Bob?s_PC ("), "{text}");
    assert!(!header.contains("indented") && !header.contains("Subject"), "{text}");
    assert_eq!(body, " indented\r\nSubject: no\r\n");
    relay.is_well_behaved();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_with_odd_dots_is_returned_to_and_named_in_quotes() {
    let relay = RelayInWorld::start().await;
    let sender = relay.domain("sender.test", MxBehaviour::valid()).await;
    let refusing = MxBehaviour::valid().at(Step::RcptTo, "550 5.1.1 nobody here");
    relay.domain("example.test", refusing).await;
    relay.submit_from("s..s@sender.test", &["r..r@example.test"]).await;
    let returned = sender.wait_for_messages(1, PATIENCE).await.unwrap();
    assert_eq!(returned[0].recipients, ["\"s..s\"@sender.test"]);
    let text = returned[0].text();
    assert!(text.contains("Final-Recipient: rfc822; \"r..r\"@example.test\r\n"), "{text}");
    assert!(text.contains("To: \"s..s\"@sender.test\r\n"), "{text}");
    relay.is_well_behaved();
}
