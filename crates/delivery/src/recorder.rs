//! Who makes of an attempt what is kept of it.

use std::fmt::Debug;

use mail::{DeliveryRecord, Message};
use queue::RecordBytes;
use smtp::Mailbox;

use crate::recipient::RecipientResult;

/// Makes of an attempt what is kept of it, in the commit that settles it; must not block.
pub trait Recorder: Debug + Send + Sync {
    /// What is kept of an attempt that has ended like this for these recipients of `message`.
    fn records(
        &self,
        record: &DeliveryRecord,
        message: &Message,
        recipients: &[&Mailbox],
    ) -> Vec<RecordBytes>;
}

/// Nothing is kept.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unrecorded;

impl Recorder for Unrecorded {
    fn records(&self, _: &DeliveryRecord, _: &Message, _: &[&Mailbox]) -> Vec<RecordBytes> {
        Vec::new()
    }
}

/// What is kept of these results: once for all recipients who share their fate.
#[expect(single_use_lifetimes, reason = "an anonymous one is not allowed here yet")]
pub(crate) fn records<'a>(
    recorder: &dyn Recorder,
    message: &Message,
    results: impl Iterator<Item = &'a RecipientResult>,
) -> Vec<RecordBytes> {
    alike(results)
        .into_iter()
        .flat_map(|(record, results)| {
            let recipients: Vec<&Mailbox> =
                results.iter().map(|one| &one.recipient.recipient.mailbox).collect();
            recorder.records(record, message, &recipients)
        })
        .collect()
}

/// Recipients who share their fate, in the order of the first of them.
pub(crate) fn alike<'a>(
    results: impl Iterator<Item = &'a RecipientResult>,
) -> Vec<(&'a DeliveryRecord, Vec<&'a RecipientResult>)> {
    let mut alike: Vec<(&DeliveryRecord, Vec<&RecipientResult>)> = Vec::new();
    for result in results {
        match alike.iter_mut().find(|(other, _)| **other == result.record) {
            Some((_, others)) => others.push(result),
            None => alike.push((&result.record, vec![result])),
        }
    }
    alike
}
