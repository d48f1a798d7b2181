//! Sessions: the only file in which one is born.
//!
//! A [`Plain`] connection can greet, upgrade and quit. It has no MAIL, RCPT or DATA; those belong
//! to a [`Session`], and a `Session` comes from [`Plain::verify`], [`Plain::settle`],
//! [`Plain::settle_in_clear`] and `Session::implicit` alone. What has to be read to believe "no plaintext under enforce" is
//! these functions and `mta_sts::decision`.
//!
//! An enforced route has no way to settle for less:
//!
//! ```compile_fail,E0599
//! # async fn f(plain: delivery::Plain<mta_sts::VerifiedRoute>, tls: &delivery::Observing) {
//! let (session, observation) = plain.settle(tls).await;
//! # drop((session, observation)); }
//! ```
//!
//! ```
//! # async fn f(plain: delivery::Plain<mta_sts::VerifiedRoute>, tls: &delivery::WebPki) {
//! let (session, observation) = plain.verify(tls).await;
//! # drop((session, observation)); }
//! ```
//!
//! It is not verified by a configuration that accepts any certificate:
//!
//! ```compile_fail,E0308
//! # async fn f(plain: delivery::Plain<mta_sts::VerifiedRoute>, tls: &delivery::Observing) {
//! let (session, observation) = plain.verify(tls).await;
//! # drop((session, observation)); }
//! ```
//!
//! A connection that failed to verify is gone, and there is nothing left to try again with:
//!
//! ```compile_fail,E0382
//! # async fn f(plain: delivery::Plain<mta_sts::VerifiedRoute>, tls: &delivery::WebPki) {
//! let first = plain.verify(tls).await;
//! let second = plain.verify(tls).await;
//! # drop((first, second)); }
//! ```
//!
//! A route of the operator's own, with proof of the host's name, has no way to settle either:
//!
//! ```compile_fail,E0599
//! # async fn f(plain: delivery::Plain<mta_sts::DemandedRoute>, tls: &delivery::Observing) {
//! let (session, observation) = plain.settle(tls).await;
//! # drop((session, observation)); }
//! ```
//!
//! ```
//! # async fn f(plain: delivery::Plain<mta_sts::DemandedRoute>, tls: &delivery::WebPki) {
//! let (session, observation) = plain.verify(tls).await;
//! # drop((session, observation)); }
//! ```
//!
//! Mail needs a session:
//!
//! ```compile_fail,E0599
//! # fn f(mut plain: delivery::Plain<mta_sts::VerifiedRoute>, required: &mta_sts::RequiredTls) {
//! let transaction = plain.mail(required);
//! # drop(transaction); }
//! ```
//!
//! ```
//! # fn f(mut session: delivery::Session<delivery::Verified>, required: &mta_sts::RequiredTls) {
//! let transaction = session.mail(required);
//! # drop(transaction); }
//! ```
//!
//! And a session with a peer that could be anyone is of no use to mail under an enforced policy,
//! however long it has been open:
//!
//! ```compile_fail,E0308
//! # fn f(mut session: delivery::Session<delivery::Unverified>, required: &mta_sts::RequiredTls) {
//! let transaction = session.mail(required);
//! # drop(transaction); }
//! ```
//!
//! ```
//! # fn f(mut session: delivery::Session<delivery::Unverified>, fallback: &mta_sts::Fallback) {
//! let transaction = session.mail(fallback);
//! # drop(transaction); }
//! ```

mod implicit;
mod login;
mod look;
mod open;
mod room;
mod strict;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use mail::{CertificateVerdict, Channel};
use mta_sts::OpenHost;
use rustls::pki_types::ServerName;
use smtp::{Reply, ReplyCode, Severity};
use tls_policy::Trust;
use tls_rpt::Observation;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

use crate::capabilities::{Capabilities, Extension};
use crate::dialogue::{Dialogue, DialogueError};
use crate::failure::{SessionFailure, Stage, TlsFailure};
use crate::line_io::Stream;
use crate::patience::Patience;
use crate::settings::DeliverySettings;
use crate::tls::WebPki;
use crate::tls::record::tls_record;
use crate::transaction::{Opening, Transaction};

