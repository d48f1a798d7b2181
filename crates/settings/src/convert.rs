//! Words of the settings file and what they mean to the crates that act on them.

use delivery::{IpPreference, Timeouts};
use dns::Dnssec;
use listener::{AddedField, BareNewlines, Bcc, Submission};

use crate::byte_size::ByteSize;
use crate::raw::{RawIpPreference, RawTimeouts};
use crate::raw_dns::RawDnssec;
use crate::raw_submission::{RawAddedField, RawBareNewlines, RawSubmission};

impl From<Dnssec> for RawDnssec {
    fn from(dnssec: Dnssec) -> Self {
        match dnssec {
            Dnssec::Auto => Self::Auto,
            Dnssec::Off => Self::Off,
            Dnssec::TrustAd => Self::TrustAd,
        }
    }
}

impl From<RawDnssec> for Dnssec {
    fn from(dnssec: RawDnssec) -> Self {
        match dnssec {
            RawDnssec::Auto => Self::Auto,
            RawDnssec::Off => Self::Off,
            RawDnssec::TrustAd => Self::TrustAd,
        }
    }
}

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

impl From<RawIpPreference> for IpPreference {
    fn from(preference: RawIpPreference) -> Self {
        match preference {
            RawIpPreference::Ipv4 => Self::Ipv4,
            RawIpPreference::Ipv4Only => Self::Ipv4Only,
            RawIpPreference::Ipv6 => Self::Ipv6,
            RawIpPreference::Ipv6Only => Self::Ipv6Only,
        }
    }
}

impl From<Timeouts> for RawTimeouts {
    fn from(timeouts: Timeouts) -> Self {
        let Timeouts {
            attempt,
            connect,
            greeting,
            hello,
            tls,
            mail,
            rcpt,
            data_initiation,
            data_block,
            data_rate,
            data_termination,
            quit,
        } = timeouts;
        Self {
            attempt,
            connect,
            greeting,
            hello,
            tls,
            mail,
            rcpt,
            data_initiation,
            data_block,
            data_rate: ByteSize::new(data_rate),
            data_termination,
            quit,
        }
    }
}

impl From<&RawTimeouts> for Timeouts {
    fn from(raw: &RawTimeouts) -> Self {
        Self {
            attempt: raw.attempt,
            connect: raw.connect,
            greeting: raw.greeting,
            hello: raw.hello,
            tls: raw.tls,
            mail: raw.mail,
            rcpt: raw.rcpt,
            data_initiation: raw.data_initiation,
            data_block: raw.data_block,
            data_rate: raw.data_rate.bytes(),
            data_termination: raw.data_termination,
            quit: raw.quit,
        }
    }
}
