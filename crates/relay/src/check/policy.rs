//! The record, the policy file, and what is kept of them: which policy a delivery would go by.

use std::sync::Arc;
use std::time::SystemTime;

use admin::api::answers;
use dns::Dns;
use mail::in_full;
use mta_sts::{
    FetchError, Fetched, Fetcher, Freshness, Mode, MxPattern, NoRecord, Policy, PolicyDomain,
    TxtAnswer, discover,
};
use settings::Settings;

use super::report::{CheckError, Kept, Stage, State};
use crate::adapters::dns_for_mta_sts::DnsForMtaSts;
use crate::number_text::counted;

/// Below this a policy protects little: whoever can block a fetch for so long is rid of it.
const SHORT_MAX_AGE: u64 = 7 * 86_400;

/// What was found.
pub(super) struct Found {
    pub(super) stages: Vec<Stage>,
    /// The policy that a delivery would go by.
    pub(super) policy: Option<Arc<Policy>>,
    /// Whether the record could be looked up.
    pub(super) looked_up: bool,
}

/// Looks for the record, fetches the policy and compares it with what is kept.
pub(super) async fn look(
    domain: &PolicyDomain,
    kept: Kept,
    settings: &Settings,
    dns: &Arc<dyn Dns>,
    now: SystemTime,
) -> Result<Found, CheckError> {
    let names = DnsForMtaSts(Arc::clone(dns));
    let txt = discover(&names, domain, Freshness::Fresh).await;
    let mut stages = vec![record_stage(domain, &txt)];
    let fetched = match txt.id() {
        Some(_) => {
            let fetcher = Fetcher::new(settings.fetch.clone())?;
            Some(Box::pin(fetcher.fetch(&names, domain)).await)
        }
        None => None,
    };
    stages.push(policy_stage(domain, fetched.as_ref()));
    let (stage, kept) = kept_stage(kept, &txt, fetched.as_ref());
    stages.extend(stage);
    let looked_up = !matches!(txt, TxtAnswer::Failed(_));
    let policy = applying(kept, &txt, fetched);
    if let Some(exception) = settings.policies.exceptions.find(domain, now) {
        let text = format!("overridden by your [[exception]]: {}", exception.reason());
        stages.push(Stage::new("exception", State::Warning, text).fix(
            "remove the exception from the settings as soon as the domain is repaired; it also \
             expires by itself",
        ));
    }
    Ok(Found { stages, policy, looked_up })
}

/// The policy that a delivery would go by (RFC 8461 §3.3 and §5.1): what is kept, unless there is
/// a new id and its policy can be had.
fn applying(
    kept: Option<(String, Arc<Policy>)>,
    txt: &TxtAnswer,
    fetched: Option<Result<Fetched, FetchError>>,
) -> Option<Arc<Policy>> {
    let same_id = |id: &String| txt.id().is_none_or(|new| new.as_str() == id);
    match (kept, fetched) {
        (Some((id, policy)), _) if same_id(&id) => Some(policy),
        (_, Some(Ok(fetched))) => Some(Arc::new(fetched.policy.value)),
        (kept, _) => kept.map(|(_, policy)| policy),
    }
}

fn record_stage(domain: &PolicyDomain, txt: &TxtAnswer) -> Stage {
    let name = domain.record_name();
    match txt {
        TxtAnswer::Found(record) if record.warnings.is_empty() => {
            Stage::new("record", State::Good, record.value.to_string())
        }
        TxtAnswer::Found(record) => {
            let warnings: Vec<_> = record.warnings.iter().map(ToString::to_string).collect();
            let text = format!("{}, with faults: {}", record.value, warnings.join("; "));
            Stage::new("record", State::Warning, text)
                .fix(format!("publish exactly \"{}\" at {name}", record.value))
        }
        TxtAnswer::NotPublished(NoRecord::Absent) => {
            Stage::new("record", State::None, format!("no MTA-STS record at {name}"))
        }
        TxtAnswer::NotPublished(reason @ NoRecord::Several(_)) => {
            Stage::new("record", State::Wrong, reason.to_string())
                .fix(format!("leave one TXT record that begins with \"v=STSv1;\" at {name}"))
        }
        TxtAnswer::NotPublished(reason @ NoRecord::Invalid(_)) => {
            Stage::new("record", State::Wrong, in_full(reason)).fix(format!(
                "publish \"v=STSv1; id=...;\" at {name}, the id being 1 to 32 letters and digits"
            ))
        }
        TxtAnswer::Failed(error) => {
            Stage::new("record", State::Wrong, format!("{name}: {}", in_full(error))).fix(
                "repair the domain's DNS; with no cached policy, mail waits for mta_sts.undecided_grace",
            )
        }
    }
}

