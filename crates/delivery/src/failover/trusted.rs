//! How sessions of each trust come about, and where they wait for more mail.

use std::net::SocketAddr;
use std::sync::Arc;

use mail::Channel;
use mta_sts::danger::ExceptedRoute;
use mta_sts::{DemandedRoute, Exception, ExceptionScope, VerifiedRoute};
use tls_policy::{
    Admission, Demanded, Encrypted, EncryptedRoute, Excepted, Matched, MatchedRoute, NamedRoute,
    Proven, SettledRoute, Trust, Unverified, Verified,
};
use tokio::net::TcpStream;

use super::effort::Effort;
use super::pass::{Keyword, Pass};
use crate::connection_cache::{ConnectionCache, ConnectionCaches};
use crate::failure::SessionFailure;
use crate::session::established::{Session, Wire, WrongSession};
use crate::target::Target;
use crate::transaction::Transaction;

/// How sessions of one trust come about, and where they wait for more mail.
pub(super) trait Trusted: Trust<Route: Send, Licence: Sync> + Sized + 'static {
    /// Whether it is TLSA records that such a session needs TLS for.
    const IS_BOUND_BY_RECORDS: bool;

    /// Begins a transaction on one, in which the host is told what the message asks for.
    ///
    /// # Errors
    ///
    /// [`WrongSession`] where such a message does not go over such a session.
    fn begin<'s>(
        session: &'s mut Session<Self>,
        licence: &Self::Licence,
        keyword: Keyword,
    ) -> Result<Transaction<'s, Wire<TcpStream>>, WrongSession>;

    /// Where those are kept that nobody sends over.
    fn cache(idle: &ConnectionCaches) -> &ConnectionCache<Self>;

    /// The exception by which alone mail goes over such a session.
    fn exception(_session: &Session<Self>) -> Option<Arc<Exception>> {
        None
    }

    /// A new one with `hop`, at this address.
    fn open(
        pass: &Pass<'_>,
        effort: &mut Effort,
        admitted: (Self::Route, &Admission<'_, Self>),
        target: &Target,
        address: SocketAddr,
    ) -> impl Future<Output = Result<Session<Self>, SessionFailure>> + Send;
}

/// Begins a transaction on a session whose peer has proved itself.
fn begin_proven<'s, T: Proven>(
    session: &'s mut Session<T>,
    licence: &T::Licence,
    keyword: Keyword,
) -> Result<Transaction<'s, Wire<TcpStream>>, WrongSession> {
    match keyword {
        Keyword::None => session.mail(licence),
        Keyword::WhereOffered if !session.offers_requiretls() => session.mail(licence),
        Keyword::Always | Keyword::WhereOffered => session.mail_requiring_tls(licence),
    }
}

/// Begins a transaction on a session whose peer could be anyone.
fn begin_unproven<'s, T: Trust>(
    session: &'s mut Session<T>,
    licence: &T::Licence,
    keyword: Keyword,
) -> Result<Transaction<'s, Wire<TcpStream>>, WrongSession> {
    match keyword {
        Keyword::None | Keyword::WhereOffered => session.mail(licence),
        Keyword::Always => Err(session.wrong()),
    }
}

impl Trusted for Verified {
    const IS_BOUND_BY_RECORDS: bool = false;

    fn begin<'s>(
        session: &'s mut Session<Self>,
        licence: &Self::Licence,
        keyword: Keyword,
    ) -> Result<Transaction<'s, Wire<TcpStream>>, WrongSession> {
        begin_proven(session, licence, keyword)
    }

    fn cache(idle: &ConnectionCaches) -> &ConnectionCache<Self> {
        &idle.verified
    }

    async fn open(
        pass: &Pass<'_>,
        effort: &mut Effort,
        (route, admission): (NamedRoute<VerifiedRoute>, &Admission<'_, Self>),
        target: &Target,
        address: SocketAddr,
    ) -> Result<Session<Self>, SessionFailure> {
        pass.verified(effort, (route, admission.start()), target, address).await
    }
}

impl Trusted for Demanded {
    const IS_BOUND_BY_RECORDS: bool = false;

