//! Changes of waiting mail: first a page that names what they mean, then the change.

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use queue::QueueId;

use crate::api::answers::Message;
use crate::api::change::{Bounce, Change};
use crate::api::query::Part;
use crate::pages::answer::{page, see_other};
use crate::pages::form::Fields;
use crate::pages::frame::{Frame, Section, failed, unclear};
use crate::pages::gate::Act;
use crate::pages::logins::Visit;
use crate::pages::parts::{address, many, sender};
use crate::pages::queue_filter::{FILTER, QueueFilter};
use crate::pages::site::Site;
use crate::server::error::AdminError;

/// So many are named before they are changed.
const NAMED: usize = 10;

/// So many can be picked one by one.
const PICKED: usize = 100;

#[derive(Debug, Template)]
#[template(path = "queue_confirm.html")]
struct Confirm {
    frame: Frame,
    question: String,
    verb: &'static str,
    effect: &'static str,
    /// What has changed since a page of this kind was shown.
    meanwhile: Option<String>,
    deletes: bool,
    named: Vec<Named>,
    unnamed: u64,
    /// What is changed, for the form.
    hidden: Vec<(String, String)>,
    back: String,
}

/// A message that is named.
#[derive(Debug)]
struct Named {
    id: String,
    sender: String,
    recipient: String,
}

/// Which messages are meant.
#[derive(Clone, Debug)]
enum Meant {
    /// These.
    Picked(Vec<QueueId>),
    /// All that meet a filter.
    All(QueueFilter),
}

/// A change of messages, as a form asks for it.
#[derive(Clone, Debug)]
struct Wanted {
    change: Change,
    meant: Meant,
    /// The fields of the list where it was asked for.
    list: Fields,
    /// How many were named, where they were.
    expected: Option<u64>,
}

/// `POST /queue/confirm`
pub(crate) async fn confirm(
    State(site): State<Site>,
    Extension(visit): Extension<Visit>,
    Extension(act): Extension<Act>,
) -> Response {
    let wanted = match Wanted::read(act.form(), &visit) {
        Ok(wanted) => wanted,
        Err(problem) => return unclear(&site, &visit, &problem),
    };
    ask(&site, &visit, &wanted, None).await
}

/// `POST /queue/change`
pub(crate) async fn change(
    State(site): State<Site>,
    Extension(visit): Extension<Visit>,
    Extension(act): Extension<Act>,
) -> Response {
    let wanted = match Wanted::read(act.form(), &visit) {
        Ok(wanted) => wanted,
        Err(problem) => return unclear(&site, &visit, &problem),
    };
    match make(&site, &visit, &wanted).await {
        Ok(Made::Changed(note)) => {
            site.logins().note(&visit.id, note);
            see_other(&format!("/queue{}", wanted.list.query()))
        }
        Ok(Made::Stale(text)) => ask(&site, &visit, &wanted, Some(text)).await,
        Err(error) => failed(&site, &visit, &error),
    }
}

/// What has become of a change.
enum Made {
    /// It was made.
    Changed(String),
    /// Other messages are meant than were named.
    Stale(String),
}

/// Makes the change, if it means as much as was named.
async fn make(site: &Site, visit: &Visit, wanted: &Wanted) -> Result<Made, AdminError> {
    let (actions, by) = (site.actions(), &visit.visitor.by);
    let (matched, changed) = match &wanted.meant {
        Meant::Picked(ids) => {
            let matched = u64::try_from(ids.len()).unwrap_or(u64::MAX);
            (matched, actions.change_picked(wanted.change, ids, by).await?)
        }
        Meant::All(filter) => {
            let now = actions.matching(filter.part.clone()).await?.messages;
            if let Some(expected) = wanted.expected.filter(|expected| *expected < now) {
                let text =
                    format!("{} were named, and {now} are meant now.", many(expected, "message"));
                return Ok(Made::Stale(text));
            }
            actions.change_all(wanted.change, filter.part.clone(), by).await?
        }
    };
    Ok(Made::Changed(done(wanted.change, matched, changed)))
}

/// What was done, in words.
fn done(change: Change, matched: u64, changed: u64) -> String {
    let messages = many(changed, "message");
    let text = match change {
        Change::Delete(Bounce::Sent) => format!("{messages} deleted, the senders told."),
        Change::Delete(Bounce::None) => format!("{messages} deleted."),
        Change::Hold => format!("{messages} put on hold."),
        Change::Release => format!("{messages} released."),
        Change::Retry => return format!("{} made now.", many(changed, "attempt")),
    };
    if changed < matched {
        return format!(
            "{text} {} had left or needed no change.",
            many(matched.saturating_sub(changed), "other")
        );
    }
    text
}

/// The page that names what is meant.
async fn ask(site: &Site, visit: &Visit, wanted: &Wanted, meanwhile: Option<String>) -> Response {
    match question(site, visit, wanted, meanwhile).await {
        Ok(confirm) => page(&confirm),
        Err(error) => failed(site, visit, &error),
    }
}