pub use self::login::LoginFailure;
pub use self::open::{BrokenHandshake, Unsettled};
pub use self::strict::Strict;

/// The two ends of a connection, for the log and for reports.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Ends {
    /// The host's address.
    pub receiving: Option<SocketAddr>,
    /// Our own.
    pub sending: Option<IpAddr>,
}

/// A cleartext connection that has heard the greeting and the EHLO reply.
#[derive(Debug)]
pub struct Plain<Route, S: Stream = TcpStream> {
    route: Route,
    dialogue: Dialogue<S>,
    /// What was said in clear; it dies with this value (RFC 3207 §4.2).
    capabilities: Capabilities,
    ends: Ends,
    settings: Arc<DeliverySettings>,
}

impl<Route, S: Stream> Plain<Route, S> {
    /// Hears the greeting of the host at the other end of `stream`, and says EHLO.
    ///
    /// # Errors
    ///
    /// [`SessionFailure`]; the connection is closed.
    pub async fn greet(
        route: Route,
        stream: S,
        ends: Ends,
        settings: Arc<DeliverySettings>,
    ) -> Result<Self, SessionFailure> {
        Self::greet_within(&Arc::default(), route, stream, ends, settings).await
    }

    /// The same, in an attempt with this patience.
    pub(crate) async fn greet_within(
        patience: &Arc<Patience>,
        route: Route,
        stream: S,
        ends: Ends,
        settings: Arc<DeliverySettings>,
    ) -> Result<Self, SessionFailure> {
        let dialogue = Dialogue::within(stream, Arc::clone(patience));
        let dialogue = greeting(dialogue, &settings).await?;
        let (dialogue, capabilities) = hello(dialogue, &settings, Stage::Hello).await?;
        Ok(Self { route, dialogue, capabilities, ends, settings })
    }
}

impl<Route: Strict, S: Stream> Plain<Route, S> {
    /// Upgrades with STARTTLS, and has the peer prove the host's name (RFC 8461 §4.2).
    ///
    /// The name looked for is the route's own, and there is no other in reach.
    pub async fn verify(
        self,
        tls: &WebPki,
    ) -> (Result<Session<Route::Trust, S>, SessionFailure>, Observation) {
        let Self { route, dialogue, capabilities, ends, settings } = self;
        let patience = Arc::clone(dialogue.patience());
        let stream = prove(&route, dialogue, &capabilities, tls, &settings).await;
        let observation = route.observed(ends, stream.as_ref().map(|_| ()));
        let session = match stream {
            Ok(stream) => {
                let verdict = CertificateVerdict::Valid;
                Session::under_tls(route, (stream, patience), verdict, ends, settings).await
            }
            Err(failure) => Err(SessionFailure::Tls(failure)),
        };
        (session, observation)
    }
}

/// The verifying half of STARTTLS: after it the peer is the route's host.
async fn prove<S: Stream>(
    route: &impl Strict,
    mut dialogue: Dialogue<S>,
    capabilities: &Capabilities,
    tls: &WebPki,
    settings: &DeliverySettings,
) -> Result<TlsStream<S>, TlsFailure> {
    let mx = route.host().as_str();
    if let Err(failure) = starttls(&mut dialogue, capabilities, settings).await {
        dialogue.quit(settings.timeouts.quit).await;
        return Err(failure);
    }
    let limit = dialogue.patience().at_most(settings.timeouts.tls);
    let stream = dialogue.into_stream().map_err(TlsFailure::Injected)?;
    let name = ServerName::try_from(mx.to_owned())
        .map_err(|_invalid| TlsFailure::NotAName(mx.to_owned()))?;
    tls.handshake(stream, name, limit).await.map_err(TlsFailure::Handshake)
}

/// A stream in clear or under TLS.
pub(crate) type Wire<S> = Either<S, Box<TlsStream<S>>>;

/// A session on which mail can be sent, for what its route was made for.
pub struct Session<T: Trust, S: Stream = TcpStream> {
    route: T::Route,
    host: String,
    dialogue: Dialogue<Wire<S>>,
    capabilities: Capabilities,
    channel: Channel,
    ends: Ends,
    settings: Arc<DeliverySettings>,
    /// How many transactions were begun.
    transactions: usize,
    began: Instant,
}

