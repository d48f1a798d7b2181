//! Name servers for the tests: real sockets, on UDP and TCP, that keep a record of what was asked.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use hickory_resolver::net::runtime::{Time, TokioRuntimeProvider};
use hickory_resolver::net::xfer::Protocol;
use hickory_resolver::proto::op::Message;
use hickory_resolver::proto::rr::rdata::TXT;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use hickory_resolver::proto::serialize::txt::Parser;
use hickory_server::Server;
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo};
use hickory_server::store::in_memory::InMemoryZoneHandler;
use hickory_server::zone_handler::{AxfrPolicy, Catalog, ZoneType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;

use crate::{DnsSettings, Dnssec, Resolver};

/// One question that arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) protocol: Protocol,
    pub(crate) name: String,
    pub(crate) record_type: RecordType,
}

/// The questions that arrived.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<Asked>>>);

impl Log {
    pub(crate) fn all(&self) -> Vec<Asked> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    pub(crate) fn protocols(&self) -> Vec<Protocol> {
        self.all().into_iter().map(|asked| asked.protocol).collect()
    }

    fn note(&self, protocol: Protocol, name: &Name, record_type: RecordType) {
        let name = name.to_ascii();
        self.0.lock().unwrap().push(Asked { protocol, name, record_type });
    }
}

/// A resolver that asks these servers.
pub(crate) fn resolver(servers: &[SocketAddr]) -> Resolver {
    Resolver::new(settings(servers)).unwrap()
}

/// Settings for these servers, with little patience; none is tested, so that each question is one that a
/// test asks.
pub(crate) fn settings(servers: &[SocketAddr]) -> DnsSettings {
    DnsSettings {
        servers: servers.to_vec(),
        dnssec: Dnssec::Off,
        bogus_probe: None,
        timeout: Duration::from_secs(5),
        attempts: 2,
    }
}

/// Moves the timers' clock; while it stands still, nothing may wait for a socket.
pub(crate) async fn let_pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

/// An authoritative server for some zones.
pub(crate) struct Zones {
    pub(crate) address: SocketAddr,
    pub(crate) log: Log,
    _server: Server<Logged>,
}

impl Zones {
    /// Serves the zones of these texts, each with its origin.
    pub(crate) async fn serve(zones: &[(&str, &str)]) -> Self {
        let mut catalog = Catalog::new();
        for (origin, text) in zones {
            let origin = Name::from_ascii(origin).unwrap();
            let (origin, records) = Parser::new(*text, None, Some(origin)).parse().unwrap();
            let zone: InMemoryZoneHandler<TokioRuntimeProvider> = InMemoryZoneHandler::new(
                origin.clone(),
                records,
                ZoneType::Primary,
                AxfrPolicy::Deny,
                None,
            )
            .unwrap();
            catalog.upsert(origin.into(), vec![Arc::new(zone)]);
        }
        let log = Log::default();
        let (udp, tcp) = sockets().await;
        let address = udp.local_addr().unwrap();
        let mut server = Server::new(Logged { catalog, log: log.clone() });
        server.register_socket(udp);
        server.register_listener(tcp, Duration::from_secs(5), 4096);
        Self { address, log, _server: server }
    }
}

struct Logged {
    catalog: Catalog,
    log: Log,
}

#[async_trait]
impl RequestHandler for Logged {
    async fn handle_request<R: ResponseHandler, T: Time>(
        &self,
        request: &Request,
        response_handle: R,
    ) -> ResponseInfo {
        let asked = request.request_info().unwrap();
        self.log.note(asked.protocol, asked.query.name(), asked.query.query_type());
        self.catalog.handle_request::<R, T>(request, response_handle).await
    }
}

/// What a scripted server does with a question.
pub(crate) enum Reply {
    Say(Message),
    Send(Vec<u8>),
    KeepSilent,
}

type Script = Arc<dyn Fn(&Message, Protocol) -> Reply + Send + Sync>;

/// A server that does what a test tells it to.
pub(crate) struct Scripted {
    pub(crate) address: SocketAddr,
    pub(crate) log: Log,
    _tasks: JoinSet<()>,
}

impl Scripted {
    pub(crate) async fn serve(
        script: impl Fn(&Message, Protocol) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let script: Script = Arc::new(script);
        let log = Log::default();
        let (udp, tcp) = sockets().await;
        let address = udp.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(serve_udp(udp, Arc::clone(&script), log.clone()));
        tasks.spawn(serve_tcp(tcp, script, log.clone()));
        Self { address, log, _tasks: tasks }
    }

    /// A server that answers everything with `change` made to an empty answer.
    pub(crate) async fn answering(change: impl Fn(&mut Message) + Send + Sync + 'static) -> Self {
        Self::serve(move |request, _| {
            let mut response = response_to(request);
            change(&mut response);
            Reply::Say(response)
        })
        .await
    }

    pub(crate) async fn silent() -> Self {
        Self::serve(|_, _| Reply::KeepSilent).await
    }
}

/// NOERROR, with nothing in it but the question.
pub(crate) fn response_to(request: &Message) -> Message {
    let mut response = Message::response(request.metadata.id, request.metadata.op_code);
    response.metadata.recursion_available = true;
    response.add_queries(request.queries.clone());
    response
}

/// Adds a TXT record to an answer.
pub(crate) fn text(message: &mut Message, text: &str) {
    let name = message.queries[0].name().clone();
    let txt = RData::TXT(TXT::new(vec![text.to_owned()]));
    message.add_answer(Record::from_rdata(name, 300, txt));
}

async fn serve_udp(socket: UdpSocket, script: Script, log: Log) {
    let mut buffer = vec![0; 65_535];
    loop {
        let (length, peer) = socket.recv_from(&mut buffer).await.unwrap();
        if let Some(reply) = reply(&buffer[..length], Protocol::Udp, &script, &log) {
            socket.send_to(&reply, peer).await.unwrap();
        }
    }
}

async fn serve_tcp(listener: TcpListener, script: Script, log: Log) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        serve_connection(stream, &script, &log).await;
    }
}

async fn serve_connection(mut stream: TcpStream, script: &Script, log: &Log) {
    let length = stream.read_u16().await.unwrap();
    let mut request = vec![0; length.into()];
    stream.read_exact(&mut request).await.unwrap();
    if let Some(reply) = reply(&request, Protocol::Tcp, script, log) {
        stream.write_u16(u16::try_from(reply.len()).unwrap()).await.unwrap();
        stream.write_all(&reply).await.unwrap();
    }
}

fn reply(request: &[u8], protocol: Protocol, script: &Script, log: &Log) -> Option<Vec<u8>> {
    let request = Message::from_vec(request).unwrap();
    let query = &request.queries[0];
    log.note(protocol, query.name(), query.query_type());
    match script(&request, protocol) {
        Reply::Say(response) => Some(response.to_vec().unwrap()),
        Reply::Send(octets) => Some(octets),
        Reply::KeepSilent => None,
    }
}

/// A UDP and a TCP socket with the same port.
async fn sockets() -> (UdpSocket, TcpListener) {
    loop {
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()).await {
            return (udp, tcp);
        }
    }
}
