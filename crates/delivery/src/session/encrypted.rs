//! Sessions of hosts whose TLSA records are of no use: under TLS with whoever answers, or not at all
//! (RFC 7672 §2.2).

use std::sync::Arc;

use tls_policy::{Encrypted, EncryptedRoute, HostRecords};

use super::established::Session;
use super::open::shake;
use super::opening::starttls;
use super::plain::Plain;
use crate::failure::SessionFailure;
use crate::line_io::Stream;
use crate::tls::danger::Observing;
use crate::tls::peer_seen::PeerSeen;
use crate::tls_seen::{TlsFault, TlsOutcome, TlsSeen, TlsaSeen};

impl<S: Stream> Plain<EncryptedRoute, S> {
    /// Upgrades with STARTTLS, whoever the peer is; without TLS there is no session.
    pub async fn encrypt(
        self,
        tls: &Observing,
    ) -> (Result<Session<Encrypted, S>, SessionFailure>, TlsSeen) {
        let Self { route, mut dialogue, capabilities, ends, settings } = self;
        let patience = Arc::clone(dialogue.patience());
        let records = HostRecords::Unusable(Arc::clone(route.records()));
        let shaken = match starttls(&mut dialogue, &capabilities, &settings).await {
            Ok(()) => {
                let host = (route.route().host(), Some(&records));
                shake(dialogue, host, &settings, tls).await
            }
            Err(failure) => {
                dialogue.quit(settings.timeouts.quit).await;
                Err(failure)
            }
        };
        let (session, peer) = match shaken {
            Ok((stream, peer)) => {
                let (stream, record) = ((stream, patience), peer.record());
                (Session::under_tls(route, stream, record, ends, settings).await, peer)
            }
            Err(failure) => (Err(SessionFailure::Tls(failure)), PeerSeen::nothing()),
        };
        let outcome = TlsOutcome::of_session(&session, TlsFault::of_verdict(&peer.webpki));
        let tlsa = Some(TlsaSeen::beside(&records, outcome, &peer));
        let helo = capabilities.name().cloned();
        (session, TlsSeen { ends, helo, outcome, tlsa })
    }
}
