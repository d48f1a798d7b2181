//! Stopping: nobody new, messages under way to their end, 421 for everybody else.

use tokio::net::TcpStream;

use crate::world::World;

#[tokio::test]
async fn stopping_sends_idle_clients_away_and_takes_messages_to_their_end() {
    let mut world = World::new().await;
    let mut idle = world.client().await;
    let mut in_transaction = world.client().await;
    in_transaction.expect("MAIL FROM:<a@client.example>", "250 ").await;
    let mut sending = world.sender().await;
    sending.send(b"Subject: x\r\n").await;
    world.stop();

    assert_eq!(idle.rest().await, "421 4.3.2 relay.example shutting down\r\n");
    assert!(in_transaction.rest().await.starts_with("421 4.3.2 "));
    assert!(TcpStream::connect(world.address).await.is_err());

    sending.send(b"\r\nbody\r\n.\r\n").await;
    sending.hears("250 2.0.0 queued as ").await;
    assert_eq!(sending.rest().await, "421 4.3.2 relay.example shutting down\r\n");
    world.stopped().await;
    assert_eq!(world.stored().await.len(), 1);
}
