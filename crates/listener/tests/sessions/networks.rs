//! Closed by default: only listed networks submit.

use access::{AllowedRecipients, AllowedSenders, Networks};
use listener::{Access, CheckFrom, Service};

use crate::world::World;

#[tokio::test]
async fn a_client_outside_the_networks_cannot_begin_a_transaction() {
    let world = World::new().await;
    let mut client = world.connect_from("127.0.0.2").await;
    client.hears("220 ").await;
    client.expect("EHLO client.example", "250-").await;
    let answer = client.say("MAIL FROM:<a@client.example>").await;
    assert!(answer.starts_with("550 5.7.1 127.0.0.2 "), "{answer}");
    assert!(answer.contains("access.networks"), "{answer}");
    client.expect("RCPT TO:<b@far.example>", "503 5.5.1 ").await;
    client.expect("DATA", "503 5.5.1 ").await;
    client.expect("QUIT", "221 ").await;
}

#[tokio::test]
async fn a_network_with_listed_senders_sends_from_them_alone() {
    let senders = |list: &[&str]| AllowedSenders::parse(list).unwrap();
    let networks = Networks::with_senders([
        ("127.0.0.0/8", senders(&["*"])),
        ("127.0.0.2", senders(&["app@client.example", "@reports.client.example"])),
    ]);
    let access = Access { networks: networks.unwrap(), ..Access::default() };
    let world =
        World::letting_in(Service::default(), access, |s| s.check_from = CheckFrom::Yes).await;
    let refusal = "550 5.7.1 127.0.0.2 may not send from this address; it has to be listed in senders of \
                   its [[access.network]]\r\n";
    for (peer, from, reply) in [
        ("127.0.0.2", "<APP@client.example>", "250 2.1.0 "),
        ("127.0.0.2", "<any@reports.client.example>", "250 2.1.0 "),
        ("127.0.0.2", "<>", "250 2.1.0 "),
        ("127.0.0.2", "<boss@client.example>", refusal),
        ("127.0.0.2", "<any@sub.reports.client.example>", refusal),
        ("127.0.0.1", "<boss@client.example>", "250 2.1.0 "),
    ] {
        let mut client = world.connect_from(peer).await;
        client.hears("220 ").await;
        client.expect("EHLO client.example", "250-").await;
        client.expect(&format!("MAIL FROM:{from}"), reply).await;
    }
    // The From field is held to the same senders, where that is asked for.
    for (peer, header, reply) in [
        ("127.0.0.2", "From: app@client.example", "250 "),
        ("127.0.0.2", "From: boss@client.example", "550 5.7.1 From: you may not send as boss@"),
        ("127.0.0.1", "From: boss@client.example", "250 "),
    ] {
        let mut client = world.connect_from(peer).await;
        client.hears("220 ").await;
        client.expect("EHLO client.example", "250-").await;
        client.expect("MAIL FROM:<app@client.example>", "250 ").await;
        client.expect("RCPT TO:<b@far.example>", "250 ").await;
        client.expect("DATA", "354 ").await;
        let answer = client.message(format!("{header}\r\n\r\n").as_bytes()).await;
        assert!(answer.starts_with(reply), "{peer} {header}: {answer}");
    }
}

#[tokio::test]
async fn where_recipients_are_listed_mail_goes_to_them_alone() {
    let recipients = AllowedRecipients::parse(["@far.example", "ops@client.example"]).unwrap();
    let networks = Networks::parse(["127.0.0.1"]).unwrap();
    let access = Access { networks, recipients, ..Access::default() };
    let world = World::letting_in(Service::default(), access, |_| {}).await;
    let mut client = world.client().await;
    client.expect("MAIL FROM:<a@client.example>", "250 ").await;
    for (recipient, reply) in [
        ("<b@far.example>", "250 2.1.5 "),
        ("<OPS@client.example>", "250 2.1.5 "),
        (
            "<boss@client.example>",
            "550 5.7.1 boss@client.example may not be sent mail from here; it has to be listed in \
             access.recipients\r\n",
        ),
        ("<b@sub.far.example>", "550 5.7.1 "),
        ("<postmaster>", "250 2.1.5 "),
    ] {
        client.expect(&format!("RCPT TO:{recipient}"), reply).await;
    }
    client.expect("DATA", "354 ").await;
    assert!(client.message(b"Subject: x\r\n\r\n").await.starts_with("250 "));
    let mut recipients: Vec<_> =
        world.stored().await.into_iter().flat_map(|stored| stored.recipients).collect();
    recipients.sort_unstable();
    let expected = ["OPS@client.example", "b@far.example", "postmaster@relay.example"];
    assert_eq!(recipients, expected);
}
