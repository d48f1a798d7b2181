//! A cached policy as bytes, for a store.
//!
//! The form is JSON with a version. A version that is not known is an error and never "nothing
//! cached": the policy that cannot be read may be one that is enforced.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::name::NameError;
use crate::pattern::{MxPattern, MxPatternError};
use crate::policy::{MX_PATTERNS_MAX, Mode, Policy, PolicyError};
use crate::record::PolicyId;

/// The version that is written.
pub(super) const VERSION: u32 = 1;

/// Why bytes are not a cached policy.
#[derive(Debug, Error)]
pub enum DecodeError {
    /// The domain is not a name.
    #[error("the cached policy is for an invalid domain")]
    Domain(#[from] NameError),
    /// They are not of the form that is written.
    #[error("the cached policy is damaged")]
    Form(#[from] serde_json::Error),
    /// An `mx` pattern is not one.
    #[error("the cached policy has a damaged mx pattern")]
    Mx(#[from] MxPatternError),
    /// The values do not make a policy.
    #[error("the cached policy is not a valid policy")]
    Policy(#[from] PolicyError),
    /// They were written by a version that came later.
    #[error("the cached policy has version {0}, which this program does not know")]
    Version(u32),
}

/// The written form. Times are nanoseconds since 1970, so that reading gives back what was kept.
#[derive(Deserialize, Serialize)]
pub(super) struct Written {
    pub(super) version: u32,
    pub(super) domain: String,
    pub(super) id: PolicyId,
    pub(super) mode: Mode,
    pub(super) max_age: u64,
    pub(super) mx: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) text: Option<String>,
    pub(super) fetched_at: u64,
    pub(super) used_at: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) doubted_at: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) trouble: Option<WrittenTrouble>,
}

/// Why a refresh failed, in the written form.
#[derive(Deserialize, Serialize)]
pub(super) struct WrittenTrouble {
    pub(super) since: u64,
    pub(super) last: u64,
    pub(super) failures: u32,
    pub(super) error: String,
}

/// All that every version has in common.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

impl Written {
    /// What these bytes say.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, DecodeError> {
        match serde_json::from_slice::<Self>(bytes) {
            Ok(written) if written.version == VERSION => Ok(written),
            Ok(written) => Err(DecodeError::Version(written.version)),
            Err(error) => Err(other_version(bytes).unwrap_or(DecodeError::Form(error))),
        }
    }

    /// The bytes that say this.
    pub(super) fn write(&self) -> Vec<u8> {
        #[expect(clippy::expect_used, reason = "plain fields with string keys always serialise")]
        serde_json::to_vec(self).expect("a plain structure serialises")
    }

    /// The policy.
    pub(super) fn policy(&self) -> Result<Policy, DecodeError> {
        // An earlier version of this program may have kept more.
        let mx = self.mx.iter().take(MX_PATTERNS_MAX);
        let mx: Result<Vec<_>, _> = mx.map(|text| MxPattern::parse(text)).collect();
        Ok(Policy::new(self.mode, Duration::from_secs(self.max_age), mx?)?)
    }
}

fn other_version(bytes: &[u8]) -> Option<DecodeError> {
    let Versioned { version } = serde_json::from_slice(bytes).ok()?;
    (version != VERSION).then_some(DecodeError::Version(version))
}

/// Nanoseconds since 1970, which fit until the year 2554.
pub(super) fn to_nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// The time so many nanoseconds after the beginning of 1970.
pub(super) fn from_nanos(nanos: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos)
}
