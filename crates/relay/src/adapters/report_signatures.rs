//! The signatures of TLS reports, by the keys of the settings (RFC 8460 §3).

use std::sync::{Arc, PoisonError, RwLock};

use clock::Clock;
use dkim::{Choice, FieldName, MessageHash, SignedFields, Signer, SigningTable};
use reporting::Signatures;
use smtp::Domain;
use tls_rpt::{DomainName, SIGNED_FIELDS};

/// Signs reports with every key of the submitter's domain whose record is published for them.
#[derive(Debug)]
pub(crate) struct ReportSignatures {
    table: RwLock<Arc<SigningTable>>,
    clock: Arc<dyn Clock>,
}

impl ReportSignatures {
    /// Signs with the keys of `table`.
    pub(crate) fn new(table: Arc<SigningTable>, clock: Arc<dyn Clock>) -> Self {
        Self { table: RwLock::new(table), clock }
    }

    /// Signs with the keys of another table from now on.
    pub(crate) fn reload(&self, table: Arc<SigningTable>) {
        *self.table.write().unwrap_or_else(PoisonError::into_inner) = table;
    }

    /// The keys that sign reports of `domain`.
    fn signers(&self, domain: &DomainName) -> Vec<Arc<Signer>> {
        let Ok(domain) = Domain::parse(domain.as_str()) else { return Vec::new() };
        let table = Arc::clone(&self.table.read().unwrap_or_else(PoisonError::into_inner));
        match table.for_reports(&domain, self.clock.wall()) {
            Choice::NoKey | Choice::Unusable(_) => Vec::new(),
            Choice::Signers(signers) => signers,
        }
    }
}

impl Signatures for ReportSignatures {
    fn sign(&self, domain: &DomainName, message: &[u8]) -> Option<Vec<u8>> {
        let names = SIGNED_FIELDS.iter().filter_map(|name| FieldName::parse(name).ok());
        let fields = SignedFields::new(names).ok()?;
        let (hash, now) = (MessageHash::of(message), self.clock.wall());
        let mut signatures = String::new();
        for signer in self.signers(domain) {
            match signer.sign_fields(&fields, &hash, now) {
                Ok(signature) => signatures.push_str(&signature),
                Err(error) => {
                    let record = signer.record_name();
                    tracing::error!(%record, %error, "TLS report not signed");
                }
            }
        }
        (!signatures.is_empty()).then(|| signatures.into_bytes())
    }

    fn can_sign(&self, domain: &DomainName) -> bool {
        !self.signers(domain).is_empty()
    }
}
