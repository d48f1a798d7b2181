//! The server's side of TLS, told as what happened.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::Acceptor;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{HandshakeKind, ProtocolVersion, ServerConfig, SupportedProtocolVersion};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use crate::authority::Identity;

/// How long a client may take for its handshake.
const HANDSHAKE: Duration = Duration::from_secs(30);

/// Anything that carries bytes both ways.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Which versions of TLS a server speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsVersions {
    /// TLS 1.2 and 1.3.
    #[default]
    Both,
    /// TLS 1.2 only.
    Tls12,
    /// TLS 1.3 only.
    Tls13,
}

/// What became of TLS on a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Handshake {
    /// The client never came to it.
    #[default]
    NotTried,
    /// The server said that it was ready, and nothing more was seen so far.
    Begun,
    /// It broke.
    Failed {
        /// The name the client asked for, if a `ClientHello` was seen.
        sni: Option<String>,
        /// The server's view of it, such as the alert received.
        why: String,
    },
    /// Both sides finished.
    Completed(TlsSession),
}

/// What was agreed in a handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSession {
    /// The name the client asked for.
    pub sni: Option<String>,
    /// The version, such as `TLSv1_3`.
    pub version: String,
    /// Whether an earlier session was resumed, in which case no certificate was shown.
    pub resumed: bool,
}

/// A handshake that broke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Broken {
    sni: Option<String>,
    why: String,
}

impl From<Broken> for Handshake {
    fn from(broken: Broken) -> Self {
        Self::Failed { sni: broken.sni, why: broken.why }
    }
}

impl TlsVersions {
    fn list(self) -> Vec<&'static SupportedProtocolVersion> {
        match self {
            Self::Both => vec![&TLS13, &TLS12],
            Self::Tls12 => vec![&TLS12],
            Self::Tls13 => vec![&TLS13],
        }
    }
}

/// The one cryptography provider.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// A server that presents `identity`.
pub(crate) fn server_config(identity: Identity, versions: TlsVersions) -> ServerConfig {
    // Not by `with_single_cert`, which reads the certificate and takes none of an earlier version.
    let certified = CertifiedKey::new(identity.chain, identity.signer);
    ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&versions.list())
        .expect("the provider has suites for TLS 1.2 and 1.3")
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)))
}

/// Shakes hands as the server, and tells what was agreed or how it broke.
pub(crate) async fn accept<S: Stream>(
    stream: S,
    config: Arc<ServerConfig>,
) -> Result<(TlsStream<S>, TlsSession), Broken> {
    let mut sni = None;
    let accepted = timeout(HANDSHAKE, async {
        let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
        sni = start.client_hello().server_name().map(str::to_owned);
        start.into_stream(config).await
    })
    .await
    .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    match accepted {
        Ok(tls) => {
            let session = agreed(&tls, sni);
            Ok((tls, session))
        }
        Err(error) => Err(Broken { sni, why: error.to_string() }),
    }
}

fn agreed<S>(tls: &TlsStream<S>, sni: Option<String>) -> TlsSession {
    let (_, connection) = tls.get_ref();
    let version = connection.protocol_version().unwrap_or(ProtocolVersion::TLSv1_2);
    let resumed = connection.handshake_kind() == Some(HandshakeKind::Resumed);
    TlsSession { sni, version: format!("{version:?}"), resumed }
}
