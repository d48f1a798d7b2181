//! Thousands of worlds made from seeds, in which what is done is held against a model of RFC 8461.
//!
//! A world is what one or two domains publish, what time it is, and what goes wrong; every step
//! changes some of it and then asks for something. [`rfc`] says in a few lines, which share nothing
//! with the code they judge, what has to come of it. [`decisions`] asks `mta_sts::Policies`, with
//! real fetches over real TLS; [`relays`] sends mail through whole relays to real MX hosts.
//!
//! A failure names its seed. `STS_RELAY_MODEL_SEED=N` runs that one alone, and
//! `STS_RELAY_MODEL_WORLDS=N` runs so many instead of the usual number:
//!
//! ```text
//! STS_RELAY_MODEL_WORLDS=100000 cargo test --release -p sts-relay --test e2e -- model::decisions
//! ```

mod decisions;
mod relays;
mod rfc;
mod scenario;
mod sky;

use std::ops::Range;

/// The seeds to be run: `usual` many, unless the environment says otherwise.
fn seeds(usual: u64) -> Range<u64> {
    let number = |name: &str| {
        let text = std::env::var_os(name)?;
        Some(text.to_str().and_then(|text| text.parse::<u64>().ok()).expect("a number"))
    };
    match (number("STS_RELAY_MODEL_SEED"), number("STS_RELAY_MODEL_WORLDS")) {
        (Some(seed), _) => seed..seed + 1,
        (None, worlds) => 0..worlds.unwrap_or(usual),
    }
}
