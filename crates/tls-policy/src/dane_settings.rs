//! What can be set about DANE.

/// When DANE is used, and how far.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct DaneSettings {
    /// Whether TLSA records are looked for.
    pub mode: DaneMode,
    /// What MX records are worth that DNSSEC does not prove.
    pub insecure_mx: InsecureMx,
}

/// Whether TLSA records are looked for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum DaneMode {
    /// While a resolver validates; without one mail goes as without DANE.
    #[default]
    Auto,
    /// Never.
    Off,
    /// Always: without a resolver that validates, mail waits.
    Required,
}

/// What is made of hosts that MX records name which DNSSEC does not prove (RFC 7672 §2.2.1).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum InsecureMx {
    /// Their TLSA records count. They prove the host, and never that it is the destination's.
    Apply,
    /// They have no TLSA records.
    #[default]
    Ignore,
}

/// Whether a next hop has to have TLSA records of use (RFC 7672 §6, "mandatory DANE").
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum DaneDemand {
    /// It need not.
    #[default]
    None,
    /// Without them mail waits.
    Required,
}
