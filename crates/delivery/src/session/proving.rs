//! The handshake in which a peer proves what its route asks for.

use std::sync::Arc;
use std::time::Duration;

use mta_sts::{CertificateDigest, Exception, ExceptionScope};
use tls_policy::{HostRecords, Trust as _};
use tokio_rustls::client::TlsStream;

use super::opening::server_name;
use super::strict::{PeerDemand, Strict};
use crate::failure::TlsFailure;
use crate::line_io::Stream;
use crate::tls::dane::{HeldTo, Shaken};
use crate::tls::peer_seen::PeerSeen;
use crate::tls::verdict::Verdict;
use crate::tls::webpki::WebPki;

/// Shakes hands with a peer that has to prove what `route` asks for. The names looked for are those of
/// the route and of its association, and there are no others in reach.
pub(super) async fn prove<S: Stream, R: Strict>(
    route: &R,
    stream: S,
    tls: &WebPki,
    limit: Duration,
) -> (Result<TlsStream<S>, TlsFailure>, PeerSeen) {
    let name = match server_name(&R::Trust::host(route)) {
        Ok(name) => name,
        Err(failure) => return (Err(failure), PeerSeen::nothing()),
    };
    let (association, held_to) = match route.demand() {
        PeerDemand::Certificate(exceptions, beside) => {
            let accepted = (name, digests(exceptions));
            let shaken = tls.handshake_accepting(stream, accepted, beside, limit).await;
            let Shaken { stream, dane, webpki } = shaken;
            let peer = PeerSeen { webpki, dane, records: route.records() };
            return (stream.map_err(TlsFailure::Handshake), peer);
        }
        PeerDemand::Name => {
            let stream = tls.handshake(stream, name, limit).await;
            let webpki = if stream.is_ok() { Verdict::Valid } else { Verdict::Unknown };
            let seen = PeerSeen { webpki, ..PeerSeen::nothing() };
            return (stream.map_err(TlsFailure::Handshake), seen);
        }
        PeerDemand::NameAndRecords(association) => (association, HeldTo::Both),
        PeerDemand::NameNotingRecords(association) => (association, HeldTo::Authorities),
        PeerDemand::Records(association) => (association, HeldTo::Records),
    };
    let records = Some(HostRecords::Usable(Arc::clone(association)));
    let shaken = tls.handshake_under(stream, association, (name, held_to), limit).await;
    let Shaken { stream, dane, webpki } = shaken;
    (stream.map_err(TlsFailure::Handshake), PeerSeen { webpki, dane, records })
}

/// The certificates that these exceptions accept.
fn digests(exceptions: &[Arc<Exception>]) -> Vec<CertificateDigest> {
    let digest = |exception: &Arc<Exception>| match exception.scope() {
        ExceptionScope::Certificate(digest) => Some(*digest),
        ExceptionScope::Domain(_) | ExceptionScope::Host(_) => None,
    };
    exceptions.iter().filter_map(digest).collect()
}
