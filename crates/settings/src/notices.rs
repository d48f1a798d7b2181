//! `[[notify]]`: who is told when a person is needed.

use std::fs;
use std::path::{Path, PathBuf};

use notify::{Channel, Destination, Event, EventPattern, Scheme, Secret, Url};
use smtp::Mailbox;

use crate::check::Check;
use crate::file::unreadable;
use crate::raw_notify::{RawNotify, RawNotifyKind};

/// Who is told, and the files that say how.
#[derive(Clone, Debug, Default)]
pub struct NotifySettings {
    /// Who is told.
    pub destinations: Vec<Destination>,
    /// Files that hold URLs and secrets.
    pub secret_files: Vec<PathBuf>,
}

/// Of which table a key is.
#[derive(Clone, Copy, Debug)]
struct NotifyNumber {
    number: usize,
}

impl NotifyNumber {
    fn key(self, name: &str) -> String {
        format!("notify.{}.{name}", self.number)
    }
}

impl Check<'_> {
    /// Who is told when a person is needed.
    pub(crate) fn notices(&mut self) -> NotifySettings {
        let mut found = NotifySettings::default();
        for (number, raw) in self.raw.notify.iter().enumerate() {
            let at = NotifyNumber { number };
            if !is_name(&raw.name) {
                let problem = "is no name: letters, digits, `-` and `_`, at most 60 of them";
                self.wrong(&at.key("name"), problem);
            }
            if self.raw.notify.iter().take(number).any(|other| other.name == raw.name) {
                self.wrong(&at.key("name"), "another [[notify]] has this name");
            }
            let events = self.each(&at.key("events"), &raw.events, pattern);
            if raw.events.is_empty() {
                self.wrong(&at.key("events"), "lists none; events = [\"*\"] is all of them");
            }
            let channel = match raw.kind {
                RawNotifyKind::Mail => self.mailed(at, raw),
                RawNotifyKind::Slack => {
                    self.unused(
                        at,
                        &[("to", !raw.to.is_empty()), ("secret_file", is_set(&raw.secret_file))],
                    );
                    self.url(at, raw).map(|url| Channel::Slack { url })
                }
                RawNotifyKind::Webhook => self.webhook(at, raw),
            };
            let files = [&raw.url_file, &raw.secret_file].into_iter().filter(|file| is_set(file));
            found.secret_files.extend(files.cloned());
            let repeat = Some(raw.repeat).filter(|repeat| !repeat.is_zero());
            if repeat.is_some_and(|repeat| repeat.as_secs() < 60) {
                self.wrong(&at.key("repeat"), "is less than a minute; \"0s\" tells of each once");
            }
            let (name, least) = (raw.name.clone(), raw.least);
            found.destinations.extend(channel.map(|channel| Destination {
                name,
                channel,
                events,
                least,
                repeat,
            }));
        }
        found
    }

    fn mailed(&mut self, at: NotifyNumber, raw: &RawNotify) -> Option<Channel> {
        self.unused(
            at,
            &[
                ("url", raw.url.text().is_some()),
                ("url_file", is_set(&raw.url_file)),
                ("secret_file", is_set(&raw.secret_file)),
            ],
        );
        let to = self.each(&at.key("to"), &raw.to, |text| {
            let mailbox = Mailbox::parse(text).map_err(|error| error.to_string())?;
            if mailbox.is_ascii() { Ok(mailbox) } else { Err("has to be in ASCII".to_owned()) }
        });
        if raw.to.is_empty() {
            self.wrong(&at.key("to"), "names nobody: to = \"ops@example.net\"");
        }
        (!to.is_empty()).then_some(Channel::Mail { to })
    }

    fn webhook(&mut self, at: NotifyNumber, raw: &RawNotify) -> Option<Channel> {
        self.unused(at, &[("to", !raw.to.is_empty())]);
        let url = self.url(at, raw);
        let mut secret = None;
        if is_set(&raw.secret_file) {
            let text = self.text_of(&at.key("secret_file"), &raw.secret_file)?;
            match Secret::parse(&text) {
                Ok(read) => secret = Some(read),
                Err(error) => {
                    let file = raw.secret_file.display();
                    self.wrong(&at.key("secret_file"), &format!("{file}: {error}"));
                }
            }
        }
        Some(Channel::Webhook { url: url?, secret })
    }

    /// The URL, which is never repeated: whoever has it can post.
    fn url(&mut self, at: NotifyNumber, raw: &RawNotify) -> Option<Url> {
        let (key, text) = match (raw.url.text(), is_set(&raw.url_file)) {
            (Some(url), false) => (at.key("url"), url.to_owned()),
            (None, true) => {
                let key = at.key("url_file");
                let text = self.text_of(&key, &raw.url_file)?;
                (key, text)
            }
            (Some(_), true) => {
                self.wrong(&at.key("url_file"), "only one of url and url_file");
                return None;
            }
            (None, false) => {
                self.wrong_with(
                    &at.key("url"),
                    &at.key("url_file"),
                    "says nowhere to post: set url or url_file",
                );
                return None;
            }
        };
        let url = Url::parse(&text).map_err(|error| self.wrong(&key, &error)).ok()?;
        if url.scheme() == Scheme::Http && !url.is_loopback() {
            self.warnings
                .push(format!("{key}: notices go to {url} in clear, with their signature"));
        }
        Some(url)
    }

    fn text_of(&mut self, key: &str, file: &Path) -> Option<String> {
        let read = fs::read_to_string(file);
        let read = read.map_err(|error| format!("{}: {}", file.display(), unreadable(&error)));
        read.map_err(|problem| self.wrong(key, &problem)).ok()
    }

    /// Refuses keys that say nothing for this kind.
    fn unused(&mut self, at: NotifyNumber, keys: &[(&str, bool)]) {
        for (name, _set) in keys.iter().filter(|(_, is_set)| *is_set) {
            self.wrong(&at.key(name), "has no effect with this kind");
        }
    }
}

fn is_set(file: &Path) -> bool {
    !file.as_os_str().is_empty()
}

/// Whether a name can stand in the log and on the command line as it is.
fn is_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    (1..=60).contains(&name.len()) && name.chars().all(fits)
}

/// Reads an event, or `*`.
fn pattern(text: &str) -> Result<EventPattern, String> {
    if text == "*" {
        return Ok(EventPattern::All);
    }
    let words = || Event::ALL.map(Event::word).join(", ");
    Event::named(text).map(EventPattern::One).ok_or_else(|| format!("is none of *, {}", words()))
}
