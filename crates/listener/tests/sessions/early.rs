//! Clients that do not wait for their turn.

use std::time::Duration;

use crate::world::World;

#[tokio::test]
async fn a_client_that_speaks_before_the_greeting_is_refused() {
    let world = World::with(|s| s.timeouts.greeting_delay = Duration::from_secs(20)).await;
    let mut client = world.connect().await;
    client.send(b"EHLO client.example\r\nMAIL FROM:<a@client.example>\r\n").await;
    let answer = client.rest().await;
    assert_eq!(answer, "554 5.5.0 relay.example command sent before the greeting\r\n");
    let refused = world.logged("connection refused");
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert!(refused[0].contains("reason=\"spoke-first\""), "{refused:?}");
}

#[tokio::test]
async fn a_message_behind_a_refused_data_is_not_obeyed() {
    let world = World::new().await;
    let mut client = world.client().await;
    client
        .send(
            b"MAIL FROM:<a@client.example>\r\nRCPT TO:<nobody>\r\nDATA\r\n\
              RSET\r\nMAIL FROM:<evil@client.example>\r\nRCPT TO:<b@far.example>\r\nDATA\r\nx\r\n.\r\n",
        )
        .await;
    client.hears("250 2.1.0 ").await;
    client.hears("501 5.1.3 ").await;
    client.hears("554 5.5.1 no valid recipients").await;
    assert_eq!(
        client.rest().await,
        "421 4.5.0 relay.example message sent without waiting for 354\r\n"
    );
    assert_eq!(world.queue.totals().messages, 0);
}

#[tokio::test]
async fn a_client_that_waits_after_a_refused_data_goes_on() {
    let world = World::new().await;
    let mut client = world.client().await;
    client.expect("DATA", "503 5.5.1 ").await;
    client.begin_message().await;
}
