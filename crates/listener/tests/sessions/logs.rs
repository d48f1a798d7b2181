//! What operators and their scripts find in the log.

use crate::world::World;

#[tokio::test]
async fn there_is_one_line_for_each_message_accepted_and_each_refusal() {
    let world = World::new().await;
    let mut client = world.sender().await;
    let answer = client.message(b"Subject: secret\r\n\r\nsecret\r\n").await;
    let queue_id = answer.trim_end().rsplit(' ').next().unwrap();
    client.expect("SECRET", "500 ").await;
    client.begin_message().await;
    client.send(b"secret\n\r\n.\r\n").await;
    client.hears("554 ").await;

    let accepted = world.logged("message accepted");
    assert_eq!(accepted.len(), 1, "{accepted:?}");
    for field in [
        format!("queue_id={queue_id}"),
        "peer=127.0.0.1".to_owned(),
        "from=<a@client.example>".to_owned(),
        "recipients=1".to_owned(),
        "size=27".to_owned(),
    ] {
        assert!(accepted[0].contains(&field), "{field}: {accepted:?}");
    }
    let refused = world.logged("command refused");
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert!(refused[0].contains("reason=\"command\""), "{refused:?}");
    assert!(refused[0].contains("reply=\"500 5.5.2 "), "{refused:?}");
    let refused = world.logged("message refused");
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert!(refused[0].contains("reason=\"bare-line-end\""), "{refused:?}");
    assert!(world.logged("secret").is_empty());
}
