//! One pass over the hosts of a destination, in their order, until one has taken the message.
//!
//! Under an enforced policy hosts that it does not name are passed over, and one that is named and
//! does not prove its name is as good as absent (RFC 8461 §5). Otherwise any host will do.

mod effort;
mod reach;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mail::{DeliveryResult, Failure, ReasonClass, Recipient, SessionRecord};
use mta_sts::{Decision, MxMismatch};
use queue::Lease;
use tls_policy::Trust;

use crate::client::Client;
use crate::fitting::Fitting;
use crate::hop::{Hop, Manner, in_words};
use crate::idle::{Place, Rank, Shelf};
use crate::observation::of_mismatches;
use crate::outcome::{
    Encryption, Judged, Kind, Remote, Trouble, judge, unfit_so_far, unmet, unreached,
};
use crate::pace::Went;
use crate::patience::Patience;
use crate::policy_facts::of_session;
use crate::session::established::Session;
use crate::status::Status;
use crate::transaction::{Connection, Sent};
use crate::trials::Tried;
use crate::waiting::Waiting;

use self::effort::Effort;

/// How many hosts are asked to take a message in one attempt. RFC 5321 §5.1 wants two at least;
/// more would only make every host of a domain refuse it for the same reason.
const SESSIONS: usize = 2;

/// How long a message that a host cannot take waits for others that may take it and cannot be asked.
/// Then its sender learns what is lacking, while it is worth knowing.
const OTHERS_WAIT: Duration = Duration::from_secs(4 * 60 * 60);

/// What has become of a recipient.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Ending {
    /// What came of the attempt.
    pub(crate) result: DeliveryResult,
    /// The session in which that was decided.
    pub(crate) session: Option<Arc<SessionRecord>>,
    /// Whether another next hop can be asked.
    pub(crate) elsewhere: Elsewhere,
}

impl Ending {
    /// What has come of a next hop without a session.
    pub(crate) const fn nowhere(result: DeliveryResult) -> Self {
        Self { result, session: None, elsewhere: Elsewhere::MayHelp }
    }
}

/// Whether another next hop can be asked to take a message for a recipient.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Elsewhere {
    /// Nobody has decided about it.
    MayHelp,
    /// No host that was asked can take such a message; it is returned unless another next hop takes it.
    MayTake,
    /// It is decided, or could be delivered twice.
    Settled,
}

/// A pass in progress.
#[derive(Debug)]
pub(crate) struct Round<'a> {
    client: &'a Client,
    lease: &'a Lease,
    decision: &'a Decision,
    /// How long the attempt may wait.
    patience: Arc<Patience>,
    standings: Vec<Standing<'a>>,
    troubles: Vec<Trouble>,
    /// What was done to reach hosts; one that the policy does not name costs nothing.
    effort: Effort,
    /// How many hosts the policy does not name, and the first of them.
    unnamed: Option<(MxMismatch, u32)>,
    /// How many of them were asked to take the message.
    sessions: usize,
    /// How the host that is tried stands among those of the destination.
    rank: Rank,
    /// Whether the host that is asked has judged more than whether it can take such a message.
    engaged: bool,
    /// What hosts are told of the message.
    fitting: Fitting,
    /// How it went with them.
    went: Went,
    /// Which they were.
    asked: Vec<Hop>,
    /// What a session with the host that is asked has to be like.
    manner: Manner,
}

/// How a recipient stands.
#[derive(Debug)]
struct Standing<'a> {
    recipient: &'a Recipient,
    /// What the last host that was asked made of it.
    judged: Option<Judged>,
    /// The session with that host.
    session: Option<Arc<SessionRecord>>,
}

impl Standing<'_> {
    /// Of what two hosts say that do not settle it, the better for the sender counts: one that puts
    /// mail off may take it later, and one that cannot take it never does.
    fn hear(&mut self, judged: Judged) {
        self.judged = Some(match (self.judged.take(), judged) {
            (Some(Judged::Crowded(failure) | Judged::Open(failure)), Judged::Unfit(_)) => {
                Judged::Open(failure)
            }
            (_, judged) => judged,
        });
    }
}

