//! What the names of a world say of one mail domain.

use crate::mx::MxHost;
use crate::names::RecordType;
use crate::policy_host::{PolicyBehaviour, PolicyHost};
use crate::world::World;

/// Sets up or changes a mail domain. Every call takes effect at once.
#[derive(Debug)]
pub struct DomainSetup<'w> {
    world: &'w World,
    domain: String,
}

impl<'w> DomainSetup<'w> {
    pub(crate) fn new(world: &'w World, domain: &str) -> Self {
        Self { world, domain: domain.to_owned() }
    }

    /// Adds an MX record that leads to this host.
    pub fn mx(self, preference: u16, host: &MxHost) -> Self {
        self.mx_named(preference, host.name())
    }

    /// Adds an MX record with this exchange, whether there is such a host or not.
    pub fn mx_named(self, preference: u16, exchange: &str) -> Self {
        self.world.names().add_mx(&self.domain, preference, exchange);
        self
    }

    /// Says that the domain takes no mail (RFC 7505).
    pub fn null_mx(self) -> Self {
        self.without_mx().mx_named(0, ".")
    }

    /// Removes the MX records.
    pub fn without_mx(self) -> Self {
        self.world.names().remove(&self.domain, RecordType::Mx);
        self
    }

    /// Publishes an MTA-STS record with this id, in the place of any other.
    pub fn sts(self, id: &str) -> Self {
        self.sts_record(&format!("v=STSv1; id={id};"))
    }

    /// Publishes this text as the MTA-STS record, in the place of any other.
    pub fn sts_record(self, text: &str) -> Self {
        let name = self.sts_name();
        self.world.names().remove(&name, RecordType::Txt);
        self.world.names().add_txt(&name, text);
        self
    }

    /// Removes the MTA-STS record.
    pub fn without_sts_record(self) -> Self {
        self.world.names().remove(&self.sts_name(), RecordType::Txt);
        self
    }

    /// Publishes this text as the TLS-RPT record (RFC 8460 §3), in the place of any other.
    pub fn tls_rpt_record(self, text: &str) -> Self {
        let name = format!("_smtp._tls.{}", self.domain);
        self.world.names().remove(&name, RecordType::Txt);
        self.world.names().add_txt(&name, text);
        self
    }

    /// Starts the domain's policy host, or changes what it does.
    pub async fn policy(self, behaviour: impl Into<PolicyBehaviour>) -> PolicyHost {
        self.world.policy_host(&self.domain, behaviour).await
    }

    fn sts_name(&self) -> String {
        format!("_mta-sts.{}", self.domain)
    }
}
