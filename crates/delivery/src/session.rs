//! Sessions: the only folder in which one is born.
//!
//! A [`Plain`] connection can greet, upgrade and quit. It has no MAIL, RCPT or DATA; those belong
//! to a [`Session`], and a `Session` comes from [`Plain::verify`], [`Plain::settle`],
//! [`Plain::settle_in_clear`], [`Plain::encrypt`] and `Session::implicit` alone. What has to be read to
//! believe "no plaintext under enforce, and no host unmatched" is these functions, `mta_sts::decision`
//! and `tls_policy`.
//!
//! An enforced route has no way to settle for less:
//!
//! ```compile_fail,E0599
//! # async fn f(plain: delivery::Plain<tls_policy::NamedRoute<mta_sts::VerifiedRoute>>, tls: &delivery::Observing) {
//! let (session, observation) = plain.settle(tls).await;
//! # drop((session, observation)); }
//! ```
//!
//! ```
//! # async fn f(plain: delivery::Plain<tls_policy::NamedRoute<mta_sts::VerifiedRoute>>, tls: &delivery::WebPki) {
//! let (session, observation) = plain.verify(tls).await;
//! # drop((session, observation)); }
//! ```
//!
//! It is not verified by a configuration that accepts any certificate:
//!
//! ```compile_fail,E0308
//! # async fn f(plain: delivery::Plain<tls_policy::NamedRoute<mta_sts::VerifiedRoute>>, tls: &delivery::Observing) {
//! let (session, observation) = plain.verify(tls).await;
//! # drop((session, observation)); }
//! ```
//!
//! A connection that failed to verify is gone, and there is nothing left to try again with:
//!
//! ```compile_fail,E0382
//! # async fn f(plain: delivery::Plain<tls_policy::NamedRoute<mta_sts::VerifiedRoute>>, tls: &delivery::WebPki) {
//! let first = plain.verify(tls).await;
//! let second = plain.verify(tls).await;
//! # drop((first, second)); }
//! ```
//!
//! A route of the operator's own, with proof of the host's name, has no way to settle either:
//!
//! ```compile_fail,E0599
//! # async fn f(plain: delivery::Plain<tls_policy::NamedRoute<mta_sts::DemandedRoute>>, tls: &delivery::Observing) {
//! let (session, observation) = plain.settle(tls).await;
//! # drop((session, observation)); }
//! ```
//!
//! ```
//! # async fn f(plain: delivery::Plain<tls_policy::NamedRoute<mta_sts::DemandedRoute>>, tls: &delivery::WebPki) {
//! let (session, observation) = plain.verify(tls).await;
//! # drop((session, observation)); }
//! ```
//!
//! Nor has a route to a host with TLSA records, whether they are of use or not (RFC 7672 §2.2):
//!
//! ```compile_fail,E0599
//! # async fn f(plain: delivery::Plain<tls_policy::MatchedRoute>, tls: &delivery::Observing) {
//! let (session, observation) = plain.settle(tls).await;
//! # drop((session, observation)); }
//! ```
//!
//! ```
//! # async fn f(plain: delivery::Plain<tls_policy::MatchedRoute>, tls: &delivery::WebPki) {
//! let (session, observations) = plain.verify(tls).await;
//! # drop((session, observations)); }
//! ```
//!
//! ```compile_fail,E0599
//! # fn f(plain: delivery::Plain<tls_policy::EncryptedRoute>, broken: &delivery::BrokenHandshake) {
//! let session = plain.settle_in_clear(broken);
//! # drop(session); }
//! ```
//!
//! ```
//! # async fn f(plain: delivery::Plain<tls_policy::EncryptedRoute>, tls: &delivery::Observing) {
//! let (session, observations) = plain.encrypt(tls).await;
//! # drop((session, observations)); }
//! ```
//!
//! Mail needs a session:
//!
//! ```compile_fail,E0599
//! # fn f(mut plain: delivery::Plain<tls_policy::NamedRoute<mta_sts::VerifiedRoute>>, required: &mta_sts::RequiredTls) {
//! let transaction = plain.mail(required);
//! # drop(transaction); }
//! ```
//!
//! ```
//! # fn f(mut session: delivery::Session<delivery::Verified>, required: &mta_sts::RequiredTls) {
//! let transaction = session.mail(required);
//! # drop(transaction); }
//! ```
//!
//! And a session with a peer that could be anyone is of no use to mail under an enforced policy,
//! however long it has been open:
//!
//! ```compile_fail,E0308
//! # fn f(mut session: delivery::Session<delivery::Unverified>, required: &mta_sts::RequiredTls) {
//! let transaction = session.mail(required);
//! # drop(transaction); }
//! ```
//!
//! ```
//! # fn f(mut session: delivery::Session<delivery::Unverified>, fallback: &mta_sts::Fallback) {
//! let transaction = session.mail(fallback);
//! # drop(transaction); }
//! ```

mod encrypted;
pub(crate) mod established;
mod implicit;
mod login;
mod look;
pub(crate) mod open;
mod opening;
pub(crate) mod plain;
mod proving;
mod room;
pub(crate) mod strict;
mod verify;

#[cfg(test)]
mod tests;