impl<'a> Round<'a> {
    /// A pass for those recipients of `lease` that stand at `places`.
    pub(crate) fn new(
        client: &'a Client,
        (lease, places): (&'a Lease, &[usize]),
        patience: &Arc<Patience>,
        decision: &'a Decision,
    ) -> Self {
        let patience = Arc::clone(patience);
        let recipients = places.iter().filter_map(|place| lease.recipients().get(*place));
        let standing = |recipient| Standing { recipient, judged: None, session: None };
        let standings = recipients.map(standing).collect();
        Self {
            client,
            lease,
            decision,
            patience,
            standings,
            troubles: Vec::new(),
            effort: Effort::default(),
            unnamed: None,
            sessions: 0,
            rank: Rank::First,
            engaged: false,
            fitting: Fitting::default(),
            went: Went::Well,
            asked: Vec::new(),
            manner: Manner::AsPolicy,
        }
    }

    /// Tries the hosts, and tells what became of each recipient, in their order.
    pub(crate) async fn run(mut self, hops: &[Hop]) -> Vec<Ending> {
        let decision = self.decision;
        let fits = |hop: &Hop, rank| rank == Rank::First && hops.contains(hop);
        let idle = &self.client.idle;
        match decision {
            Decision::Require(required) => self.go_on(&idle.verified, required, fits).await,
            Decision::Permit(fallback) => {
                self.go_on(&idle.open, fallback, fits).await;
                self.go_on(&idle.demanded, fallback, fits).await;
            }
        }
        self.go_through(decision, hops).await;
        let Client { paces, settings, .. } = self.client;
        let nobody = self.asked.is_empty() && !self.troubles.is_empty();
        let went = if nobody { Went::Badly } else { self.went };
        paces.went(&self.lease.destination().to_string(), went, settings.per_domain);
        self.close()
    }

    /// Tries one host after the other.
    ///
    /// Where one of them is this relay, those behind it are not tried: they would only bring the mail
    /// back (RFC 5321 §5.1).
    async fn go_through(&mut self, decision: &Decision, hops: &[Hop]) {
        let mut tried: Vec<usize> = Vec::new();
        let mut end = hops.len();
        for (place, hop) in self.in_turn(hops) {
            if self.is_over() {
                self.effort.leave_out();
                break;
            }
            if place >= end || self.asked.contains(hop) {
                continue;
            }
            let better = tried.iter().filter(|tried| **tried < place).count();
            self.rank = if better == place { Rank::First } else { Rank::Later };
            tried.push(place);
            Box::pin(self.try_host(decision, hop)).await;
            if self.has_met_ourselves() {
                end = end.min(place);
            }
        }
    }

    /// The hosts and their places, best first; in a further attempt those first that have not failed
    /// since they were last tried.
    fn in_turn<'h>(&self, hops: &'h [Hop]) -> Vec<(usize, &'h Hop)> {
        let mut all: Vec<_> = hops.iter().enumerate().collect();
        if self.lease.attempts() > 0 {
            self.client.trials.in_turn(&mut all, |(_, hop)| Tried::host(hop));
        }
        all
    }

    /// Sends over a session that is there already, if one was made for this mail.
    ///
    /// One that turns out to be dead is no failure of its host: another takes its place, and at
    /// last a new one.
    async fn go_on<T: Trust>(
        &mut self,
        shelf: &'a Shelf<T>,
        leave: &T::Leave,
        fits: impl Fn(&Hop, Rank) -> bool,
    ) {
        while !self.is_over() {
            let Client { idle, settings, clock, .. } = self.client;
            let taken = idle.take(shelf, leave, &fits, clock.now(), settings);
            let Some((hop, session)) = taken else { return };
            self.converse(shelf, &hop, session, leave).await;
            if self.asked.contains(&hop) {
                return;
            }
            tracing::debug!(mx = hop.name(), "idle connection lost");
        }
    }

    fn is_over(&self) -> bool {
        let overdue = self.patience.overdue().is_some();
        overdue || self.sessions >= SESSIONS || self.open().next().is_none()
    }

    /// Whether the address that was tried last is this relay's own.
    fn has_met_ourselves(&self) -> bool {
        self.troubles.last().is_some_and(|trouble| trouble.kind == Kind::Loop)
    }

    /// Notes that the policy does not name a host; a domain can have any number of such.
    fn pass_over(&mut self, mismatch: MxMismatch) {
        self.troubles.push(Trouble::not_named(&mismatch));
        let hosts = self.unnamed.as_ref().map_or(0, |(_, hosts)| *hosts).saturating_add(1);
        let first = self.unnamed.take().map_or(mismatch, |(first, _)| first);
        self.unnamed = Some((first, hosts));
    }

