//! What a group of work makes of the rows that it has locked. No I/O: rows go in, changed rows come out.

use std::collections::BTreeMap;

use clock::time;
use mail::{DelayNotice, QueueId, Reason, State};
use store::rows::{EntryRow, divide, leave_deferred};
use store::{ByHand, ClaimEnd, Due, EntryId, EntrySettlement, Owner, RecordBytes, Settled};

use crate::error::QueryError;
use crate::tally::Tally;
use crate::work::{Change, EntryAt, Prepared, Settling, Work};

/// An owner that is none: the entry is anybody's.
pub(crate) const NOBODY: i64 = 0;

/// A message's row, as far as it changes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct MessageRow {
    /// Whether it is on its way.
    pub(crate) state: State,
    /// How many entries are left.
    pub(crate) open_entries: u32,
    /// How many recipients are left.
    pub(crate) open_recipients: u32,
    /// How many bytes it counts as.
    pub(crate) bytes: u64,
}

/// An entry's row with what stands beside it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Entry {
    /// What every store's entry has.
    pub(crate) row: EntryRow,
    /// The reasons of its recipients, by their numbers.
    pub(crate) reasons: Vec<Reason>,
    /// The token of the node whose it is.
    pub(crate) owner: i64,
}

/// A row that was locked, and what becomes of it.
#[derive(Clone, Debug)]
pub(crate) struct Locked<T> {
    /// The row; none once it is deleted.
    pub(crate) row: Option<T>,
    /// Whether it is another one than in the database.
    pub(crate) is_changed: bool,
}

impl<T> Locked<T> {
    /// A row as it was read.
    pub(crate) const fn read(row: T) -> Self {
        Self { row: Some(row), is_changed: false }
    }

    fn set(&mut self, row: Option<T>) {
        self.row = row;
        self.is_changed = true;
    }
}

/// What is answered when a group is durable.
#[derive(Debug)]
pub(crate) enum Done {
    /// So many were changed.
    Changed(usize),
    /// The message is in the queue.
    Committed(QueueId),
    /// Nothing is to be said.
    Nothing,
    /// The entries are settled.
    Settled(Vec<Settled>),
}

/// A message that is new, and whose its entries are.
#[derive(Debug)]
pub(crate) struct New<'w> {
    /// The message.
    pub(crate) message: &'w Prepared,
    /// The token of the node whose its entries are.
    pub(crate) owner: i64,
}

/// The changes of a group.
#[derive(Debug, Default)]
pub(crate) struct Plan<'w> {
    /// The messages that were locked.
    pub(crate) messages: BTreeMap<QueueId, Locked<MessageRow>>,
    /// The entries that were locked.
    pub(crate) entries: BTreeMap<EntryId, Locked<Entry>>,
    /// The messages that are new.
    pub(crate) new: Vec<New<'w>>,
    /// By how much the totals change.
    pub(crate) tally: Tally,
    /// What becomes due.
    pub(crate) due: Vec<Due>,
    /// The claims that end.
    pub(crate) ended: Vec<EntryAt>,
    /// The new entries that are this node's own: nobody claims them before the commit is known.
    pub(crate) own: Vec<EntryAt>,
    /// How many entries more this node owns then.
    pub(crate) owned: i64,
    /// The records of the attempts that are settled, in their order.
    pub(crate) records: Vec<&'w RecordBytes>,
    /// The entries that another node had taken over before they were settled.
    pub(crate) lost: Vec<EntryId>,
}

/// Whose group it is, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context<'c> {
    /// This node's token, for what is new.
    pub(crate) owner: i64,
    /// All tokens that this process has had: what it claimed under one of them is still its own.
    pub(crate) tokens: &'c [i64],
    /// How many entries more this node may own before it leaves new ones to anybody.
    pub(crate) stock: i64,
    /// The time, in milliseconds since 1970.
    pub(crate) now: u64,
}

