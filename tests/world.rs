//! A relay in a small internet of its own: everything the end-to-end tests begin with.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, SystemTime};

use clock::{Clock as _, SetClock};
use queue::{Details, Filter, Queue, QueueId, Reason, Selection};
use reporting::Reporting;
use settings::{Settings, Source};
use sts_relay::Relay;
use testbed::{MxBehaviour, MxHost, PolicyText, Sender, World};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::block_in_place;

/// How long anything may take before a test gives up; nothing is measured by it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// How often the queue is looked at while something is waited for.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// When every relay is started by its clock: 1 January 2030.
const START: Duration = Duration::from_secs(1_893_456_000);

/// Who sends, unless a test says otherwise.
pub(crate) const SENDER: &str = "<ann@sender.test>";

/// What is sent, unless a test says otherwise.
pub(crate) const MESSAGE: &[u8] =
    b"From: ann@sender.test\r\nSubject: hello\r\n\r\nHow are you?\r\n";

/// A relay, the internet around it, and its clock.
#[derive(Debug)]
pub(crate) struct RelayInWorld {
    pub(crate) world: World,
    pub(crate) clock: Arc<SetClock>,
    listener: SocketAddr,
    config: PathBuf,
    relay: Option<Relay>,
}

impl RelayInWorld {
    /// Starts a relay in a new world.
    pub(crate) async fn start() -> Self {
        Self::start_with("").await
    }

    /// The same, with these lines of settings besides the usual ones.
    pub(crate) async fn start_with(settings: &str) -> Self {
        let world = World::new().await;
        let listener = SocketAddr::new(world.address(), world.smtp_port());
        Self::start_in(world, listener, settings).await
    }

    /// The same, with a listener of its own choice, at the port at which it looks for MX hosts.
    pub(crate) async fn start_in(world: World, listener: SocketAddr, settings: &str) -> Self {
        Self::start_as(world, (listener, ""), settings).await
    }

    /// The same, with a listener for which these are set besides its address.
    pub(crate) async fn start_offering(offers: &str, settings: &str) -> Self {
        let world = World::new().await;
        let listener = SocketAddr::new(world.address(), world.smtp_port());
        Self::start_as(world, (listener, offers), settings).await
    }

    /// The same in this world.
    pub(crate) async fn start_as(
        world: World,
        (listener, offers): (SocketAddr, &str),
        settings: &str,
    ) -> Self {
        let flavor = Handle::current().runtime_flavor();
        assert_eq!(flavor, RuntimeFlavor::MultiThread, "tokio::test(flavor = \"multi_thread\")");
        let clock = Arc::new(SetClock::new(SystemTime::UNIX_EPOCH + START));
        let config = write_settings_for((&world, listener.port()), (listener, offers), settings);
        let mut relay = Self { world, clock, listener, config, relay: None };
        Box::pin(relay.open()).await;
        relay
    }

    /// Where mail is taken in.
    pub(crate) const fn listener(&self) -> SocketAddr {
        self.listener
    }

    /// Where monitors may ask, if `admin.address` is set.
    pub(crate) fn monitors(&self) -> SocketAddr {
        self.relay.as_ref().unwrap().admin_address().unwrap()
    }

    /// The settings that it runs by.
    pub(crate) fn settings(&self) -> &Settings {
        self.relay.as_ref().unwrap().settings()
    }

    /// The queue.
    pub(crate) fn queue(&self) -> &Queue {
        self.relay.as_ref().unwrap().queue()
    }

    /// Its TLS reports.
    pub(crate) fn reporting(&self) -> &Reporting {
        self.relay.as_ref().unwrap().reporting()
    }

    /// Its settings file.
    pub(crate) fn config(&self) -> &Path {
        &self.config
    }

    /// Stops the relay in order, and starts another with what it has left behind.
    pub(crate) async fn restart(&mut self) {
        self.stop().await;
        self.open().await;
    }

    /// Waits until the policies that were due when the relay started have been refreshed.
    pub(crate) async fn policies_refreshed(&self) {
        let refreshed = self.relay.as_ref().unwrap().policies_refreshed();
        tokio::time::timeout(PATIENCE, refreshed).await.expect("policies refreshed in time");
    }

