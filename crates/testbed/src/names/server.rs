//! The DNS server in front of the names.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use hickory_proto::op::{Edns, HeaderCounts, Metadata, ResponseCode};
use hickory_proto::rr::rdata::opt::EdnsOption;
use hickory_server::Server;
use hickory_server::net::runtime::Time;
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo};
use hickory_server::zone_handler::MessageResponseBuilder;
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::watch;
use tokio::time::sleep;

use super::resolver_behaviour::ResolverBehaviour;
use super::zone::{Answer, Authenticity, Zone};
use crate::tasks::Tasks;

/// How often a port is drawn that is to be free for UDP and for TCP.
const DRAWS: usize = 32;
/// How long a closing socket is waited for before its port is tried again.
const CLOSING: Duration = Duration::from_millis(20);
/// How long a TCP connection may be idle.
const IDLE: Duration = Duration::from_secs(30);
/// Responses waiting on one TCP connection.
const RESPONSES: usize = 32;
/// The option of extended errors, and the one that says that validation failed (RFC 8914 §2, §4.7).
const EXTENDED_ERROR: u16 = 15;
const DNSSEC_BOGUS: [u8; 2] = 6_u16.to_be_bytes();
/// The greatest UDP response (RFC 9715 §3).
const PAYLOAD: u16 = 1400;

/// Answers from a zone that others may change, as its behaviour has it.
pub(super) struct Answerer {
    pub(super) zone: Arc<watch::Sender<Zone>>,
    pub(super) behaviour: watch::Receiver<ResolverBehaviour>,
    /// Grows with each question.
    pub(super) questions: Arc<AtomicUsize>,
}

/// Starts a server on these sockets.
pub(super) fn start(answerer: Answerer, (udp, tcp): (UdpSocket, TcpListener), tasks: &Tasks) {
    let mut server = Server::new(answerer);
    server.register_socket(udp);
    server.register_listener(tcp, IDLE, RESPONSES);
    tasks.spawn(async move {
        // It ends with the world, or when its sockets break; either way nobody asks any more.
        drop(server.block_until_done().await);
    });
}

/// A UDP and a TCP socket at `ip` with the same port.
pub(super) async fn sockets(ip: IpAddr) -> io::Result<(UdpSocket, TcpListener)> {
    let mut refused = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..DRAWS {
        let udp = UdpSocket::bind((ip, 0)).await?;
        match TcpListener::bind(udp.local_addr()?).await {
            Ok(tcp) => return Ok((udp, tcp)),
            Err(error) => refused = error,
        }
    }
    Err(refused)
}

/// The sockets of a server that has listened here before and may just be closing them.
pub(super) async fn sockets_again(address: SocketAddr) -> io::Result<(UdpSocket, TcpListener)> {
    let mut refused = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..DRAWS {
        match (UdpSocket::bind(address).await, TcpListener::bind(address).await) {
            (Ok(udp), Ok(tcp)) => return Ok((udp, tcp)),
            (Err(error), _) | (_, Err(error)) => refused = error,
        }
        sleep(CLOSING).await;
    }
    Err(refused)
}

#[async_trait]
impl RequestHandler for Answerer {
    async fn handle_request<R: ResponseHandler, T: Time>(
        &self,
        request: &Request,
        mut response_handle: R,
    ) -> ResponseInfo {
        let mut metadata = Metadata::response_from_request(&request.metadata);
        let unsent = ResponseInfo::from(hickory_proto::op::Header {
            metadata,
            counts: HeaderCounts::default(),
        });
        let Ok(info) = request.request_info() else { return unsent };
        let (name, record_type) = (info.query.original().name().clone(), info.query.query_type());
        self.zone.send_modify(|zone| zone.count(&name, record_type));
        self.questions.fetch_add(1, Ordering::Relaxed);
        let behaviour = *self.behaviour.borrow();
        let checking = behaviour.checking(request);
        let answer = self.zone.borrow().answer(&name, record_type, checking);
        let Some(mut answer) = answer else { return unsent };
        behaviour.change(&mut answer, &name, record_type, request);
        sleep(answer.delay).await;
        metadata.recursion_available = true;
        metadata.response_code = answer.code;
        metadata.authentic_data = wants_ad(request) && vouched_for(&answer);
        let edns = request.edns.as_ref().map(|asked| reply_edns(asked, answer.security));
        let response = MessageResponseBuilder::new(&request.queries, edns.as_ref()).build(
            metadata,
            &answer.records,
            [],
            &answer.soa,
            [],
        );
        response_handle.send_response(response).await.unwrap_or(unsent)
    }
}

/// RFC 6840 §5.7: the AD bit in a query, or DO, asks for it in the response.
fn wants_ad(request: &Request) -> bool {
    let dnssec_ok = request.edns.as_ref().is_some_and(|edns| edns.flags().dnssec_ok);
    dnssec_ok || request.metadata.authentic_data
}

fn vouched_for(answer: &Answer) -> bool {
    let told = matches!(answer.code, ResponseCode::NoError | ResponseCode::NXDomain);
    told && answer.security == Authenticity::Proven
}

fn reply_edns(asked: &Edns, security: Authenticity) -> Edns {
    let mut edns = Edns::new();
    edns.set_max_payload(asked.max_payload().clamp(512, PAYLOAD));
    edns.set_version(0);
    edns.set_dnssec_ok(asked.flags().dnssec_ok);
    if security == Authenticity::Refuted {
        edns.options_mut().insert(EdnsOption::Unknown(EXTENDED_ERROR, DNSSEC_BOGUS.to_vec()));
    }
    edns
}
