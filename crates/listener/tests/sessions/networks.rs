//! Closed by default: only listed networks submit.

use crate::world::World;

#[tokio::test]
async fn a_client_outside_the_networks_cannot_begin_a_transaction() {
    let world = World::new().await;
    let mut client = world.connect_from("127.0.0.2").await;
    client.hears("220 ").await;
    client.expect("EHLO client.example", "250-").await;
    let told = client.say("MAIL FROM:<a@client.example>").await;
    assert!(told.starts_with("550 5.7.1 127.0.0.2 "), "{told}");
    assert!(told.contains("access.networks"), "{told}");
    client.expect("RCPT TO:<b@far.example>", "503 5.5.1 ").await;
    client.expect("DATA", "503 5.5.1 ").await;
    client.expect("QUIT", "221 ").await;
}
