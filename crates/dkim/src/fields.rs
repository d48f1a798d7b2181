//! The fields of a message in canonical form.

use crate::canonical::relaxed_field;
use crate::field::FieldName;

/// The most octets of fields that are kept. A listener's limit is lower by default; a message with
/// more is not signed.
const HEADER_MOST: usize = 8 << 20;

/// The fields of a message in canonical form, in their order.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    fields: Vec<CanonicalField>,
    octets: usize,
}

/// A field in canonical form.
#[derive(Debug)]
struct CanonicalField {
    /// In lower case.
    name: Vec<u8>,
    value: Vec<u8>,
}

impl Fields {
    /// Keeps a field in canonical form; of a header section that is too large nothing is kept.
    pub(crate) fn keep(&mut self, field: &[u8]) {
        self.octets = self.octets.saturating_add(field.len());
        if self.octets > HEADER_MOST {
            self.fields.clear();
        } else if let Some((name, value)) = relaxed_field(field) {
            self.fields.push(CanonicalField { name, value });
        }
    }

    /// The values of the fields of this name, from the top.
    pub(crate) fn values(&self, name: &FieldName) -> impl DoubleEndedIterator<Item = &[u8]> {
        let name = name.as_str().to_ascii_lowercase();
        let is_it = move |field: &&CanonicalField| field.name == name.as_bytes();
        self.fields.iter().filter(is_it).map(|field| field.value.as_slice())
    }

    /// Whether there is an author's field, which must be signed (RFC 6376 §5.4).
    pub(crate) fn has_from(&self) -> bool {
        self.fields.iter().any(|field| field.name == b"from")
    }
}
