//! SMTP MTA Strict Transport Security (RFC 8461) for a sending mail server.
//!
//! A domain can publish that mail to it is to be sent over TLS only, and to which hosts. This crate
//! tells a mail server that sends to such a domain what to do: it finds the policy (a TXT record and
//! a file over HTTPS), keeps it, refreshes it, and makes of it a decision per delivery. What it does
//! not do is speak SMTP, resolve names or write to a disk; the last two come in through the traits
//! [`Names`] and [`PolicyStore`].
//!
//! # A delivery, from domain to route
//!
//! [`Policies::decide`] says what the policy of a recipient's domain makes of a delivery:
//!
//! | outcome | what to do |
//! |---|---|
//! | [`Decision::Require`] | only hosts that [`RequiredTls::admit`] lets through, each over TLS 1.2 or later with a certificate that leads to a trusted root and has the host's name in a DNS-ID; if none is left, try again later |
//! | [`Decision::Permit`] | any host, by whatever works; [`WhyFallback`] says why. In [`WhyFallback::ModeTesting`] the policy comes along, so that failures can be found and reported |
//! | [`Undecided`] | nothing is sent; try again later |
//!
//! The two kinds of route are types of their own, [`VerifiedRoute`] and [`OpenRoute`]. A client whose
//! cleartext path takes an [`OpenRoute`] cannot send in clear what an enforced policy forbids: there
//! is no way to make one but through a [`Fallback`], and no way to a [`Fallback`] but through
//! [`Policies::decide`].
//!
//! ```
//! use mta_sts::{Decision, Fallback, MxHost, OpenHost, OpenRoute, RequiredTls, VerifiedRoute};
//!
//! # fn verified(_: VerifiedRoute) {}
//! # fn open(_: OpenRoute) {}
//! fn deliver(decision: Decision, mx: Vec<MxHost>) {
//!     match decision {
//!         Decision::Require(required) => {
//!             for host in mx {
//!                 match required.admit(host) {
//!                     Ok(route) => verified(route), // STARTTLS and proof of `route.mx()`
//!                     Err(mismatch) => drop(mismatch), // skipped, and worth a report
//!                 }
//!             }
//!         }
//!         Decision::Permit(fallback) => {
//!             for host in mx {
//!                 open(fallback.via(OpenHost::Name(host)));
//!             }
//!         }
//!     }
//! }
//! ```
//!
//! # Putting it together
//!
//! A program brings a resolver, a store and trust roots. Here the resolver knows no names and the
//! store keeps bytes in memory; a real store keeps them on a disk, and makes an error of whatever it
//! cannot read.
//!
//! ```
//! use std::collections::BTreeMap;
//! use std::net::IpAddr;
//! use std::ops::Bound;
//! use std::sync::{Arc, Mutex};
//! use std::time::{Duration, SystemTime};
//!
//! use mta_sts::{
//!     CachedPolicy, Decision, FetchSettings, Fetcher, Names, NamesError, NextHop, Policies,
//!     PolicyDomain, PolicySettings, PolicyStore, Purpose, StoreError, WhyFallback,
//! };
//!
//! #[derive(Debug)]
//! struct NoNames;
//!
//! #[async_trait::async_trait]
//! impl Names for NoNames {
//!     async fn txt(&self, _name: &str) -> Result<Option<Vec<Vec<u8>>>, NamesError> {
//!         Ok(None) // no such record; a failure to find out would be an `Err`
//!     }
//!     async fn txt_fresh(&self, name: &str) -> Result<Option<Vec<Vec<u8>>>, NamesError> {
//!         self.txt(name).await
//!     }
//!     async fn addresses(&self, _host: &str) -> Result<Vec<IpAddr>, NamesError> {
//!         Ok(Vec::new())
//!     }
//! }
//!
//! #[derive(Debug, Default)]
//! struct Memory(Mutex<BTreeMap<PolicyDomain, Vec<u8>>>);
//!
//! #[async_trait::async_trait]
//! impl PolicyStore for Memory {
//!     async fn find(&self, domain: &PolicyDomain) -> Result<Option<CachedPolicy>, StoreError> {
//!         let bytes = self.0.lock().unwrap().get(domain).cloned();
//!         Ok(bytes.map(|bytes| CachedPolicy::from_bytes(&bytes)).transpose()?)
//!     }
//!     async fn keep(&self, policy: &CachedPolicy) -> Result<(), StoreError> {
//!         self.0.lock().unwrap().insert(policy.domain().clone(), policy.to_bytes());
//!         Ok(())
//!     }
//!     async fn remove(&self, domain: &PolicyDomain) -> Result<(), StoreError> {
//!         self.0.lock().unwrap().remove(domain);
//!         Ok(())
//!     }
//!     async fn list(
//!         &self,
//!         after: Option<&PolicyDomain>,
//!         limit: usize,
//!     ) -> Result<Vec<PolicyDomain>, StoreError> {
//!         let from = after.map_or(Bound::Unbounded, Bound::Excluded);
//!         let kept = self.0.lock().unwrap();
//!         let range = kept.range::<PolicyDomain, _>((from, Bound::Unbounded));
//!         Ok(range.take(limit).map(|(domain, _)| domain.clone()).collect())
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let roots = Arc::new(rustls::RootCertStore::empty()); // the system's, in earnest
//! let policies = Policies::new(
//!     PolicySettings::default(),
//!     Arc::new(NoNames),
//!     Arc::new(Memory::default()),
//!     Fetcher::new(FetchSettings::new(roots))?,
//! );
//!
//! let next_hop = NextHop::Domain(PolicyDomain::parse("example.org")?);
//! let purpose = Purpose::Delivery { queued_for: Duration::ZERO };
//! match policies.decide(&next_hop, purpose, SystemTime::now()).await? {
//!     Decision::Permit(fallback) => assert_eq!(fallback.why(), &WhyFallback::NoPolicy),
//!     Decision::Require(_) => unreachable!("nothing is published"),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Three more duties of a sender are one call each:
//!
//! * *refresh*: each minute or so, call [`Policies::refresh_due`] until there is no more, and
//!   [`Policies::refresh`] for each domain on it. What fails is logged as a warning and kept with the
//!   policy as its [`trouble`](CachedPolicy::trouble).
//! * *the last look*: before mail that an enforced policy held back is returned to its sender, call
//!   [`Policies::recheck`]. A function that makes such a bounce can ask for the [`Rechecked`] it
//!   yields.
//! * *reports*: every decision has its [`Evidence`], with the result type of RFC 8460 where the
//!   policy could not be fetched.
//!
//! # Reading alone
//!
//! Records and policies can be read without all this, as a checker for postmasters would. What is
//! read leniently comes with a [`Warning`] each, and anything that puts mode, id or `max_age` in
//! doubt is an error:
//!
//! ```
//! use mta_sts::{MxHost, Policy, PolicyError, Record, Warning};
//!
//! let record = Record::parse(b"v=STSv1;; id=20260101;")?;
//! assert_eq!(record.value.id.as_str(), "20260101");
//! assert_eq!(record.warnings, [Warning::EmptyField]);
//!
//! let text = "version: STSv1\nmode: enforce\n\nmx: *.example.org\nmax_age: 604800\n";
//! let policy = Policy::parse(text.as_bytes())?;
//! assert_eq!(policy.warnings, [Warning::BlankLine { line: 3 }]);
//! assert!(policy.value.admits(&MxHost::parse("mx1.example.org")?));
//!
//! let doubtful = text.replace("mode:", "mode :");
//! let error = Policy::parse(doubtful.as_bytes()).unwrap_err();
//! assert_eq!(error, PolicyError::MalformedKnownField { line: 2 });
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Where this goes beyond RFC 8461, and where it stops
//!
//! * A temporary DNS failure with nothing cached is not taken for "no policy", as RFC 8461 §3.1 would
//!   have it: the message waits, for [`PolicySettings::undecided_grace`] at most.
//! * While the wall clock is in doubt ([`Now`]), a policy that has expired goes on to apply until a
//!   fetch succeeds, and a certificate of a policy host that is out of date does not mean "no policy".
//! * The first message to a domain waits for the fetch; RFC 8461 §5.1 would allow it to go ahead.
//! * Some malformed records and policies are read, each with a warning, since to refuse one means to
//!   send unprotected. The list is closed; it is [`Warning`].
//! * A policy host on an address that is not global is refused, unless
//!   [`PrivateHosts::Allowed`](PrivateHosts) says otherwise.
//! * Revocation of certificates is not checked (RFC 8461 §3.3 and §4.2 leave it open).
//! * DANE is not here. Where it applies as well, both have to pass (RFC 8461 §2).

