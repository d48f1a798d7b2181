//! A relay that runs as a process in a world of its own.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use testbed::{MxBehaviour, MxHost, Sender, World};
use tokio::time::{sleep, timeout};

use crate::cli::asked_json;
use crate::process::Process;
use crate::world::{PATIENCE, SENDER, submit, write_settings};

/// What is logged when other settings were taken.
pub(crate) const RELOADED: &str = "settings reloaded";

/// A message with an id of its own.
pub(crate) const MESSAGE: &[u8] =
    b"From: ann@sender.test\r\nMessage-ID: <4711@sender.test>\r\nSubject: test\r\n\r\nHello\r\n";

/// A relay that runs in a world, and can be given other settings.
pub(crate) struct ProcessInWorld {
    pub(crate) world: World,
    pub(crate) listener: SocketAddr,
    pub(crate) config: PathBuf,
    pub(crate) relay: Process,
    /// How often it was given other settings.
    pub(crate) reloads: usize,
}

impl ProcessInWorld {
    /// Starts it with these settings besides the usual ones, and waits until it takes connections.
    pub(crate) async fn start(settings: &str) -> Self {
        Self::start_in(World::new().await, [].into_iter(), settings).await
    }

    /// The same in this world, with these resolvers in place of the world's own.
    pub(crate) async fn start_with_resolvers(
        world: World,
        resolvers: &[SocketAddr],
        settings: &str,
    ) -> Self {
        let resolvers: Vec<_> = resolvers.iter().map(ToString::to_string).collect();
        let resolvers = resolvers.join(",");
        let variables = [("STS_RELAY__DNS__SERVERS", resolvers.as_str())];
        Self::start_in(world, variables.into_iter(), settings).await
    }

    async fn start_in<'a>(
        world: World,
        variables: impl Iterator<Item = (&'a str, &'a str)>,
        settings: &str,
    ) -> Self {
        let listener = SocketAddr::new(world.address(), world.smtp_port());
        let config = write_settings(&world, listener, settings);
        let log = world.directory().join("log");
        let mut relay = Process::start_with(&config, log, variables);
        drop(relay.connected(listener).await);
        Self { world, listener, config, relay, reloads: 0 }
    }

    /// Kills it, and starts it again.
    pub(crate) async fn restart_after_kill(&mut self) {
        self.relay.die();
        self.relay = Process::start(&self.config, self.world.directory().join("log"));
        drop(self.relay.connected(self.listener).await);
    }

    /// A domain with one host.
    pub(crate) async fn domain(&self, domain: &str, behaviour: MxBehaviour) -> MxHost {
        let mx = self.world.mx(&format!("mx.{domain}"), behaviour).await;
        self.world.domain(domain).mx(10, &mx);
        mx
    }

    /// Hands a message in; its queue id.
    pub(crate) async fn submit(&mut self, recipients: &[&str]) -> String {
        let mut client = self.relay.connected(self.listener).await;
        assert!(client.ehlo("client.test").await.unwrap().is_positive());
        submit(&mut client, SENDER, recipients, MESSAGE).await.to_string()
    }

    /// The one line of an event for a message.
    pub(crate) async fn line(&self, event: &str, id: &str) -> String {
        self.relay.logged(&format!(" {event} queue_id={id} "), 1).await
    }

    /// Waits until each message was tried so often.
    pub(crate) async fn tried(&self, attempts: u64) {
        let tried = timeout(PATIENCE, async {
            loop {
                let list = asked_json(&self.config, &["queue", "list"]);
                let mut messages = list.as_array().unwrap().iter();
                if messages.all(|message| message["attempts"].as_u64() >= Some(attempts)) {
                    return;
                }
                sleep(Duration::from_millis(20)).await;
            }
        });
        tried.await.expect("a message is not tried");
    }

    /// Starts it again, by these settings besides the usual ones, after it has ended.
    pub(crate) async fn restart(&mut self, settings: &str) {
        write_settings(&self.world, self.listener, settings);
        self.relay = Process::start(&self.config, self.world.directory().join("log"));
        drop(self.relay.connected(self.listener).await);
    }

    /// Has it go by these settings besides the usual ones; what it logs about that.
    pub(crate) async fn reload(&mut self, settings: &str) -> String {
        write_settings(&self.world, self.listener, settings);
        self.reload_as_it_is().await
    }

    /// The same by the file as it is.
    pub(crate) async fn reload_as_it_is(&mut self) -> String {
        self.relay.hang_up();
        self.reloads += 1;
        self.relay.logged(RELOADED, self.reloads).await
    }

    /// A connection, and the reply to EHLO on it.
    pub(crate) async fn hello(&self) -> (Sender, String) {
        let mut client = Sender::connect(self.listener).await.unwrap();
        let reply = client.ehlo("client.test").await.unwrap();
        (client, reply.to_string())
    }
}
