//! A private internet in process and a real relay in it: what `sts-relay demo` shows.
//!
//! The names, policy hosts and MX hosts are `testbed`'s, on loopback addresses of their own; the
//! relay is the one that serves, with its queue in a temporary directory. What became of a message
//! is told twice, by the relay's log and by a tap at the MX hosts, and believed only where both
//! agree. This is the one module that knows `testbed`, and nothing that serves knows this module
//! (docs/decisions/0009-demo.md).

mod fate;
mod hearing;
mod internet;
mod judgement;
mod kind;
mod row;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clock::{Clock as _, SystemClock};
use settings::{Settings, SettingsError, Source};
use testbed::{Sender, World};
use thiserror::Error;
use tokio::time::timeout;

use crate::relay::{Relay, StartError};

pub(crate) use fate::Fate;
pub(crate) use hearing::Hearing;
use hearing::{Ears, Handover};
use internet::Internet;
pub(crate) use kind::Kind;
pub(crate) use row::Row;

/// How long one message may take; all of them take a second or two together.
const PATIENCE: Duration = Duration::from_secs(30);

/// Who sends.
const SENDER: &str = "<ann@sender.test>";

/// The demonstration could not be given.
#[derive(Debug, Error)]
pub(crate) enum DemoError {
    /// There is no room for an internet.
    #[error(
        "no private internet can be made: it needs all of 127.0.0.0/8, which Linux gives to every \
         program and macOS to none (run it in a Linux container there), and a temporary directory"
    )]
    Internet(#[source] io::Error),
    /// The relay does not take a message.
    #[error("the relay does not take mail in")]
    Mail(#[source] io::Error),
    /// The operators' page cannot be opened.
    #[error("the operators' page cannot be opened")]
    Page(#[source] anyhow::Error),
    /// The relay refuses a message.
    #[error("the relay refused mail to {domain}: {reply}")]
    Refused {
        /// The domain.
        domain: &'static str,
        /// What it said.
        reply: String,
    },
    /// Its settings cannot be used.
    #[error("the relay's settings cannot be used")]
    Settings(#[from] SettingsError),
    /// Its log tells nothing.
    #[error("the relay logged nothing about mail to {domain} for {PATIENCE:?}")]
    Silence {
        /// Whose mail.
        domain: &'static str,
    },
    /// The relay cannot be started.
    #[error("the relay cannot be started")]
    Start(#[from] StartError),
    /// A row cannot be told.
    #[error("the answer cannot be written")]
    Tell(#[source] io::Error),
}

/// Who is told what happens.
pub(crate) trait Audience {
    /// What became of one message.
    fn row(&mut self, row: &Row) -> io::Result<()>;

    /// All of it has been told, and the relay, whose admin socket this is, runs until this returns.
    async fn stay(&mut self, admin_socket: &Path, rows: &[Row]) -> anyhow::Result<()>;
}

/// Sends a message to a domain of each kind, and tells what became of it as soon as that is known.
///
/// # Errors
///
/// [`DemoError`]; that a promise was broken is none, but in the row.
pub(crate) async fn run(ears: Ears, audience: &mut impl Audience) -> Result<Vec<Row>, DemoError> {
    let world = World::create().await.map_err(DemoError::Internet)?;
    let internet = Internet::new(&world).await;
    let relay = start(&internet).await?;
    let mut rows = Show { internet, relay: &relay, ears, audience }.give().await;
    if let Ok(shown) = &rows {
        let stayed = audience.stay(&relay.settings().admin_socket, shown).await;
        rows = stayed.map_err(DemoError::Page).and(rows);
    }
    relay.stop().await;
    world.close().await;
    rows
}

/// Starts the relay.
async fn start(internet: &Internet<'_>) -> Result<Relay, DemoError> {
    let file = internet.settings().map_err(DemoError::Internet)?;
    // Nothing of the environment: the demonstration is the same everywhere.
    let source = Source::read(Some(&file), [])?;
    let settings = Settings::check(&source, SystemClock.now())?;
    Ok(Relay::start(settings, Arc::new(SystemClock)).await?)
}

/// Everything that is on stage.
struct Show<'a, A> {
    internet: Internet<'a>,
    relay: &'a Relay,
    ears: Ears,
    audience: &'a mut A,
}

impl<A: Audience> Show<'_, A> {
    /// Gives the show.
    async fn give(mut self) -> Result<Vec<Row>, DemoError> {
        // What is known from before the attack.
        self.send(Kind::Cached).await?;
        self.heard(Kind::Cached).await?;
        self.internet.attack().await.map_err(DemoError::Internet)?;

        for kind in Kind::ALL {
            self.send(kind).await?;
        }
        let mut rows = Vec::new();
        for kind in Kind::ALL {
            let handover = self.heard(kind).await?;
            let row = judgement::of(kind, &handover, &self.internet.seen_of(kind));
            self.audience.row(&row).map_err(DemoError::Tell)?;
            rows.push(row);
        }
        Ok(rows)
    }

    /// Hands in a message for a domain of this kind.
    async fn send(&self, kind: Kind) -> Result<(), DemoError> {
        let domain = kind.domain();
        let reply = self.hand_in(domain).await.map_err(DemoError::Mail)?;
        if reply.code == 250 {
            return Ok(());
        }
        Err(DemoError::Refused { domain, reply: reply.text() })
    }

    /// One session with the relay's listener.
    async fn hand_in(&self, domain: &str) -> io::Result<testbed::Reply> {
        let Some(address) = self.relay.addresses().first() else {
            return Err(io::ErrorKind::AddrNotAvailable.into());
        };
        let mut sender = Sender::connect(*address).await?;
        let _greeted = sender.ehlo("sender.test").await?;
        let message = format!("From: ann@sender.test\r\nSubject: to {domain}\r\n\r\nHello.\r\n");
        sender.send(SENDER, &[&format!("<bob@{domain}>")], message.as_bytes()).await
    }

    /// Waits until the relay has told what it did.
    async fn heard(&mut self, kind: Kind) -> Result<Handover, DemoError> {
        let domain = kind.domain();
        let handover = timeout(PATIENCE, self.ears.of(domain)).await.ok().flatten();
        handover.ok_or(DemoError::Silence { domain })
    }
}
