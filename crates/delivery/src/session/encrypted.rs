//! Sessions of hosts whose TLSA records are of no use: under TLS with whoever answers, or not at all
//! (RFC 7672 §2.2).

use std::sync::Arc;

use mail::{CertificateVerdict, DaneVerdict};
use tls_policy::{Encrypted, EncryptedRoute};

use super::established::Session;
use super::open::shake;
use super::opening::starttls;
use super::plain::Plain;
use crate::failure::SessionFailure;
use crate::line_io::Stream;
use crate::tls::danger::Observing;
use crate::tls::record::PeerRecord;
use crate::tls_seen::{TlsFault, TlsOutcome, TlsSeen, TlsaSeen};

impl<S: Stream> Plain<EncryptedRoute, S> {
    /// Upgrades with STARTTLS, whoever the peer is; without TLS there is no session.
    pub async fn encrypt(
        self,
        tls: &Observing,
    ) -> (Result<Session<Encrypted, S>, SessionFailure>, TlsSeen) {
        let Self { route, mut dialogue, capabilities, ends, settings } = self;
        let patience = Arc::clone(dialogue.patience());
        let shaken = match starttls(&mut dialogue, &capabilities, &settings).await {
            Ok(()) => shake(dialogue, route.route().host(), &settings, tls).await,
            Err(failure) => {
                dialogue.quit(settings.timeouts.quit).await;
                Err(failure)
            }
        };
        let certificate = match &shaken {
            Ok((_, verdict)) => TlsFault::of_verdict(verdict),
            Err(_) => Ok(()),
        };
        let records = Arc::clone(route.records());
        let session = match shaken {
            Ok((stream, verdict)) => {
                let base = route.records().base().as_str().to_owned();
                let certificate = CertificateVerdict::from(&verdict);
                let peer = PeerRecord { certificate, dane: DaneVerdict::Unusable { base } };
                Session::under_tls(route, (stream, patience), peer, ends, settings).await
            }
            Err(failure) => Err(SessionFailure::Tls(failure)),
        };
        let outcome = TlsOutcome::of_session(&session, certificate);
        let tlsa = Some(TlsaSeen::of_unusable(&records, &session));
        let helo = capabilities.name().cloned();
        (session, TlsSeen { ends, helo, outcome, tlsa })
    }
}
