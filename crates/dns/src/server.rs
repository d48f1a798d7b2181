//! One recursive resolver, asked over UDP and, when that does not do, over TCP.
//!
//! hickory's own pool of name servers is not used: it drops the extended error that a SERVFAIL
//! carries (RFC 8914), takes one server's SERVFAIL for the word of all, and passes a malformed answer
//! on without a try over TCP.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::udp::UdpClientStream;
use hickory_resolver::net::xfer::{DnsRequestSender, FirstAnswer};
use hickory_resolver::proto::ProtoError;
use hickory_resolver::proto::op::{DnsRequest, DnsRequestOptions, DnsResponse, ResponseCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::answer::{AdBit, Reading};
use crate::error::{LookupError, Malformation, Obstacle};
use crate::question::Question;
use crate::standing::{ServerState, Standing};

/// How long a datagram is waited for before it is sent again.
const RETRANSMIT_AFTER: Duration = Duration::from_secs(1);

/// How long a server that stayed silent is asked after the others.
const LAST_IN_LINE: Duration = Duration::from_secs(30);

/// After so many questions in a row without an answer the log says so: one or two datagrams
/// are lost on any network.
const SILENCES: u32 = 3;

/// Whether a question carries EDNS(0), and what it asks for there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Edns {
    /// With the DO bit, so that signatures are looked at (RFC 3225 §3).
    DnssecOk,
    /// Without the DO bit, and with CD instead: whatever there is, validated or not (RFC 4035 §3.2.2).
    Unchecked,
    /// Without the DO bit, for larger datagrams alone.
    Plain,
    /// None, for servers that know no EDNS(0).
    Absent,
}

/// A recursive resolver.
pub(crate) struct Server {
    address: SocketAddr,
    network: TokioRuntimeProvider,
    silence: Mutex<Silence>,
    standing: Standing,
}

/// How long a server has been silent.
#[derive(Clone, Copy, Debug, Default)]
struct Silence {
    /// Since when; none where its last word is later.
    at: Option<Instant>,
    /// How many questions in a row were left without an answer.
    questions: u32,
}

