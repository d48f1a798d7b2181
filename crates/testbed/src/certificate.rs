//! What a server shows when it is asked who it is.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    date_time_ymd,
};

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
    /// Issued by one of many authorities of the same name that nobody trusts, all of which are shown:
    /// which of them signed which is for the client to find out.
    Crowd,
    /// Issued by an intermediate that may issue for one directory name only, which this one has.
    DirectoryConstrained,
    /// Ended in 2001.
    Expired,
    /// Says that it is for clients alone, otherwise valid.
    ForClients,
    /// Names these DNS names instead of the server's, which may be wildcards.
    Names(Vec<String>),
    /// Begins in 2200.
    NotYetValid,
    /// One of those that careless hosts show, and rcgen does not make.
    Odd(Odd),
    /// Issued by an authority that nobody trusts.
    OtherAuthority,
    /// Signed with its own key.
    SelfSigned,
    /// Signed with its own key, and says of itself that it is an authority, as many programs have
    /// it that make certificates for a test.
    SelfSignedAuthority,
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

/// A certificate that is kept in a file, for `mx.example.test`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Odd {
    /// With a critical extension that nobody knows.
    CriticalExtension,
    /// Signed with MD5.
    Md5,
    /// With an RSA key of 1,024 bits, which the host does not have: it signs with zeros.
    Rsa1024,
    /// Signed with SHA-1.
    Sha1,
    /// Of X.509 version 1.
    VersionOne,
}

impl Odd {
    /// The certificate, and its key if it is kept, both in PEM.
    pub(crate) const fn files(self) -> (&'static [u8], Option<&'static [u8]>) {
        const EC: Option<&[u8]> = Some(include_bytes!("../certificates/key.pem"));
        const RSA: Option<&[u8]> = Some(include_bytes!("../certificates/rsa.pem"));
        match self {
            Self::CriticalExtension => (include_bytes!("../certificates/critical.pem"), EC),
            Self::Md5 => (include_bytes!("../certificates/md5.pem"), RSA),
            Self::Rsa1024 => (include_bytes!("../certificates/rsa1024.pem"), None),
            Self::Sha1 => (include_bytes!("../certificates/sha1.pem"), RSA),
            Self::VersionOne => (include_bytes!("../certificates/v1.pem"), EC),
        }
    }
}

/// Who signs a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signer {
    /// The world's authority.
    Authority,
    /// An intermediate of it that may issue for one directory name only.
    Constrained,
    /// One of many authorities of the same name.
    Crowd,
    /// An authority that is not in the world's roots.
    OtherAuthority,
    /// The certificate's own key.
    Itself,
}

impl Certificate {
    /// Who signs it.
    pub(crate) const fn signer(&self) -> Signer {
        match self {
            Self::Crowd => Signer::Crowd,
            Self::DirectoryConstrained => Signer::Constrained,
            Self::OtherAuthority => Signer::OtherAuthority,
            Self::Odd(_) | Self::SelfSigned | Self::SelfSignedAuthority => Signer::Itself,
            Self::Valid
            | Self::CommonNameOnly
            | Self::Expired
            | Self::ForClients
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
        if *self == Self::DirectoryConstrained {
            params.distinguished_name = organization();
        }
        if *self == Self::SelfSignedAuthority {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        let is_for_clients = *self == Self::ForClients;
        params.extended_key_usages = vec![if is_for_clients {
            ExtendedKeyUsagePurpose::ClientAuth
        } else {
            ExtendedKeyUsagePurpose::ServerAuth
        }];
        (params.not_before, params.not_after) = match self {
            Self::Expired => (date_time_ymd(2000, 1, 1), date_time_ymd(2001, 1, 1)),
            Self::NotYetValid => (date_time_ymd(2200, 1, 1), date_time_ymd(2300, 1, 1)),
            Self::Within(validity) => {
                let epoch = date_time_ymd(1970, 1, 1);
                (epoch + since_epoch(validity.not_before), epoch + since_epoch(validity.not_after))
            }
            Self::Valid
            | Self::Crowd
            | Self::CommonNameOnly
            | Self::DirectoryConstrained
            | Self::ForClients
            | Self::Names(_)
            | Self::Odd(_)
            | Self::OtherAuthority
            | Self::SelfSigned
            | Self::SelfSignedAuthority
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
            | Self::Crowd
            | Self::DirectoryConstrained
            | Self::Expired
            | Self::ForClients
            | Self::NotYetValid
            | Self::Odd(_)
            | Self::OtherAuthority
            | Self::SelfSigned
            | Self::SelfSignedAuthority
            | Self::Within(_) => vec![name.to_owned()],
        }
    }
}

/// The directory name that a constrained intermediate may issue for.
pub(crate) fn organization() -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, "Example Organization");
    name
}

/// A time as a duration; what lies before 1970 is 1970.
fn since_epoch(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}
