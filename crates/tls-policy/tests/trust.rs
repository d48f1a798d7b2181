//! What a session may be used for again.

use mta_sts::{MxHost, NextHop, OpenHost, PolicyDomain};
use tls_policy::{Demanded, Trust as _, Unverified};

use crate::decisions::{fallback, fallback_to};

#[tokio::test]
async fn a_session_without_a_policy_takes_mail_for_its_next_hop_and_reason_alone() {
    let host = MxHost::parse("mx.example.org").unwrap();
    let elsewhere = NextHop::Domain(PolicyDomain::parse("example.net").unwrap());
    let own = fallback(None).await;
    let (demanded, open) = (own.demand(host.clone()), own.via(OpenHost::Name(host)));
    for (other, fits) in [
        (fallback(None).await, true),
        (fallback(Some("testing")).await, false),
        (fallback_to(&elsewhere, None).await, false),
    ] {
        assert_eq!(Demanded::covers(&demanded, &other), fits, "{other:?}");
        assert_eq!(Unverified::covers(&open, &other), fits, "{other:?}");
    }
}
