//! A look at a host: everything that comes before mail, and then QUIT.
//!
//! A `Plain<MxHost>` has no route, so no session comes of it: whatever the host shows, there is
//! nothing here that could say MAIL.

use mail::TlsVersion;
use mta_sts::MxHost;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::client::TlsStream;

use super::opening::{hello, starttls};
use super::plain::Plain;
use crate::dialogue::Dialogue;
use crate::failure::{SessionFailure, Stage, TlsFailure};
use crate::line_io::Stream;
use crate::settings::DeliverySettings;
use crate::tls::danger::Observing;
use crate::tls::record::version;
use crate::tls::verdict::Verdict;

impl<S: Stream> Plain<MxHost, S> {
    /// Begins TLS, says EHLO under it and takes leave: the version of TLS, what the host's certificate
    /// is worth, and the chain that it has shown.
    pub(crate) async fn look(
        self,
        tls: &Observing,
    ) -> Result<(TlsVersion, Verdict, Vec<CertificateDer<'static>>), SessionFailure> {
        let Self { route, mut dialogue, capabilities, settings, .. } = self;
        if let Err(failure) = starttls(&mut dialogue, &capabilities, &settings).await {
            dialogue.quit(settings.timeouts.quit).await;
            return Err(failure.into());
        }
        let stream = dialogue.into_stream().map_err(TlsFailure::Injected)?;
        let name = ServerName::try_from(route.as_str().to_owned())
            .map_err(|_invalid| TlsFailure::NotAName(route.as_str().to_owned()))?;
        let shaken = tls.handshake(stream, name, settings.timeouts.tls).await;
        let (stream, verdict) = shaken.map_err(TlsFailure::Handshake)?;
        let shown = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let chain = shown.iter().map(|one| one.clone().into_owned()).collect();
        Ok((take_leave(stream, &settings).await?, verdict, chain))
    }
}

async fn take_leave<S: Stream>(
    stream: TlsStream<S>,
    settings: &DeliverySettings,
) -> Result<TlsVersion, SessionFailure> {
    let tls = version(stream.get_ref().1);
    let (dialogue, _) = hello(Dialogue::new(stream), settings, Stage::HelloAgain).await?;
    dialogue.quit(settings.timeouts.quit).await;
    Ok(tls)
}
