//! Looking at MX hosts as delivery would, without mail: for those who want to know beforehand.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use clock::Clock;
use mta_sts::MxHost;
use pkix::{Roots, SetupError, TlsError};

use crate::connect::{connect, in_order};
use crate::failure::SessionFailure;
use crate::session::Plain;
use crate::settings::DeliverySettings;
use crate::tls::danger::{Observing, Verdict};

/// Looks at MX hosts with delivery's own connections, dialogue and verifier.
#[derive(Clone, Debug)]
pub struct Prober {
    settings: Arc<DeliverySettings>,
    tls: Observing,
}

/// What a host has shown at one of its addresses.
#[derive(Clone, Debug, PartialEq)]
pub struct Look {
    /// The version of TLS.
    pub tls: &'static str,
    /// What its certificate is worth.
    pub certificate: CertificateSeen,
}

/// What a certificate is worth to a sender that has to verify (RFC 8461 §4.2).
#[derive(Clone, Debug, PartialEq)]
pub enum CertificateSeen {
    /// It proves nothing, for this reason.
    Invalid(TlsError),
    /// None was shown.
    NotShown,
    /// It proves the host's name.
    Valid,
}

impl Prober {
    /// Looks with these settings, and judges by `roots` at the time `clock` tells.
    ///
    /// # Errors
    ///
    /// [`SetupError`] where `roots` is empty.
    pub fn new(
        settings: DeliverySettings,
        roots: impl Into<Roots>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, SetupError> {
        Ok(Self { settings: Arc::new(settings), tls: Observing::new(roots, clock)? })
    }

    /// The first of a host's addresses that delivery would try, in its order: as many as it waits
    /// for in one attempt.
    #[must_use]
    pub fn in_order(&self, addresses: Vec<IpAddr>) -> Vec<IpAddr> {
        let mut addresses = in_order(addresses, &self.settings);
        addresses.truncate(self.settings.addresses_per_host);
        addresses
    }

    /// Looks at `mx` at one of its addresses: greeting, EHLO, STARTTLS, certificate, EHLO, QUIT.
    ///
    /// # Errors
    ///
    /// [`SessionFailure`] at the step that did not come about; where that is STARTTLS, mail without
    /// an enforced policy could still go there in clear.
    pub async fn look(&self, mx: &MxHost, address: IpAddr) -> Result<Look, SessionFailure> {
        let address = SocketAddr::new(address, self.settings.smtp_port);
        let (stream, ends) = connect(address, &self.settings).await?;
        let plain = Plain::greet(mx.clone(), stream, ends, Arc::clone(&self.settings)).await?;
        let (tls, verdict) = plain.look(&self.tls).await?;
        let certificate = match verdict {
            Verdict::Invalid(error) => CertificateSeen::Invalid(error),
            Verdict::Unknown => CertificateSeen::NotShown,
            Verdict::Valid => CertificateSeen::Valid,
        };
        Ok(Look { tls, certificate })
    }
}
