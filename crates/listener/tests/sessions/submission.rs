//! What the first server of a message does, and no later one (RFC 6409 §8).

use listener::{AuthMode, ProxyMode, Service, TlsMode};

use crate::world::World;

const SUBMISSION: Service = Service {
    tls: TlsMode::StartTls,
    auth: AuthMode::Optional,
    proxy: ProxyMode::Direct,
    binary: listener::BinaryMode::Withheld,
};

#[tokio::test]
async fn date_and_message_id_are_added_for_users_when_they_are_absent() {
    let world = World::offering(SUBMISSION, |_| {}).await;
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
        let told = client.message(message.as_bytes()).await;
        let id = told.trim_end().rsplit(' ').next().unwrap().to_owned();
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
async fn the_header_of_mail_that_is_passed_on_is_left_as_it_is() {
    let world = World::offering(SUBMISSION, |_| {}).await;
    let mut client = world.client().await;
    client.begin_message().await;
    client.message(b"Subject: x\r\n\r\n").await;
    assert_eq!(world.stored().await[0].as_sent(), b"Subject: x\r\n\r\n");
}
