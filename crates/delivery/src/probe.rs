//! Looking at MX hosts and next hops as delivery would, without mail: for those who want to know
//! beforehand.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use clock::Clock;
use mail::{Channel, TlsVersion, WhyClear};
use mta_sts::MxHost;
use pkix::{Roots, SetupError, TlsError};
use rustls::pki_types::CertificateDer;
use tls_policy::{EncryptedRoute, SettledRoute, TlsStart, Trust};

use crate::account::Login;
use crate::connect::{connect, in_order};
use crate::failure::SessionFailure;
use crate::session::established::Session;
use crate::session::open::Unsettled;
use crate::session::plain::Plain;
use crate::session::strict::Strict;
use crate::settings::DeliverySettings;
use crate::tls::danger::Observing;
use crate::tls::verdict::Verdict;
use crate::tls::webpki::WebPki;

/// Looks at MX hosts with delivery's own connections, dialogue and verifier.
#[derive(Clone, Debug)]
pub struct Prober {
    settings: Arc<DeliverySettings>,
    tls: Observing,
    webpki: WebPki,
}

/// What a host has shown at one of its addresses.
#[derive(Clone, Debug, PartialEq)]
pub struct Look {
    /// The version of TLS.
    pub tls: TlsVersion,
    /// What its certificate is worth.
    pub certificate: CertificateSeen,
    /// The chain that it has shown, its own certificate first.
    pub chain: Vec<CertificateDer<'static>>,
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
        let roots = roots.into();
        let webpki = WebPki::new(roots.clone(), Arc::clone(&clock))?;
        Ok(Self { settings: Arc::new(settings), tls: Observing::new(roots, clock)?, webpki })
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
        let (stream, ends) = connect(address, &self.settings, self.settings.source).await?;
        let plain = Plain::greet(mx.clone(), stream, ends, Arc::clone(&self.settings)).await?;
        let (tls, verdict, chain) = plain.look(&self.tls).await?;
        let certificate = match verdict {
            Verdict::Invalid(error) => CertificateSeen::Invalid(error),
            Verdict::Unknown => CertificateSeen::NotShown,
            Verdict::Valid => CertificateSeen::Valid,
        };
        Ok(Look { tls, certificate, chain })
    }

    /// Opens the session that mail along `route` would have, logs in where `login` says so, and takes
    /// leave: what it ran over, once the host has proved its name.
    ///
    /// # Errors
    ///
    /// [`SessionFailure`] at the step that did not come about; mail would not leave this way.
    pub async fn prove<T: Trust<Route: Strict<Trust = T>>>(
        &self,
        route: T::Route,
        address: SocketAddr,
        start: TlsStart,
        login: Option<&Login>,
    ) -> Result<Channel, SessionFailure> {
        let (stream, ends) = connect(address, &self.settings, self.settings.source).await?;
        let settings = Arc::clone(&self.settings);
        let (session, _unreported) = match start {
            TlsStart::Implicit => {
                // The caller has a limit of its own.
                let stream = (stream, &Arc::default());
                Session::<T, _>::implicit(route, stream, ends, settings, &self.webpki).await
            }
            TlsStart::Starttls => {
                Plain::greet(route, stream, ends, settings).await?.verify(&self.webpki).await
            }
        };
        let session = match login {
            Some(login) => session?.log_in(login).await?,
            None => session?,
        };
        let channel = session.channel().clone();
        session.quit().await;
        Ok(channel)
    }

    /// Opens the session that mail along an open route would have, and takes leave: what it ran over;
    /// its peer may be anyone.
    ///
    /// # Errors
    ///
    /// [`SessionFailure`] at the step that did not come about.
    pub async fn settle(
        &self,
        route: SettledRoute,
        address: SocketAddr,
    ) -> Result<Channel, SessionFailure> {
        let (stream, ends) = connect(address, &self.settings, self.settings.source).await?;
        let plain = Plain::greet(route, stream, ends, Arc::clone(&self.settings)).await?;
        match plain.settle(&self.tls).await.0 {
            Ok(session) => {
                let channel = session.channel().clone();
                session.quit().await;
                Ok(channel)
            }
            Err(Unsettled::Failed(failure)) => Err(failure),
            // Mail would go in clear, on a new connection.
            Err(Unsettled::Broken(_)) => Ok(Channel::Clear(WhyClear::AfterFailure)),
        }
    }
    /// Opens the session that mail would have to a host whose TLSA records are of no use, and takes
    /// leave.
    ///
    /// # Errors
    ///
    /// [`SessionFailure`] at the step that did not come about.
    pub async fn encrypt(
        &self,
        route: EncryptedRoute,
        address: SocketAddr,
    ) -> Result<Channel, SessionFailure> {
        let (stream, ends) = connect(address, &self.settings, self.settings.source).await?;
        let plain = Plain::greet(route, stream, ends, Arc::clone(&self.settings)).await?;
        let session = plain.encrypt(&self.tls).await.0?;
        let channel = session.channel().clone();
        session.quit().await;
        Ok(channel)
    }
}
