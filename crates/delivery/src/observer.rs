//! Who is told of what happens: metrics, reports, tests.

use std::fmt::Debug;

use mail::{DeliveryRecord, DeliveryResult, Protection};
use tls_rpt::Observation;

use crate::dane_result::DaneResult;

/// Is told of what happens; must not block. No method has a body here: whoever passes on what it is told
/// would leave out without a word what it does not know.
pub trait Observer: Debug + Send + Sync {
    /// A connection has shown what it is worth under a policy that applied to it (RFC 8460 §4).
    fn observed(&self, observation: &Observation);

    /// TLS with a host failed, for this reason, one of a few words.
    fn tls_failed(&self, reason: &'static str);

    /// DANE has made this of a host.
    fn dane_host(&self, result: DaneResult);

    /// An attempt has come to this for a recipient of a message that asks for REQUIRETLS.
    fn requiretls(&self, result: &DeliveryResult);

    /// Hosts have had the pace of a limit, or of a destination, halved.
    fn slowed(&self);

    /// A session was opened, over which mail can go.
    fn opened(&self, protection: Protection);

    /// An attempt has ended like this for so many recipients of a message.
    fn finished(&self, record: &DeliveryRecord, recipients: usize);
}

/// Nobody is told.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unobserved;

impl Observer for Unobserved {
    fn observed(&self, _observation: &Observation) {}

    fn tls_failed(&self, _reason: &'static str) {}

    fn dane_host(&self, _result: DaneResult) {}

    fn requiretls(&self, _result: &DeliveryResult) {}

    fn slowed(&self) {}

    fn opened(&self, _protection: Protection) {}

    fn finished(&self, _record: &DeliveryRecord, _recipients: usize) {}
}
