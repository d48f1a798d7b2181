//! A connection before TLS: it can greet, upgrade and quit, and nothing else.

use std::sync::Arc;

use tokio::net::TcpStream;

use super::opening::{greeting, hello};
use crate::capabilities::Capabilities;
use crate::dialogue::Dialogue;
use crate::endpoints::Endpoints;
use crate::failure::{SessionFailure, Stage};
use crate::line_io::Stream;
use crate::patience::Patience;
use crate::settings::DeliverySettings;

/// A cleartext connection that has heard the greeting and the EHLO reply.
#[derive(Debug)]
pub struct Plain<Route, S: Stream = TcpStream> {
    pub(super) route: Route,
    pub(super) dialogue: Dialogue<S>,
    /// What was said in clear; it dies with this value (RFC 3207 §4.2).
    pub(super) capabilities: Capabilities,
    pub(super) ends: Endpoints,
    pub(super) settings: Arc<DeliverySettings>,
}

impl<Route, S: Stream> Plain<Route, S> {
    /// Hears the greeting of the host at the other end of `stream`, and says EHLO.
    ///
    /// # Errors
    ///
    /// [`SessionFailure`]; the connection is closed.
    pub async fn greet(
        route: Route,
        stream: S,
        ends: Endpoints,
        settings: Arc<DeliverySettings>,
    ) -> Result<Self, SessionFailure> {
        Self::greet_within(&Arc::default(), route, stream, ends, settings).await
    }

    /// The same, in an attempt with this patience.
    pub(crate) async fn greet_within(
        patience: &Arc<Patience>,
        route: Route,
        stream: S,
        ends: Endpoints,
        settings: Arc<DeliverySettings>,
    ) -> Result<Self, SessionFailure> {
        let dialogue = Dialogue::within(stream, Arc::clone(patience));
        let dialogue = greeting(dialogue, &settings).await?;
        let (dialogue, capabilities) = hello(dialogue, &settings, Stage::Hello).await?;
        Ok(Self { route, dialogue, capabilities, ends, settings })
    }
}