impl<'w> Plan<'w> {
    /// Enters one piece of work.
    pub(crate) fn enter(
        &mut self,
        work: &'w Work,
        context: Context<'_>,
    ) -> Result<Done, QueryError> {
        match work {
            Work::Accept(message, owner, _) => {
                let owner = match owner {
                    Owner::ThisProcess if self.owned < context.stock => context.owner,
                    Owner::Anybody | Owner::ThisProcess => NOBODY,
                };
                self.add(message, owner);
                if owner != NOBODY {
                    self.own(message);
                }
                Ok(Done::Committed(message.id))
            }
            Work::Change(change, _) => self.change(change, context).map(Done::Changed),
            Work::Close(_) => Ok(Done::Nothing),
            Work::Settle(settling, _) => self.settle_all(settling, context).map(Done::Settled),
        }
    }

    /// Adds a new message.
    fn add(&mut self, message: &'w Prepared, owner: i64) {
        for entry in &message.entries {
            self.count_entry(entry, 1);
            if let (Some(at), Ok(destination)) = (entry.due, entry.destination()) {
                self.due.push(Due { destination: destination.to_string(), at });
            }
        }
        self.tally.add_whole(message, 1);
        self.new.push(New { message, owner });
    }

    /// The entries of a new message are this node's own.
    fn own(&mut self, message: &Prepared) {
        for entry in message.entries_at() {
            self.own.push(entry);
            self.owned = self.owned.saturating_add(1);
        }
    }

    /// Adds what tells the sender what becomes of message `of`. If that has left the queue meanwhile, its
    /// sender knows, or an operator has decided otherwise: nothing is sent.
    fn tell(&mut self, of: QueueId, notice: Option<&'w Prepared>) {
        if let Some(notice) = notice.filter(|_| self.message(of).is_some()) {
            self.add(notice, NOBODY);
        }
    }

    fn message(&self, id: QueueId) -> Option<MessageRow> {
        self.messages.get(&id).and_then(|locked| locked.row.clone())
    }

    fn entry(&self, id: EntryId) -> Option<Entry> {
        self.entries.get(&id).and_then(|locked| locked.row.clone())
    }

    fn put_message(&mut self, id: QueueId, row: Option<MessageRow>) {
        self.messages.entry(id).or_insert(Locked { row: None, is_changed: true }).set(row);
    }

    fn put_entry(&mut self, id: EntryId, row: Option<Entry>) {
        let is_owned = |entry: Option<&Entry>| entry.is_some_and(|one| one.owner != NOBODY);
        let before = is_owned(self.entries.get(&id).and_then(|locked| locked.row.as_ref()));
        if before && !is_owned(row.as_ref()) {
            self.owned = self.owned.saturating_sub(1);
        }
        self.entries.entry(id).or_insert(Locked { row: None, is_changed: true }).set(row);
    }

    /// The entries of a message that are left.
    fn entries_of(&self, id: QueueId) -> Vec<EntryId> {
        let (first, last) = (EntryId { id, number: 0 }, EntryId { id, number: u32::MAX });
        let of_message = self.entries.range(first..=last);
        of_message.filter(|(_, locked)| locked.row.is_some()).map(|(id, _)| *id).collect()
    }

    /// Settles entries of one message.
    fn settle_all(
        &mut self,
        settling: &'w Settling,
        context: Context<'_>,
    ) -> Result<Vec<Settled>, QueryError> {
        let is_own = |one: &EntrySettlement| {
            self.entry(one.entry).is_some_and(|entry| context.tokens.contains(&entry.owner))
        };
        // Whoever has taken all of it over tells the sender as well.
        if settling.entries.iter().any(is_own) {
            self.tell(settling.id, settling.notice.as_deref());
        }
        let mut settled = Vec::new();
        for one in &settling.entries {
            settled.push(self.settle(one, context)?);
            if one.claim == ClaimEnd::Ends {
                let destination = one.destination.to_string();
                self.ended.push(EntryAt { destination, entry: one.entry });
            }
        }
        Ok(settled)
    }

