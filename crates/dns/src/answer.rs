//! Reads a name server's response: found, absent, or cannot tell.
//!
//! This is the one place where a response turns into knowledge. Rules of RFC 1035, RFC 2181 and
//! RFC 2308; no I/O.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::proto::op::{DnsResponse, Message, OpCode, ResponseCode};
use hickory_resolver::proto::rr::rdata::opt::{EdnsCode, EdnsOption};
use hickory_resolver::proto::rr::{DNSClass, Name, RData, Record, RecordType};
use rand::seq::SliceRandom;
use tracing::debug;

use crate::error::{LookupError, Malformation, Obstacle};
use crate::lookup::Security;
use crate::question::Question;
use crate::records::{FromRdata as _, Mx};

/// The longest that records are kept, whatever their TTL; well within the week of RFC 8767 §4.
pub(crate) const LONGEST_FOUND: Duration = Duration::from_secs(24 * 60 * 60);

/// The longest that an absence is kept; one to three hours work well (RFC 2308 §5).
pub(crate) const LONGEST_ABSENT: Duration = Duration::from_secs(3 * 60 * 60);

/// The most MX, address, TLSA, PTR and NS records that are kept of one answer: of MX records the
/// best, of others the first.
///
/// An answer of 64 KiB has room for some 4,000, and all are looked at with each message. A host has a
/// few addresses and a domain a few hosts; Postfix tries 5 of them (`smtp_mx_address_limit`), Exim 50
/// at most (`hosts_max_try_hardlimit`). TXT records are all kept: the one that is looked for may
/// stand last.
pub(crate) const MOST_RECORDS: usize = 100;

/// The most aliases followed in one answer.
const MOST_ALIASES: usize = 16;

/// The option code of extended errors (RFC 8914 §2).
const EXTENDED_ERROR: u16 = 15;

/// What one response says.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) finding: Finding,
    /// How long it may be remembered; zero if it may not.
    pub(crate) valid_for: Duration,
    /// The octets of the responses, a measure for what it takes to remember it.
    pub(crate) size: usize,
}

/// What there is at the end of the aliases.
#[derive(Debug)]
pub(crate) enum Finding {
    Found(FoundRecords),
    NoData(Security),
    NxDomain(Security),
}

/// Records at the end of the aliases.
#[derive(Debug)]
pub(crate) struct FoundRecords {
    pub(crate) data: Vec<RData>,
    pub(crate) security: Security,
    /// The name that has them; none where it is the name that was asked for.
    pub(crate) canonical: Option<Arc<str>>,
}

/// Whether the server's word on DNSSEC counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AdBit {
    Trusted,
    Ignored,
}

/// How far one response takes us.
#[derive(Debug)]
pub(crate) enum Reading {
    /// To the answer.
    Answered(Answer),
    /// To another name, of which the server has said nothing yet.
    Alias(Alias),
}

/// A chain of aliases that leads out of the response.
#[derive(Debug)]
pub(crate) struct Alias {
    pub(crate) next: Question,
    security: Security,
    valid_for: Duration,
    size: usize,
}

impl Reading {
    /// Whether a validator vouches for it.
    pub(crate) const fn security(&self) -> Security {
        match self {
            Self::Answered(answer) => answer.finding.security(),
            Self::Alias(alias) => alias.security,
        }
    }

    /// Reads `response`, which came from `server`, as the answer to `question`.
    pub(crate) fn of(
        question: &Question,
        response: &DnsResponse,
        server: SocketAddr,
        ad_bit: AdBit,
    ) -> Result<Self, LookupError> {
        let existence = existence(response, server)?;
        if !answers(response, question) {
            return Err(Malformation::OtherQuestion.into());
        }
        let chain = Chain::follow(question, &response.answers)?;
        let records = kept(question, chain.records(question, &response.answers).collect());
        match existence {
            Existence::Exists if !records.is_empty() => {
                Ok(Self::Answered(found(&records, &chain, response, ad_bit)))
            }
            Existence::DoesNotExist if !records.is_empty() => {
                Err(Malformation::Contradiction.into())
            }
            Existence::Exists if chain.leads_out_of(response) => {
                Ok(Self::Alias(chain.alias(question, response, ad_bit)))
            }
            Existence::Exists if is_referral(response) => Err(Malformation::Referral.into()),
            Existence::Exists => {
                let finding = Finding::NoData(security(response, ad_bit));
                Ok(Self::Answered(absent(finding, &chain, response)))
            }
            Existence::DoesNotExist => {
                let finding = Finding::NxDomain(security(response, ad_bit));
                Ok(Self::Answered(absent(finding, &chain, response)))
            }
        }
    }
}

