//! History over a real store, on real files.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod activity;
mod bench;
mod damage;
mod keeping;
mod ledger;
mod privacy;
mod proving;
