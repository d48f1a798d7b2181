//! `dane lookup`: what a sender finds of a host's TLSA records, for the one who publishes them.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use clap::Args;
use clock::{Clock as _, SystemClock};
use dane::{ReferenceNames, TlsaRecord};
use delivery::Prober;
use dns::Resolver;
use mta_sts::MxHost;
use rustls::pki_types::{CertificateDer, UnixTime};
use serde::Serialize;
use settings::Settings;
use smtp::Domain;
use tls_policy::{DaneLookup, HostDane, HostNaming};
use tokio::time::timeout;

use crate::cli::ending::Ending;
use crate::cli::output::{Format, Output};
use crate::cli::table::printable;
use crate::examined_records::{Judgement, judge};
use crate::tlsa_lookup::{Step, TracedLookup, look_up};
use crate::validation::inactive;

/// How long one address may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is to be looked up.
#[derive(Args, Debug)]
pub(crate) struct LookupCommand {
    /// The mail host, as its MX record names it.
    #[arg(value_name = "HOST")]
    host: String,
    /// The port that is connected to [default: `delivery.smtp_port`].
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    #[command(flatten)]
    format: Format,
}

/// The answer; the keys are a contract.
#[derive(Debug, Serialize)]
struct Answer {
    host: String,
    port: u16,
    verdict: Verdict,
    summary: String,
    /// The TLSA base domain, where there are secure records.
    #[serde(skip_serializing_if = "Option::is_none")]
    base: Option<String>,
    /// What was asked of the DNS.
    steps: Vec<Step>,
    records: Vec<ExaminedRecord>,
    addresses: Vec<ShownAt>,
    /// What is to be mended.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fixes: Vec<String>,
}

/// What senders that know DANE do.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Verdict {
    /// They send, and know whom to.
    Protected,
    /// They send over TLS to whoever answers: no record is usable.
    EncryptOnly,
    /// They send as without DANE.
    NoDane,
    /// They do not send.
    Waiting,
    /// That cannot be told from here: no resolver of this relay validates.
    CannotTell,
}

/// A record, and what the host makes of it.
#[derive(Debug, Serialize)]
struct ExaminedRecord {
    record: String,
    /// Why mail cannot use it; none where it can.
    #[serde(skip_serializing_if = "Option::is_none")]
    unusable: Option<String>,
    /// At which addresses the host matches it.
    matched_at: Vec<IpAddr>,
}

/// What the host shows at one address.
#[derive(Debug, Serialize)]
struct ShownAt {
    address: IpAddr,
    /// Whether it matches one of the records.
    matches: bool,
    text: String,
}

/// Looks up a host's records; the status is 0 where they protect mail.
pub(super) async fn run(
    command: &LookupCommand,
    settings: &Settings,
    output: &mut Output,
) -> anyhow::Result<Ending> {
    let not_a_host = || format!("{} is not the name of a host", command.host);
    let host = MxHost::parse(&command.host).with_context(not_a_host)?;
    let name = Domain::parse(&command.host).with_context(not_a_host)?;
    let port = command.port.unwrap_or(settings.delivery.smtp_port);
    let resolver = Resolver::new(settings.dns.clone())?;
    let reason = inactive(&resolver.states().await);
    let begin = DaneLookup::to_know(host.clone(), name, port, HostNaming::a_priori(&host));
    let traced = look_up(&resolver, begin).await;
    let answer = match reason {
        Some(reason) => cannot_tell(&host, port, traced, &reason),
        None => examine(&host, port, traced, settings).await?,
    };
    command.format.write(&answer, output, print)?;
    Ok(match answer.verdict {
        Verdict::Protected => Ending::Done,
        Verdict::NoDane => Ending::Refused,
        Verdict::Waiting => Ending::Waiting,
        Verdict::EncryptOnly => Ending::Unverified,
        Verdict::CannotTell => Ending::CannotTell,
    })
}

