//! A session on which mail can be sent, and its end.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use mail::{Channel, ExceptionRecord, MtaStsVerdict, Proof, Protection, SessionRecord};
use tls_policy::{Proven, Trust};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

use super::opening::hello;
use crate::capabilities::{Capabilities, Extension};
use crate::dialogue::Dialogue;
use crate::endpoints::Endpoints;
use crate::failure::{SessionFailure, Stage};
use crate::limit::Limit;
use crate::line_io::Stream;
use crate::paces::KeptConnection;
use crate::patience::Patience;
use crate::settings::DeliverySettings;
use crate::target::host_name;
use crate::tls::record::{PeerRecord, tls_record};
use crate::transaction::{Opening, Transaction};

/// A stream in clear or under TLS.
pub(crate) type Wire<S> = Either<S, Box<TlsStream<S>>>;

/// A session on which mail can be sent, for what its route was made for.
pub struct Session<T: Trust, S: Stream = TcpStream> {
    pub(super) route: T::Route,
    host: String,
    pub(super) dialogue: Dialogue<Wire<S>>,
    pub(super) capabilities: Capabilities,
    channel: Channel,
    pub(super) ends: Endpoints,
    pub(super) settings: Arc<DeliverySettings>,
    /// How many transactions were begun.
    pub(super) transactions: usize,
    began: Instant,
    /// What was recorded of it last.
    recorded: Option<Arc<SessionRecord>>,
    /// What it takes of a limit while no attempt has it.
    kept: Option<KeptConnection>,
}

impl<T: Trust, S: Stream> Session<T, S> {
    /// A session under TLS that has just begun: what was said before it is forgotten, and EHLO is
    /// said again (RFC 3207 §4.2).
    pub(super) async fn under_tls(
        route: T::Route,
        (stream, patience): (TlsStream<S>, Arc<Patience>),
        peer: PeerRecord,
        ends: Endpoints,
        settings: Arc<DeliverySettings>,
    ) -> Result<Self, SessionFailure> {
        let channel = Channel::Tls(Arc::new(tls_record(stream.get_ref().1, peer)));
        let dialogue = Dialogue::within(Either::Right(Box::new(stream)), patience);
        let (dialogue, capabilities) = hello(dialogue, &settings, Stage::HelloAgain).await?;
        Ok(Self::with(route, dialogue, capabilities, (channel, ends), settings))
    }

    /// A session that has just begun, over whatever its route allows.
    pub(super) fn with(
        route: T::Route,
        dialogue: Dialogue<Wire<S>>,
        capabilities: Capabilities,
        (channel, ends): (Channel, Endpoints),
        settings: Arc<DeliverySettings>,
    ) -> Self {
        let (host, began) = (host_name(&T::host(&route)), Instant::now());
        let (transactions, kept) = (0, None);
        Self {
            route,
            host,
            dialogue,
            capabilities,
            channel,
            ends,
            settings,
            transactions,
            began,
            recorded: None,
            kept,
        }
    }