impl<T: Trust, S: Stream> Session<T, S> {
    /// A session under TLS that has just begun: what was said before it is forgotten, and EHLO is
    /// said again (RFC 3207 §4.2).
    async fn under_tls(
        route: T::Route,
        (stream, patience): (TlsStream<S>, Arc<Patience>),
        verdict: CertificateVerdict,
        ends: Ends,
        settings: Arc<DeliverySettings>,
    ) -> Result<Self, SessionFailure> {
        let channel = Channel::Tls(Arc::new(tls_record(stream.get_ref().1, verdict)));
        let dialogue = Dialogue::within(Either::Right(Box::new(stream)), patience);
        let (dialogue, capabilities) = hello(dialogue, &settings, Stage::HelloAgain).await?;
        Ok(Self::with(route, dialogue, capabilities, (channel, ends), settings))
    }

    fn with(
        route: T::Route,
        dialogue: Dialogue<Wire<S>>,
        capabilities: Capabilities,
        (channel, ends): (Channel, Ends),
        settings: Arc<DeliverySettings>,
    ) -> Self {
        let (host, began) = (name(&T::host(&route)), Instant::now());
        let transactions = 0;
        Self { route, host, dialogue, capabilities, channel, ends, settings, transactions, began }
    }

    /// Begins a transaction, the first or one more, for recipients that the session was made for.
    ///
    /// # Errors
    ///
    /// [`WrongSession`] where it was made for another next hop, or under a policy that is not the
    /// recipients' own any more.
    pub fn mail(&mut self, leave: &T::Leave) -> Result<Transaction<'_, Wire<S>>, WrongSession> {
        if !self.covers(leave) {
            return Err(WrongSession { host: self.host.clone() });
        }
        let opening = if self.is_used() { Opening::Reset } else { Opening::Fresh };
        self.transactions = self.transactions.saturating_add(1);
        let timeouts = &self.settings.timeouts;
        Ok(Transaction::new(&mut self.dialogue, &self.capabilities, timeouts).opened(opening))
    }

    /// Whether mail with this leave may be sent.
    pub(crate) fn covers(&self, leave: &T::Leave) -> bool {
        T::covers(&self.route, leave)
    }

    /// Whether these are the settings it was made with; others come with other trust roots.
    pub(crate) fn was_made_with(&self, settings: &Arc<DeliverySettings>) -> bool {
        Arc::ptr_eq(&self.settings, settings)
    }

    /// Whether a transaction has been begun.
    pub(crate) const fn is_used(&self) -> bool {
        self.transactions > 0
    }

    /// Whether one more message may be sent some time later.
    pub(crate) fn may_go_on(&self) -> bool {
        self.transactions < self.settings.messages_per_connection
            && self.takes_more()
            && self.began.elapsed() < self.settings.connection_age
    }

    /// Whether the peer has said nothing since it was last heard, and has not closed the
    /// connection: what it says unasked is a farewell (RFC 5321 §3.8).
    pub(crate) fn is_quiet(&mut self) -> bool {
        self.dialogue.is_quiet()
    }

    /// The host at the other end.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Its address.
    pub(crate) const fn address(&self) -> Option<SocketAddr> {
        self.ends.receiving
    }

    /// What the session runs over.
    #[must_use]
    pub const fn channel(&self) -> &Channel {
        &self.channel
    }

    /// Waits as the attempt does that has the session now.
    pub(crate) fn wait_with(&mut self, patience: &Arc<Patience>) {
        self.dialogue.wait_with(Arc::clone(patience));
    }

    /// Belongs to no attempt any more.
    pub(crate) fn rest(&mut self) {
        self.dialogue.wait_with(Arc::default());
    }

    /// Leaves only the end of the session to be done; whatever was taken is taken.
    pub(crate) fn close(mut self) -> Farewell<S> {
        self.rest();
        Farewell { dialogue: self.dialogue, settings: self.settings }
    }

    /// Ends the session; whatever was taken is taken.
    pub async fn quit(self) {
        self.close().quit().await;
    }
}

