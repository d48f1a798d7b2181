//! An attempt as it is shown: in a row, and step by step.

use clock::time;
use history::{Attempt, Certificate, Decision, FoundRecord, OutcomeKind, Session, Tls};
use mail::Protection;

use crate::pages::logins::Visit;
use crate::pages::moment::Moment;
use crate::pages::parts::{address, sender, size};
use crate::pages::site::Site;

/// An attempt.
#[derive(Debug)]
pub(crate) struct AttemptShown {
    pub(crate) number: u64,
    pub(crate) id: String,
    pub(crate) attempt: u32,
    pub(crate) ended: Moment,
    pub(crate) domain: String,
    pub(crate) host: Option<String>,
    pub(crate) outcome: Outcome,
    /// What protected mail that was sent.
    pub(crate) protection: Option<Protected>,
    /// What the host said, or what went wrong.
    pub(crate) said: String,
    pub(crate) sender: Option<String>,
    pub(crate) recipients: String,
    pub(crate) size: String,
    pub(crate) steps: Vec<Step>,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) word: String,
    /// How its mark is drawn.
    pub(crate) class: &'static str,
}

/// What protected the mail.
#[derive(Debug)]
pub(crate) struct Protected {
    pub(crate) word: &'static str,
    /// How its mark is drawn.
    pub(crate) class: &'static str,
}

/// A step of an attempt.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) at: Option<Moment>,
    pub(crate) text: String,
    pub(crate) small: Vec<String>,
}

impl AttemptShown {
    /// The attempt of a record; a gap has none.
    pub(crate) fn of(record: &FoundRecord, site: &Site, visit: &Visit) -> Option<Self> {
        let FoundRecord::Attempt { number, attempt, policy, session } = record else { return None };
        let recipients = match attempt.recipients.as_slice() {
            [] => format!("{} at {}", attempt.recipient_count, attempt.domain),
            some => some.iter().map(|one| address(visit, one)).collect::<Vec<_>>().join(", "),
        };
        let said = attempt.error.clone().or_else(|| attempt.reply.clone());
        Some(Self {
            number: *number,
            id: attempt.queue_id.clone(),
            attempt: attempt.attempt,
            ended: site.calendar().second(time(attempt.ended_at)),
            domain: attempt.domain.clone(),
            host: attempt.host.clone(),
            outcome: Outcome::of(&attempt.outcome),
            protection: Protected::of(attempt),
            said: said.unwrap_or_default(),
            sender: attempt.sender.as_deref().map(|path| sender(visit, Some(path))),
            recipients,
            size: size(attempt.size),
            steps: steps(attempt, policy, session.as_deref(), site),
        })
    }
}

/// What happened, in its order.
fn steps(
    attempt: &Attempt,
    policy: &Decision,
    session: Option<&Session>,
    site: &Site,
) -> Vec<Step> {
    let at = |millis| Some(site.calendar().clock(time(millis)));
    let mut steps = vec![
        Step { at: at(attempt.accepted_at), ..Step::new("Accepted", size(attempt.size)) },
        Step { at: at(attempt.began_at), ..decided(policy) },
    ];
    if let Some(host) = &attempt.host {
        let address = attempt.address.as_deref().unwrap_or_default();
        let mut reached = Step::new("Reached", format!("{host} {address}"));
        reached.small.extend(attempt.route.as_ref().map(|route| format!("by the route {route}")));
        steps.push(reached);
    }
    steps.extend(session.map(proved));
    steps.push(Step { at: at(attempt.ended_at), ..ended(attempt) });
    steps
}

/// What the policy asked for.
fn decided(policy: &Decision) -> Step {
    let mode = policy.mode.as_deref().map(|mode| format!("mode {mode}"));
    let id = policy.policy_id.as_deref().map(|id| format!("id {id}"));
    let words = [Some(policy.decision.clone()), mode, id];
    let mut step = Step::new("Decided", words.into_iter().flatten().collect::<Vec<_>>().join(", "));
    step.small.extend(policy.why.clone());
    step
}

/// What the host proved.
fn proved(session: &Session) -> Step {
    let mut step = match (&session.tls, &session.why_clear) {
        (Some(tls), _) => under_tls(tls),
        (None, Some(why)) => Step::new("In clear", format!("no TLS: {why}")),
        (None, None) => Step::new("In clear", "no TLS".to_owned()),
    };
    let mta_sts = [Some(session.mta_sts.verdict.as_str()), session.mta_sts.reason.as_deref()];
    step.small.push(format!("MTA-STS: {}", joined(&mta_sts)));
    step
}

fn under_tls(tls: &Tls) -> Step {
    let suite = tls.cipher_suite.as_deref().unwrap_or_default();
    let mut step = Step::new("Proved", format!("{} {suite}", tls.version).trim_end().to_owned());
    step.small.extend(tls.certificate.as_ref().map(certificate));
    let pkix = [Some(tls.pkix.verdict.as_str()), tls.pkix.reason.as_deref()];
    step.small.push(format!("certificate: {}", joined(&pkix)));
    let dane =
        [Some(tls.dane.verdict.as_str()), tls.dane.record.as_deref(), tls.dane.reason.as_deref()];
    step.small.push(format!("DANE: {}", joined(&dane)));
    step
}

fn certificate(certificate: &Certificate) -> String {
    let sha256 = certificate.sha256.as_deref().unwrap_or("not known");
    format!("SHA-256 {sha256}, for {}", certificate.names.join(", "))
}

/// How it ended.
fn ended(attempt: &Attempt) -> Step {
    let name = match OutcomeKind::of_word(&attempt.outcome) {
        Some(OutcomeKind::Delivered) => "Handed over",
        Some(OutcomeKind::Deferred) => "Deferred",
        Some(OutcomeKind::Bounced) => "Returned",
        None => "Ended",
    };
    let status = [attempt.status.as_deref(), attempt.error.as_deref()];
    let status = status.into_iter().flatten().collect::<Vec<_>>().join(" ");
    let reply = attempt.reply.clone().unwrap_or_default();
    if status.is_empty() {
        return Step::new(name, reply);
    }
    let mut step = Step::new(name, status);
    step.small.extend(Some(reply).filter(|reply| !reply.is_empty()));
    step
}

fn joined(words: &[Option<&str>]) -> String {
    words.iter().flatten().copied().collect::<Vec<_>>().join(": ")
}

impl Step {
    fn new(name: &'static str, text: String) -> Self {
        Self { name, at: None, text, small: Vec::new() }
    }
}

impl Outcome {
    fn of(word: &str) -> Self {
        let class = match OutcomeKind::of_word(word) {
            Some(OutcomeKind::Delivered) => "o-sent",
            Some(OutcomeKind::Deferred) => "o-late",
            Some(OutcomeKind::Bounced) => "o-back",
            None => "o-other",
        };
        Self { word: word.to_owned(), class }
    }
}

impl Protected {
    /// What protected the mail of this attempt; nothing had to where none was sent.
    fn of(attempt: &Attempt) -> Option<Self> {
        match OutcomeKind::of_word(&attempt.outcome)? {
            OutcomeKind::Delivered => {}
            OutcomeKind::Bounced | OutcomeKind::Deferred => return None,
        }
        let (word, class) = match Protection::of_label(&attempt.protection)? {
            Protection::Verified => ("MTA-STS", "sts"),
            Protection::Dane => ("DANE", "dane"),
            Protection::Tls => ("TLS", "tls"),
            Protection::Plaintext => ("In clear", "clear"),
        };
        Some(Self { word, class })
    }
}