    /// Stops the relay in order, if it has not been.
    pub(crate) async fn stop(&mut self) {
        if let Some(relay) = self.relay.take() {
            relay.stop().await;
        }
    }

    async fn open(&mut self) {
        let source = Source::read(Some(&self.config), []).unwrap();
        let settings = Settings::check(&source, self.clock.now()).unwrap();
        let clock = Arc::clone(&self.clock);
        self.relay = Some(Box::pin(Relay::start(settings, clock)).await.unwrap());
    }

    /// Hands in a message from the usual sender; its name in the queue.
    pub(crate) async fn submit(&self, recipients: &[&str]) -> QueueId {
        self.submit_from(SENDER, recipients).await
    }

    /// Hands in a message; its name in the queue.
    pub(crate) async fn submit_from(&self, sender: &str, recipients: &[&str]) -> QueueId {
        submit(&mut self.client().await, sender, recipients, MESSAGE).await
    }

    /// A client that has said EHLO.
    pub(crate) async fn client(&self) -> Sender {
        let mut client = Sender::connect(self.listener).await.unwrap();
        assert!(client.ehlo("client.test").await.unwrap().is_positive());
        client
    }

    /// Lets time pass, and has everything that is due by then tried.
    pub(crate) async fn pass(&self, time: Duration) {
        self.clock.advance(time);
        self.queue().retry(Selection::All).await.unwrap();
    }

    /// Has everything tried at once.
    pub(crate) async fn retry(&self) {
        self.queue().retry(Selection::All).await.unwrap();
    }

    /// What the queue says of a message; none once it has left.
    pub(crate) fn show(&self, id: QueueId) -> Option<Details> {
        looked(self.queue().store().show(id)).unwrap()
    }

    /// Waits until each of a message's recipients was tried so often, and is still there.
    pub(crate) async fn deferred(&self, id: QueueId, attempts: u32) -> Vec<Reason> {
        self.until(&format!("{id} to be deferred {attempts} times"), || {
            let details = self.show(id)?;
            let tried = details.entries.iter().all(|entry| entry.attempts >= attempts);
            let recipients = details.entries.iter().flat_map(|entry| &entry.recipients);
            tried.then(|| recipients.filter_map(|recipient| recipient.reason.clone()).collect())
        })
        .await
    }

    /// Waits until nothing of a message is left in the queue.
    pub(crate) async fn gone(&self, id: QueueId) {
        let gone = || self.show(id).is_none().then_some(());
        self.until(&format!("{id} to leave the queue"), gone).await;
    }

    /// Waits until the queue is empty.
    pub(crate) async fn empty(&self) {
        let empty =
            || looked(self.queue().store().list(&Filter::default(), None, 1)).unwrap().is_empty();
        self.until("the queue to be empty", || empty().then_some(())).await;
    }

    /// Waits until exactly one message is in the queue; its name.
    pub(crate) async fn only(&self) -> QueueId {
        self.until("one message to be in the queue", || {
            let messages = looked(self.queue().store().list(&Filter::default(), None, 2)).unwrap();
            if let [message] = &messages[..] { Some(message.id) } else { None }
        })
        .await
    }

