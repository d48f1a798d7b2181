//! A notice in the form that each kind of destination takes.

use std::time::SystemTime;

use clock::Timestamp;
use serde_json::{Value, json};

use crate::event::Event;
use crate::notice::{About, Notice, NoticeKey, Pending, Status};
use crate::severity::Severity;

/// The time of an alert that has no end (Alertmanager writes Go's zero time).
const NO_END: &str = "0001-01-01T00:00:00Z";

/// What one destination is told once.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    /// One and the same for each try, so that whoever gets it twice can tell.
    pub(crate) id: String,
    pub(crate) event: &'static str,
    pub(crate) severity: Severity,
    pub(crate) status: Status,
    pub(crate) subject: Option<String>,
    pub(crate) summary: String,
    pub(crate) since: SystemTime,
    pub(crate) ended: Option<SystemTime>,
    /// The relay that tells.
    pub(crate) relay: String,
}

impl Message {
    /// What `pending` is of `notice`, told by `relay`.
    pub(crate) fn of(notice: &Notice, pending: Pending, destination: &str, relay: &str) -> Self {
        let NoticeKey { event, about } = &notice.key;
        let subject = match about {
            About::Many(_) => None,
            About::One(subject) => Some(subject.clone()).filter(|subject| !subject.is_empty()),
        };
        Self {
            id: id(&[&notice.key.to_string(), destination, relay], pending.begun),
            event: event.word(),
            severity: notice.severity,
            status: pending.status,
            subject,
            summary: notice.summary.clone(),
            since: clock::time(notice.since),
            ended: notice.ended.map(clock::time),
            relay: relay.to_owned(),
        }
    }

    /// A test of `destination` by `relay`.
    pub(crate) fn test(destination: &str, relay: &str, now: SystemTime) -> Self {
        Self {
            id: id(&["test", destination, relay], clock::millis(now)),
            event: "test",
            severity: Severity::Warning,
            status: Status::Test,
            subject: None,
            summary: format!("this is a test of the destination {destination}; nothing is wrong"),
            since: now,
            ended: None,
            relay: relay.to_owned(),
        }
    }

    /// What is said, in one line.
    pub(crate) fn line(&self) -> String {
        let Self { summary, .. } = self;
        match self.status {
            Status::Firing => format!("{}: {summary}", self.severity.word()),
            Status::Reminder => {
                format!(
                    "{}, still, since {}: {summary}",
                    self.severity.word(),
                    Timestamp::of(self.since)
                )
            }
            Status::Resolved => format!("over: {summary}"),
            Status::Test => format!("test: {summary}"),
        }
    }

    /// All that is said, as lines.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = vec![
            self.summary.clone(),
            String::new(),
            format!("Relay:    {}", self.relay),
            format!("Event:    {}", self.event),
            format!("Severity: {}", self.severity.word()),
            format!("Since:    {}", Timestamp::of(self.since)),
        ];
        lines.extend(self.ended.map(|ended| format!("Ended:    {}", Timestamp::of(ended))));
        lines.extend(remedy(self.event).map(|remedy| format!("\nWhat to do: {remedy}")));
        lines.join("\n").lines().map(str::to_owned).collect()
    }

    /// The body for Alertmanager's receivers (webhook, version 4).
    pub(crate) fn alertmanager(&self, receiver: &str) -> Value {
        let status = match self.status {
            Status::Firing | Status::Reminder | Status::Test => "firing",
            Status::Resolved => "resolved",
        };
        let mut labels = json!({
            "alertname": self.event, "severity": self.severity.word(), "instance": self.relay,
        });
        if let (Some(subject), Some(labels)) = (&self.subject, labels.as_object_mut()) {
            labels.insert("domain".to_owned(), Value::from(subject.as_str()));
        }
        let mut annotations = json!({ "summary": self.summary });
        if let (Some(remedy), Some(all)) = (remedy(self.event), annotations.as_object_mut()) {
            all.insert("description".to_owned(), Value::from(remedy));
        }
        let ends =
            self.ended.map_or_else(|| NO_END.to_owned(), |ended| Timestamp::of(ended).to_string());
        let subject = self.subject.as_deref().unwrap_or_default();
        json!({
            "version": "4",
            "groupKey": format!("{}/{}/{subject}", self.relay, self.event),
            "truncatedAlerts": 0,
            "status": status,
            "receiver": receiver,
            "groupLabels": { "alertname": self.event },
            "commonLabels": labels,
            "commonAnnotations": annotations,
            "externalURL": "",
            "alerts": [{
                "status": status,
                "labels": labels,
                "annotations": annotations,
                "startsAt": Timestamp::of(self.since).to_string(),
                "endsAt": ends,
                "generatorURL": "",
                "fingerprint": self.fingerprint(),
            }],
        })
    }

    /// The body for a chat: text in which nothing is markup or calls people.
    pub(crate) fn slack(&self) -> Value {
        let text = format!("{}: {}", self.relay, self.line());
        json!({ "text": text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;") })
    }

    /// What is the same for all that is said of one alert.
    fn fingerprint(&self) -> String {
        let subject = self.subject.as_deref().unwrap_or_default();
        id(&[self.event, subject, &self.relay], 0).chars().skip(4).take(16).collect()
    }
}

/// A name that is another one for other words or another time.
fn id(words: &[&str], time: u64) -> String {
    let named = format!("{}\n{time}", words.join("\n"));
    let sum = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, named.as_bytes());
    let digits: String = sum.as_ref().iter().take(16).map(|octet| format!("{octet:02x}")).collect();
    format!("msg_{digits}")
}

/// What to do about an event, by its word; none for a test.
fn remedy(word: &str) -> Option<&'static str> {
    Some(match Event::named(word)? {
        Event::Clock => {
            "compare the machine's clock with another one; policies and certificates are judged by it"
        }
        Event::Disk => {
            "free space on the disk of data_dir; new mail is refused until there is more than limits.free_space"
        }
        Event::ExceptionEnded | Event::ExceptionEnding => {
            "if the domain's mail still has to leave unverified, grant another exception: sts-relay exception add"
        }
        Event::ExceptionGranted => {
            "sts-relay exception list shows who granted it; sts-relay exception remove ends it"
        }
        Event::CertificateEnding => {
            "tell the domain's postmaster; mail is held from then on if the host shows no newer one"
        }
        Event::Held => {
            "sts-relay domain DOMAIN and sts-relay explain DOMAIN say why, and what to write to their postmaster"
        }
        Event::PolicyEnding => {
            "sts-relay policy refresh DOMAIN says why; tell the domain's postmaster"
        }
        Event::Weakened => "ask the domain's postmaster whether that was meant",
        Event::NotReady => "sts-relay healthy and GET /readyz say what fails",
        Event::OwnCertificate => {
            "renew the certificate that tls.certificate names; it is read again by itself"
        }
        Event::Quarantined => "sts-relay queue list --quarantined names them; check the disk",
        Event::ReportKey => "sts-relay dkim check says what is wrong with the record of the key",
        Event::Stalled => "sts-relay queue stats says what mail waits for",
    })
}