    /// Begins a transaction, the first or one more, for recipients that the session was made for.
    ///
    /// # Errors
    ///
    /// [`WrongSession`] where it was made for another next hop, or under a policy that is not the
    /// recipients' own any more.
    pub fn mail(&mut self, licence: &T::Licence) -> Result<Transaction<'_, Wire<S>>, WrongSession> {
        if !self.covers(licence) {
            return Err(WrongSession { host: self.host.clone() });
        }
        let opening = if self.is_used() { Opening::Reset } else { Opening::Fresh };
        self.transactions = self.transactions.saturating_add(1);
        let timeouts = &self.settings.timeouts;
        Ok(Transaction::new(&mut self.dialogue, &self.capabilities, timeouts).opened(opening))
    }

    /// Whether the host says that it keeps to proven TLS on the further way, where a message asks for
    /// that (RFC 8689 §2).
    pub(crate) fn offers_requiretls(&self) -> bool {
        match &self.channel {
            Channel::Clear(_) => false,
            Channel::Tls(_) => self.capabilities.offers(Extension::RequireTls),
        }
    }

    /// The session is not one for this mail.
    pub(crate) fn wrong(&self) -> WrongSession {
        WrongSession { host: self.host.clone() }
    }

    /// Whether mail with this licence may be sent.
    pub(crate) fn covers(&self, licence: &T::Licence) -> bool {
        T::covers(&self.route, licence)
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
        let limit = self.kept_under().and_then(|limit| limit.messages_per_connection);
        self.transactions < limit.unwrap_or(self.settings.messages_per_connection)
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

    /// What it has proved.
    pub(crate) fn proof(&self) -> Proof {
        T::proof(&self.route)
    }

    /// What mail on it is protected by.
    pub(crate) fn protection(&self) -> Protection {
        Protection::of(self.proof(), &self.channel)
    }

    /// What is recorded of the session, of which MTA-STS makes this, and of the exception that it
    /// came about by: the same for all attempts that it has the same of.
    pub(crate) fn record(
        &mut self,
        (mta_sts, exception): (MtaStsVerdict, Option<Arc<ExceptionRecord>>),
        now: SystemTime,
    ) -> Arc<SessionRecord> {
        if let Some(recorded) = &self.recorded
            && recorded.mta_sts == mta_sts
            && recorded.exception == exception
        {
            return Arc::clone(recorded);
        }
        let at = |instant: Instant| now.checked_sub(instant.elapsed()).unwrap_or(now);
        let proved_at = at(self.began);
        let record = Arc::new(SessionRecord {
            host: self.host.clone(),
            address: self.ends.receiving,
            source: self.ends.sending,
            connected_at: self.ends.since.map_or(proved_at, at),
            proved_at,
            proof: self.proof(),
            channel: self.channel.clone(),
            mta_sts,
            exception,
        });
        self.recorded = Some(Arc::clone(&record));
        record
    }

    /// The way the session was made along.
    pub(crate) const fn route(&self) -> &T::Route {
        &self.route
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

    /// Takes this of a limit while no attempt has it.
    pub(crate) fn keep_as(&mut self, kept: Option<KeptConnection>) {
        self.kept = kept;
    }

    /// The limit under which it is kept.
    pub(crate) fn kept_under(&self) -> Option<&Arc<Limit>> {
        self.kept.as_ref().map(KeptConnection::limit)
    }

    /// Belongs to no attempt any more.
    pub(crate) fn rest(&mut self) {
        self.dialogue.wait_with(Arc::default());
    }

    /// Leaves only the end of the session to be done; whatever was taken is taken.
    pub(crate) fn close(mut self) -> ClosingSession<S> {
        self.rest();
        ClosingSession { dialogue: self.dialogue, settings: self.settings, _kept: self.kept }
    }

    /// Ends the session; whatever was taken is taken.
    pub async fn quit(self) {
        self.close().quit().await;
    }
}

impl<T: Proven, S: Stream> Session<T, S> {
    /// Begins a transaction for a message that asks for proven TLS all its way: the peer has proved
    /// itself, and says that it keeps to that (RFC 8689 §4.2.1).
    ///
    /// A peer that could be anyone gets no such message:
    ///
    /// ```compile_fail,E0599
    /// # fn f(mut session: delivery::Session<delivery::Unverified>, licence: &mta_sts::Fallback) {
    /// let transaction = session.mail_requiring_tls(licence);
    /// # drop(transaction); }
    /// ```
    ///
    /// ```
    /// # fn f(mut session: delivery::Session<delivery::Matched>, licence: &mta_sts::Fallback) {
    /// let transaction = session.mail_requiring_tls(licence);
    /// # drop(transaction); }
    /// ```
    ///
    /// # Errors
    ///
    /// [`WrongSession`] where the host does not offer REQUIRETLS, and as for [`Self::mail`].
    pub fn mail_requiring_tls(
        &mut self,
        licence: &T::Licence,
    ) -> Result<Transaction<'_, Wire<S>>, WrongSession> {
        if !self.offers_requiretls() {
            return Err(self.wrong());
        }
        self.mail(licence).map(Transaction::requiring_tls)
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
pub(crate) struct ClosingSession<S: Stream> {
    dialogue: Dialogue<Wire<S>>,
    settings: Arc<DeliverySettings>,
    _kept: Option<KeptConnection>,
}

impl<S: Stream> ClosingSession<S> {
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
