//! The fields of a message in canonical form, as many as can be signed.

use std::collections::{HashMap, VecDeque};

use crate::canonical::{field_name, relaxed_value};
use crate::field::FieldName;

/// The most fields of one name that are kept, and signed: the last ones, which verifiers take first.
/// So a signature has less than 40 KiB, and a header of a hundred thousand fields takes no more memory
/// than it is long.
pub(crate) const INSTANCES_MOST: usize = 10;

/// The most octets of fields that are kept. A listener's limit is lower by default; a message with
/// more is not signed.
const HEADER_MOST: usize = 8 << 20;

/// The fields of a message in canonical form: of each name the last ones, from the top.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    values: HashMap<Vec<u8>, VecDeque<Vec<u8>>>,
    names: Names,
    octets: usize,
}

/// Which fields are kept.
#[derive(Debug, Default)]
enum Names {
    /// Those of any name.
    #[default]
    All,
    /// Those for whose name there is a place.
    Known,
}

impl Fields {
    /// No fields yet, and room for those of these names alone.
    pub(crate) fn of(names: impl IntoIterator<Item = FieldName>) -> Self {
        let values = names.into_iter().map(|name| (name.to_lower(), VecDeque::new())).collect();
        Self { values, names: Names::Known, octets: 0 }
    }

    /// Keeps a field in canonical form; of a header section that is too large nothing is kept.
    pub(crate) fn keep(&mut self, field: &[u8]) {
        self.octets = self.octets.saturating_add(field.len());
        if self.octets > HEADER_MOST {
            return self.values.clear();
        }
        let Some((name, value)) = field_name(field) else { return };
        let values = match self.names {
            Names::All => Some(self.values.entry(name).or_default()),
            Names::Known => self.values.get_mut(&name),
        };
        let Some(values) = values else { return };
        if values.len() >= INSTANCES_MOST {
            drop(values.pop_front());
        }
        values.push_back(relaxed_value(value));
    }

    /// The values of the fields of this name, from the top: the last ten.
    pub(crate) fn values(&self, name: &FieldName) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.values.get(&name.to_lower()).into_iter().flatten().map(Vec::as_slice)
    }

    /// Whether there is an author's field, which must be signed (RFC 6376 §5.4).
    pub(crate) fn has_from(&self) -> bool {
        self.values(&FieldName::from_field()).next().is_some()
    }
}
