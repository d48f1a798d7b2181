//! Whom we trust to say who a host is, and what is wrong where nobody does (RFC 5280, RFC 6125).
//!
//! rustls verifies. Here is what it leaves to its user: the trust roots with the certificates that
//! an operator names for a host itself, the configuration that proves a name, and one table from its
//! errors to sentences that a postmaster can forward.

mod authority;
mod certificate;
mod der;
mod failure;
mod roots;
mod signature;
mod verification;
mod words;

pub use crate::authority::{Authority, NoAuthority};
pub use crate::certificate::PublicKey;
pub use crate::failure::{HandshakeError, TlsError};
pub use crate::roots::{Roots, RootsError, SystemRoots, TrustSettings, load_roots};
pub use crate::signature::{Signature, check_signature};
pub use crate::verification::{
    CertificateSummary, SetupError, Verification, Witness, config_without_resumption, public_key,
    subject_public_key_info, summary,
};
pub use crate::words::io_words;
