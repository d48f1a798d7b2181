//! `[[notify]]` as it is typed.

use std::path::PathBuf;
use std::time::Duration;

use notify::Severity;
use serde::{Deserialize, Serialize};

use crate::duration_text;
use crate::secret_text::{SecretText, one_or_more};

/// `[[notify]]`
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RawNotify {
    /// What it is called.
    pub name: String,
    /// How it is told.
    pub kind: RawNotifyKind,
    /// Where notices are posted.
    #[serde(default)]
    pub url: SecretText,
    /// A file with that URL.
    #[serde(default)]
    pub url_file: PathBuf,
    /// A file with what signs a webhook; empty: it is not signed.
    #[serde(default)]
    pub secret_file: PathBuf,
    /// To whom notices are mailed.
    #[serde(default, deserialize_with = "one_or_more")]
    pub to: Vec<String>,
    /// Of which events; `*`: of all.
    #[serde(default = "all", deserialize_with = "one_or_more")]
    pub events: Vec<String>,
    /// From which urgency on.
    #[serde(default)]
    pub least: Severity,
    /// How often it is told of what lasts; 0: once.
    #[serde(default = "usual_repeat", with = "duration_text")]
    pub repeat: Duration,
}

impl Default for RawNotify {
    /// What is shown where a key is missing.
    fn default() -> Self {
        Self {
            name: "operators".to_owned(),
            kind: RawNotifyKind::Webhook,
            url: SecretText::default(),
            url_file: PathBuf::new(),
            secret_file: PathBuf::new(),
            to: Vec::new(),
            events: all(),
            least: Severity::default(),
            repeat: usual_repeat(),
        }
    }
}

/// How a destination is told.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RawNotifyKind {
    /// By mail.
    Mail,
    /// By a POST of a text, as chats take it.
    Slack,
    /// By a POST as Alertmanager makes it.
    Webhook,
}

fn all() -> Vec<String> {
    vec!["*".to_owned()]
}

const fn usual_repeat() -> Duration {
    Duration::from_secs(4 * 60 * 60)
}
