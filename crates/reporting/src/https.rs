//! A report by HTTPS (RFC 8460 §5.4).
//!
//! The connection is made here, step by step, as one for a policy is: there are no redirects, no
//! proxies and no cookies, because nothing here knows of any. Whoever gets mail from us chooses the
//! address, so it must be global unless the operator says otherwise.

mod danger;
mod error;
mod http;

use std::fmt::{self, Debug};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use dns::Dns;
use mta_sts::PrivateHosts;
use mta_sts::addresses::{NoneToTry, to_try};
use pkix::{HandshakeError, Roots, SetupError, Verification};
use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::ServerName;
use rustls::time_provider::TimeProvider;
use smtp::Domain;
use tls_rpt::{HttpsUri, UriHost};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::settings::VerifyHttps;

pub(crate) use self::error::PostError;
pub(crate) use self::http::Answer;

/// The longest that a POST may take, from the first DNS query to the answer.
const POST_MAX: Duration = Duration::from_secs(60);

/// The longest that connecting to one address and the TLS handshake there may take.
const ADDRESS_MAX: Duration = Duration::from_secs(10);

/// Posts reports.
#[derive(Clone)]
pub(crate) struct Poster {
    verification: Verification,
    /// Proves names; each connection has a copy of its own.
    proving: Arc<ClientConfig>,
    /// Proves nothing.
    unproved: Arc<ClientConfig>,
}

impl Debug for Poster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Poster").finish_non_exhaustive()
    }
}

/// How a POST is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PostRules {
    pub(crate) verify: VerifyHttps,
    pub(crate) private: PrivateHosts,
}

/// A report that was handed over, or refused.
#[derive(Debug)]
pub(crate) struct Posted {
    /// What the server answered.
    pub(crate) answer: Answer,
    /// Why the server's name was not proved, where it was not.
    pub(crate) unproved: Option<PostError>,
}

impl Poster {
    /// Trusts `roots`, at the time that `time` tells.
    pub(crate) fn new(roots: Roots, time: Arc<dyn TimeProvider>) -> Result<Self, SetupError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verification = Verification::new(roots, provider)?;
        let mut proving = verification.config(time)?;
        proving.alpn_protocols = vec![b"http/1.1".to_vec()];
        let unproved = danger::accepting_any(&proving, verification.clone());
        Ok(Self { verification, proving: Arc::new(proving), unproved: Arc::new(unproved) })
    }

    /// Posts a report to `uri`.
    ///
    /// Where the server does not prove its name, the report goes there nevertheless if the rules
    /// have it so: it says nothing that the domain's own mail hosts do not know (RFC 8460 §5.4).
    pub(crate) async fn post(
        &self,
        dns: &dyn Dns,
        uri: &HttpsUri,
        report: Vec<u8>,
        rules: PostRules,
    ) -> Result<Posted, PostError> {
        let deadline = Instant::now() + POST_MAX;
        let connected = timeout_at(deadline, Box::pin(self.connected(dns, uri, rules))).await;
        let (stream, unproved) = connected.map_err(|_elapsed| PostError::TimedOut)??;
        Ok(Posted { answer: http::post(stream, uri, report, deadline).await?, unproved })
    }

    /// A connection to the server, and why its name was not proved, where it was not.
    async fn connected(
        &self,
        dns: &dyn Dns,
        uri: &HttpsUri,
        rules: PostRules,
    ) -> Result<(TlsStream<TcpStream>, Option<PostError>), PostError> {
        let name = server_name(uri)?;
        let addresses = addresses(dns, uri, rules.private).await?;
        let proved = connect(&addresses, |address| self.connect_to(address, name.clone())).await;
        match (proved, rules.verify) {
            (Ok(stream), _) => Ok((stream, None)),
            (Err(bad @ PostError::Certificate { .. }), VerifyHttps::Try) => {
                let any = |address| self.connect_to_any(address, name.clone());
                Ok((connect(&addresses, any).await?, Some(bad)))
            }
            (Err(error), _) => Err(error),
        }
    }

    /// Connects to a server that proves its name.
    async fn connect_to(
        &self,
        address: SocketAddr,
        name: ServerName<'static>,
    ) -> Result<TlsStream<TcpStream>, PostError> {
        let stream = tcp(address).await?;
        let (config, witness) = self.verification.witnessed(&self.proving);
        let shaken = TlsConnector::from(config).connect(name, stream).await;
        shaken.map_err(|error| match witness.explain(error) {
            HandshakeError::Tls(source) if source.is_about_certificate() => {
                PostError::Certificate { address, source: Box::new(source) }
            }
            HandshakeError::Tls(source) => PostError::Tls { address, source: Box::new(source) },
            lost @ HandshakeError::Broken(_) => PostError::Tls { address, source: Box::new(lost) },
        })
    }

    /// Connects to whoever answers.
    async fn connect_to_any(
        &self,
        address: SocketAddr,
        name: ServerName<'static>,
    ) -> Result<TlsStream<TcpStream>, PostError> {
        let stream = tcp(address).await?;
        let config = Arc::clone(&self.unproved);
        let shaken = TlsConnector::from(config).connect(name, stream).await;
        shaken.map_err(|error| PostError::Tls { address, source: Box::new(error) })
    }
}

/// Connects to the first address at which `connect_to` succeeds.
async fn connect<C, F>(
    addresses: &[SocketAddr],
    connect_to: C,
) -> Result<TlsStream<TcpStream>, PostError>
where
    C: Fn(SocketAddr) -> F,
    F: Future<Output = Result<TlsStream<TcpStream>, PostError>>,
{
    let mut failure = PostError::NoAddress;
    for address in addresses {
        match timeout(ADDRESS_MAX, Box::pin(connect_to(*address))).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => failure = failure.or_later(error),
            Err(_elapsed) => failure = failure.or_later(PostError::Silent(*address)),
        }
    }
    Err(failure)
}

/// A connection without TLS yet.
async fn tcp(address: SocketAddr) -> Result<TcpStream, PostError> {
    let connected = TcpStream::connect(address).await;
    connected.map_err(|source| PostError::Connect { address, source })
}

/// The name that the server must prove.
fn server_name(uri: &HttpsUri) -> Result<ServerName<'static>, PostError> {
    match uri.host() {
        UriHost::Address(address) => Ok(ServerName::IpAddress((*address).into())),
        UriHost::Name(name) => {
            let name = ServerName::try_from(name.as_str().to_owned());
            name.map_err(|_not_a_name| PostError::NoName)
        }
    }
}

/// The addresses of the server that may be tried.
async fn addresses(
    dns: &dyn Dns,
    uri: &HttpsUri,
    private: PrivateHosts,
) -> Result<Vec<SocketAddr>, PostError> {
    let all = match uri.host() {
        UriHost::Address(address) => vec![*address],
        UriHost::Name(name) => {
            let host = Domain::parse(name.as_str()).map_err(|_not_a_name| PostError::NoName)?;
            let found = dns.addresses(&host).await?.into_records();
            found.map(|found| found.records).unwrap_or_default()
        }
    };
    to_try(&all, private, uri.port()).map_err(|none| match none {
        NoneToTry::NoAddress => PostError::NoAddress,
        NoneToTry::Private(address) => PostError::PrivateAddress(address),
    })
}