mod backoff;
mod cache;
mod certificate_digest;
mod dane_exception;
mod decision;
mod demand;
mod discovery;
mod due_index;
mod evidence;
mod excepted;
mod exception;
mod exception_uses;
mod fetch;
mod flights;
mod lookup;
mod name;
mod noted;
mod now;
mod observer;
mod parsed;
mod pattern;
mod policies;
mod policy;
mod ration;
mod record;
mod refresh;
mod settings;
mod store;
mod tls_required_no;
mod undecided;

pub use crate::backoff::BACK_OFF;
pub use crate::cache::bytes::DecodeError;
pub use crate::cache::{CachedPolicy, RefreshTrouble};
pub use crate::certificate_digest::{CertificateDigest, CertificateDigestError};
pub use crate::decision::{
    Decision, Fallback, MxMismatch, NextHop, OpenHost, OpenRoute, RequiredTls, VerifiedRoute,
    WhyFallback,
};
pub use crate::demand::DemandedRoute;
pub use crate::discovery::{Freshness, Names, NamesError, TxtAnswer, discover};
pub use crate::evidence::{Evidence, FetchReport};
pub use crate::exception::{
    EXCEPTION_MAX, Exception, ExceptionEnding, ExceptionError, ExceptionOrigin, ExceptionScope,
    Exceptions, Lifts,
};
pub use crate::exception_uses::{ExceptionUse, PASSES_SPAN, PASSES_TO_END, SessionShown, Shown};
pub use crate::fetch::address::PrivateHosts;
pub use crate::fetch::error::{FetchError, FetchResultType, POLICY_SIZE_MAX};
pub use crate::fetch::proof::CertificateFault;
pub use crate::fetch::{FetchSettings, Fetched, Fetcher};
pub use crate::name::{MxHost, NameError, PolicyDomain};
pub use crate::now::{Now, Trust};
pub use crate::observer::{FetchEnded, Observer, Occasion, Unobserved};
pub use crate::parsed::{Parsed, Warning};
pub use crate::pattern::{MxPattern, MxPatternError};
pub use crate::policies::{Policies, Purpose};
pub use crate::policy::{MAX_AGE_MAX, MX_PATTERNS_MAX, Mode, Policy, PolicyError};
pub use crate::ration::FETCHES_MAX;
pub use crate::record::{NoRecord, PolicyId, Record, RecordError, select};
pub use crate::refresh::{Recheck, Rechecked, RefreshPage, Refreshed};
pub use crate::settings::PolicySettings;
pub use crate::store::{PolicyStore, StoreError};
pub use crate::undecided::Undecided;

/// Which addresses of a host that somebody else has named are tried, and in what order.
pub mod addresses {
    pub use crate::fetch::address::{NoneToTry, is_global, to_try};
}

/// What can weaken a promise. Whoever brings a [`danger::HostProof`] can have policies of anybody
/// believed; a [`danger::TlsRequiredNo`] is licence to pass over a policy for one message, a
/// [`danger::DaneException`] to pass over TLSA records, a [`danger::ExceptedRoute`] to send to a host that
/// does not meet an enforced policy and that an exception lets pass.
pub mod danger {
    pub use crate::dane_exception::DaneException;
    pub use crate::excepted::{Accepted, ExceptedRoute};
    pub use crate::fetch::proof::{Connection, HostProof, ProofError};
    pub use crate::tls_required_no::TlsRequiredNo;
}

/// The example in the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
