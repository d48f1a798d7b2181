//! What delivery knows of an attempt, as the history keeps it.

use delivery::Recorder;
use mail::{DeliveryRecord, Message};
use queue::RecordBytes;
use smtp::Mailbox;

/// Makes records for the history.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HistoryRecorder;

impl Recorder for HistoryRecorder {
    fn records(
        &self,
        record: &DeliveryRecord,
        message: &Message,
        recipients: &[&Mailbox],
    ) -> Vec<RecordBytes> {
        history::records_of(record, message, recipients)
    }
}
