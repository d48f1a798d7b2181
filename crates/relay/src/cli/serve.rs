//! `sts-relay serve`: runs the relay until it is told to stop.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use admin::server::operator::Operator;
use anyhow::Context as _;
use clock::{Clock as _, SystemClock, Timestamp};
use history::Act;
use mta_sts::{Exception, Exceptions};
use settings::{Settings, Source};
use tokio::runtime::Runtime;
use tracing::{error, info, warn};

use super::output::Reader;
use super::service_manager::ServiceManager;
use super::signals::{Signalled, Signals};
use crate::cli::ending::Ending;
use crate::cli::output::Output;
use crate::log::Log;
use crate::relay::Relay;
use crate::{descriptors, preflight};

/// Runs the relay by the settings that `read` finds, now and whenever they are to be read again.
pub(super) fn run(
    read: impl Fn() -> anyhow::Result<(Settings, Source)>,
    output: &mut Output,
) -> anyhow::Result<Ending> {
    let (settings, source) = read()?;
    let log = Log::install(&settings.log, &settings.data_dir);
    tell_of_exceptions(&Exceptions::default(), &settings.policies.exceptions, &source);
    descriptors::raise(&settings);
    doubt(&settings);
    for warning in preflight::queues_elsewhere(&settings.data_dir) {
        warn!(warning, "environment warning");
    }
    Runtime::new()?.block_on(Box::pin(serve((settings, source), Again { read, log }, output)))
}

/// Says what is allowed, and yet hardly meant.
fn doubt(settings: &Settings) {
    for warning in &settings.warnings {
        warn!(warning, "settings warning");
    }
}

/// Starts, waits, stops.
async fn serve<R: Fn() -> anyhow::Result<(Settings, Source)>>(
    (settings, mut source): (Settings, Source),
    again: Again<R>,
    output: &mut Output,
) -> anyhow::Result<Ending> {
    // Before anything is started, so that a signal during the start is not the end of the process.
    let mut signals = Signals::listen().context("signal handlers cannot be installed")?;
    let start = Relay::start(settings, Arc::new(SystemClock));
    let mut relay = tokio::select! {
        relay = start => relay.context("the relay cannot be started")?,
        () = signals.stop() => return Ok(Ending::Done),
    };
    tell(&relay, &source, output)?;
    let mut manager = ServiceManager::ready();
    let around = look_around(relay.settings().clone(), source.clone());
    let mut around = std::pin::pin!(around);
    let mut looked = false;
    let ended = loop {
        tokio::select! {
            () = manager.keep_alive() => {}
            () = &mut around, if !looked => looked = true,
            told = signals.next() => match told {
                Signalled::Reload(by) => {
                    manager.reloading();
                    let act = again.reload(&mut relay, &mut source);
                    manager.reloaded();
                    relay.actions().record(&by, act).await;
                }
                Signalled::Stop => break None,
            },
            ended = relay.ended() => break Some(ended),
        }
    };
    manager.stopping();
    tokio::select! {
        () = relay.stop() => {}
        // Someone is in a hurry; the queue is made for worse.
        () = signals.stop() => warn!("second signal received: stopped at once"),
    }
    ended.map_or(Ok(Ending::Done), |ended| Err(ended.into()))
}

/// Says what around the relay keeps it from doing its work well; it works meanwhile.
async fn look_around(settings: Settings, source: Source) {
    let mut found = preflight::of_machine(&settings, &source, SystemClock.now());
    found.extend(preflight::of_network(&settings).await);
    for warning in found {
        warn!(warning, "environment warning");
    }
}

/// What it takes to read the settings again.
struct Again<R> {
    read: R,
    log: Log,
}

impl<R: Fn() -> anyhow::Result<(Settings, Source)>> Again<R> {
    /// Reads everything again and goes by it; or by nothing of it, and says what is wrong with it.
    ///
    /// The files are small and local, so nothing is lost by waiting for them here.
    fn reload(&self, relay: &mut Relay, source: &mut Source) -> Act {
        match self.read_and_use(relay) {
            Ok((new, kept)) => {
                let changes = new.changes_from(source);
                *source = new;
                let changed = changes.join(", ");
                info!(changed, "settings reloaded");
                if !kept.is_empty() {
                    warn!(settings = kept.join(", "), "restart required for changed settings");
                }
                Act::Reload { changed: changes, error: None }
            }
            Err(error) => {
                // One line, however many faults there are.
                let error = format!("{error:#}").replace('\n', "; ");
                error!(error, "settings reload failed: previous settings kept");
                Act::Reload { changed: Vec::new(), error: Some(error) }
            }
        }
    }

