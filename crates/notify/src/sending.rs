//! Sending one message to one destination.

use std::sync::Arc;
use std::time::SystemTime;

use clock::millis;
use dkim::SigningTable;
use pkix::{Roots, SetupError};
use queue::Queue;
use rustls::time_provider::TimeProvider;
use smtp::Domain;

use crate::destination::{Channel, Destination};
use crate::mail_message::{Writer, enqueue};
use crate::post::{Post, Poster};
use crate::post_error::SendError;
use crate::rendering::Message;

/// What of the notices follows the settings.
#[derive(Clone, Debug)]
pub struct NotifierTuning {
    /// Who is told.
    pub destinations: Vec<Destination>,
    /// Who vouches for the servers of webhooks.
    pub roots: Roots,
    /// What the relay is called.
    pub hostname: Domain,
    /// The keys that sign notices by mail.
    pub signing: Arc<SigningTable>,
}

/// What sends notices, by settings that could be used.
#[derive(Debug)]
pub(crate) struct Outlet {
    pub(crate) destinations: Vec<Destination>,
    pub(crate) hostname: Domain,
    signing: Arc<SigningTable>,
    poster: Poster,
}

impl Outlet {
    /// Sends by these settings; certificates are judged at the time that `time` tells.
    pub(crate) fn new(
        tuning: NotifierTuning,
        time: Arc<dyn TimeProvider>,
    ) -> Result<Self, SetupError> {
        let NotifierTuning { destinations, roots, hostname, signing } = tuning;
        Ok(Self { destinations, hostname, signing, poster: Poster::new(roots, time)? })
    }

    /// The destination of this name.
    pub(crate) fn named(&self, name: &str) -> Option<&Destination> {
        self.destinations.iter().find(|one| one.name == name)
    }

    /// Sends a message, which is there or durable in the queue when this returns; `now` is the wall clock's.
    pub(crate) async fn send(
        &self,
        destination: &Destination,
        message: &Message,
        queue: &Queue,
        now: SystemTime,
    ) -> Result<(), SendError> {
        match &destination.channel {
            Channel::Mail { to } => {
                let writer = Writer { hostname: &self.hostname, signing: &self.signing, now };
                Box::pin(enqueue(queue, writer, to, message)).await
            }
            Channel::Slack { url } => {
                let body = message.slack().to_string().into_bytes();
                self.poster.post(url, Post { body, fields: Vec::new() }).await
            }
            Channel::Webhook { url, secret } => {
                let body = message.alertmanager(&destination.name).to_string().into_bytes();
                let timestamp = millis(now) / 1000;
                let mut fields = vec![
                    ("webhook-id", message.id.clone()),
                    ("webhook-timestamp", timestamp.to_string()),
                ];
                let signature =
                    secret.as_ref().map(|secret| secret.sign(&message.id, timestamp, &body));
                fields.extend(signature.map(|signature| ("webhook-signature", signature)));
                self.poster.post(url, Post { body, fields }).await
            }
        }
    }
}