    /// Settles an entry: what is done leaves the queue, what is deferred is due again later.
    fn settle(
        &mut self,
        settlement: &'w EntrySettlement,
        context: Context<'_>,
    ) -> Result<Settled, QueryError> {
        let EntrySettlement { entry: id, recipients, outcomes, records, retry, .. } = settlement;
        let Some(mut message) = self.message(id.id) else { return Ok(Settled::GONE) };
        let Some(mut entry) = self.entry(*id) else { return Ok(Settled::GONE) };
        if !context.tokens.contains(&entry.owner) {
            // What nobody owns was settled before.
            self.lost.extend((entry.owner != NOBODY).then_some(*id));
            return Ok(Settled::GONE);
        }
        self.count_entry(&entry.row, -1);
        for one in &mut entry.row.recipients {
            if settlement.notices_sent.contains(&one.index) {
                one.delay = DelayNotice::Sent;
            }
        }
        // A settlement for some of the recipients, while the claim goes on for the others.
        let (named, others): (Vec<_>, Vec<_>) =
            entry.row.recipients.drain(..).partition(|one| recipients.contains(&one.index));
        if !named.is_empty() {
            self.records.extend(records);
        }
        let (deferred, done) = divide(&named, outcomes);
        self.finish(&mut message, done.len());
        if !others.is_empty() {
            return Ok(self.settled_partly(*id, message, entry, (others, named, done)));
        }
        if deferred.is_empty() {
            let message_gone = self.close_entry(*id, message);
            return Ok(Settled { deferred: 0, next_attempt: None, message_gone });
        }
        entry.reasons = leave_deferred(&mut entry.row, deferred)?.into_iter().cloned().collect();
        entry.row.attempts = retry.attempts;
        entry.row.by_hand = ByHand { planned: None, attempts: retry.by_hand };
        entry.row.due = (message.state == State::Queued).then_some(retry.due);
        entry.owner = NOBODY;
        let (deferred, next_attempt) = (entry.row.recipients.len(), entry.row.due.map(time));
        self.put_message(id.id, Some(message));
        self.put_due(*id, entry);
        Ok(Settled { deferred, next_attempt, message_gone: false })
    }

    /// Those who are done have left the entry; the others stay as they are, with the claim.
    fn settled_partly(
        &mut self,
        id: EntryId,
        message: MessageRow,
        mut entry: Entry,
        (mut left, named, done): (Vec<Recipient>, Vec<Recipient>, Vec<u32>),
    ) -> Settled {
        left.extend(named.into_iter().filter(|one| !done.contains(&one.index)));
        left.sort_by_key(|one| one.index);
        let deferred = left.len();
        entry.row.recipients = left;
        self.count_entry(&entry.row, 1);
        self.put_message(id.id, Some(message));
        self.put_entry(id, Some(entry));
        Settled { deferred, next_attempt: None, message_gone: false }
    }

    /// So many recipients of a message are done.
    fn finish(&mut self, message: &mut MessageRow, done: usize) {
        let done = u32::try_from(done).unwrap_or(u32::MAX);
        message.open_recipients = message.open_recipients.saturating_sub(done);
        self.tally.add_recipients(-i64::from(done));
    }

    /// Removes an entry that has no recipient left, and its message with the last one; whether it was that.
    fn close_entry(&mut self, id: EntryId, mut message: MessageRow) -> bool {
        self.put_entry(id, None);
        message.open_entries = message.open_entries.saturating_sub(1);
        let is_gone = message.open_entries == 0;
        if is_gone {
            self.tally.add_messages(-1, message.bytes);
        }
        self.put_message(id.id, (!is_gone).then_some(message));
        is_gone
    }

