//! What the first server of a message does, and no later one (RFC 6409 §8).

use listener::{AddedField, AuthMode, ProxyMode, Service, Submission, TlsMode};

use crate::world::World;

const SUBMISSION: Service = Service {
    tls: TlsMode::StartTls,
    auth: AuthMode::Optional,
    proxy: ProxyMode::Direct,
    binary: listener::BinaryMode::Withheld,
};

#[tokio::test]
async fn date_and_message_id_are_added_for_users_when_they_are_absent() {
    let world = World::offering(SUBMISSION, |s| s.submission = Submission::default()).await;
    let mut client = world.client_under_tls().await;
    client.expect("AUTH PLAIN AGFubgBzZWNyZXQ=", "235 ").await;
    let long = format!("X-Long: {}\r\n", "x".repeat(70)).repeat(300);
    for (message, date, message_id) in [
        ("Subject: x\r\n\r\nDate: no\r\n".to_owned(), true, true),
        ("Date: x\r\nMESSAGE-ID: <y@z>\r\n\r\n".to_owned(), false, false),
        ("Subject: x\r\nMessage-Id: <y@z>\r\n\r\nbody\r\n".to_owned(), true, false),
        ("Subject: header and nothing else\r\n".to_owned(), true, true),
        ("\r\nbody\r\n".to_owned(), true, true),
        ("no header\r\n".to_owned(), true, true),
        (format!("{long}Date: x\r\n\r\nbody\r\n"), false, true),
    ] {
        client.begin_message().await;
        let answer = client.message(message.as_bytes()).await;
        let id = answer.trim_end().rsplit(' ').next().unwrap().to_owned();
        let stored = world.stored().await.into_iter().find(|stored| stored.id == id).unwrap();
        let text = String::from_utf8(stored.as_sent().to_vec()).unwrap();
        let added = text.strip_suffix(&message).unwrap();
        // What has no header is kept out of the one that it gets.
        let added =
            if message.starts_with("no") { added.strip_suffix("\r\n").unwrap() } else { added };
        let mut expected = String::new();
        if date {
            let line = added.lines().next().unwrap();
            assert!(line.starts_with("Date: ") && line.ends_with(" +0000"), "{line}");
            expected = format!("{line}\r\n");
        }
        if message_id {
            expected += &format!("Message-ID: <{id}@relay.example>\r\n");
        }
        assert_eq!(added, expected, "{message:.60}");
    }
}

#[tokio::test]
async fn what_a_message_of_a_listed_network_lacks_is_added_too() {
    let world = World::with(|s| s.submission = Submission::default()).await;
    let mut client = world.sender().await;
    let answer = client.message(b"Subject: x\r\n\r\nbody\r\n").await;
    let id = answer.trim_end().rsplit(' ').next().unwrap();
    let text = String::from_utf8(world.stored().await[0].as_sent().to_vec()).unwrap();
    let expected = format!("\r\nMessage-ID: <{id}@relay.example>\r\nSubject: x\r\n\r\nbody\r\n");
    assert!(text.starts_with("Date: ") && text.ends_with(&expected), "{text}");
    let logged = world.logged("message accepted");
    assert!(logged[0].contains(&format!("message_id=\"<{id}@relay.example>\"")), "{logged:?}");
}

#[tokio::test]
async fn bcc_is_removed_and_a_signed_message_stays_as_it_is() {
    let world = World::with(|s| s.submission = Submission::default()).await;
    let fields = "Date: x\r\nMessage-ID: <y@z>\r\n";
    for (message, kept) in [
        (
            format!("{fields}Bcc: a@far.example,\r\n b@far.example\r\nTo: c\r\n\r\nBcc: d\r\n"),
            format!("{fields}To: c\r\n\r\nBcc: d\r\n"),
        ),
        (format!("bcc: a\r\n{fields}\r\n"), format!("{fields}\r\n")),
        (
            "dkim-signature: v=1\r\nBcc: a\r\n\r\n".to_owned(),
            "dkim-signature: v=1\r\nBcc: a\r\n\r\n".to_owned(),
        ),
    ] {
        for cut in [3, message.len() - 1] {
            let mut client = world.client().await;
            client.expect("MAIL FROM:<a@client.example>", "250 ").await;
            client.expect("RCPT TO:<b@far.example>", "250 ").await;
            let answer = client.message_in_chunks(&message, cut).await;
            let id = answer.trim_end().rsplit(' ').next().unwrap().to_owned();
            let stored = world.stored().await.into_iter().find(|stored| stored.id == id).unwrap();
            assert_eq!(String::from_utf8_lossy(stored.as_sent()), kept, "{message}");
        }
    }
}

#[tokio::test]
async fn from_is_added_where_a_users_address_is_known() {
    let service = Service { tls: TlsMode::Implicit, ..SUBMISSION };
    let change = |s: &mut listener::ListenerSettings| s.submission.add = vec![AddedField::From];
    for (users, added) in [
        ("ann@client.example", "From: ann@client.example\r\n"),
        ("@client.example", ""),
        ("ann@client.example, bob@client.example", ""),
        ("*", ""),
    ] {
        let world = World::for_user(service, users, change).await;
        let mut client = world.connect_under_tls().await;
        client.hears("220 ").await;
        client.expect("EHLO client.example", "250-").await;
        client.expect("AUTH PLAIN AGFubgBzZWNyZXQ=", "235 ").await;
        client.expect("MAIL FROM:<ann@client.example>", "250 ").await;
        client.expect("RCPT TO:<b@far.example>", "250 ").await;
        client.expect("DATA", "354 ").await;
        client.message(b"Subject: x\r\n\r\n").await;
        let stored = world.stored().await;
        let expected = format!("{added}Subject: x\r\n\r\n");
        assert_eq!(String::from_utf8_lossy(stored[0].as_sent()), expected, "{users}");
    }
}
