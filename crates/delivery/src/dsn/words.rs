//! The part of a notification for a person.

use smtp::{MailboxDomain, Ret};

use super::news::{About, News};
use super::notification::{Notification, Returned};
use super::text::{Text, date};

/// What recipients have in common that are told of together, gravest first.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Section {
    Failed,
    Delayed,
    Relayed,
}

impl Section {
    const ALL: [Self; 3] = [Self::Failed, Self::Delayed, Self::Relayed];

    const fn of(news: News<'_>) -> Self {
        match news {
            News::Delayed(_) => Self::Delayed,
            News::Failed(_) => Self::Failed,
            News::Relayed { .. } => Self::Relayed,
        }
    }

    /// The subject of a notification of which this is the gravest.
    const fn subject(self) -> &'static str {
        match self {
            Self::Failed => "Undelivered Mail Returned to Sender",
            Self::Delayed => "Delayed Mail (still being tried)",
            Self::Relayed => "Delivery Report (mail passed on)",
        }
    }
}

impl Notification<'_> {
    /// What the notification is about, in a few words.
    pub(super) fn subject(&self) -> &'static str {
        let there = |section: &Section| self.in_section(*section).next().is_some();
        let gravest = Section::ALL.into_iter().find(there);
        gravest.unwrap_or(Section::Failed).subject()
    }

    /// All of the part.
    pub(super) fn words(&self, text: &mut Text) {
        let content_type = format!("text/plain; charset={}", text.charset());
        text.part(self.boundary, "Notification", &content_type, text.encoding());
        text.paragraph(&format!("This is the mail relay {}.", self.hostname));
        for section in Section::ALL {
            let mut abouts = self.in_section(section).peekable();
            if abouts.peek().is_some() {
                text.paragraph(&self.introduction(section));
                abouts.for_each(|about| recipient(text, about));
            }
        }
        text.paragraph(self.what_is_returned());
    }

    fn in_section(&self, section: Section) -> impl Iterator<Item = &About<'_>> {
        self.about.iter().filter(move |about| Section::of(about.news) == section)
    }

    /// What holds for all recipients of a section.
    fn introduction(&self, section: Section) -> String {
        match (section, self.retry_until) {
            (Section::Failed, _) => "Your message could not be delivered to the recipients below, \
                                     and no further attempt will be made."
                .to_owned(),
            (Section::Delayed, Some(until)) => format!(
                "Your message has not been delivered to the recipients below yet. This is only a \
                 warning: you need not send it again. Attempts go on until {}.",
                date(until),
            ),
            (Section::Delayed, None) => "Your message has not been delivered to the recipients \
                                         below yet. This is only a warning: you need not send it \
                                         again. Attempts go on."
                .to_owned(),
            (Section::Relayed, _) => {
                "You asked to be told when your message is delivered. For the \
                                      recipients below it was passed on to a mail host that sends \
                                      no such reports: you will hear no more of it unless it is \
                                      returned."
                    .to_owned()
            }
        }
    }

    fn what_is_returned(&self) -> &'static str {
        match (self.returned, self.message.dsn.ret) {
            (Returned::Whole(_), _) => "Your message is at the end of this report.",
            (Returned::Header(_), Some(Ret::Full))
                if Section::Failed.subject() == self.subject() =>
            {
                "The headers of your message are at the end of this report; the whole of it cannot \
                 be returned."
            }
            (Returned::Header(_), Some(Ret::Full | Ret::Hdrs) | None) => {
                "The headers of your message are at the end of this report."
            }
        }
    }
}

/// What became of one recipient.
fn recipient(text: &mut Text, about: &About<'_>) {
    let About { recipient, news } = about;
    text.line(&format!("<{}>", recipient.mailbox));
    text.line("");
    if let Some(reason) = news.reason() {
        text.paragraph(&reason.text);
    }
    if let Some(reply) = news.reply() {
        let host = news.mx().unwrap_or("The receiving host");
        let addr = news.addr().map(|addr| format!(" [{}]", addr.ip())).unwrap_or_default();
        text.paragraph(&format!("{host}{addr} said: {reply}"));
    }
    if news.reason().is_some_and(|reason| reason.policy.is_some()) {
        advice(text, *news, recipient.mailbox.domain());
    }
}

/// What can be done where a policy stands in the way.
fn advice(text: &mut Text, news: News<'_>, domain: &MailboxDomain) {
    let (held, later) = match news {
        News::Delayed(_) | News::Relayed { .. } => (
            "is held back because none of those hosts does so",
            "your message then leaves by itself",
        ),
        News::Failed(_) => (
            "was held back for its whole lifetime because none of those hosts did so",
            "send your message again later",
        ),
    };
    text.paragraph(&format!(
        "{domain} asks all senders to deliver its mail only over an encrypted connection, to the \
         hosts its policy names, and only if they prove their names (MTA-STS, RFC 8461). Your \
         message {held}; nothing of it was sent unprotected.",
    ));
    text.paragraph(&format!(
        "What to do: this can be mended only where mail for {domain} is run. Please pass this \
         report on to its postmaster by another way (telephone, another mail address); {later}.",
    ));
}