    /// Waits until there is what is looked for.
    ///
    /// The queue tells nobody what has changed in it, so it is looked at again and again.
    pub(crate) async fn until<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let found = tokio::time::timeout(PATIENCE, async {
            loop {
                if let Some(found) = look() {
                    return found;
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        });
        match found.await {
            Ok(found) => found,
            Err(_elapsed) => panic!("waited in vain for {what}\n{}", self.story()),
        }
    }

    /// What is in the queue and what was on the wire, for a test that fails.
    pub(crate) fn story(&self) -> String {
        let mut story = String::from("in the queue:\n");
        for summary in looked(self.queue().store().list(&Filter::default(), None, 50)).unwrap() {
            for entry in self.show(summary.id).into_iter().flat_map(|details| details.entries) {
                for recipient in entry.recipients {
                    let text = recipient.reason.map(|reason| reason.text);
                    let (id, tried) = (summary.id, entry.attempts);
                    let mailbox = recipient.recipient.mailbox;
                    writeln!(story, "{id} for {mailbox}, tried {tried} times: {text:?}").unwrap();
                }
            }
        }
        story + "on the wire:\n" + &self.world.tap().to_string()
    }

    /// Nothing that a well-behaved client would not do was done.
    pub(crate) fn is_well_behaved(&self) {
        assert_eq!(self.world.tap().violations(), Vec::<String>::new());
    }

    /// A domain with one MX host, `mx.` and its name, and no policy.
    pub(crate) async fn domain(&self, domain: &str, behaviour: MxBehaviour) -> MxHost {
        let mx = self.world.mx(&format!("mx.{domain}"), behaviour).await;
        self.world.domain(domain).mx(10, &mx);
        mx
    }

    /// The same, with an enforced policy that names the host.
    pub(crate) async fn enforcing_domain(&self, domain: &str, behaviour: MxBehaviour) -> MxHost {
        let mx = self.domain(domain, behaviour).await;
        self.world.domain(domain).sts("1").policy(PolicyText::enforce([mx.name()])).await;
        mx
    }
}

impl Drop for RelayInWorld {
    /// Stops the relay before its world is taken away, so that it finds its data directory to the
    /// end. It has to be waited for, which takes a runtime of more than one thread; a runtime that
    /// is itself coming down stops nothing any more, so the wait has an end.
    fn drop(&mut self) {
        if let Some(relay) = self.relay.take() {
            let (stopped, wait) = mpsc::channel();
            let runtime = Handle::current();
            let stop = thread::spawn(move || {
                runtime.block_on(relay.stop());
                stopped.send(()).ok();
            });
            if block_in_place(|| wait.recv_timeout(PATIENCE)).is_ok() {
                stop.join().ok();
            }
        }
    }
}

/// Hands in a message on a connection that has said EHLO; its name in the queue.
pub(crate) async fn submit(
    client: &mut Sender,
    sender: &str,
    recipients: &[&str],
    message: &[u8],
) -> QueueId {
    let reply = client.send(sender, recipients, message).await.unwrap();
    assert_eq!(reply.code, 250, "{reply}");
    let text = reply.text();
    text.rsplit(' ').next().unwrap().parse().unwrap_or_else(|_| panic!("no queue id: {text}"))
}

/// Writes a settings file that makes a relay part of `world`: its names, authority and ports.
pub(crate) fn write_settings(world: &World, listener: SocketAddr, more: &str) -> PathBuf {
    write_settings_for((world, world.smtp_port()), (listener, ""), more)
}

/// The same, for MX hosts at this port and a listener that offers this.
fn write_settings_for(
    (world, smtp): (&World, u16),
    (listener, offers): (SocketAddr, &str),
    more: &str,
) -> PathBuf {
    let directory = world.directory();
    let offers = if offers.is_empty() { String::new() } else { format!(", {offers}") };
    let (data_dir, ca_file) = (directory.join("data"), world.ca_file());
    let (dns, https) = (world.dns_address(), world.https_port());
    let text = format!(
        "hostname = \"relay.test\"\n\
         data_dir = {data_dir:?}\n\
         shutdown_grace = \"20s\"\n\
         listener = [{{ address = \"{listener}\"{offers} }}]\n\
         dns.servers = [\"{dns}\"]\n\
         trust.ca_file = {ca_file:?}\n\
         trust.extend = false\n\
         mta_sts.https_port = {https}\n\
         mta_sts.allow_private_policy_hosts = true\n\
         delivery.smtp_port = {smtp}\n\
         {more}\n"
    );
    let config = directory.join("sts-relay.toml");
    fs::write(&config, text).unwrap();
    config
}

/// What a look into the queue finds, for those who cannot wait for it: it is waited for elsewhere.
pub(crate) fn looked<T: Send>(look: impl Future<Output = T> + Send) -> T {
    thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(look)
        });
        waiting.join().unwrap()
    })
}
