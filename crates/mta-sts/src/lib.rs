//! SMTP MTA Strict Transport Security (RFC 8461) for a sending mail server.

mod backoff;
mod cache;
mod decision;
mod discovery;
mod evidence;
mod exception;
mod fetch;
mod flights;
mod lookup;
mod name;
mod parsed;
mod pattern;
mod policy;
mod record;
mod refresh;

pub use crate::backoff::BACK_OFF;
pub use crate::cache::{CachedPolicy, DecodeError, PolicyStore, RefreshTrouble, StoreError};
pub use crate::decision::{
    Decision, Fallback, MxMismatch, NextHop, OpenHost, OpenRoute, Policies, PolicySettings,
    Purpose, RequiredTls, Undecided, VerifiedRoute, WhyFallback,
};
pub use crate::discovery::{Freshness, Names, NamesError, TxtAnswer, discover};
pub use crate::evidence::{Evidence, FetchReport};
pub use crate::exception::{EXCEPTION_MAX, Exception, ExceptionError, Exceptions};
pub use crate::fetch::{
    FetchError, FetchSettings, Fetched, Fetcher, POLICY_SIZE_MAX, PrivateHosts,
};
pub use crate::name::{MxHost, NameError, PolicyDomain};
pub use crate::parsed::{Parsed, Warning};
pub use crate::pattern::{MxPattern, MxPatternError};
pub use crate::policy::{MAX_AGE_MAX, Mode, Policy, PolicyError};
pub use crate::record::{NoRecord, PolicyId, Record, RecordError, select};
pub use crate::refresh::{Recheck, Rechecked, RefreshPage, Refreshed};
