//! What is asked and answered about pages for one who may open the admin socket.

use access::Role;
use serde::{Deserialize, Serialize};

use crate::api::query::query;

/// Where pages are, until the connection ends.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct UiOpened {
    /// The link that logs in once.
    pub url: String,
}

/// The path that asks for pages for somebody in this role, at this port or at any.
#[must_use]
pub fn ui_path(role: Role, port: Option<u16>) -> String {
    let port = port.map(|port| port.to_string());
    format!("/ui{}", query(&[("role", Some(role.word().to_owned())), ("port", port)]))
}
