//! From what delivery knows of an attempt to the bytes that are settled with it.

use std::path::PathBuf;
use std::sync::Arc;

use mail::{Channel, DeliveryRecord, Message, NextHopRecord, SessionRecord};
use serde_json::value::{RawValue, to_raw_value};
use smtp::{Mailbox, ReversePath};
use store::RecordBytes;

use crate::address::{AddressKey, month_of};
use crate::digest::Digest;
use crate::error::HistoryError;
use crate::facts::Attempt;
use crate::files::Files;
use crate::kept::{BlobKind, Recorded, SharedFact, blob_bytes};
use crate::known::Noted;
use crate::settings::{Addresses, HistorySettings};
use crate::shared::Shared;
use crate::words::{attempt, decision, policy_of, session};

/// Makes records of attempts, for the commit that settles them. It never waits.
///
/// What many attempts share is given with them: the policy's decision and the session until the history's
/// files have them, certificates and the policy's text with the first of them. From then on a record
/// only names it.
#[derive(Clone, Debug)]
pub struct Recorder {
    pub(crate) shared: Arc<Shared>,
    noted: Arc<NotedFacts>,
    addresses: Addresses,
    dir: PathBuf,
}

/// The digests of what many attempts share.
#[derive(Debug)]
struct NotedFacts {
    sessions: Noted<SessionRecord>,
    policies: Noted<str>,
}

impl Recorder {
    /// Makes records as these settings say. Addresses are kept from when the
    /// [`Keeper`](crate::Keeper) has their key.
    #[must_use]
    pub fn new(settings: &HistorySettings) -> Self {
        let noted = NotedFacts { sessions: Noted::new(), policies: Noted::new() };
        let HistorySettings { addresses, dir, .. } = settings;
        let (shared, noted) = (Arc::default(), Arc::new(noted));
        Self { shared, noted, addresses: *addresses, dir: dir.clone() }
    }

    /// Reads the key of the month that `now` is in (milliseconds since 1970), or makes it, so that
    /// addresses are kept from the first record on.
    ///
    /// # Errors
    ///
    /// [`HistoryError`]: they are kept once the [`Keeper`](crate::Keeper) has the key.
    pub async fn load_key(&self, now: u64) -> Result<(), HistoryError> {
        let (shared, files) = (Arc::clone(&self.shared), Files::new(self.dir.clone()));
        let loaded = tokio::task::spawn_blocking(move || {
            files.create()?;
            shared.set_key(files.month_key(&month_of(now))?);
            Ok(())
        });
        loaded.await.unwrap_or(Err(HistoryError::Ended))
    }

    /// What is kept of an attempt that has ended like this for these recipients of `message`: one record,
    /// or several where one would be too long for a store, and before it what it names and the
    /// history may not have.
    #[must_use]
    pub fn records(
        &self,
        record: &DeliveryRecord,
        message: &Message,
        recipients: &[&Mailbox],
    ) -> Vec<RecordBytes> {
        if self.shared.take_missed() {
            self.noted.sessions.clear();
            self.noted.policies.clear();
        }
        let mut records = Vec::with_capacity(1);
        let Some(decision) = self.decision(&record.next_hop, &mut records) else { return records };
        let session = record.session.as_ref();
        let session = session.and_then(|session| self.session(session, &mut records));
        let with = (&decision, session.as_ref());
        self.attempts(record, message, recipients, with, &mut records);
        records
    }

    /// Adds the records of recipients.
    fn attempts(
        &self,
        record: &DeliveryRecord,
        message: &Message,
        recipients: &[&Mailbox],
        (decision, session): (&SharedFact, Option<&SharedFact>),
        records: &mut Vec<RecordBytes>,
    ) {
        let key = self.shared.key().filter(|_| self.addresses != Addresses::None);
        let mut text = attempt(record, message, recipients.len());
        let mut clear = Vec::new();
        if let Some(key) = &key {
            text.key = Some(key.month.clone());
            let mut keeping =
                Keeping { key: &key.key, addresses: self.addresses, clear: &mut clear };
            keeping.keep(&mut text, &message.reverse_path, recipients);
        }
        let key = key.as_ref().map(|key| key.month.as_str());
        let bytes = Recorded { key, decision, session, clear, text: &text }.bytes();
        match (bytes, recipients.split_at(recipients.len() / 2)) {
            (Some(bytes), _) => records.push(bytes),
            (None, ([], _)) => {}
            (None, (some, others)) => {
                self.attempts(record, message, some, (decision, session), records);
                self.attempts(record, message, others, (decision, session), records);
            }
        }
    }

