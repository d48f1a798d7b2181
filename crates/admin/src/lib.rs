//! The admin interface: what the running relay answers over HTTP, and the client of it.
//!
//! [`api`] has what is asked and answered, without I/O; [`server`] answers on the socket and on the
//! port for monitors; [`pages`] shows the same in a browser; [`client`] asks. What is counted for Prometheus is in [`metrics`], and whether
//! the relay can do its work in [`readiness`].

pub mod api;
pub mod client;
pub mod metrics;
pub mod pages;
pub mod readiness;
pub mod server;