    /// Those recipients for whom another host can be asked.
    fn open(&self) -> impl Iterator<Item = usize> {
        self.standings.iter().enumerate().filter_map(|(place, standing)| match standing.judged {
            None | Some(Judged::Crowded(_) | Judged::Open(_) | Judged::Unfit(_)) => Some(place),
            Some(Judged::Settled(_)) => None,
        })
    }

    /// Why hosts that may take what others cannot take were not asked; none where there is nothing to
    /// wait for.
    fn others(&self) -> Option<Vec<&Trouble>> {
        let asked = |trouble: &Trouble| self.asked.iter().any(|hop| hop.name() == trouble.host);
        let others = self.troubles.iter().filter(|trouble| trouble.may_pass() && !asked(trouble));
        let others: Vec<&Trouble> = others.collect();
        let young = self.lease.queued_for(self.client.clock.now()) < OTHERS_WAIT;
        (young && (self.effort.has_left_out() || !others.is_empty())).then_some(others)
    }

    fn close(self) -> Vec<Ending> {
        let others = self.others();
        let unfit = |failure: Failure| match &others {
            Some(troubles) => (unfit_so_far(failure, troubles), Elsewhere::MayHelp),
            None => (DeliveryResult::Bounced(failure), Elsewhere::MayTake),
        };
        let Self { client, standings, troubles, unnamed, .. } = &self;
        let untold = match self.decision {
            Decision::Require(required) => {
                if let Some((first, hosts)) = unnamed {
                    client.observer.observed(&of_mismatches(required, (first, *hosts)));
                }
                unmet(required, troubles)
            }
            Decision::Permit(fallback) => unreached(&in_words(fallback.next_hop()), troubles),
        };
        let ending = |standing: &Standing<'_>| {
            let (result, elsewhere) = match standing.judged.clone() {
                Some(Judged::Settled(result)) => (result, Elsewhere::Settled),
                Some(Judged::Unfit(failure)) => unfit(failure),
                Some(Judged::Crowded(failure) | Judged::Open(failure)) => {
                    (DeliveryResult::Deferred(failure), Elsewhere::MayHelp)
                }
                None => (untold.clone(), Elsewhere::MayHelp),
            };
            Ending { result, session: standing.session.clone(), elsewhere }
        };
        standings.iter().map(ending).collect()
    }

    /// Sends the message to everyone who has not got it, in as many transactions as that takes.
    /// The session is kept for the next message, or closed; nothing waits for that.
    async fn converse<T: Trust>(
        &mut self,
        shelf: &Shelf<T>,
        hop: &Hop,
        mut session: Session<T>,
        leave: &T::Leave,
    ) {
        self.manner = hop.manner.clone();
        session.wait_with(&self.patience);
        if session.is_used()
            && let Some(address) = session.address()
        {
            self.patience.arrive(self.client.addresses.go_on_at(address));
        }
        self.engaged = false;
        let mut before = if session.is_used() { Before::Idle } else { Before::Alive };
        let mut after = After::Usable;
        let record = Arc::new(SessionRecord {
            host: session.host().to_owned(),
            address: session.address(),
            proof: T::PROOF,
            channel: session.channel().clone(),
            mta_sts: of_session(self.decision, &hop.host, session.channel()),
        });
        let most = self.client.settings.recipients_per_transaction;
        let mut waiting = Waiting::new(self.open(), session.recipients_at_once(most));
        while let Some(places) = waiting.next() {
            if !session.takes_more() {
                let (host, addr) = (session.host(), session.address());
                self.turned_away(&places, Remote { host, addr });
                continue;
            }
            after = self.send(&mut session, leave, &places, (before, &record)).await;
            waiting.again(&places, |place| self.is_crowded(place));
            match after {
                After::Dead => return,
                After::Lost => {
                    self.went = Went::Badly;
                    break;
                }
                After::Usable => before = Before::Alive,
            }
        }
        if after == After::Usable {
            self.note_answer(hop, session.address());
        }
        let rank = if self.asked.is_empty() { self.rank } else { Rank::Later };
        if self.engaged {
            self.sessions = self.sessions.saturating_add(1);
        }
        self.asked.push(hop.clone());
        if after == After::Usable {
            let Client { idle, settings, clock, .. } = self.client;
            let place = Place { next_hop: T::next_hop(leave), hop, rank, now: clock.now() };
            idle.keep(shelf, session, place, settings);
        }
    }

    /// Notes that a host has answered to the end.
    ///
    /// One that was asked after another and has not settled the mail either lets others come before
    /// it in the next attempt; the first one keeps its place, for it may only be greylisting.
    fn note_answer(&self, hop: &Hop, address: Option<SocketAddr>) {
        let trials = &self.client.trials;
        if let Some(address) = address {
            trials.answered(&Tried::Address(address));
        }
        if self.asked.is_empty() || self.open().next().is_none() {
            trials.answered(&Tried::host(hop));
        }
    }

    /// The host takes no more messages on this connection (RFC 9422 §4.1).
    fn turned_away(&mut self, places: &[usize], remote: Remote<'_>) {
        self.engaged = true;
        for place in places {
            if let Some(standing) = self.standings.get_mut(*place) {
                let host = remote.host;
                let text = format!("{host} takes no more messages on one connection (MAILMAX)");
                let texts = (text, "no more messages on one connection".to_owned());
                let failure = remote.failure(ReasonClass::Reply, Status::NotAccepting, texts);
                standing.judged = Some(Judged::Open(failure));
            }
        }
    }

    /// Whether the last transaction had no place for this recipient.
    fn is_crowded(&self, place: usize) -> bool {
        let judged = self.standings.get(place).and_then(|standing| standing.judged.as_ref());
        matches!(judged, Some(Judged::Crowded(_)))
    }

    /// Sends the message to the recipients at `places`, in one transaction.
    async fn send<T: Trust>(
        &mut self,
        session: &mut Session<T>,
        leave: &T::Leave,
        places: &[usize],
        (before, record): (Before, &Arc<SessionRecord>),
    ) -> After {
        let standings = places.iter().filter_map(|place| self.standings.get(*place));
        let recipients: Vec<&Recipient> = standings.map(|standing| standing.recipient).collect();
        let mail = match self.fitting.mail(self.lease, session, &recipients).await {
            Ok(mail) => self.lease.body().await.map(|body| (mail, body)),
            Err(error) => Err(error),
        };
        let (mail, body) = match mail {
            Ok(opened) => opened,
            Err(error) => {
                let error = error.in_full();
                tracing::error!(error, "message unreadable");
                self.own_fault(places, &format!("this relay could not read the message: {error}"));
                return After::Usable;
            }
        };
        let sent = match session.mail(leave) {
            Ok(transaction) => transaction.send(&mail, &recipients, body).await,
            Err(error) => {
                tracing::error!(%error, "session of another destination not used");
                self.own_fault(places, "a session was meant for another destination");
                return After::Lost;
            }
        };
        self.judge(places, sent, before, record)
    }

    /// Judges each recipient's fate; where an idle session turns out to be dead, those whom only
    /// that has cut off are left as they were.
    fn judge(
        &mut self,
        places: &[usize],
        sent: Sent,
        before: Before,
        session: &Arc<SessionRecord>,
    ) -> After {
        let encryption = Encryption::of(session, &self.manner);
        let remote = Remote { host: &session.host, addr: session.address };
        let mut after = match sent.connection {
            Connection::Lost => After::Lost,
            Connection::Clean | Connection::Open => {
                self.patience.dealt_with();
                After::Usable
            }
        };
        for (place, fate) in places.iter().zip(sent.fates) {
            if before == Before::Idle && after != After::Usable && fate.is_cut_off() {
                after = After::Dead;
            } else if let Some(standing) = self.standings.get_mut(*place) {
                let judged = judge(fate, remote, encryption, sent.reports);
                self.engaged |= !matches!(judged, Judged::Unfit(_));
                standing.hear(judged);
                standing.session = Some(Arc::clone(session));
            }
        }
        after
    }

    /// Something of our own went wrong; no other host is asked in this attempt.
    fn own_fault(&mut self, places: &[usize], text: &str) {
        for place in places {
            if let Some(standing) = self.standings.get_mut(*place) {
                let failure = Status::OwnSystem.failure(ReasonClass::Other, text);
                standing.judged = Some(Judged::Settled(DeliveryResult::Deferred(failure)));
            }
        }
    }
}

/// How a session is before a transaction.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Before {
    /// The host has just answered.
    Alive,
    /// Nothing was said for a while; the host may be gone.
    Idle,
}

/// How a session is behind a transaction.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum After {
    /// It was dead when the transaction began.
    Dead,
    /// It is over.
    Lost,
    /// Another transaction may begin.
    Usable,
}
