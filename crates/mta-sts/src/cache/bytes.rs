//! A cached policy as bytes, for a store.
//!
//! The form is JSON with a version. A version that is not known is an error and never "nothing
//! cached": the policy that cannot be read may be one that is enforced.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::cache::{CachedPolicy, RefreshTrouble};
use crate::name::{NameError, PolicyDomain};
use crate::pattern::{MxPattern, MxPatternError};
use crate::policy::{MX_PATTERNS_MAX, Mode, Policy, PolicyError};
use crate::record::PolicyId;

/// The version that is written.
const VERSION: u32 = 1;

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
struct Written {
    version: u32,
    domain: String,
    id: PolicyId,
    mode: Mode,
    max_age: u64,
    mx: Vec<String>,
    fetched_at: u64,
    used_at: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    doubted_at: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trouble: Option<WrittenTrouble>,
}

#[derive(Deserialize, Serialize)]
struct WrittenTrouble {
    since: u64,
    last: u64,
    failures: u32,
    error: String,
}

/// All that every version has in common.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

impl CachedPolicy {
    /// The entry as bytes for a [`PolicyStore`](crate::PolicyStore).
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let trouble = self.trouble.as_ref().map(|trouble| WrittenTrouble {
            since: to_nanos(trouble.since),
            last: to_nanos(trouble.last),
            failures: trouble.failures,
            error: trouble.error.clone(),
        });
        let written = Written {
            version: VERSION,
            domain: self.domain.to_string(),
            id: self.id.clone(),
            mode: self.policy.mode(),
            max_age: self.policy.max_age().as_secs(),
            mx: self.policy.mx().iter().map(ToString::to_string).collect(),
            fetched_at: to_nanos(self.fetched_at),
            used_at: to_nanos(self.used_at),
            doubted_at: self.doubted_at.map(to_nanos),
            trouble,
        };
        #[expect(clippy::expect_used, reason = "plain fields with string keys always serialise")]
        serde_json::to_vec(&written).expect("a plain structure serialises")
    }

    /// The entry that [`to_bytes`](Self::to_bytes) wrote.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] where the bytes are damaged or of a later version. A store must pass that
    /// on as an error.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let written = match serde_json::from_slice::<Written>(bytes) {
            Ok(written) if written.version == VERSION => written,
            Ok(written) => return Err(DecodeError::Version(written.version)),
            Err(error) => return Err(other_version(bytes).unwrap_or(DecodeError::Form(error))),
        };
        // An earlier version of this program may have kept more.
        let mx = written.mx.iter().take(MX_PATTERNS_MAX);
        let mx: Result<Vec<_>, _> = mx.map(|text| MxPattern::parse(text)).collect();
        let policy = Policy::new(written.mode, Duration::from_secs(written.max_age), mx?)?;
        let trouble = written.trouble.map(|trouble| RefreshTrouble {
            since: from_nanos(trouble.since),
            last: from_nanos(trouble.last),
            failures: trouble.failures,
            error: trouble.error,
        });
        Ok(Self {
            domain: PolicyDomain::parse(&written.domain)?,
            id: written.id,
            policy: Arc::new(policy),
            fetched_at: from_nanos(written.fetched_at),
            used_at: from_nanos(written.used_at),
            doubted_at: written.doubted_at.map(from_nanos),
            trouble,
        })
    }
}

fn other_version(bytes: &[u8]) -> Option<DecodeError> {
    let Versioned { version } = serde_json::from_slice(bytes).ok()?;
    (version != VERSION).then_some(DecodeError::Version(version))
}

/// Nanoseconds since 1970, which fit until the year 2554.
fn to_nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

fn from_nanos(nanos: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos)
}
