//! With one host over one session: transactions until everyone has been tried, and what the host made
//! of each recipient.

use std::net::SocketAddr;
use std::sync::Arc;

use mail::{ReasonClass, Recipient, SessionRecord};

use super::pass::{Host, Keyword, Pass};
use super::trusted::Trusted;
use super::walk::{Answered, Judged, Lasted, Walk};
use crate::connection_cache::{CachePosition, Rank};
use crate::disposition::{Disposition, Encryption, NotTaken, Remote, judge};
use crate::policy_facts::of_session;
use crate::recipient::{HopResult, OpenRecipient};
use crate::recipient_batches::RecipientBatches;
use crate::recipient_reply::RecipientReply;
use crate::session::established::Session;
use crate::status::Status;
use crate::target::{Target, TlsRequirement};
use crate::transaction::{Connection, Sent};
use crate::trials::Tried;

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

/// What has come of a transaction.
#[derive(Debug)]
struct Transacted {
    settled: Vec<HopResult>,
    /// Those for whom the transaction had no room.
    crowded: Vec<OpenRecipient>,
    /// The others for whom another host can be asked.
    open: Vec<OpenRecipient>,
    judged: Judged,
    after: After,
}

impl Transacted {
    /// A transaction of which nothing has come yet.
    fn new(after: After) -> Self {
        let (settled, crowded, open) = (Vec::new(), Vec::new(), Vec::new());
        Self { settled, crowded, open, judged: Judged::Form, after }
    }

    /// Something of our own went wrong; no other host is asked in this attempt.
    fn own_fault(recipients: Vec<OpenRecipient>, text: &str, after: After) -> Self {
        let failure = Status::OwnSystem.failure(ReasonClass::Other, text);
        let settled = recipients.into_iter().map(|one| one.put_off(failure.clone())).collect();
        Self { settled, ..Self::new(after) }
    }
}