impl Server {
    pub(crate) fn new(address: SocketAddr, state: ServerState) -> Self {
        Self {
            address,
            network: TokioRuntimeProvider::new(),
            silence: Mutex::default(),
            standing: Standing::new(state),
        }
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether its word on DNSSEC counts.
    pub(crate) const fn standing(&self) -> &Standing {
        &self.standing
    }

    /// Whether it has lately left a question without an answer.
    pub(crate) fn is_last_in_line(&self) -> bool {
        self.silence
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .at
            .is_some_and(|silent_at| silent_at.elapsed() < LAST_IN_LINE)
    }

    /// Asks, and gives up after `patience`.
    pub(crate) async fn ask(
        &self,
        question: &Question,
        ad_bit: AdBit,
        edns: Edns,
        patience: Duration,
    ) -> Result<Reading, LookupError> {
        let reading = tokio::time::timeout(patience, self.respond(question, edns, patience))
            .await
            .unwrap_or(Err(LookupError::TimedOut))
            .and_then(|response| Reading::of(question, &response, self.address, ad_bit));
        self.note(reading.as_ref().err().filter(|error| error.is_silence()));
        reading
    }

    /// Notes whether it was silent, and says so when it has been for several questions and when it no
    /// longer is: once each.
    fn note(&self, silence: Option<&LookupError>) {
        let mut known = self.silence.lock().unwrap_or_else(PoisonError::into_inner);
        let before = known.questions;
        known.at = silence.map(|_| Instant::now());
        known.questions = silence.map_or(0, |_| before.saturating_add(1));
        let now = known.questions;
        drop(known);
        let server = self.address;
        match silence {
            Some(error) if now == SILENCES => warn!(%server, %error, "resolver not responding"),
            None if before >= SILENCES => info!(%server, "resolver responding again"),
            Some(_) | None => {}
        }
    }

    /// The response; asked again without EDNS(0) where it was not understood (RFC 6891 §7).
    async fn respond(
        &self,
        question: &Question,
        edns: Edns,
        patience: Duration,
    ) -> Result<DnsResponse, LookupError> {
        let response = self.exchange(request(question, edns), patience).await?;
        if edns != Edns::Absent && knows_no_edns(response.metadata.response_code) {
            return self.exchange(request(question, Edns::Absent), patience).await;
        }
        Ok(response)
    }

    /// One request and its response, over UDP; over TCP if the datagram held only a part of it or
    /// cannot be read, for then it may have been cut on its way.
    async fn exchange(
        &self,
        request: DnsRequest,
        patience: Duration,
    ) -> Result<DnsResponse, LookupError> {
        match self.over_udp(request.clone(), patience).await {
            Ok(response) if response.metadata.truncation => self.over_tcp(&request).await,
            Err(fault @ LookupError::Malformed { .. }) => {
                self.over_tcp(&request).await.or(Err(fault))
            }
            settled => settled,
        }
    }

    /// From a random port of its own, sent again when nothing comes; a datagram from elsewhere, with
    /// another id or question is passed over (RFC 5452 §9).
    async fn over_udp(
        &self,
        request: DnsRequest,
        patience: Duration,
    ) -> Result<DnsResponse, LookupError> {
        UdpClientStream::builder(self.address, self.network.clone())
            .with_timeout(Some(patience))
            .build()
            .send_message(request)
            .first_answer()
            .await
            .map_err(network_fault)
    }

    /// Over a connection of its own (RFC 7766 §5), which is rare enough to be closed again.
    async fn over_tcp(&self, request: &DnsRequest) -> Result<DnsResponse, LookupError> {
        let message = request.to_vec().map_err(undecodable)?;
        let length = u16::try_from(message.len()).map_err(unreachable)?;
        let mut stream = TcpStream::connect(self.address).await.map_err(unreachable)?;
        // Length and message in one segment (RFC 7766 §8).
        let framed = [length.to_be_bytes().as_slice(), &message].concat();
        stream.write_all(&framed).await.map_err(unreachable)?;
        let length = stream.read_u16().await.map_err(unreachable)?;
        let mut message = vec![0; length.into()];
        stream.read_exact(&mut message).await.map_err(unreachable)?;
        let response = DnsResponse::from_buffer(message).map_err(undecodable)?;
        if response.metadata.id != request.metadata.id {
            return Err(Malformation::OtherQuestion.into());
        }
        if response.metadata.truncation {
            return Err(Malformation::Truncated.into());
        }
        Ok(response)
    }
}

fn request(question: &Question, edns: Edns) -> DnsRequest {
    let mut options = DnsRequestOptions::default();
    options.use_edns = edns != Edns::Absent;
    options.edns_set_dnssec_ok = edns == Edns::DnssecOk;
    options.recursion_desired = true;
    // Mixed case in names would only come back to us in the answers; UDP ports and ids are random.
    options.case_randomization = false;
    options.retry_interval = RETRANSMIT_AFTER;
    let mut request = DnsRequest::from_query(question.to_query(), options);
    request.metadata.checking_disabled = edns == Edns::Unchecked;
    request
}

fn knows_no_edns(code: ResponseCode) -> bool {
    matches!(code, ResponseCode::FormErr | ResponseCode::NotImp | ResponseCode::BADVERS)
}

fn network_fault(error: NetError) -> LookupError {
    if let NetError::Proto(error) = error {
        return undecodable(error);
    }
    if matches!(error, NetError::Timeout) { LookupError::TimedOut } else { unreachable(error) }
}

fn undecodable(error: ProtoError) -> LookupError {
    Malformation::Undecodable { source: Arc::new(error) }.into()
}

fn unreachable(error: impl Error + Send + Sync + 'static) -> LookupError {
    Obstacle::Transport { source: Arc::new(error) }.into()
}
