//! What is known of the client, and whether it may submit.

use std::net::IpAddr;

use access::{Admission, AllowedSenders, Authenticated, LocalUser, Peer, Submitter};
use smtp::{ClientName, Mailbox, MailboxDomain, ReversePath, Smtputf8};

use crate::connections::ClientClass;
use crate::protocol::{Hello, Protocol};
use crate::refusal::Refusal;
use crate::rules::Rules;
use crate::service::{AuthMode, Service};
use crate::settings::ListenerSettings;
use crate::tls::TlsFacts;

/// Where a client is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Origin {
    /// At this address.
    Client(IpAddr),
    /// On this machine.
    Local(LocalUser),
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

    /// Where it is, or its proxy.
    pub(super) const fn peer(&self) -> Peer {
        match &self.origin {
            Origin::Client(address) | Origin::Proxy(address) => Peer::Network(*address),
            Origin::Local(user) => user.peer(),
        }
    }

    /// Who logged in, or the user of this machine.
    pub(super) fn user(&self) -> Option<&str> {
        match (&self.user, &self.origin) {
            (Some(user), _) => Some(user.name()),
            (None, Origin::Local(user)) => Some(user.name()),
            (None, Origin::Client(_) | Origin::Proxy(_)) => None,
        }
    }

    /// The user's own address, where there is one.
    pub(super) fn user_address(&self, settings: &ListenerSettings) -> Option<Mailbox> {
        match (&self.user, &self.origin) {
            (Some(user), _) => user.address(),
            (None, Origin::Local(user)) => user.address(&settings.hostname),
            (None, Origin::Client(_) | Origin::Proxy(_)) => None,
        }
    }

    /// Who gets what is sent to `mailbox`. Nobody has a mailbox here: what a program of this machine
    /// sends to one, such as cron to root, goes to whom the settings name.
    pub(super) fn addressee(&self, mailbox: Mailbox, settings: &ListenerSettings) -> Mailbox {
        let is_ours = |domain: &MailboxDomain| match domain {
            MailboxDomain::Domain(domain) => *domain == settings.hostname,
            MailboxDomain::Literal(_) => false,
        };
        match (&self.origin, &settings.local_mail_to) {
            (Origin::Local(_), Some(other)) if is_ours(mailbox.domain()) => other.clone(),
            (Origin::Local(_) | Origin::Client(_) | Origin::Proxy(_), _) => mailbox,
        }
    }

    /// The addresses that it may send from, as a user or as a host of a network, where these are listed.
    pub(super) fn senders(&self, rules: &Rules) -> Option<AllowedSenders> {
        let of_origin = || match &self.origin {
            Origin::Client(address) => match rules.networks.judge(*address) {
                Admission::Admitted(host) => Some(host.senders().clone()),
                Admission::Gateway | Admission::Unlisted => None,
            },
            Origin::Local(user) => Some(local_senders(user, rules)),
            Origin::Proxy(_) => None,
        };
        match &self.user {
            Some(user) => Some(user.senders()),
            None => of_origin().filter(|senders| !senders.are_all()),
        }
    }

    /// How it introduced itself, which comes before everything else.
    pub(super) fn introduced(&self) -> Result<&Introduction, Refusal> {
        self.introduction.as_ref().ok_or(Refusal::HelloFirst)
    }

    /// Whether it is waited for: a listed network is enough, even if its hosts must log in besides.
    pub(super) fn class(&self, rules: &Rules) -> ClientClass {
        match &self.origin {
            Origin::Proxy(_) => ClientClass::Unadmitted,
            Origin::Local(_) => ClientClass::Admitted,
            Origin::Client(peer) => match rules.networks.judge(*peer) {
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
        let peer = match &self.origin {
            Origin::Local(user) => {
                let licence = user.submit(&local_senders(user, rules), path);
                return licence.ok_or_else(|| not_allowed(user.name()));
            }
            Origin::Client(peer) | Origin::Proxy(peer) => *peer,
        };
        if let Some(user) = &self.user {
            return user.submit(peer, path).ok_or_else(|| not_allowed(user.name()));
        }
        match self.service.auth {
            AuthMode::Required => {
                return Err(Refusal::AuthenticationRequired { tls_first: self.tls.is_none() });
            }
            AuthMode::Off | AuthMode::Optional => {}
        }
        match &self.origin {
            Origin::Proxy(_) | Origin::Local(_) => Err(Refusal::NotAdmitted { peer }),
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

/// The addresses that a user of this machine may send from.
fn local_senders(user: &LocalUser, rules: &Rules) -> AllowedSenders {
    user.senders(&rules.local_senders, &rules.settings.hostname)
}

/// The refusal of an address that is none of the user's.
fn not_allowed(user: &str) -> Refusal {
    Refusal::SenderNotAllowed { user: user.to_owned() }
}
