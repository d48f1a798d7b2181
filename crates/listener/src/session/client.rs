//! What is known of the client, and whether it may submit.

use std::net::IpAddr;

use access::{Admission, AllowedSenders, Authenticated, Submitter};
use smtp::{ClientName, ReversePath, Smtputf8};

use crate::connections::ClientClass;
use crate::protocol::{Hello, Protocol};
use crate::refusal::Refusal;
use crate::rules::Rules;
use crate::service::{AuthMode, Service};
use crate::tls::TlsFacts;

/// Where a client is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Origin {
    /// At this address.
    Client(IpAddr),
    /// Somewhere behind the proxy at this address, which does not say: nobody's network.
    Proxy(IpAddr),
}

/// What is known of the client.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) origin: Origin,
    /// What is offered where it connected.
    pub(super) service: Service,
    /// How the connection is encrypted.
    pub(super) tls: Option<TlsFacts>,
    /// Who logged in.
    pub(super) user: Option<Authenticated>,
    /// How it introduced itself.
    pub(super) introduction: Option<Introduction>,
}

/// How a client introduced itself.
#[derive(Clone, Debug)]
pub(super) struct Introduction {
    /// How it called itself.
    pub(super) name: ClientName,
    /// By which command.
    pub(super) hello: Hello,
}

impl Client {
    /// A client that has yet to say EHLO.
    pub(super) const fn new(origin: Origin, service: Service) -> Self {
        Self { origin, service, tls: None, user: None, introduction: None }
    }

    /// Its address, or its proxy's.
    pub(super) const fn peer(&self) -> IpAddr {
        match self.origin {
            Origin::Client(address) | Origin::Proxy(address) => address,
        }
    }

    /// The addresses that it may send from, as a user or as a host of a network, where these are listed.
    pub(super) fn senders(&self, rules: &Rules) -> Option<AllowedSenders> {
        let of_network = || match (self.origin, rules.networks.judge(self.peer())) {
            (Origin::Client(_), Admission::Admitted(host)) => Some(host.senders().clone()),
            (Origin::Proxy(_), _) | (_, Admission::Gateway | Admission::Unlisted) => None,
        };
        match &self.user {
            Some(user) => Some(user.senders()),
            None => of_network().filter(|senders| !senders.are_all()),
        }
    }

    /// How it introduced itself, which comes before everything else.
    pub(super) fn introduced(&self) -> Result<&Introduction, Refusal> {
        self.introduction.as_ref().ok_or(Refusal::HelloFirst)
    }

    /// Whether it is waited for: a listed network is enough, even if its hosts must log in besides.
    pub(super) fn class(&self, rules: &Rules) -> ClientClass {
        match self.origin {
            Origin::Proxy(_) => ClientClass::Unadmitted,
            Origin::Client(peer) => match rules.networks.judge(peer) {
                Admission::Admitted(_) => ClientClass::Admitted,
                Admission::Gateway | Admission::Unlisted => ClientClass::Unadmitted,
            },
        }
    }

    /// Whether it may submit mail, for all that is known of it by now.
    pub(super) fn is_welcome(&self, rules: &Rules) -> bool {
        self.user.is_some() || self.class(rules) == ClientClass::Admitted
    }

    /// Admits a message from `path`.
    pub(super) fn admit(&self, rules: &Rules, path: &ReversePath) -> Result<Submitter, Refusal> {
        let peer = self.peer();
        if let Some(user) = &self.user {
            return user
                .submit(peer, path)
                .ok_or_else(|| Refusal::SenderNotAllowed { user: user.name().to_owned() });
        }
        match self.service.auth {
            AuthMode::Required => {
                return Err(Refusal::AuthenticationRequired { tls_first: self.tls.is_none() });
            }
            AuthMode::Off | AuthMode::Optional => {}
        }
        match self.origin {
            Origin::Proxy(_) => Err(Refusal::NotAdmitted { peer }),
            Origin::Client(_) => match rules.networks.judge(peer) {
                Admission::Admitted(host) => {
                    host.submit(path).ok_or(Refusal::SenderNotOfNetwork { peer })
                }
                Admission::Gateway => Err(Refusal::Gateway { peer }),
                Admission::Unlisted if self.service.auth == AuthMode::Optional => {
                    Err(Refusal::AuthenticationRequired { tls_first: self.tls.is_none() })
                }
                Admission::Unlisted => Err(Refusal::NotAdmitted { peer }),
            },
        }
    }

    /// How its message comes, for the Received header field.
    pub(super) fn protocol(&self, hello: Hello, smtputf8: Smtputf8) -> Protocol {
        Protocol { hello, smtputf8, tls: self.tls.clone(), user: self.user.is_some() }
    }
}
