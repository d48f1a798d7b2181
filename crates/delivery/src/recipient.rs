//! A recipient on its way through an attempt: moved from step to step, never looked up again.

use std::borrow::Borrow;
use std::sync::Arc;

use mail::{DelayNotice, DeliveryRecord, DeliveryResult, Failure, Recipient, SessionRecord};
use queue::Lease;

use crate::disposition::NotTaken;

/// A recipient of a lease.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct LeasedRecipient {
    /// Which one of the lease's it is.
    pub(crate) number: usize,
    /// Who it is.
    pub(crate) recipient: Recipient,
    /// Whether the sender knows that its mail is late.
    pub(crate) delay: DelayNotice,
}

impl LeasedRecipient {
    /// All recipients of a lease.
    pub(crate) fn all(lease: &Lease) -> Vec<Self> {
        let recipients = lease.recipients().iter().zip(lease.delays()).enumerate();
        recipients
            .map(|(number, (recipient, delay))| {
                let (recipient, delay) = (recipient.clone(), *delay);
                Self { number, recipient, delay }
            })
            .collect()
    }
}

/// What an attempt has come to for a recipient.
#[derive(Clone, Debug)]
pub(crate) struct RecipientResult {
    /// The recipient.
    pub(crate) recipient: LeasedRecipient,
    /// What came of it, and how.
    pub(crate) record: DeliveryRecord,
}

impl RecipientResult {
    /// The same, but for what `f` makes of the result.
    pub(crate) fn map(self, f: impl FnOnce(DeliveryResult) -> DeliveryResult) -> Self {
        let Self { recipient, record } = self;
        let record = DeliveryRecord { result: f(record.result), ..record };
        Self { recipient, record }
    }
}

/// A recipient for whom another host can be asked.
#[derive(Clone, Debug)]
pub(crate) struct OpenRecipient {
    /// The recipient.
    pub(crate) recipient: LeasedRecipient,
    /// What the hosts that were asked have made of it.
    pub(crate) answer: Option<NotTaken>,
    /// The session with the last of them.
    pub(crate) session: Option<Arc<SessionRecord>>,
}

/// What has come of a next hop for a recipient.
#[derive(Clone, Debug)]
pub(crate) struct HopResult {
    /// The recipient.
    pub(crate) recipient: LeasedRecipient,
    /// What has come of it.
    pub(crate) result: DeliveryResult,
    /// The session in which that was decided.
    pub(crate) session: Option<Arc<SessionRecord>>,
    /// Whether another next hop can be asked.
    pub(crate) elsewhere: Elsewhere,
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

impl HopResult {
    /// What has come of a next hop without a session.
    pub(crate) const fn nowhere(recipient: LeasedRecipient, result: DeliveryResult) -> Self {
        Self { recipient, result, session: None, elsewhere: Elsewhere::MayHelp }
    }
}

impl OpenRecipient {
    /// A recipient for whom no host has been asked.
    pub(crate) const fn new(recipient: LeasedRecipient) -> Self {
        Self { recipient, answer: None, session: None }
    }

    /// The same after a further host has answered.
    ///
    /// Of what two hosts say that do not settle it, the better for the sender counts: one that puts
    /// mail off may take it later, and one that cannot take it never does.
    pub(crate) fn heard(self, answer: NotTaken, session: &Arc<SessionRecord>) -> Self {
        let answer = match (self.answer, answer) {
            (Some(NotTaken::Later(failure)), NotTaken::Unfit(_)) => NotTaken::Later(failure),
            (_, answer) => answer,
        };
        let (recipient, session) = (self.recipient, Some(Arc::clone(session)));
        Self { recipient, answer: Some(answer), session }
    }

    /// A host has decided about it.
    pub(crate) fn settled(self, result: DeliveryResult, session: &Arc<SessionRecord>) -> HopResult {
        let (recipient, session) = (self.recipient, Some(Arc::clone(session)));
        HopResult { recipient, result, session, elsewhere: Elsewhere::Settled }
    }

    /// Something of our own has decided that no other host is asked in this attempt.
    pub(crate) fn put_off(self, failure: Failure) -> HopResult {
        let Self { recipient, session, .. } = self;
        let result = DeliveryResult::Deferred(failure);
        HopResult { recipient, result, session, elsewhere: Elsewhere::Settled }
    }
}

impl Borrow<Recipient> for OpenRecipient {
    fn borrow(&self) -> &Recipient {
        &self.recipient.recipient
    }
}
