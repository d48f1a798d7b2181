//! Where the domain wants TLS reports (RFC 8460 §3). Mail does not depend on it.

use dns::Dns;
use reporting::{RecordLookupError, fresh_record};
use tls_rpt::{DomainName, NoRecord, Parsed, Record, record_name};

use super::report::{Stage, State};

/// The name of the stage.
const STAGE: &str = "tls-reports";

/// Looks for the record.
pub(super) async fn look(dns: &dyn Dns, domain: &DomainName) -> Stage {
    let name = record_name(domain);
    match Box::pin(fresh_record(dns, domain)).await {
        Ok(Parsed { value, warnings }) if warnings.is_empty() => {
            Stage::new(STAGE, State::Good, format!("reports go to {}", destinations(&value)))
        }
        Ok(Parsed { value, warnings }) => {
            let warnings: Vec<_> = warnings.iter().map(ToString::to_string).collect();
            let (to, faults) = (destinations(&value), warnings.join("; "));
            let text = format!("reports go to {to}; the record has faults: {faults}");
            Stage::new(STAGE, State::Warning, text).fix(format!("publish \"{value}\" at {name}"))
        }
        Err(RecordLookupError::None(NoRecord::Absent)) => {
            let text = format!("no TLSRPT record at {name}: the domain gets no reports");
            Stage::new(STAGE, State::None, text)
        }
        Err(RecordLookupError::None(none @ (NoRecord::Invalid(_) | NoRecord::Several(_)))) => {
            let text = format!("{}: the domain gets no reports", mail::in_full(&none));
            let record = "v=TLSRPTv1; rua=mailto:...";
            Stage::new(STAGE, State::Warning, text)
                .fix(format!("publish one record \"{record}\" at {name}"))
        }
        Err(error @ RecordLookupError::Failed(_)) => {
            Stage::new(STAGE, State::Warning, format!("{name}: {error}"))
                .fix("repair the domain's DNS; reports wait up to a day for it")
        }
    }
}

/// The destinations, for people.
fn destinations(record: &Record) -> String {
    let each: Vec<_> = record.destinations().iter().map(ToString::to_string).collect();
    each.join(", ")
}
