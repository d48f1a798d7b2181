//! Routes that ask for proof: an enforced policy's, and those the operator demands it of.

use mta_sts::{DemandedRoute, MxHost, VerifiedRoute};
use tls_policy::{Demanded, Trust, Verified};

/// A route whose host has to prove its name. There are two, and nothing outside can add one.
pub trait Strict: sealed::Sealed {
    /// What a session along it is worth.
    type Trust: Trust<Route = Self>;

    /// The host, and the only name that is looked for.
    fn host(&self) -> &MxHost;
}

impl Strict for VerifiedRoute {
    type Trust = Verified;

    fn host(&self) -> &MxHost {
        self.mx()
    }
}

impl Strict for DemandedRoute {
    type Trust = Demanded;

    fn host(&self) -> &MxHost {
        Self::host(self)
    }
}

mod sealed {
    /// Keeps the trait to this file.
    #[expect(unnameable_types, reason = "whoever can name it can add a route")]
    pub trait Sealed {}

    impl Sealed for mta_sts::VerifiedRoute {}
    impl Sealed for mta_sts::DemandedRoute {}
}