    fn begin<'s>(
        session: &'s mut Session<Self>,
        licence: &Self::Licence,
        keyword: Keyword,
    ) -> Result<Transaction<'s, Wire<TcpStream>>, WrongSession> {
        begin_proven(session, licence, keyword)
    }

    fn cache(idle: &ConnectionCaches) -> &ConnectionCache<Self> {
        &idle.demanded
    }

    async fn open(
        pass: &Pass<'_>,
        effort: &mut Effort,
        (route, admission): (NamedRoute<DemandedRoute>, &Admission<'_, Self>),
        target: &Target,
        address: SocketAddr,
    ) -> Result<Session<Self>, SessionFailure> {
        pass.verified(effort, (route, admission.start()), target, address).await
    }
}

impl Trusted for Excepted {
    const IS_BOUND_BY_RECORDS: bool = false;

    fn begin<'s>(
        session: &'s mut Session<Self>,
        licence: &Self::Licence,
        keyword: Keyword,
    ) -> Result<Transaction<'s, Wire<TcpStream>>, WrongSession> {
        begin_unproven(session, licence, keyword)
    }

    fn cache(idle: &ConnectionCaches) -> &ConnectionCache<Self> {
        &idle.excepted
    }

    fn exception(session: &Session<Self>) -> Option<Arc<Exception>> {
        let shown = match session.channel() {
            Channel::Clear(_) => None,
            Channel::Tls(tls) => tls.certificate.as_ref().and_then(|shown| shown.digest),
        };
        let is_it = |one: &&Arc<Exception>| match one.scope() {
            ExceptionScope::Certificate(digest) => Some(digest.as_bytes()) == shown.as_ref(),
            ExceptionScope::Domain(_) | ExceptionScope::Host(_) => true,
        };
        session.route().route().exceptions().find(is_it).cloned()
    }

    async fn open(
        pass: &Pass<'_>,
        effort: &mut Effort,
        (route, _): (NamedRoute<ExceptedRoute>, &Admission<'_, Self>),
        target: &Target,
        address: SocketAddr,
    ) -> Result<Session<Self>, SessionFailure> {
        pass.excepted(effort, route, target, address).await
    }
}

impl Trusted for Unverified {
    const IS_BOUND_BY_RECORDS: bool = false;

    fn begin<'s>(
        session: &'s mut Session<Self>,
        licence: &Self::Licence,
        keyword: Keyword,
    ) -> Result<Transaction<'s, Wire<TcpStream>>, WrongSession> {
        begin_unproven(session, licence, keyword)
    }

    fn cache(idle: &ConnectionCaches) -> &ConnectionCache<Self> {
        &idle.open
    }

    async fn open(
        pass: &Pass<'_>,
        effort: &mut Effort,
        admitted: (SettledRoute, &Admission<'_, Self>),
        target: &Target,
        address: SocketAddr,
    ) -> Result<Session<Self>, SessionFailure> {
        pass.settled(effort, admitted, target, address).await
    }
}

impl Trusted for Matched {
    const IS_BOUND_BY_RECORDS: bool = true;

    fn begin<'s>(
        session: &'s mut Session<Self>,
        licence: &Self::Licence,
        keyword: Keyword,
    ) -> Result<Transaction<'s, Wire<TcpStream>>, WrongSession> {
        begin_proven(session, licence, keyword)
    }

    fn cache(idle: &ConnectionCaches) -> &ConnectionCache<Self> {
        &idle.matched
    }

    async fn open(
        pass: &Pass<'_>,
        effort: &mut Effort,
        (route, admission): (MatchedRoute, &Admission<'_, Self>),
        target: &Target,
        address: SocketAddr,
    ) -> Result<Session<Self>, SessionFailure> {
        pass.verified(effort, (route, admission.start()), target, address).await
    }
}

impl Trusted for Encrypted {
    const IS_BOUND_BY_RECORDS: bool = true;

    fn begin<'s>(
        session: &'s mut Session<Self>,
        licence: &Self::Licence,
        keyword: Keyword,
    ) -> Result<Transaction<'s, Wire<TcpStream>>, WrongSession> {
        begin_unproven(session, licence, keyword)
    }

    fn cache(idle: &ConnectionCaches) -> &ConnectionCache<Self> {
        &idle.encrypted
    }

    async fn open(
        pass: &Pass<'_>,
        effort: &mut Effort,
        (route, _): (EncryptedRoute, &Admission<'_, Self>),
        target: &Target,
        address: SocketAddr,
    ) -> Result<Session<Self>, SessionFailure> {
        pass.encrypted(effort, route, target, address).await
    }
}
