//! What the names of a world say of one mail domain.

use crate::mx::MxHost;
use crate::names::{Names, RecordType};
use crate::policy_host::{PolicyBehaviour, PolicyHost};
use crate::policy_hosts::PolicyHosts;

/// Sets up or changes a mail domain. Every call takes effect at once.
#[derive(Debug)]
pub struct DomainSetup<'w> {
    names: &'w Names,
    policy_hosts: &'w PolicyHosts,
    domain: String,
}

impl<'w> DomainSetup<'w> {
    pub(crate) fn new(names: &'w Names, policy_hosts: &'w PolicyHosts, domain: &str) -> Self {
        Self { names, policy_hosts, domain: domain.to_owned() }
    }

    /// Adds an MX record that leads to this host.
    pub fn mx(self, preference: u16, host: &MxHost) -> Self {
        self.mx_named(preference, host.name())
    }

    /// Adds an MX record with this exchange, whether there is such a host or not.
    pub fn mx_named(self, preference: u16, exchange: &str) -> Self {
        self.names.add_mx(&self.domain, preference, exchange);
        self
    }

    /// Says that the domain takes no mail (RFC 7505).
    pub fn null_mx(self) -> Self {
        self.without_mx().mx_named(0, ".")
    }

    /// Removes the MX records.
    pub fn without_mx(self) -> Self {
        self.names.remove(&self.domain, RecordType::Mx);
        self
    }

    /// Publishes an MTA-STS record with this id, in the place of any other.
    pub fn sts(self, id: &str) -> Self {
        self.sts_record(&format!("v=STSv1; id={id};"))
    }

    /// Publishes this text as the MTA-STS record, in the place of any other.
    pub fn sts_record(self, text: &str) -> Self {
        let name = self.sts_name();
        self.names.remove(&name, RecordType::Txt);
        self.names.add_txt(&name, text);
        self
    }

    /// Removes the MTA-STS record.
    pub fn without_sts_record(self) -> Self {
        self.names.remove(&self.sts_name(), RecordType::Txt);
        self
    }

    /// Publishes this text as the TLS-RPT record (RFC 8460 §3), in the place of any other.
    pub fn tls_rpt_record(self, text: &str) -> Self {
        let name = format!("_smtp._tls.{}", self.domain);
        self.names.remove(&name, RecordType::Txt);
        self.names.add_txt(&name, text);
        self
    }

    /// Starts the domain's policy host, or changes what it does.
    pub async fn policy(self, behaviour: impl Into<PolicyBehaviour>) -> PolicyHost {
        self.policy_hosts.host(&self.domain, behaviour.into()).await
    }

    fn sts_name(&self) -> String {
        format!("_mta-sts.{}", self.domain)
    }
}