async fn question(
    site: &Site,
    visit: &Visit,
    wanted: &Wanted,
    meanwhile: Option<String>,
) -> Result<Confirm, AdminError> {
    let (named, total, last) = wanted.look(site).await?;
    let (verb, effect) = words(wanted.change);
    let shown = u64::try_from(named.len()).unwrap_or(u64::MAX);
    let question = match total {
        0 => "No message is meant.".to_owned(),
        total => format!("{verb} {}?", many(total, "message")),
    };
    Ok(Confirm {
        frame: Frame::new(site, visit, Section::Queue, question.clone()),
        question,
        verb,
        effect,
        meanwhile,
        deletes: matches!(wanted.change, Change::Delete(_)),
        named: named.iter().map(|message| Named::of(message, visit)).collect(),
        unnamed: total.saturating_sub(shown),
        hidden: wanted.hidden(total, last),
        back: format!("/queue{}", wanted.list.query()),
    })
}

/// What a change is called, and what it does.
const fn words(change: Change) -> (&'static str, &'static str) {
    match change {
        Change::Delete(_) => ("Delete", "They are removed for good. Nobody gets them."),
        Change::Hold => {
            ("Hold", "They stay in the queue and are not tried until they are released.")
        }
        Change::Release => ("Release", "They are tried now, and then as other mail is."),
        Change::Retry => ("Retry", "They are tried now, under the same policies as before."),
    }
}

impl Wanted {
    /// What a form asks for.
    fn read(form: &Fields, visit: &Visit) -> Result<Self, String> {
        let bounce = if form.get("bounce").is_some() { Bounce::Sent } else { Bounce::None };
        let change = match form.get("change") {
            Some("retry") => Change::Retry,
            Some("hold") => Change::Hold,
            Some("release") => Change::Release,
            Some("delete") => Change::Delete(bounce),
            Some(other) => {
                return Err(format!("`{other}` is no change: retry, hold, release or delete."));
            }
            None => return Err("The form does not say what to change.".to_owned()),
        };
        let meant = match form.get("scope") {
            Some("all") => Meant::All(QueueFilter::read(form, visit)?),
            Some("picked") => Meant::Picked(picked(form)?),
            _ => return Err("The form does not say which messages are meant.".to_owned()),
        };
        let expected = form.get("expected").map(|count| count.parse::<u64>()).transpose();
        let expected = expected.map_err(|_no_number| "`expected` is no number.".to_owned())?;
        Ok(Self { change, meant, list: form.only(&FILTER), expected })
    }

    /// The first messages that are meant, how many there are, and the last of them.
    async fn look(&self, site: &Site) -> Result<(Vec<Message>, u64, Option<String>), AdminError> {
        let actions = site.actions();
        match &self.meant {
            Meant::All(QueueFilter { part, .. }) => {
                let matched = actions.matching(part.clone()).await?;
                let Part { filter, .. } = part.clone();
                let named = actions.reads.messages(filter, None, NAMED).await?;
                Ok((named, matched.messages, matched.last))
            }
            Meant::Picked(ids) => {
                let there = actions.there(ids).await?;
                let total = u64::try_from(there.len()).unwrap_or(u64::MAX);
                Ok((there.into_iter().take(NAMED).collect(), total, None))
            }
        }
    }

    /// The fields of the form that asks for it.
    fn hidden(&self, total: u64, last: Option<String>) -> Vec<(String, String)> {
        let own = |name: &str, value: String| (name.to_owned(), value);
        let mut hidden = vec![own("change", self.change.path().to_owned())];
        hidden.push(own("expected", total.to_string()));
        match &self.meant {
            Meant::All(_) => {
                hidden.push(own("scope", "all".to_owned()));
                hidden.extend(last.map(|last| own("until", last)));
            }
            Meant::Picked(ids) => {
                hidden.push(own("scope", "picked".to_owned()));
                hidden.extend(ids.iter().map(|id| own("id", id.to_string())));
            }
        }
        hidden.extend(self.list.iter().map(|(name, value)| own(name, value.to_owned())));
        hidden
    }
}

/// The ids that were picked.
fn picked(form: &Fields) -> Result<Vec<QueueId>, String> {
    let ids: Result<Vec<QueueId>, _> = form.all("id").map(str::parse).collect();
    let ids = ids
        .map_err(|_malformed| "A message is named by something that is no queue id.".to_owned())?;
    match ids.len() {
        0 => Err("No message was picked.".to_owned()),
        count if count > PICKED => Err(format!("{PICKED} messages can be picked at most.")),
        _ => Ok(ids),
    }
}

impl Named {
    fn of(message: &Message, visit: &Visit) -> Self {
        Self {
            id: message.headline.id.clone(),
            sender: sender(visit, message.headline.sender.as_deref()),
            recipient: address(visit, message.first_recipient.as_deref().unwrap_or_default()),
        }
    }
}
