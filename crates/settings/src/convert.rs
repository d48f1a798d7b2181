//! Words of the settings file and what they mean to the crates that act on them.

use listener::{AddedField, BareNewlines, Bcc, Submission};

use crate::raw_submission::{RawAddedField, RawBareNewlines, RawSubmission};

impl From<AddedField> for RawAddedField {
    fn from(field: AddedField) -> Self {
        match field {
            AddedField::Date => Self::Date,
            AddedField::From => Self::From,
            AddedField::MessageId => Self::MessageId,
        }
    }
}

impl From<RawAddedField> for AddedField {
    fn from(field: RawAddedField) -> Self {
        match field {
            RawAddedField::Date => Self::Date,
            RawAddedField::From => Self::From,
            RawAddedField::MessageId => Self::MessageId,
        }
    }
}

impl From<BareNewlines> for RawBareNewlines {
    fn from(bare: BareNewlines) -> Self {
        match bare {
            BareNewlines::Refused => Self::Refuse,
            BareNewlines::Repaired => Self::Repair,
        }
    }
}

impl From<RawBareNewlines> for BareNewlines {
    fn from(bare: RawBareNewlines) -> Self {
        match bare {
            RawBareNewlines::Refuse => Self::Refused,
            RawBareNewlines::Repair => Self::Repaired,
        }
    }
}

impl From<&RawSubmission> for Submission {
    fn from(raw: &RawSubmission) -> Self {
        Self {
            add: raw.add.iter().copied().map(Into::into).collect(),
            bcc: if raw.remove_bcc { Bcc::Removed } else { Bcc::Kept },
            bare_newlines: raw.bare_newlines.into(),
        }
    }
}
