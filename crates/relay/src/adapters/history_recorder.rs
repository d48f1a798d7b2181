//! What delivery knows of an attempt, as the history keeps it.

use delivery::Recorder;
use mail::{DeliveryRecord, Message};
use queue::RecordBytes;
use smtp::Mailbox;

/// Makes records for the history.
#[derive(Clone, Debug)]
pub(crate) struct HistoryRecorder(pub(crate) history::Recorder);

impl Recorder for HistoryRecorder {
    fn records(
        &self,
        record: &DeliveryRecord,
        message: &Message,
        recipients: &[&Mailbox],
    ) -> Vec<RecordBytes> {
        self.0.records(record, message, recipients)
    }
}