    fn read_and_use(&self, relay: &mut Relay) -> anyhow::Result<(Source, Vec<&'static str>)> {
        let (settings, source) = (self.read)()?;
        let before = relay.settings().policies.exceptions.clone();
        let kept = relay.reload(settings)?;
        tell_of_exceptions(&before, &relay.settings().policies.exceptions, &source);
        self.log.change(&relay.settings().log, &relay.settings().data_dir);
        doubt(relay.settings());
        Ok((source, kept))
    }
}

/// Says which exceptions are new and which are gone, and who owns the file that says so.
fn tell_of_exceptions(before: &Exceptions, now: &Exceptions, source: &Source) {
    let only_in = |one: &Exceptions, other: &Exceptions| -> Vec<Arc<Exception>> {
        let kept = |exception: &&Arc<Exception>| other.iter().any(|kept| kept == *exception);
        one.iter().filter(|exception| !kept(exception)).cloned().collect()
    };
    let by = source.file().and_then(Operator::of_owner);
    let by = by.map_or_else(|| "the environment".to_owned(), |by| by.to_string());
    for exception in only_in(now, before) {
        let (domain, reason) = (exception.domain(), exception.reason());
        let until = Timestamp::of(exception.until());
        info!(%domain, %until, reason, by, "exception added");
    }
    for exception in only_in(before, now) {
        let (domain, reason) = (exception.domain(), exception.reason());
        let until = Timestamp::of(exception.until());
        info!(%domain, %until, reason, by, "exception removed");
    }
}

/// Says where the relay is, and to a person what to try next.
fn tell(relay: &Relay, source: &Source, output: &mut Output) -> io::Result<()> {
    let addresses: Vec<_> = relay.addresses().iter().map(ToString::to_string).collect();
    let addresses = addresses.join(", ");
    let data_dir = relay.settings().data_dir.display();
    let version = env!("CARGO_PKG_VERSION");
    let hostname = &relay.settings().listener.hostname;
    let file = source.file().map(|file| file.display().to_string());
    let settings = file.as_deref().unwrap_or("defaults");
    info!(version, %hostname, addresses, %data_dir, settings, "started");
    if output.reader() == Reader::Program {
        return Ok(());
    }
    let Some(address) = relay.addresses().first() else { return Ok(()) };
    // In one piece, so that no line of the log comes between.
    output.line(format_args!(
        "\nsts-relay {version}, {hostname}\n  \
           accepts mail at    {addresses}\n  \
           stores it in       {data_dir}\n  \
           settings           {settings}\n\n\
         Send yourself a message through it, from another terminal (put your address for {YOURS}):\n  {}\n\
         and see where it is:\n  {}\n",
        try_sending(*address),
        try_listing(file.as_deref()),
    ))
}

/// Stands for the address of whoever tries the relay out: no address of ours would take the message.
const YOURS: &str = "YOU@YOUR.DOMAIN";

/// A command that sends a message through the listener at `address`.
fn try_sending(mut address: SocketAddr) -> String {
    // All addresses of this machine are no address to connect to.
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    format!(
        "printf 'Subject: hello\\r\\n\\r\\nhello\\r\\n' | curl smtp://{address} \
         --mail-from {YOURS} --mail-rcpt {YOURS} -T -"
    )
}

/// A command that lists the queue of this relay.
fn try_listing(file: Option<&str>) -> String {
    let program = std::env::args().next().unwrap_or_else(|| "sts-relay".to_owned());
    let config = file.map(|file| format!(" --config {file}")).unwrap_or_default();
    format!("{program} queue list{config}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_to_try_leads_to_an_address_that_can_be_connected_to() {
        for (bound, tried) in [
            ("127.0.0.1:2525", "smtp://127.0.0.1:2525 "),
            ("0.0.0.0:25", "smtp://127.0.0.1:25 "),
            ("[::]:25", "smtp://[::1]:25 "),
            ("[2001:db8::1]:25", "smtp://[2001:db8::1]:25 "),
        ] {
            let command = try_sending(bound.parse().unwrap());
            assert!(command.contains(tried), "{command}");
        }
    }
}
