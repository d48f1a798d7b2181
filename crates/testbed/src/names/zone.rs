//! Every record there is, and what is answered about it.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::SOA;
use hickory_proto::rr::{Name, RData, Record, RecordType};

/// The most CNAMEs followed for one question.
const CHAIN: usize = 16;

/// The records of a world, with its faults and what was asked. Names are lower case, without a last
/// dot.
#[derive(Debug, Default)]
pub(crate) struct Zone {
    records: BTreeMap<String, Vec<Stored>>,
    /// By name and type; no type means any.
    faults: HashMap<(String, Option<RecordType>), Fault>,
    queries: HashMap<(String, RecordType), usize>,
    /// By the name at the top: whether it and what is below it is proven; the nearest counts.
    signed: HashMap<String, Authenticity>,
    time_to_live: u32,
}

#[derive(Debug)]
struct Stored {
    data: RData,
    time_to_live: u32,
}

/// What goes wrong when a name is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The answer is the name's CNAME alone; where it leads has to be asked for.
    AliasAlone,
    /// The server says that validation failed: SERVFAIL with the extended error "DNSSEC Bogus"
    /// (RFC 8914 §4.7).
    Bogus,
    /// The answer comes late by this much.
    Delay(Duration),
    /// The name is there, without records of the type.
    NoData,
    /// The name is not there.
    NxDomain,
    /// The server will not say.
    Refused,
    /// The server cannot say.
    ServFail,
    /// No answer at all.
    Silence,
}

/// What is answered to one question.
#[derive(Debug)]
pub(super) struct Answer {
    /// The chain of CNAMEs, and the records at its end.
    pub(super) records: Vec<Record>,
    /// Given with an answer that says there is nothing.
    pub(super) soa: Option<Record>,
    pub(super) code: ResponseCode,
    pub(super) security: Authenticity,
    /// How long the client waits for it.
    pub(super) delay: Duration,
}

/// Whether a validating resolver would vouch for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Authenticity {
    Proven,
    /// It says that the answer is a forgery.
    Refuted,
    Unknown,
}

/// Whether forgeries are found (RFC 4035 §3.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Checking {
    Disabled,
    Enabled,
}

impl Zone {
    pub(super) fn add(&mut self, name: &str, data: RData) {
        let stored = Stored { data, time_to_live: self.time_to_live };
        self.records.entry(key(name)).or_default().push(stored);
    }

    pub(super) fn remove(&mut self, name: &str, record_type: Option<RecordType>) {
        let Some(record_type) = record_type else {
            self.records.remove(&key(name));
            return;
        };
        if let Some(records) = self.records.get_mut(&key(name)) {
            records.retain(|stored| stored.data.record_type() != record_type);
        }
        self.records.retain(|_, records| !records.is_empty());
    }

    pub(super) fn fail(&mut self, name: &str, record_type: Option<RecordType>, fault: Fault) {
        self.faults.insert((key(name), record_type), fault);
    }

    pub(super) fn mend(&mut self, name: &str) {
        let name = key(name);
        self.faults.retain(|(failing, _), _| *failing != name);
    }

    pub(super) const fn keep_for(&mut self, seconds: u32) {
        self.time_to_live = seconds;
    }

    pub(super) fn authenticate(&mut self, name: &str) {
        self.signed.insert(key(name), Authenticity::Proven);
    }

    pub(super) fn leave_unsigned(&mut self, name: &str) {
        self.signed.insert(key(name), Authenticity::Unknown);
    }

    pub(super) fn queries(&self, name: &str, record_type: Option<RecordType>) -> usize {
        let name = key(name);
        self.queries
            .iter()
            .filter(|((asked, of), _)| *asked == name && record_type.is_none_or(|t| t == *of))
            .map(|(_, count)| count)
            .sum()
    }

    pub(super) fn questions_below(&self, name: &str) -> usize {
        let (name, below) = (key(name), format!(".{}", key(name)));
        let asked = self.queries.iter();
        asked.filter(|((one, _), _)| *one == name || one.ends_with(&below)).map(|(_, n)| n).sum()
    }

    pub(super) fn count(&mut self, name: &Name, record_type: RecordType) {
        *self.queries.entry((key(&name.to_ascii()), record_type)).or_default() += 1;
    }