impl Pass<'_> {
    /// Sends the message to everyone who has not got it, in as many transactions as that takes.
    /// The session is kept for the next message, or closed; nothing waits for that.
    pub(super) async fn converse<T: Trusted>(
        &self,
        mut walk: Walk,
        host: Host<'_>,
        mut session: Session<T>,
        licence: &T::Licence,
    ) -> Walk {
        session.wait_with(&self.patience);
        session.keep_as(None);
        self.pace.sends();
        if session.is_used()
            && let Some(address) = session.address()
        {
            self.patience.arrive(self.client.addresses.go_on_at(address));
        }
        let shown = (session.channel(), session.proof());
        let mta_sts = of_session(self.decision, &host.target.host, shown);
        let exception = self.tell_of_use(&session);
        let record = session.record((mta_sts, exception), self.client.clock.now());
        let mut before = if session.is_used() { Before::Idle } else { Before::Alive };
        let (mut judged, mut after) = (Judged::Form, After::Usable);
        let most = session.recipients_at_once(self.client.settings.recipients_per_transaction);
        let mut batches = RecipientBatches::new(std::mem::take(&mut walk.open), most);
        while let Some(recipients) = batches.next() {
            if !session.takes_more() {
                judged = Judged::Mail;
                walk.open.extend(recipients.into_iter().map(|one| turned_away(one, &record)));
                continue;
            }
            let size = recipients.len();
            let to = (&record, &host.target.requirement);
            let transacted = self.send(&mut session, licence, recipients, to, before).await;
            walk.settled.extend(transacted.settled);
            walk.open.extend(transacted.open);
            walk.open.extend(batches.again(size, transacted.crowded));
            judged = judged.max(transacted.judged);
            after = transacted.after;
            if after != After::Usable {
                break;
            }
            before = Before::Alive;
        }
        walk.open.extend(batches.rest());
        walk.open.sort_by_key(|one| one.recipient.number);
        let connection = match after {
            After::Dead => return walk,
            After::Lost => Lasted::Lost,
            After::Usable => {
                self.note_answer(&walk, host.target, session.address());
                self.keep(&walk, host, session, licence);
                Lasted::Yes
            }
        };
        let answered = Answered { judged, connection, address: record.address };
        walk.asked(host.target.clone(), answered)
    }

    /// Keeps a session for the next message, or has it closed.
    fn keep<T: Trusted>(
        &self,
        walk: &Walk,
        host: Host<'_>,
        mut session: Session<T>,
        licence: &T::Licence,
    ) {
        let rank = if walk.asked.is_empty() { host.rank } else { Rank::Later };
        let Self { client, .. } = self;
        session.keep_as(self.pace.give_up());
        let (next_hop, now) = (T::next_hop(licence), client.clock.now());
        let place = CachePosition { next_hop, target: host.target, rank, now };
        client.idle.keep(T::cache(&client.idle), session, place, &client.settings);
    }

    /// Notes that a host has answered to the end.
    ///
    /// One that was asked after another and has not settled the mail either lets others come before
    /// it in the next attempt; the first one keeps its place, for it may only be greylisting.
    fn note_answer(&self, walk: &Walk, target: &Target, address: Option<SocketAddr>) {
        let trials = &self.client.trials;
        if let Some(address) = address {
            trials.answered(&Tried::Address(address));
        }
        if walk.asked.is_empty() || walk.open.is_empty() {
            trials.answered(&Tried::host(target));
        }
    }

    /// Sends the message to these recipients, in one transaction.
    async fn send<T: Trusted>(
        &self,
        session: &mut Session<T>,
        licence: &T::Licence,
        recipients: Vec<OpenRecipient>,
        to: (&Arc<SessionRecord>, &TlsRequirement),
        before: Before,
    ) -> Transacted {
        let who: Vec<&Recipient> = recipients.iter().map(|one| &one.recipient.recipient).collect();
        let mail = match self.downgrade.mail(self.lease, session, &who).await {
            Ok(mail) => self.lease.body().await.map(|body| (mail, body)),
            Err(error) => Err(error),
        };
        let (mail, body) = match mail {
            Ok(opened) => opened,
            Err(error) => {
                let error = error.in_full();
                tracing::error!(error, "message unreadable");
                let text = format!("this relay could not read the message: {error}");
                return Transacted::own_fault(recipients, &text, After::Usable);
            }
        };
        if self.keyword == Keyword::WhereOffered && !session.offers_requiretls() {
            tracing::info!(
                queue_id = %self.lease.id(), mx = session.host(),
                "REQUIRETLS not offered: sent without"
            );
        }
        let sent = match T::begin(session, licence, self.keyword) {
            Ok(transaction) => transaction.send(&mail, recipients, body).await,
            Err(error) => {
                tracing::error!(%error, "session of another destination not used");
                let text = "a session was meant for another destination";
                return Transacted::own_fault(recipients, text, After::Lost);
            }
        };
        self.judge(sent, to, before)
    }

    /// Judges what the host replied for each recipient; where an idle session turns out to be dead,
    /// those whom only that has cut off are left as they were.
    fn judge(
        &self,
        sent: Sent<OpenRecipient>,
        (session, requirement): (&Arc<SessionRecord>, &TlsRequirement),
        before: Before,
    ) -> Transacted {
        let encryption = Encryption::of(session, requirement);
        let remote = Remote::of(session);
        let mut done = Transacted::new(match sent.connection {
            Connection::Lost => After::Lost,
            Connection::Clean | Connection::Open => {
                self.patience.dealt_with();
                After::Usable
            }
        });
        // Most replies settle somebody.
        done.settled.reserve_exact(sent.replies.len());
        for (recipient, reply) in sent.replies {
            if let RecipientReply::Refused { reply, .. } = &reply {
                self.hear(remote.host, reply);
            }
            if before == Before::Idle && done.after != After::Usable && reply.is_cut_off() {
                done.after = After::Dead;
                done.open.push(recipient);
                continue;
            }
            let disposition = judge(reply, remote, encryption, sent.reports);
            done.judged = done.judged.max(Judged::of(&disposition));
            match disposition {
                Disposition::Final(result) => done.settled.push(recipient.settled(result, session)),
                Disposition::NextHost(answer) => done.open.push(recipient.heard(answer, session)),
                Disposition::NextTransaction(failure) => {
                    done.crowded.push(recipient.heard(NotTaken::Later(failure), session));
                }
            }
        }
        done
    }
}

/// The host takes no more messages on this connection (RFC 9422 §4.1).
fn turned_away(recipient: OpenRecipient, session: &SessionRecord) -> OpenRecipient {
    let text = format!("{} takes no more messages on one connection (MAILMAX)", session.host);
    let texts = (text, "no more messages on one connection".to_owned());
    let failure = Remote::of(session).failure(ReasonClass::Reply, Status::NotAccepting, texts);
    OpenRecipient { answer: Some(NotTaken::Later(failure)), ..recipient }
}