impl Alias {
    /// The whole answer, now that `rest` is known of the name that this alias leads to.
    pub(crate) fn join(&self, rest: Reading) -> Reading {
        match rest {
            Reading::Answered(answer) => Reading::Answered(Answer {
                finding: answer.finding.through(self),
                valid_for: answer.valid_for.min(self.valid_for),
                size: answer.size.saturating_add(self.size),
            }),
            Reading::Alias(alias) => Reading::Alias(Self {
                next: alias.next,
                security: alias.security.and(self.security),
                valid_for: alias.valid_for.min(self.valid_for),
                size: alias.size.saturating_add(self.size),
            }),
        }
    }
}

impl Finding {
    /// Whether a validator vouches for it.
    pub(crate) const fn security(&self) -> Security {
        match self {
            Self::Found(found) => found.security,
            Self::NoData(security) | Self::NxDomain(security) => *security,
        }
    }

    /// What was found by way of an alias is no better proved than the alias.
    fn through(self, alias: &Alias) -> Self {
        match self {
            Self::Found(FoundRecords { data, security, canonical }) => Self::Found(FoundRecords {
                data,
                security: security.and(alias.security),
                canonical: canonical.or_else(|| Some(text(alias.next.name()))),
            }),
            Self::NoData(security) => Self::NoData(security.and(alias.security)),
            Self::NxDomain(security) => Self::NxDomain(security.and(alias.security)),
        }
    }
}

/// What the RCODE says of the name at the end of the aliases (RFC 6604 §3).
#[derive(Clone, Copy, Debug)]
enum Existence {
    Exists,
    DoesNotExist,
}

/// Sorts the RCODE: two of them answer the question, all others leave it open.
fn existence(response: &Message, server: SocketAddr) -> Result<Existence, LookupError> {
    let code = response.metadata.response_code;
    match code {
        ResponseCode::NoError => Ok(Existence::Exists),
        ResponseCode::NXDomain => Ok(Existence::DoesNotExist),
        ResponseCode::ServFail if blames_dnssec(response) => Err(LookupError::Bogus),
        ResponseCode::ServFail => Err(LookupError::ServFail { server }),
        ResponseCode::Refused => Err(LookupError::Refused { server }),
        ResponseCode::FormErr
        | ResponseCode::NotImp
        | ResponseCode::YXDomain
        | ResponseCode::YXRRSet
        | ResponseCode::NXRRSet
        | ResponseCode::NotAuth
        | ResponseCode::NotZone
        | ResponseCode::BADVERS
        | ResponseCode::BADSIG
        | ResponseCode::BADKEY
        | ResponseCode::BADTIME
        | ResponseCode::BADMODE
        | ResponseCode::BADNAME
        | ResponseCode::BADALG
        | ResponseCode::BADTRUNC
        | ResponseCode::BADCOOKIE
        | ResponseCode::Unknown(_) => Err(Obstacle::Rcode(code.into()).into()),
    }
}

/// An extended error says that validation failed, or could not be done (RFC 8914 §4.6 to §4.13).
fn blames_dnssec(response: &Message) -> bool {
    let code = EdnsCode::from(EXTENDED_ERROR);
    let options = response.edns.iter().flat_map(|edns| edns.options().get_all(code));
    options.into_iter().any(|option| {
        let EdnsOption::Unknown(_, data) = option else { return false };
        data.first_chunk().is_some_and(|code| (5..=12).contains(&u16::from_be_bytes(*code)))
    })
}

fn answers(response: &Message, question: &Question) -> bool {
    response.metadata.op_code == OpCode::Query
        && response.queries.as_slice() == [question.to_query()]
}

/// The way from the name asked for to the name that has the records.
#[derive(Debug)]
struct Chain<'a> {
    end: &'a Name,
    ttl: Option<u32>,
}

impl<'a> Chain<'a> {
    /// Follows the aliases (RFC 1034 §3.6.2) in whatever order they stand.
    ///
    /// A record that is not on the way is not part of the answer, so nothing a server adds beside it
    /// is ever believed.
    fn follow(question: &'a Question, answers: &'a [Record]) -> Result<Self, LookupError> {
        let mut chain = Self { end: question.name(), ttl: None };
        // A question for the alias itself is answered by the alias, not by what it leads to.
        if question.record_type() == RecordType::CNAME {
            return Ok(chain);
        }
        for _ in 0..MOST_ALIASES {
            let Some((target, ttl)) = alias(chain.end, answers) else { return Ok(chain) };
            chain = Self { end: target, ttl: shorter(chain.ttl, ttl) };
        }
        Err(Malformation::CnameLoop.into())
    }