    /// The answer to a question; none where there is to be silence.
    pub(super) fn answer(
        &self,
        question: &Name,
        record_type: RecordType,
        checking: Checking,
    ) -> Option<Answer> {
        let mut answer = Answer {
            records: Vec::new(),
            soa: None,
            code: ResponseCode::NoError,
            security: Authenticity::Proven,
            delay: Duration::ZERO,
        };
        if question.is_root() && record_type == RecordType::SOA {
            return Some(self.root(answer));
        }
        let mut owner = question.clone();
        for _ in 0..CHAIN {
            let name = key(&owner.to_ascii());
            if self.authenticity(&name) != Authenticity::Proven {
                answer.security = Authenticity::Unknown;
            }
            match self.fault(&name, record_type) {
                Some(Fault::Silence) => return None,
                Some(Fault::Delay(delay)) => answer.delay += delay,
                Some(Fault::Bogus) if checking == Checking::Enabled => {
                    answer.security = Authenticity::Refuted;
                    return Some(answer.refusing(ResponseCode::ServFail));
                }
                Some(Fault::ServFail) => return Some(answer.refusing(ResponseCode::ServFail)),
                Some(Fault::Refused) => return Some(answer.refusing(ResponseCode::Refused)),
                Some(Fault::NxDomain) => return Some(self.nothing(answer, ResponseCode::NXDomain)),
                Some(Fault::NoData) => return Some(self.nothing(answer, ResponseCode::NoError)),
                Some(Fault::Bogus) => answer.security = Authenticity::Unknown,
                Some(Fault::AliasAlone) | None => {}
            }
            let Some(stored) = self.at(&name) else {
                return Some(self.nothing(answer, self.absence(&name)));
            };
            answer.add(&owner, stored, record_type);
            if stored.iter().any(|stored| stored.data.record_type() == record_type) {
                return Some(answer);
            }
            let Some(target) = alias(stored) else {
                return Some(self.nothing(answer, ResponseCode::NoError));
            };
            answer.add(&owner, stored, RecordType::CNAME);
            if self.fault(&name, record_type) == Some(Fault::AliasAlone) {
                return Some(answer);
            }
            owner = target.clone();
        }
        Some(answer.refusing(ResponseCode::ServFail))
    }

    /// The root's own record, which resolvers are tested by.
    fn root(&self, mut answer: Answer) -> Answer {
        answer.security = self.authenticity("");
        let code = ResponseCode::NoError;
        let mut answer = self.nothing(answer, code);
        answer.records.extend(answer.soa.take());
        answer
    }

    /// An answer that says there is nothing, and how long that may be kept (RFC 2308 §5).
    fn nothing(&self, mut answer: Answer, code: ResponseCode) -> Answer {
        let soa = SOA::new(
            absolute("ns.test"),
            absolute("hostmaster.test"),
            1,
            0,
            0,
            0,
            self.time_to_live,
        );
        answer.soa = Some(Record::from_rdata(Name::root(), self.time_to_live, RData::SOA(soa)));
        answer.code = code;
        answer
    }

    fn fault(&self, name: &str, record_type: RecordType) -> Option<Fault> {
        let exact = self.faults.get(&(name.to_owned(), Some(record_type)));
        exact.or_else(|| self.faults.get(&(name.to_owned(), None))).copied()
    }

    /// The records at a name, or at the wildcard that stands for it (RFC 4592).
    fn at(&self, name: &str) -> Option<&[Stored]> {
        if self.exists(name) {
            return self.records.get(name).map(Vec::as_slice);
        }
        let mut rest = name;
        while let Some((_, parent)) = rest.split_once('.') {
            if let Some(records) = self.records.get(&format!("*.{parent}")) {
                return Some(records);
            }
            if self.exists(parent) {
                return None;
            }
            rest = parent;
        }
        None
    }

    /// Whether a name has records, or a name below it has.
    fn exists(&self, name: &str) -> bool {
        let below = format!(".{name}");
        self.records.contains_key(name) || self.records.keys().any(|known| known.ends_with(&below))
    }

    fn absence(&self, name: &str) -> ResponseCode {
        if self.exists(name) { ResponseCode::NoError } else { ResponseCode::NXDomain }
    }

    /// What the nearest name at or above this one says.
    fn authenticity(&self, name: &str) -> Authenticity {
        let mut at = name;
        loop {
            if let Some(authenticity) = self.signed.get(at) {
                return *authenticity;
            }
            let Some((_, parent)) = at.split_once('.') else { break };
            at = parent;
        }
        let of_root = self.signed.get("").copied();
        match of_root {
            Some(authenticity) => authenticity,
            None if self.is_of_the_root(at) => Authenticity::Proven,
            None => Authenticity::Unknown,
        }
    }

    /// The root is signed: it vouches for itself, and for it that other names are not there. The names
    /// that are there may be in unsigned zones.
    fn is_of_the_root(&self, top: &str) -> bool {
        top.is_empty() || !self.exists(top)
    }
}

impl Answer {
    fn refusing(mut self, code: ResponseCode) -> Self {
        self.refuse(code);
        self
    }

    /// Leaves nothing of it but this code.
    pub(super) fn refuse(&mut self, code: ResponseCode) {
        self.records.clear();
        self.soa = None;
        self.code = code;
    }

    fn add(&mut self, owner: &Name, stored: &[Stored], record_type: RecordType) {
        self.records.extend(
            stored
                .iter()
                .filter(|stored| stored.data.record_type() == record_type)
                .map(|s| Record::from_rdata(owner.clone(), s.time_to_live, s.data.clone())),
        );
    }
}

/// Where a CNAME among these records points.
fn alias(stored: &[Stored]) -> Option<&Name> {
    stored.iter().find_map(|stored| {
        if let RData::CNAME(target) = &stored.data { Some(&target.0) } else { None }
    })
}

/// A name as it is kept.
fn key(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

/// A name from the root, given with or without its last dot.
pub(super) fn absolute(name: &str) -> Name {
    let mut absolute = Name::from_ascii(name).expect("a name of a world is a DNS name in ASCII");
    absolute.set_fqdn(true);
    absolute
}
