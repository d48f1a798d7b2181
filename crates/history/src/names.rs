//! What a fact names by its digest: the text of a policy, and certificates.

use serde::Deserialize;

use crate::digest::Digest;
use crate::kept::BlobKind;

/// What a fact names.
#[derive(Debug, Default, Deserialize)]
struct Names {
    #[serde(default)]
    policy_sha256: Option<Digest>,
    #[serde(default)]
    tls: Option<Chain>,
}

/// What the session of a fact names.
#[derive(Debug, Deserialize)]
struct Chain {
    #[serde(default)]
    chain: Vec<Digest>,
}

/// What a fact names, and what that is; nothing where its text is not that of a fact.
pub(crate) fn names_in(text: &str) -> Vec<(BlobKind, Digest)> {
    let Names { policy_sha256, tls } = serde_json::from_str(text).unwrap_or_default();
    let chain = tls.map(|tls| tls.chain).unwrap_or_default().into_iter();
    let chain = chain.map(|digest| (BlobKind::Certificate, digest));
    policy_sha256.map(|digest| (BlobKind::Policy, digest)).into_iter().chain(chain).collect()
}
