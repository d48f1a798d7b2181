//! Which TLSA records apply to a host, looked up before it is asked for a session.

use mta_sts::danger::DaneException;
use tls_policy::{
    DaneInputs, DaneLookup, HostDane, HostNaming, InsecureMx, RecordsLicence, WhySkipped,
};

use super::pass::Pass;
use crate::client::now_of;
use crate::dane_lookup::{TlsaAge, host_dane};
use crate::dane_result::DaneResult;
use crate::target::Target;

impl Pass<'_> {
    /// The TLSA records that apply to a host. Where nothing can be secure, nothing is asked.
    pub(super) async fn records(&self, target: &Target, age: TlsaAge) -> HostDane {
        let dns = self.client.dns.as_ref();
        let inputs = DaneInputs {
            decision: self.decision,
            host: &target.host,
            port: target.port,
            naming: &target.naming,
            settings: self.client.settings.dane,
            validation: dns.validation(),
        };
        let found = match DaneLookup::begin(&inputs) {
            DaneLookup::Answered(answer) => answer,
            begun @ (DaneLookup::Addresses(_) | DaneLookup::Alias(_) | DaneLookup::Tlsa(_)) => {
                let out_of_time = |_| HostDane::Skipped(WhySkipped::OutOfTime);
                let lookup = host_dane(dns, begun, age);
                self.patience.wait_for(lookup).await.unwrap_or_else(out_of_time)
            }
        };
        if let (TlsaAge::Any, Some(result)) = (age, DaneResult::of_lookup(&found)) {
            self.client.observer.dane_host(result);
        }
        found
    }

    /// The records that have a say about the message: those that were found, unless there is licence to
    /// pass over them.
    pub(super) fn in_force(&self, target: &Target, found: HostDane) -> HostDane {
        let exception = self.dane_exception(target);
        let by_exception = exception.as_ref().map(RecordsLicence::Exception);
        match by_exception.or_else(|| self.licence.map(RecordsLicence::Sender)) {
            Some(licence) => found.set_aside(&target.host, licence),
            None => found,
        }
    }

    /// The operator's licence to set the records of the hosts aside, if there is one; nobody is asked
    /// where there are no records.
    fn dane_exception(&self, target: &Target) -> Option<DaneException> {
        let client = self.client;
        let is_secure = match target.naming {
            HostNaming::Insecure => client.settings.dane.insecure_mx == InsecureMx::Apply,
            HostNaming::Secure(_) => true,
        };
        let domain = self.decision.domain().filter(|_| is_secure)?;
        client.policies.lifts_dane(domain, now_of(&*client.clock))
    }
}