    /// What the policy asked for; its text goes before, if the history may not have it.
    fn decision(
        &self,
        next_hop: &NextHopRecord,
        records: &mut Vec<RecordBytes>,
    ) -> Option<SharedFact> {
        let text = policy_of(&next_hop.decision).and_then(|policy| policy.source.text.as_ref());
        let digest = text.map(|text| {
            self.noted.policies.get(text).unwrap_or_else(|| {
                let digest = Digest::of(&[text.as_bytes()]);
                self.noted.policies.note(text, digest);
                self.blob(BlobKind::Policy, &digest, text.as_bytes(), records);
                digest
            })
        });
        Some(self.fact(to_raw_value(&decision(next_hop, digest)).ok()?))
    }

    /// The session; what its host showed goes before, if the history may not have it.
    fn session(
        &self,
        record: &Arc<SessionRecord>,
        records: &mut Vec<RecordBytes>,
    ) -> Option<SharedFact> {
        let noted = self.noted.sessions.get(record);
        if let Some(digest) = noted.filter(|digest| self.shared.known.has(digest)) {
            return Some(SharedFact::Known(digest));
        }
        let text = to_raw_value(&session(record)).ok()?;
        if noted.is_none() {
            self.noted.sessions.note(record, Digest::of(&[text.get().as_bytes()]));
            self.certificates(record, records);
        }
        Some(SharedFact::Whole(text))
    }

    /// What the host of a session showed.
    fn certificates(&self, record: &SessionRecord, records: &mut Vec<RecordBytes>) {
        let Channel::Tls(tls) = &record.channel else { return };
        for shown in &tls.chain {
            let digest = Digest::new(shown.digest);
            self.blob(BlobKind::Certificate, &digest, &shown.der, records);
        }
    }

    /// A fact: its digest, if the history has it.
    fn fact(&self, text: Box<RawValue>) -> SharedFact {
        let digest = Digest::of(&[text.get().as_bytes()]);
        if self.shared.known.has(&digest) {
            SharedFact::Known(digest)
        } else {
            SharedFact::Whole(text)
        }
    }

    /// Adds octets, unless the history has them.
    fn blob(&self, kind: BlobKind, digest: &Digest, octets: &[u8], records: &mut Vec<RecordBytes>) {
        if !self.shared.known.has(digest) {
            records.extend(blob_bytes(kind, octets));
        }
    }
}

/// Addresses on their way into a record.
pub(crate) struct Keeping<'a> {
    pub(crate) key: &'a AddressKey,
    pub(crate) addresses: Addresses,
    /// Those that are to be read, by what stands for them.
    pub(crate) clear: &'a mut Vec<(String, String)>,
}

impl Keeping<'_> {
    /// Keeps the addresses of an attempt.
    fn keep(&mut self, text: &mut Attempt, sender: &ReversePath, recipients: &[&Mailbox]) {
        text.sender = Some(match sender {
            ReversePath::Mailbox(mailbox) => self.hashed(mailbox.to_string()),
            ReversePath::Null => String::new(),
        });
        text.recipients = recipients.iter().map(|one| self.hashed(one.to_string())).collect();
    }

    /// What stands for an address.
    pub(crate) fn hashed(&mut self, address: String) -> String {
        let hash = self.key.hashed(&address);
        if self.addresses == Addresses::Clear && !address.is_empty() {
            self.clear.push((hash.clone(), address));
        }
        hash
    }
}
