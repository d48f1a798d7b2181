//! Whether a lookup failed because of the domain, or because of the relay's own resolver.

use std::net::SocketAddr;
use std::sync::Arc;

use dns::Dns;
use mta_sts::PolicyDomain;
use smtp::Domain;

use super::report::{Stage, State};

/// Names in zones of different operators, which every resolver of the internet can look up
/// (RFC 2606 §3, and the root zone's own servers).
const OTHERS: [&str; 2] = ["example.com", "a.root-servers.net"];

/// The resolver's fault, and what it means for `domain`, if no other name can be looked up either.
pub(super) async fn own_fault(
    dns: &Arc<dyn Dns>,
    servers: &[SocketAddr],
    domain: &PolicyDomain,
) -> Option<(Stage, String)> {
    let mut last = None;
    for name in OTHERS {
        match dns.addresses(&Domain::parse(name).ok()?).await {
            // That there is no such name is an answer, too.
            Ok(_answer) => return None,
            Err(error) => last = Some(error),
        }
    }
    let error = last?;
    let servers: Vec<_> = servers.iter().map(ToString::to_string).collect();
    let servers = servers.join(", ");
    let text = format!("the resolver of this relay ({servers}) answers for no name: {error}");
    let stage = Stage::new("resolver", State::Wrong, text).fix(
        "this is the relay's fault and not the domain's: check dns.servers, or /etc/resolv.conf, with \
         `dig @SERVER example.com`",
    );
    let domain = domain.as_str();
    let summary = format!(
        "it is not known whether mail for {domain} leaves: the resolver of this relay ({servers}) \
         does not answer"
    );
    Some((stage, summary))
}