impl<T: Trust, S: Stream> fmt::Debug for Session<T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("route", &self.route)
            .field("tls", &self.channel.word())
            .field("transactions", &self.transactions)
            .finish_non_exhaustive()
    }
}

/// A session over which no more mail goes: what is left is to say so.
#[derive(Debug)]
pub(crate) struct Farewell<S: Stream> {
    dialogue: Dialogue<Wire<S>>,
    settings: Arc<DeliverySettings>,
}

impl<S: Stream> Farewell<S> {
    /// Says QUIT, and waits a moment for the answer (RFC 5321 §4.1.1.10).
    pub(crate) async fn quit(self) {
        self.dialogue.quit(self.settings.timeouts.quit).await;
    }
}

/// A session was not made for this mail.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the session with {host} was made for another destination or another policy")]
pub struct WrongSession {
    /// The host at its other end.
    pub host: String,
}

/// Hears the greeting.
async fn greeting<S: Stream>(
    mut dialogue: Dialogue<S>,
    settings: &DeliverySettings,
) -> Result<Dialogue<S>, SessionFailure> {
    let greeting = dialogue.reply(settings.timeouts.greeting).await;
    let greeting = greeting.map_err(|error| at(Stage::Greeting, error))?;
    if is_positive(&greeting) {
        return Ok(dialogue);
    }
    // RFC 5321 §3.1: whoever is refused still says QUIT.
    dialogue.quit(settings.timeouts.quit).await;
    Err(SessionFailure::Refused { stage: Stage::Greeting, reply: greeting })
}

/// Asks for TLS (RFC 3207 §4); afterwards it may begin.
async fn starttls<S: Stream>(
    dialogue: &mut Dialogue<S>,
    capabilities: &Capabilities,
    settings: &DeliverySettings,
) -> Result<(), TlsFailure> {
    if !capabilities.offers(Extension::Starttls) {
        return Err(TlsFailure::NotOffered);
    }
    match dialogue.command("STARTTLS\r\n", settings.timeouts.tls).await {
        Ok(reply) if reply.code() == ReplyCode::READY => Ok(()),
        Ok(reply) if reply.code() == ReplyCode::NOT_AVAILABLE => {
            Err(TlsFailure::Cut(DialogueError::Closed))
        }
        Ok(reply) => Err(TlsFailure::Refused(reply)),
        Err(error) => Err(TlsFailure::Cut(error)),
    }
}

/// Says EHLO, or HELO to a host that does not know EHLO (RFC 5321 §3.2).
async fn hello<S: Stream>(
    mut dialogue: Dialogue<S>,
    settings: &DeliverySettings,
    stage: Stage,
) -> Result<(Dialogue<S>, Capabilities), SessionFailure> {
    let name = &settings.hostname;
    let limit = settings.timeouts.hello;
    let ehlo = dialogue.ehlo(&format!("EHLO {name}\r\n"), limit).await;
    let ehlo = ehlo.map_err(|error| at(stage, error))?;
    if is_positive(&ehlo) {
        let capabilities = Capabilities::of(&ehlo);
        return Ok((dialogue, capabilities));
    }
    if ehlo.severity() == Severity::PermanentNegative {
        let helo = dialogue.command(&format!("HELO {name}\r\n"), limit).await;
        if is_positive(&helo.map_err(|error| at(stage, error))?) {
            return Ok((dialogue, Capabilities::default()));
        }
    }
    dialogue.quit(settings.timeouts.quit).await;
    Err(SessionFailure::Refused { stage, reply: ehlo })
}

fn name(host: &OpenHost) -> String {
    match host {
        OpenHost::Name(mx) => mx.as_str().to_owned(),
        OpenHost::Literal(address) => address.to_string(),
    }
}

const fn at(stage: Stage, error: DialogueError) -> SessionFailure {
    SessionFailure::Dialogue { stage, error }
}

fn is_positive(reply: &Reply) -> bool {
    reply.severity() == Severity::PositiveCompletion
}

#[cfg(test)]
mod tests;