    /// Enters a change that is not a delivery's; how many things it changes.
    fn change(&mut self, change: &'w Change, context: Context<'_>) -> Result<usize, QueryError> {
        Ok(match change {
            Change::Delete(id, notice) => {
                self.tell(*id, notice.as_deref());
                usize::from(self.delete(*id))
            }
            Change::Forward(entries, due) => self.each(entries, |plan, id| plan.forward(id, *due)),
            Change::Hold(id) => usize::from(self.set_state(*id, State::OnHold, context.now)),
            Change::Quarantine(id, why) => {
                let state = State::Quarantined { why: why.clone() };
                usize::from(self.set_state(*id, state, context.now))
            }
            Change::Release(id) => usize::from(self.set_state(*id, State::Queued, context.now)),
            Change::Retry(entries, due) => self.each(entries, |plan, id| plan.retry(id, *due)),
            Change::Void(ids) => ids.iter().filter(|id| self.delete(**id)).count(),
        })
    }

    /// How many of the entries were changed.
    fn each(
        &mut self,
        entries: &[EntryId],
        mut change: impl FnMut(&mut Self, EntryId) -> bool,
    ) -> usize {
        entries.iter().filter(|id| change(self, **id)).count()
    }

    /// Removes a message with all that is left of it; whether there was one.
    fn delete(&mut self, id: QueueId) -> bool {
        let Some(mut message) = self.message(id) else { return false };
        for entry_id in self.entries_of(id) {
            if let Some(entry) = self.entry(entry_id) {
                self.count_entry(&entry.row, -1);
                self.finish(&mut message, entry.row.recipients.len());
                self.close_entry(entry_id, message.clone());
                message.open_entries = message.open_entries.saturating_sub(1);
            }
        }
        true
    }

    /// Puts a message into a state; a queued one is due at `due`. Whether anything changed.
    fn set_state(&mut self, id: QueueId, state: State, due: u64) -> bool {
        let Some(mut message) = self.message(id).filter(|row| row.state != state) else {
            return false;
        };
        message.state = state;
        let due = (message.state == State::Queued).then_some(due);
        self.put_message(id, Some(message));
        for entry_id in self.entries_of(id) {
            let Some(mut entry) = self.entry(entry_id) else { continue };
            self.count_entry(&entry.row, -1);
            entry.row.due = due;
            entry.row.by_hand.planned = None;
            self.put_due(entry_id, entry);
        }
        true
    }

    /// Makes an entry due at `due` if it is due later, because an operator asked for it; whether there was
    /// one that is not held.
    fn retry(&mut self, id: EntryId, due: u64) -> bool {
        let Some(mut entry) = self.entry(id) else { return false };
        let Some(planned) = entry.row.due else { return false };
        if planned > due {
            self.count_entry(&entry.row, -1);
            entry.row.due = Some(due);
            entry.row.by_hand.planned = Some(planned);
            self.put_due(id, entry);
        }
        true
    }

    /// Makes an entry due at `due` that is due later than may be; whether there was one.
    fn forward(&mut self, id: EntryId, due: u64) -> bool {
        let Some(mut entry) = self.entry(id).filter(|entry| entry.row.due > Some(due)) else {
            return false;
        };
        self.count_entry(&entry.row, -1);
        entry.row.due = Some(due);
        entry.row.by_hand.planned = None;
        self.put_due(id, entry);
        true
    }

    /// Puts an entry back that may be due at another time.
    fn put_due(&mut self, id: EntryId, entry: Entry) {
        self.count_entry(&entry.row, 1);
        if let (Some(at), Ok(destination)) = (entry.row.due, entry.row.destination()) {
            self.due.push(Due { destination: destination.to_string(), at });
        }
        self.put_entry(id, Some(entry));
    }

    /// Counts what an entry's recipients wait for, or no longer does.
    fn count_entry(&mut self, entry: &EntryRow, by: i64) {
        entry.waits_for().for_each(|class| self.tally.add_waiting(class, by));
    }
}

/// A recipient within an entry.
type Recipient = store::rows::RowRecipient;
