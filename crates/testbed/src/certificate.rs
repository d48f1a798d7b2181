//! What a server shows when it is asked who it is.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, date_time_ymd};

/// A name no host of any world has (RFC 2606 §2).
const ELSEWHERE: &str = "elsewhere.invalid";

/// A certificate a server may present, whose faults are chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Certificate {
    /// Issued by the world's authority for the server's own name, and good for centuries.
    #[default]
    Valid,
    /// Names the server only in the subject's common name, which RFC 8461 §4.2 does not count.
    CommonNameOnly,
    /// Ended in 2001.
    Expired,
    /// Names these DNS names instead of the server's, which may be wildcards.
    Names(Vec<String>),
    /// Begins in 2200.
    NotYetValid,
    /// Issued by an authority that nobody trusts.
    OtherAuthority,
    /// Signed with its own key.
    SelfSigned,
    /// Good at these times only, otherwise valid.
    Within(Validity),
    /// Names some other host.
    WrongName,
}

/// From when until when a certificate is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// The first moment at which it is.
    pub not_before: SystemTime,
    /// The last moment at which it is.
    pub not_after: SystemTime,
}

/// Who signs a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signer {
    /// The world's authority.
    Authority,
    /// An authority that is not in the world's roots.
    OtherAuthority,
    /// The certificate's own key.
    Itself,
}

impl Certificate {
    /// Who signs it.
    pub(crate) const fn signer(&self) -> Signer {
        match self {
            Self::OtherAuthority => Signer::OtherAuthority,
            Self::SelfSigned => Signer::Itself,
            Self::Valid
            | Self::CommonNameOnly
            | Self::Expired
            | Self::Names(_)
            | Self::NotYetValid
            | Self::Within(_)
            | Self::WrongName => Signer::Authority,
        }
    }

    /// The content of the certificate of a server called `name`.
    pub(crate) fn params(&self, name: &str) -> CertificateParams {
        let mut params = CertificateParams::new(self.subject_alternative_names(name))
            .expect("the names of a certificate are ASCII");
        let common_name = if *self == Self::WrongName { ELSEWHERE } else { name };
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        (params.not_before, params.not_after) = match self {
            Self::Expired => (date_time_ymd(2000, 1, 1), date_time_ymd(2001, 1, 1)),
            Self::NotYetValid => (date_time_ymd(2200, 1, 1), date_time_ymd(2300, 1, 1)),
            Self::Within(validity) => {
                let epoch = date_time_ymd(1970, 1, 1);
                (epoch + since_epoch(validity.not_before), epoch + since_epoch(validity.not_after))
            }
            Self::Valid
            | Self::CommonNameOnly
            | Self::Names(_)
            | Self::OtherAuthority
            | Self::SelfSigned
            | Self::WrongName => (date_time_ymd(1980, 1, 1), date_time_ymd(2400, 1, 1)),
        };
        params
    }

    fn subject_alternative_names(&self, name: &str) -> Vec<String> {
        match self {
            Self::CommonNameOnly => Vec::new(),
            Self::Names(names) => names.clone(),
            Self::WrongName => vec![ELSEWHERE.to_owned()],
            Self::Valid
            | Self::Expired
            | Self::NotYetValid
            | Self::OtherAuthority
            | Self::SelfSigned
            | Self::Within(_) => vec![name.to_owned()],
        }
    }
}

/// A time as a duration; what lies before 1970 is 1970.
fn since_epoch(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}