fn policy_stage(domain: &PolicyDomain, fetched: Option<&Result<Fetched, FetchError>>) -> Stage {
    let place = format!("https://{}/.well-known/mta-sts.txt", domain.policy_host());
    let fetched = match fetched {
        None => return Stage::new("policy", State::None, "not looked for without a record"),
        Some(Err(error)) => {
            return Stage::new("policy", State::Wrong, error.in_full())
                .fix(fetch_fix(error, domain, &place));
        }
        Some(Ok(fetched)) => fetched,
    };
    let policy = &fetched.policy.value;
    let text = describe(policy);
    let warnings: Vec<_> = fetched.policy.warnings.iter().map(ToString::to_string).collect();
    if !warnings.is_empty() {
        let text = format!("{text}, with faults: {}", warnings.join("; "));
        return Stage::new("policy", State::Warning, text)
            .fix("correct the file; `sts-relay policy lint` shows what senders make of it");
    }
    if policy.mode() != Mode::None && policy.max_age().as_secs() < SHORT_MAX_AGE {
        return Stage::new("policy", State::Warning, text)
            .fix("raise max_age to weeks: an attacker who can block fetches for that long defeats the policy");
    }
    Stage::new("policy", State::Good, text)
}

fn fetch_fix(error: &FetchError, domain: &PolicyDomain, place: &str) -> String {
    let host = domain.policy_host();
    match error {
        FetchError::Certificate { .. } => format!(
            "give the web server a certificate of a public authority that names {host}, with its \
             whole chain"
        ),
        FetchError::Coding(coding) => format!(
            "serve {place} as it is, without Content-Encoding: senders ask for no coding and need \
             not undo {coding:?}"
        ),
        FetchError::Connect { .. } | FetchError::Silent(_) | FetchError::TimedOut => {
            format!("let {host} be reached on port 443, at each of its addresses")
        }
        FetchError::Names(_) | FetchError::NoAddress | FetchError::NoName => {
            format!("publish an address for {host}, where the policy is to be served")
        }
        FetchError::PrivateAddress(_) => format!(
            "publish a public address for {host}; where it is your own network, allow it by \
             mta_sts.allow_private_policy_hosts"
        ),
        FetchError::MediaType(_) => format!("serve {place} as Content-Type text/plain"),
        FetchError::Policy { .. } => {
            format!("correct the file at {place}; `sts-relay policy lint` shows where")
        }
        FetchError::Status(_) => {
            format!("answer {place} with status 200 and no redirect: senders follow none")
        }
        FetchError::Http(_) | FetchError::Tls { .. } => {
            format!("let the web server of {host} speak HTTP/1.1 over TLS 1.2 or later")
        }
        FetchError::TooLarge => "shorten the file; no sender has to read more than 64 KiB".into(),
    }
}

/// What is kept, as a stage where there is something to say, and as a policy where it applies.
fn kept_stage(
    kept: Kept,
    txt: &TxtAnswer,
    fetched: Option<&Result<Fetched, FetchError>>,
) -> (Option<Stage>, Option<(String, Arc<Policy>)>) {
    let kept = match kept {
        Kept::Known(None) => return (None, None),
        Kept::Known(Some(kept)) => kept,
        Kept::Unknown(reason) => {
            return (Some(Stage::new("kept", State::Warning, reason)), None);
        }
    };
    let text = format!("{} (id {}), until {}", kept.mode, kept.id, kept.valid_until);
    let policy = kept.applies.then(|| read(&kept)).flatten();
    let Some(policy) = policy else {
        return (Some(Stage::new("kept", State::None, format!("{text}: expired"))), None);
    };
    let differs = fetched.and_then(|fetched| fetched.as_ref().ok()).is_some_and(|fetched| {
        let new = &fetched.policy.value;
        (new.mode(), new.mx()) != (policy.mode(), policy.mx())
    });
    let same_id = txt.id().is_some_and(|id| id.as_str() == kept.id);
    let stage = if differs && same_id {
        Stage::new("kept", State::Warning, format!("{text}: the file has changed, the id has not"))
            .fix("publish a new id with every change of the policy: senders look at it alone")
    } else if let Some(trouble) = &kept.trouble {
        let text = format!("{text}: not refreshed since {}: {}", trouble.since, trouble.error);
        Stage::new("kept", State::Warning, text)
    } else {
        Stage::new("kept", State::Good, text)
    };
    (Some(stage), Some((kept.id, Arc::new(policy))))
}

/// The policy as it was, from what is told of it.
fn read(kept: &answers::Policy) -> Option<Policy> {
    let patterns: Result<Vec<_>, _> = kept.mx.iter().map(|mx| MxPattern::parse(mx)).collect();
    let modes = [Mode::Enforce, Mode::None, Mode::Testing];
    let mode = modes.into_iter().find(|mode| mode.as_str() == kept.mode)?;
    Policy::new(mode, std::time::Duration::from_secs(kept.max_age), patterns.ok()?).ok()
}

fn describe(policy: &Policy) -> String {
    let days = counted(policy.max_age().as_secs() / 86_400, "day", "days");
    let hosts: Vec<_> = policy.mx().iter().map(ToString::to_string).collect();
    format!("{}, good for {days}, mx: {}", policy.mode(), hosts.join(" "))
}
