//! What resolvers make of DNSSEC.

use std::net::Ipv4Addr;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use hickory_server::server::Request;

use super::zone::{Answer, Authenticity, Checking};

/// Where one leads who makes up addresses for names that do not exist (RFC 5737).
const MADE_UP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 80);

/// What a resolver makes of DNSSEC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResolverBehaviour {
    /// It passes everything on, forgeries too, and vouches for nothing.
    ClearsAd,
    /// It validates, and gets no signatures: everything is forged to it, unless the CD bit asks for it
    /// as it is.
    FindsAllForged,
    /// It validates, and says SERVFAIL where a name does not exist.
    FailsNxDomain,
    /// It knows neither EDNS(0) nor TLSA records, as old forwarders do not.
    KnowsNoDnssec,
    /// It vouches for everything, and makes up an address for each name that does not exist.
    RewritesNxDomain,
    /// It passes everything on, forgeries too, and vouches for all of it.
    SetsAd,
    /// It validates.
    Validates,
}

impl ResolverBehaviour {
    /// Whether it looks for forgeries before it answers this request (RFC 4035 §3.2.2).
    pub(super) fn checking(self, request: &Request) -> Checking {
        match self {
            Self::ClearsAd | Self::KnowsNoDnssec | Self::SetsAd => Checking::Disabled,
            _ if request.metadata.checking_disabled => Checking::Disabled,
            Self::FailsNxDomain
            | Self::FindsAllForged
            | Self::RewritesNxDomain
            | Self::Validates => Checking::Enabled,
        }
    }

    /// What it makes of the answer to a question.
    pub(super) fn change(
        self,
        answer: &mut Answer,
        name: &Name,
        record_type: RecordType,
        request: &Request,
    ) {
        match self {
            Self::SetsAd => answer.security = Authenticity::Proven,
            Self::FindsAllForged if !request.metadata.checking_disabled => {
                answer.security = Authenticity::Refuted;
                answer.refuse(ResponseCode::ServFail);
            }
            Self::ClearsAd | Self::FindsAllForged => answer.security = Authenticity::Unknown,
            Self::FailsNxDomain if answer.code == ResponseCode::NXDomain => {
                answer.refuse(ResponseCode::ServFail);
            }
            Self::FailsNxDomain | Self::Validates => {}
            Self::KnowsNoDnssec => {
                answer.security = Authenticity::Unknown;
                if request.edns.is_some() {
                    answer.refuse(ResponseCode::FormErr);
                } else if record_type == RecordType::TLSA {
                    answer.refuse(ResponseCode::NotImp);
                }
            }
            Self::RewritesNxDomain => {
                answer.security = Authenticity::Proven;
                if answer.code == ResponseCode::NXDomain {
                    answer.code = ResponseCode::NoError;
                    let made_up = RData::A(A(MADE_UP));
                    let made_up = Record::from_rdata(name.clone(), 0, made_up);
                    answer.records.extend((record_type == RecordType::A).then_some(made_up));
                }
            }
        }
    }
}
