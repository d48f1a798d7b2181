//! What every command of a session needs: the client, what it has said, and how it is answered.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::time::sleep;

use super::behaviour::{Act, MxBehaviour, Step};
use super::host::Host;
use super::transaction::Transaction;
use super::wire::{Ended, Wire};
use crate::tap::{Channel, Recorder};
use crate::tls::{Handshake, Stream, TlsSession, accept};

/// A client and what it has said, as far as its session has come.
pub(super) struct Dialogue {
    pub(super) host: Arc<Host>,
    pub(super) wire: Wire,
    pub(super) recorder: Recorder,
    pub(super) peer: SocketAddr,
    pub(super) service: Service,
    pub(super) client_name: Option<String>,
    pub(super) tls: Option<TlsSession>,
    pub(super) transaction: Option<Transaction>,
    pub(super) logged_in: bool,
}

/// Whether the host has greeted the client as one it will serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    Given,
    Refused,
}

/// What became of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StepResult {
    /// Something else was said.
    Otherwise,
    /// The usual reply is due.
    Usual,
}

impl Dialogue {
    /// A client that has not said anything yet.
    pub(super) fn new(
        host: Arc<Host>,
        stream: Box<dyn Stream>,
        recorder: Recorder,
        peer: SocketAddr,
    ) -> Self {
        let (wire, service) = (Wire::new(stream), Service::Given);
        Self {
            host,
            wire,
            recorder,
            peer,
            service,
            client_name: None,
            tls: None,
            transaction: None,
            logged_in: false,
        }
    }

    /// RFC 3207 §4.2: after the handshake both sides forget what was said before.
    pub(super) async fn shake_hands(self) -> Result<Self, Ended> {
        let Self { host, wire, recorder, peer, .. } = self;
        match accept(wire.into_stream(), host.tls()).await {
            Ok((stream, agreed)) => {
                recorder.handshake(Handshake::Completed(agreed.clone()));
                let session = Self::new(host, Box::new(stream), recorder, peer);
                Ok(Self { tls: Some(agreed), ..session })
            }
            Err(broken) => {
                recorder.handshake(broken.into());
                Err(Ended)
            }
        }
    }

    /// Does what the host was told to do at a step.
    pub(super) async fn goes(&mut self, step: Step) -> Result<StepResult, Ended> {
        self.goes_for(step, None).await
    }

    pub(super) async fn goes_for(
        &mut self,
        step: Step,
        recipient: Option<&str>,
    ) -> Result<StepResult, Ended> {
        let pace = self.host.behaviour(MxBehaviour::pace);
        if !pace.is_zero() {
            sleep(pace).await;
        }
        match self.host.act(step, self.channel(), recipient) {
            None => return Ok(StepResult::Usual),
            Some(Act::Delay(delay)) => {
                sleep(delay).await;
                return Ok(StepResult::Usual);
            }
            Some(Act::Before(bytes)) => {
                self.wire.write(&bytes).await?;
                return Ok(StepResult::Usual);
            }
            Some(Act::Drop) => return Err(Ended),
            Some(Act::Raw(bytes)) => self.wire.write(&bytes).await?,
            Some(Act::Reply(reply)) => self.say(&reply).await?,
            Some(Act::ReplyAndDrop(reply)) => {
                self.say(&reply).await?;
                self.wire.close().await;
                return Err(Ended);
            }
            Some(Act::Silence) => {
                self.wire.drain().await;
                return Err(Ended);
            }
        }
        Ok(StepResult::Otherwise)
    }

    pub(super) async fn say(&mut self, reply: &str) -> Result<(), Ended> {
        self.wire.write(format!("{reply}\r\n").as_bytes()).await
    }

    pub(super) const fn channel(&self) -> Channel {
        if self.tls.is_some() { Channel::Tls } else { Channel::Clear }
    }
}
