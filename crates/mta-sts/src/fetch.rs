//! Fetching a policy: `https://mta-sts.DOMAIN/.well-known/mta-sts.txt` (RFC 8461 §3.2 and §3.3).
//!
//! The connection is made here, step by step, so that nothing happens that RFC 8461 forbids: there
//! are no redirects, no cache, no cookies and no proxies, because nothing here knows of any.
//! Revocation is not checked (RFC 8461 §3.3 leaves it open), and neither is DANE.
//!
//! The reasons: `docs/decisions/0005-hyper-without-a-client-library.md`.

use std::fmt::{self, Debug};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::ServerName;
use rustls::time_provider::{DefaultTimeProvider, TimeProvider};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::discovery::Names;
use crate::fetch::address::{NoneToTry, PrivateHosts};
use crate::fetch::error::{FetchError, POLICY_SIZE_MAX};
use crate::fetch::proof::{ByRoots, Connection, HostProof, ProofError};
use crate::name::PolicyDomain;
use crate::parsed::Parsed;
use crate::policy::Policy;

pub(crate) mod address;
pub(crate) mod error;
mod http;
pub(crate) mod proof;

/// What a [`Fetcher`] works with.
#[derive(Clone, Debug)]
pub struct FetchSettings {
    /// The authorities a policy host's certificate must lead to (RFC 8461 §3.3).
    pub roots: Arc<RootCertStore>,
    /// Who judges their certificates; by default rustls, by `roots` alone.
    pub proof: Arc<dyn HostProof>,
    /// The longest that one fetch may take, from the first DNS query to the last octet
    /// (RFC 8461 §3.3 suggests one minute).
    pub timeout: Duration,
    /// The longest that connecting to one address and the TLS handshake there may take, after
    /// which the next address is tried.
    pub address_timeout: Duration,
    /// The port of policy hosts; anything but 443 is for tests and closed networks.
    pub port: u16,
    /// Whether a policy host may have an address that is not global.
    pub private_hosts: PrivateHosts,
    /// The clock that certificates are judged by; the system's where none is given.
    pub clock: Option<Arc<dyn TimeProvider>>,
}

impl FetchSettings {
    /// The settings RFC 8461 suggests, with these trust roots.
    #[must_use]
    pub fn new(roots: Arc<RootCertStore>) -> Self {
        Self {
            roots,
            proof: Arc::new(ByRoots),
            timeout: Duration::from_secs(60),
            address_timeout: Duration::from_secs(10),
            port: 443,
            private_hosts: PrivateHosts::Refused,
            clock: None,
        }
    }
}

/// Fetches policies; cheap to clone.
#[derive(Clone)]
pub struct Fetcher {
    settings: FetchSettings,
    tls: Arc<ClientConfig>,
}

impl Debug for Fetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetcher").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// A policy as it came over HTTPS.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The policy, and what had to be overlooked in it.
    pub policy: Parsed<Policy>,
    /// Its text as it came, for a report (RFC 8460 §4.5).
    pub text: Arc<str>,
    /// Where it came from.
    pub address: SocketAddr,
}

impl Fetcher {
    /// A fetcher with these settings.
    ///
    /// # Errors
    ///
    /// [`rustls::Error`] where the TLS library cannot be set up.
    pub fn new(settings: FetchSettings) -> Result<Self, rustls::Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let clock = settings.clock.clone().unwrap_or_else(|| Arc::new(DefaultTimeProvider));
        let mut tls = ClientConfig::builder_with_details(provider, clock)
            .with_protocol_versions(&[&TLS13, &TLS12])?
            .with_root_certificates(Arc::clone(&settings.roots))
            .with_no_client_auth();
        // A resumed session would not look at the certificate again.
        tls.resumption = Resumption::disabled();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { settings, tls: Arc::new(tls) })
    }

    /// Fetches the policy of `domain` (RFC 8461 §3.3).
    ///
    /// # Errors
    ///
    /// [`FetchError`]; whatever it is, a policy that is cached goes on to apply.
    pub async fn fetch(
        &self,
        names: &dyn Names,
        domain: &PolicyDomain,
    ) -> Result<Fetched, FetchError> {
        let fetch = Box::pin(self.fetch_untimed(names, domain));
        timeout(self.settings.timeout, fetch).await.unwrap_or(Err(FetchError::TimedOut))
    }

    async fn fetch_untimed(
        &self,
        names: &dyn Names,
        domain: &PolicyDomain,
    ) -> Result<Fetched, FetchError> {
        let host = domain.policy_host();
        let name = ServerName::try_from(host.clone()).map_err(|_not_a_name| FetchError::NoName)?;
        let addresses = self.addresses(names, &host).await?;
        let (stream, address) = self.connect(&addresses, name).await?;
        let authority = match self.settings.port {
            443 => host,
            port => format!("{host}:{port}"),
        };
        let body = http::get(stream, &authority).await?;
        let text = text_of(&body);
        match Policy::parse(&body) {
            Ok(policy) => Ok(Fetched { policy, text, address }),
            Err(source) => Err(FetchError::Policy { source, text }),
        }
    }

    async fn addresses(
        &self,
        names: &dyn Names,
        host: &str,
    ) -> Result<Vec<SocketAddr>, FetchError> {
        let all = names.addresses(host).await?;
        let tried = address::to_try(&all, self.settings.private_hosts, self.settings.port);
        tried.map_err(|none| match none {
            NoneToTry::NoAddress => FetchError::NoAddress,
            NoneToTry::Private(address) => FetchError::PrivateAddress(address),
        })
    }

    /// Connects to the first address that answers and proves the name.
    async fn connect(
        &self,
        addresses: &[SocketAddr],
        name: ServerName<'static>,
    ) -> Result<(TlsStream<TcpStream>, SocketAddr), FetchError> {
        let mut failure = FetchError::NoAddress;
        for address in addresses {
            let attempt = Box::pin(self.connect_to(*address, name.clone()));
            match timeout(self.settings.address_timeout, attempt).await {
                Ok(Ok(stream)) => return Ok((stream, *address)),
                Ok(Err(error)) => failure = failure.or_later(error),
                Err(_elapsed) => failure = failure.or_later(FetchError::Silent(*address)),
            }
        }
        Err(failure)
    }

    /// The certificate must lead to a root, be in date, and name the policy host in a DNS-ID, with
    /// a wildcard as the whole left-most label at most; SNI is the policy host's name
    /// (RFC 8461 §3.3 and §7.1).
    async fn connect_to(
        &self,
        address: SocketAddr,
        name: ServerName<'static>,
    ) -> Result<TlsStream<TcpStream>, FetchError> {
        let stream = match TcpStream::connect(address).await {
            Ok(stream) => stream,
            Err(error) => return Err(FetchError::Connect { address, error }),
        };
        let Connection { config, explain } = self.settings.proof.for_connection(&self.tls);
        let shaken = TlsConnector::from(config).connect(name, stream).await;
        shaken.map_err(|error| match explain(error) {
            ProofError::Certificate(fault, source) => {
                FetchError::Certificate { address, fault, source }
            }
            ProofError::Tls(source) => FetchError::Tls { address, source },
        })
    }
}

/// What came as text: octets that are none are replaced, and of what is longer for that the end is
/// left out.
fn text_of(body: &[u8]) -> Arc<str> {
    let text = String::from_utf8_lossy(body);
    let end = text.floor_char_boundary(POLICY_SIZE_MAX);
    text.get(..end).unwrap_or_default().into()
}
