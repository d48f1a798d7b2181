//! Trust in policy hosts: the same as in MX hosts, with the same words for what is wrong.

use std::sync::Arc;

use mta_sts::CertificateFault;
use mta_sts::danger::{Connection, HostProof, ProofError};
use pkix::{HandshakeError, Roots, SetupError, Verification};
use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs;

/// Judges policy hosts by the relay's trust roots and by the certificates that the operator names.
#[derive(Debug)]
pub(crate) struct ByRelaysRoots(Verification);

impl ByRelaysRoots {
    /// Judges by these roots.
    pub(crate) fn new(roots: Roots) -> Result<Self, SetupError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        Ok(Self(Verification::new(roots, provider)?))
    }
}

impl HostProof for ByRelaysRoots {
    fn for_connection(&self, config: &ClientConfig) -> Connection {
        let (config, witness) = self.0.witnessed(config);
        let explain = move |error| match witness.explain(error) {
            HandshakeError::Tls(error) if error.is_about_certificate() => {
                ProofError::Certificate(CertificateFault::of(error.error()), error.into())
            }
            HandshakeError::Tls(error) => ProofError::Tls(error.into()),
            lost @ HandshakeError::Broken(_) => ProofError::Tls(lost.into()),
        };
        Connection { config, explain: Box::new(explain) }
    }
}