/// No resolver of ours validates: the publisher has nothing to mend.
fn cannot_tell(host: &MxHost, port: u16, traced: TracedLookup, reason: &str) -> Answer {
    Answer {
        host: host.to_string(),
        port,
        verdict: Verdict::CannotTell,
        summary: format!("this relay cannot tell, and the host is not at fault: {reason}"),
        base: None,
        steps: traced.steps,
        records: Vec::new(),
        addresses: Vec::new(),
        fixes: Vec::new(),
    }
}

/// Compares what was found with what the host shows.
async fn examine(
    host: &MxHost,
    port: u16,
    traced: TracedLookup,
    settings: &Settings,
) -> anyhow::Result<Answer> {
    let TracedLookup { steps, addresses, dane } = traced;
    let found = Found::of(&dane);
    let mut answer = Answer {
        host: host.to_string(),
        port,
        verdict: Verdict::NoDane,
        summary: String::new(),
        base: found.base.clone(),
        steps,
        records: found.records.iter().map(ExaminedRecord::of).collect(),
        addresses: Vec::new(),
        fixes: Vec::new(),
    };
    if !found.records.is_empty() {
        look_at_all(host, port, &addresses, &found, settings, &mut answer).await?;
    }
    answer.conclude(&dane);
    Ok(answer)
}

/// The records of a host, and under which names they count.
struct Found {
    base: Option<String>,
    records: Vec<TlsaRecord>,
}

impl Found {
    fn of(dane: &HostDane) -> Self {
        match dane {
            HostDane::Dane(host) => Self {
                base: Some(host.association().names().base().as_ref().to_owned()),
                records: host.association().records().to_vec(),
            },
            HostDane::EncryptOnly(host) => Self {
                base: Some(host.base().to_string()),
                records: host
                    .records()
                    .records()
                    .iter()
                    .map(|(record, _)| record.clone())
                    .collect(),
            },
            HostDane::NoDane(_) | HostDane::Skipped(_) => Self { base: None, records: Vec::new() },
        }
    }

    /// The names that count.
    fn names(&self, host: &MxHost) -> Option<ReferenceNames> {
        ReferenceNames::new(self.base.as_deref()?, &[host.as_str()]).ok()
    }
}

impl ExaminedRecord {
    fn of(record: &TlsaRecord) -> Self {
        let unusable = record.usable_for_smtp().err().map(|why| why.to_string());
        Self { record: record.to_string(), unusable, matched_at: Vec::new() }
    }
}

/// Looks at the host at each of its addresses.
async fn look_at_all(
    host: &MxHost,
    port: u16,
    addresses: &[IpAddr],
    found: &Found,
    settings: &Settings,
    answer: &mut Answer,
) -> anyhow::Result<()> {
    let mut delivery = settings.delivery.clone();
    delivery.smtp_port = port;
    let prober = Prober::new(delivery, settings.roots.clone(), Arc::new(SystemClock))?;
    let base = found.base.as_deref().and_then(|base| MxHost::parse(base).ok());
    // The base domain is what a host is asked for (RFC 7672 §8.1).
    let asked_for = base.as_ref().unwrap_or(host);
    for address in prober.in_order(addresses.to_vec()) {
        let looked = timeout(PATIENCE, Box::pin(prober.look(asked_for, address))).await;
        let chain = match looked {
            Ok(Ok(look)) => look.chain,
            Ok(Err(failure)) => {
                answer.addresses.push(ShownAt::unseen(address, failure.to_string()));
                continue;
            }
            Err(_elapsed) => {
                answer.addresses.push(ShownAt::unseen(address, "no answer".to_owned()));
                continue;
            }
        };
        answer.compare(address, &chain, host, found);
    }
    Ok(())
}

impl ShownAt {
    const fn unseen(address: IpAddr, text: String) -> Self {
        Self { address, matches: false, text }
    }
}

