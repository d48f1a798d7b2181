//! What is not in the queue is not acknowledged.

use crate::world::{World, open_with};

#[tokio::test]
async fn a_message_that_cannot_be_stored_gets_no_250() {
    let world = World::new().await;
    let mut sending = world.sender().await;
    let mut in_transaction = world.client().await;
    in_transaction.expect("MAIL FROM:<a@client.example>", "250 ").await;
    in_transaction.expect("RCPT TO:<b@far.example>", "250 ").await;
    let mut idle = world.client().await;
    world.queue.close().await;

    sending.send(b"Subject: x\r\n\r\n.\r\n").await;
    sending.hears("451 4.3.0 ").await;
    in_transaction.expect("DATA", "421 4.3.2 ").await;
    assert_eq!(in_transaction.rest().await, "");
    idle.expect("MAIL FROM:<a@client.example>", "421 4.3.2 ").await;
    assert_eq!(idle.rest().await, "");
}

#[tokio::test]
async fn a_nearly_full_disk_refuses_mail_before_it_is_sent() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open_with(dir.path(), u64::MAX).await;
    let world = World::over(dir, queue, |_| {}).await;
    let mut client = world.client().await;
    client.expect("MAIL FROM:<a@client.example>", "452 4.3.1 ").await;
    client.expect("RCPT TO:<b@far.example>", "503 5.5.1 ").await;
}
