//! The header fields that a submitted message may lack, and that its first server adds
//! (RFC 6409 §8.2, §8.3). Mail that is only passed on keeps its header as it is.

use std::time::SystemTime;

use queue::QueueId;
use smtp::Domain;

use crate::header::HeaderScan;
use crate::received_field::date_time;

/// The header section of a submitted message, held until it is known what it lacks.
#[derive(Debug)]
pub(crate) struct Completion {
    date: String,
    message_id: String,
    held: Vec<u8>,
}

/// A Message-ID that no other message has.
pub(crate) fn given_id(id: QueueId, hostname: &Domain) -> String {
    format!("<{id}@{hostname}>")
}

impl Completion {
    /// Holds nothing yet; `id` and `hostname` make a Message-ID.
    pub(crate) fn new(at: SystemTime, id: QueueId, hostname: &Domain) -> Self {
        Self {
            date: format!("Date: {}\r\n", date_time(at)),
            message_id: format!("Message-ID: {}\r\n", given_id(id, hostname)),
            held: Vec::new(),
        }
    }

    /// Holds the next piece too.
    pub(crate) fn and(mut self, piece: &[u8]) -> Self {
        self.held.extend_from_slice(piece);
        self
    }

    /// What it lacks, and what was held. A message without a byte stays without.
    pub(crate) fn finish(self, header: &HeaderScan) -> Vec<u8> {
        let mut completed = Vec::new();
        if header.is_there() && !header.has_date() {
            completed.extend_from_slice(self.date.as_bytes());
        }
        if header.is_there() && !header.has_message_id() {
            completed.extend_from_slice(self.message_id.as_bytes());
        }
        completed.extend_from_slice(&self.held);
        completed
    }
}
