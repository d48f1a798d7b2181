//! What a postmaster can change, by what was wrong.

use mail::FailureCause;
use tls_rpt::ResultType;

/// By what a session or a policy lacks.
pub(super) const fn of_result(result: ResultType) -> &'static str {
    match result {
        ResultType::CertificateExpired => {
            "Renew the certificate of this host, and have the mail server load it."
        }
        ResultType::CertificateHostMismatch => {
            "Have the host show a certificate that names it as its MX record does; or publish MX records \
             and a policy with the name that the certificate has."
        }
        ResultType::CertificateNotTrusted => {
            "Have the host show a certificate of a public certificate authority, with all intermediate \
             certificates after it."
        }
        ResultType::DaneRequired => "Publish TLSA records for the MX hosts, secured by DNSSEC.",
        ResultType::DnssecInvalid => {
            "Mend the DNSSEC signatures of the zone: a validating resolver does not accept its answers."
        }
        ResultType::StarttlsNotSupported => {
            "Offer STARTTLS on port 25; if it is offered, something on the way to the host removes it."
        }
        ResultType::StsPolicyFetchError => {
            "Make https://mta-sts.DOMAIN/.well-known/mta-sts.txt answer with the policy; or, to give the \
             policy up, publish mode none first (RFC 8461 \u{a7}8.3)."
        }
        ResultType::StsPolicyInvalid => {
            "Mend the text of the policy: `sts-relay policy lint` and others like it name the line."
        }
        ResultType::StsWebpkiInvalid => {
            "Give the web server at mta-sts.DOMAIN a certificate of a public authority for that name."
        }
        ResultType::TlsaInvalid => {
            "Publish TLSA records that match the certificate that the host shows: the new record first, \
             then the new certificate (RFC 7671 \u{a7}8.1)."
        }
        ResultType::ValidationFailure => {
            "See what failed above: TLS could not be set up or proves nothing."
        }
    }
}

/// By why mail was not delivered.
pub(super) const fn of_cause(cause: FailureCause) -> &'static str {
    match cause {
        FailureCause::Policy => {
            "Every MX host has to be named by the policy, to offer STARTTLS, and to show a certificate of a \
             public authority that is in date and has the host's name. While that cannot be mended, publish \
             mode testing and another id in the TXT record."
        }
        FailureCause::Dane => of_result(ResultType::TlsaInvalid),
        FailureCause::RequireTls => {
            "The message may be sent only to a host that proves its name and offers REQUIRETLS (RFC 8689)."
        }
        FailureCause::Undecided => {
            "The DNS servers of the domain have to answer for its TXT record at _mta-sts, with the record \
             or with that there is none."
        }
        FailureCause::Dns => {
            "The DNS servers of the domain have to answer for its MX and address records."
        }
        FailureCause::NoHost => "Publish MX records whose hosts have addresses.",
        FailureCause::NoSuchDomain => "The domain does not exist in the DNS.",
        FailureCause::NullMx => "The domain's MX record says that it takes no mail (RFC 7505).",
        FailureCause::Unreachable => {
            "Let the MX hosts be reached on port 25 from the address of this relay."
        }
        FailureCause::NotAccepting => "The host takes no more mail for now; it is tried again.",
        FailureCause::Refused => "The host refused the mail: its reply above says why.",
        FailureCause::Protocol => {
            "The host's replies do not keep to RFC 5321: see what failed above."
        }
        FailureCause::Tls => {
            "STARTTLS is offered, and TLS does not come about: see what failed above."
        }
        FailureCause::TooLarge => "The message is larger than the host takes.",
        FailureCause::Conversion => "The host lacks an extension that the message needs.",
        FailureCause::Expired => {
            "The message has waited for as long as it may: see what failed before."
        }
        FailureCause::Loop => "The domain's MX records lead to the sending relay itself.",
        FailureCause::OwnSystem => "Nothing: something in the sending relay went wrong.",
    }
}
