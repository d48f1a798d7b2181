//! What a domain owner can do about sessions that failed.

use tls_rpt::{Named, ResultType};

/// What to look at, and what to change.
pub(super) const fn for_result(result: &Named<ResultType>) -> &'static str {
    match result {
        Named::Known(ResultType::CertificateExpired) => {
            "Renew the certificate of these hosts and have the mail server load it; check that \
             renewal runs and ends with a reload."
        }
        Named::Known(ResultType::CertificateHostMismatch) => {
            "Give these hosts a certificate whose subject alternative names hold the name in the MX \
             record, or name the right host in the MX record and the policy's mx line."
        }
        Named::Known(ResultType::CertificateNotTrusted) => {
            "Have these hosts send the whole chain, intermediate certificates included, of a public \
             certificate authority; a self-signed certificate passes DANE alone."
        }
        Named::Known(ResultType::DaneRequired) => {
            "The sender asks for DANE: sign the zone of these hosts and publish TLSA records at \
             _25._tcp of each, or settle it with the sender."
        }
        Named::Known(ResultType::DnssecInvalid) => {
            "Check DNSSEC of the zone of these hosts: DS records in the parent zone, signatures in \
             date, and servers that answer for TLSA records at all."
        }
        Named::Known(ResultType::StarttlsNotSupported) => {
            "Switch STARTTLS on at these hosts; if it is on, something between sender and host \
             removes it: a firewall that inspects SMTP, or an attack."
        }
        Named::Known(ResultType::StsPolicyFetchError) => {
            "See that https://mta-sts.DOMAIN/.well-known/mta-sts.txt answers with status 200, without \
             a redirect, from everywhere; or take the TXT record at _mta-sts away."
        }
        Named::Known(ResultType::StsPolicyInvalid) => {
            "Correct the policy file: `sts-relay policy lint FILE` names each fault. It must be \
             text/plain and at most 64 KiB."
        }
        Named::Known(ResultType::StsWebpkiInvalid) => {
            "Give the policy host a certificate in date, of a public certificate authority, for \
             mta-sts.DOMAIN."
        }
        Named::Known(ResultType::TlsaInvalid) => {
            "Correct the TLSA records at _25._tcp of these hosts: usage 3 or 2, selector 0 or 1, \
             matching type 1, and data that is the certificate's."
        }
        Named::Known(ResultType::ValidationFailure) => {
            "See the reasons: a host that the policy does not name needs an mx line in the policy; \
             for DANE, publish TLSA records for a new certificate before it is used."
        }
        Named::Unknown(_) => "The sender uses a result type of its own; ask it what is meant.",
    }
}