impl Answer {
    /// Notes what a chain that is shown at `address` makes of all records, and of each.
    fn compare(
        &mut self,
        address: IpAddr,
        chain: &[CertificateDer<'static>],
        host: &MxHost,
        found: &Found,
    ) {
        let since = SystemClock.now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let now = UnixTime::since_unix_epoch(since);
        let judged = |records: Vec<TlsaRecord>| {
            found.names(host).and_then(|names| judge(records, names, chain, now).ok())
        };
        for (examined, record) in self.records.iter_mut().zip(&found.records) {
            if matches!(judged(vec![record.clone()]), Some(Judgement::Match(_))) {
                examined.matched_at.push(address);
            }
        }
        let (matches, text) = match judged(found.records.clone()) {
            Some(Judgement::Match(matched)) => (true, format!("matches {}", matched.record())),
            Some(Judgement::Mismatch(why)) => (false, why.to_string()),
            Some(Judgement::Unusable(why)) => (false, why.to_string()),
            None => (false, "the records are not read".to_owned()),
        };
        self.addresses.push(ShownAt { address, matches, text });
    }

    /// What senders do, and what is to be mended.
    fn conclude(&mut self, dane: &HostDane) {
        let (verdict, summary) = match dane {
            HostDane::Dane(_) => self.of_usable(),
            HostDane::EncryptOnly(_) => (
                Verdict::EncryptOnly,
                "no record is usable: senders ask for TLS, and take whoever answers".to_owned(),
            ),
            HostDane::NoDane(no_dane) => (
                Verdict::NoDane,
                format!("senders send as without DANE ({})", no_dane.why().label()),
            ),
            HostDane::Skipped(why) => {
                (Verdict::Waiting, format!("senders that know DANE do not send: {why}"))
            }
        };
        (self.verdict, self.summary) = (verdict, summary);
        self.fixes = self.to_mend(dane);
    }

    fn of_usable(&self) -> (Verdict, String) {
        let all = self.addresses.len();
        let matching = self.addresses.iter().filter(|shown| shown.matches).count();
        match matching {
            0 => (
                Verdict::Waiting,
                "senders that know DANE do not send: the host matches no record".to_owned(),
            ),
            _ if matching == all => {
                (Verdict::Protected, "the host matches its records: mail is protected".to_owned())
            }
            _ => (
                Verdict::Protected,
                format!("the host matches its records at {matching} of {all} addresses"),
            ),
        }
    }

    fn to_mend(&self, dane: &HostDane) -> Vec<String> {
        let mut fixes: Vec<String> = Vec::new();
        for ExaminedRecord { record, unusable, matched_at } in &self.records {
            match unusable {
                Some(why) => fixes.push(format!(
                    "replace `{record}`: {why}; \"3 1 1\" with the SHA-256 of the public key is \
                     recommended"
                )),
                None if matched_at.is_empty() => fixes.push(format!(
                    "`{record}` matches nothing that the host shows: keep it if it is staged for \
                     the next certificate, else remove it"
                )),
                None => {}
            }
        }
        let is_usable = matches!(dane, HostDane::Dane(_));
        if is_usable && self.verdict == Verdict::Waiting {
            fixes.push(
                "publish a record of the certificate that the host shows, and wait for the old TTL \
                 before the next change"
                    .to_owned(),
            );
        }
        fixes
    }
}

fn print(answer: &Answer, output: &mut Output) -> std::io::Result<()> {
    output.line(format_args!("{}, port {}", printable(&answer.host), answer.port))?;
    for Step { question, answer, .. } in &answer.steps {
        output.line(printable(&format!("  {question}  {answer}")))?;
    }
    for ExaminedRecord { record, unusable, matched_at } in &answer.records {
        let state = match unusable {
            Some(why) => format!("not usable: {why}"),
            None if matched_at.is_empty() => "usable, matches nothing that is shown".to_owned(),
            None => "usable, matches".to_owned(),
        };
        output.line(printable(&format!("  {record}  {state}")))?;
    }
    for ShownAt { address, text, .. } in &answer.addresses {
        output.line(printable(&format!("  {address}  {text}")))?;
    }
    output.line(printable(&answer.summary))?;
    for fix in &answer.fixes {
        output.line(printable(&format!("  -> {fix}")))?;
    }
    Ok(())
}