    fn records(
        &self,
        question: &'a Question,
        answers: &'a [Record],
    ) -> impl Iterator<Item = &'a Record> {
        let end = self.end;
        answers.iter().filter(move |record| {
            record.dns_class == DNSClass::IN
                && record.record_type() == question.record_type()
                && record.name == *end
        })
    }

    /// Aliases without a word on the name at their end, not even the SOA record that says that it
    /// has no such records (RFC 2308 §2.2): a recursive resolver goes on by itself, others do not.
    fn leads_out_of(&self, response: &Message) -> bool {
        self.ttl.is_some() && !has_authority(response, RecordType::SOA)
    }

    fn alias(&self, question: &Question, response: &DnsResponse, ad_bit: AdBit) -> Alias {
        Alias {
            next: question.at(self.end),
            security: security(response, ad_bit),
            valid_for: seconds(self.ttl).min(LONGEST_FOUND),
            size: response.as_buffer().len(),
        }
    }
}

fn alias<'a>(name: &Name, answers: &'a [Record]) -> Option<(&'a Name, u32)> {
    answers.iter().filter(|record| record.name == *name).find_map(|record| {
        let RData::CNAME(target) = &record.data else { return None };
        Some((&target.0, record.ttl))
    })
}

/// The records that are kept. MX records that name a host come first, and those of equal preference have equal chances (RFC 5321 §5.1).
fn kept<'a>(question: &Question, mut records: Vec<&'a Record>) -> Vec<&'a Record> {
    let there = records.len();
    if question.record_type() == RecordType::TXT || there <= MOST_RECORDS {
        return records;
    }
    if question.record_type() == RecordType::MX {
        records.shuffle(&mut rand::rng());
        records.sort_by_cached_key(|record| {
            Mx::from_rdata(&record.data).map(|mx| (mx.host().is_none(), mx.preference))
        });
    }
    records.truncate(MOST_RECORDS);
    debug!(
        ?question,
        records = there,
        kept = MOST_RECORDS,
        "DNS answer truncated: too many records"
    );
    records
}

fn found(records: &[&Record], chain: &Chain<'_>, response: &DnsResponse, ad_bit: AdBit) -> Answer {
    let ttl = records.iter().fold(chain.ttl, |ttl, record| shorter(ttl, record.ttl));
    let data = records.iter().map(|record| record.data.clone()).collect();
    Answer {
        finding: Finding::Found(FoundRecords {
            data,
            security: security(response, ad_bit),
            canonical: chain.ttl.map(|_| text(chain.end)),
        }),
        valid_for: seconds(ttl).min(LONGEST_FOUND),
        size: response.as_buffer().len(),
    }
}

/// The AD bit speaks for all records of the answer at once (RFC 4035 §3.2.3).
fn security(response: &Message, ad_bit: AdBit) -> Security {
    match (ad_bit, response.metadata.authentic_data) {
        (AdBit::Trusted, true) => Security::Secure,
        (AdBit::Trusted, false) | (AdBit::Ignored, true | false) => Security::Insecure,
    }
}

/// An absence, remembered as the SOA record says, and not without one (RFC 2308 §5).
fn absent(finding: Finding, chain: &Chain<'_>, response: &DnsResponse) -> Answer {
    let ttl = response.negative_ttl().and_then(|ttl| shorter(chain.ttl, ttl));
    let valid_for = seconds(ttl).min(LONGEST_ABSENT);
    Answer { finding, valid_for, size: response.as_buffer().len() }
}

/// NS records without an SOA record send us elsewhere; that is no NODATA (RFC 2308 §2.2).
fn is_referral(response: &Message) -> bool {
    has_authority(response, RecordType::NS)
        && !has_authority(response, RecordType::SOA)
        && !response.metadata.authoritative
}

fn has_authority(response: &Message, record_type: RecordType) -> bool {
    response.authorities.iter().any(|record| record.record_type() == record_type)
}

/// A name in lower case and without the dot of the root.
fn text(name: &Name) -> Arc<str> {
    let text = name.to_lowercase().to_ascii();
    text.strip_suffix('.').unwrap_or(&text).into()
}

fn shorter(so_far: Option<u32>, ttl: u32) -> Option<u32> {
    let ttl = meant(ttl);
    Some(so_far.map_or(ttl, |so_far| so_far.min(ttl)))
}

/// A TTL with the highest bit set means zero (RFC 2181 §8).
fn meant(ttl: u32) -> u32 {
    if i32::try_from(ttl).is_ok() { ttl } else { 0 }
}

fn seconds(ttl: Option<u32>) -> Duration {
    Duration::from_secs(ttl.unwrap_or_default().into())
}

#[cfg(test)]
mod tests;
