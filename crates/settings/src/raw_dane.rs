//! `[dane]` as it is typed.

use serde::{Deserialize, Serialize};
use tls_policy::{DaneMode, DaneSettings, InsecureMx};

/// `[dane]`
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawDane {
    /// Whether TLSA records are looked for.
    pub mode: RawDaneMode,
    /// What MX records are worth that DNSSEC does not prove.
    pub insecure_mx: RawInsecureMx,
    /// Next hops that have to have TLSA records of use: `example.org`, `.example.org`.
    pub require: Vec<String>,
}

/// Whether TLSA records are looked for.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RawDaneMode {
    /// While a resolver validates.
    Auto,
    /// Never.
    Off,
    /// Always.
    Required,
}

/// What MX records are worth that DNSSEC does not prove.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RawInsecureMx {
    /// The TLSA records of their hosts count.
    Apply,
    /// Their hosts have none.
    Ignore,
}

impl Default for RawDane {
    fn default() -> Self {
        let DaneSettings { mode, insecure_mx } = DaneSettings::default();
        let mode = match mode {
            DaneMode::Auto => RawDaneMode::Auto,
            DaneMode::Off => RawDaneMode::Off,
            DaneMode::Required => RawDaneMode::Required,
        };
        let insecure_mx = match insecure_mx {
            InsecureMx::Apply => RawInsecureMx::Apply,
            InsecureMx::Ignore => RawInsecureMx::Ignore,
        };
        Self { mode, insecure_mx, require: Vec::new() }
    }
}

impl From<&RawDane> for DaneSettings {
    fn from(raw: &RawDane) -> Self {
        let mode = match raw.mode {
            RawDaneMode::Auto => DaneMode::Auto,
            RawDaneMode::Off => DaneMode::Off,
            RawDaneMode::Required => DaneMode::Required,
        };
        let insecure_mx = match raw.insecure_mx {
            RawInsecureMx::Apply => InsecureMx::Apply,
            RawInsecureMx::Ignore => InsecureMx::Ignore,
        };
        Self { mode, insecure_mx }
    }
}
