//! Reports on their way: a store, a queue, a DNS and HTTPS servers that are real, and time that passes
//! when the test says so.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

#[path = "sending/at_once.rs"]
mod at_once;
#[path = "sending/by_https.rs"]
mod by_https;
#[path = "sending/by_mail.rs"]
mod by_mail;
#[path = "sending/over_days.rs"]
mod over_days;
#[path = "sending/station.rs"]
mod station;
