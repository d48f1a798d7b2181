//! The commands of an envelope, the groups they are sent in, and what their replies add up to.

use queue::{DsnParameters, Recipient};
use smtp::{
    BodyType, MailParameters, RcptParameters, Reply, ReplyCode, RequireTls, ReversePath, Severity,
    Smtputf8,
};

use crate::capabilities::{Capabilities, Extension};
use crate::dialogue::DialogueError;
use crate::recipient_reply::{RecipientReply, Step};

/// How much of an envelope is written before its replies are read.
///
/// RFC 2920 §3.1 leaves it to the client that neither side gets stuck writing: the replies to so
/// few commands fit in what any system buffers.
const WINDOW: usize = 4096;

/// What is the same for all recipients of a transaction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mail<'a> {
    /// Where a bounce goes.
    pub(crate) reverse_path: &'a ReversePath,
    /// The message's size in bytes.
    pub(crate) size: u64,
    /// What the body may hold.
    pub(crate) body: BodyType,
    /// Whether the message cannot be sent without SMTPUTF8.
    pub(crate) smtputf8: Smtputf8,
    /// The DSN parameters of MAIL.
    pub(crate) dsn: &'a DsnParameters,
}

/// One command of an envelope.
#[derive(Clone, Debug)]
pub(crate) struct Command {
    /// Which command it is.
    pub(crate) step: Step,
    /// Its line, CRLF included.
    pub(crate) line: String,
}

/// The commands of an envelope: MAIL, RCPT for each recipient, and DATA unless the message has no
/// lines: it follows in a chunk once it is clear that somebody is to have it (RFC 3030 §3).
///
/// Addresses and parameters are printed by their own types, which quote what needs it: an address
/// cannot bring parameters or commands with it. What the sender wishes of reports is passed on as
/// it came (RFC 3461 §5.2.1).
pub(crate) fn commands(
    mail: &Mail<'_>,
    recipients: &[&Recipient],
    capabilities: &Capabilities,
    requiretls: RequireTls,
) -> Vec<Command> {
    let dsn = capabilities.offers(Extension::Dsn);
    let parameters = MailParameters {
        // RFC 1870 §6.
        size: capabilities.offers(Extension::Size).then_some(mail.size),
        body: mail.body,
        smtputf8: mail.smtputf8,
        requiretls,
        ret: mail.dsn.ret.filter(|_| dsn),
        envid: mail.dsn.envid.clone().filter(|_| dsn),
        auth: None,
    };
    let line = format!("MAIL FROM:{}{parameters}\r\n", mail.reverse_path);
    let rcpt = |recipient: &&Recipient| {
        let parameters = RcptParameters {
            notify: recipient.notify.filter(|_| dsn),
            orcpt: recipient.orcpt.clone().filter(|_| dsn),
        };
        let line = format!("RCPT TO:<{}>{parameters}\r\n", recipient.mailbox);
        Command { step: Step::Rcpt, line }
    };
    let mut commands = vec![Command { step: Step::Mail, line }];
    commands.extend(recipients.iter().map(rcpt));
    match mail.body {
        BodyType::BinaryMime => {}
        BodyType::EightBitMime | BodyType::SevenBit => {
            commands.push(Command { step: Step::Data, line: "DATA\r\n".to_owned() });
        }
    }
    commands
}

/// The commands in the groups they are written in: one by one, or as many as a window holds.
pub(crate) fn windows(mut commands: &[Command], pipelining: Pipelining) -> Vec<&[Command]> {
    let mut windows = Vec::new();
    while !commands.is_empty() {
        let mut octets = 0_usize;
        let fits = |command: &&Command| {
            octets = octets.saturating_add(command.line.len());
            octets <= WINDOW
        };
        let count = match pipelining {
            Pipelining::NotOffered => 1,
            Pipelining::Offered => commands.iter().take_while(fits).count().max(1),
        };
        let (window, rest) = commands.split_at_checked(count).unwrap_or((commands, &[]));
        windows.push(window);
        commands = rest;
    }
    windows
}

/// Whether the peer takes commands before it has replied to the last (RFC 2920).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Pipelining {
    /// It does not.
    NotOffered,
    /// It does.
    Offered,
}

/// How far an envelope has come.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    /// How many recipients there are.
    recipients: usize,
    /// The replies, in the order of the commands; fewer where the rest was not sent or answered.
    replies: Vec<Reply>,
    /// Why there are no more, where the connection failed.
    failure: Option<DialogueError>,
}

impl Progress {
    /// Nothing has been sent yet.
    pub(crate) const fn new(recipients: usize) -> Self {
        Self { recipients, replies: Vec::new(), failure: None }
    }

    /// The next reply has come.
    pub(crate) fn heard(&mut self, reply: Reply) {
        self.replies.push(reply);
    }

    /// There will be no more replies.
    pub(crate) const fn failed(&mut self, error: DialogueError) {
        self.failure = Some(error);
    }

    /// Why there are no more replies, where the connection failed.
    pub(crate) const fn failure(&self) -> Option<DialogueError> {
        self.failure
    }

    /// Whether it makes no sense to go on with these commands.
    pub(crate) fn is_hopeless(&self, window: &[Command]) -> bool {
        let refused = self.replies.first().is_some_and(|reply| !is_positive(reply));
        let data = window.first().is_some_and(|command| command.step == Step::Data);
        refused || (data && self.accepted() == 0)
    }

    /// How many recipients were accepted.
    pub(crate) fn accepted(&self) -> usize {
        let mut replies = self.replies.iter().take(self.recipients.saturating_add(1));
        if replies.next().is_some_and(is_positive) {
            replies.filter(|reply| is_positive(reply)).count()
        } else {
            0
        }
    }

    /// The reply to DATA, if it was sent.
    pub(crate) fn data(&self) -> Option<&Reply> {
        self.replies.get(self.recipients.saturating_add(1))
    }

    /// The reply for the recipient at `place`, given that for all who were accepted.
    pub(crate) fn reply_to(&self, place: usize, accepted: &RecipientReply) -> RecipientReply {
        match self.refusal(0, Step::Mail) {
            Some(fate) => fate,
            None => self
                .refusal(place.saturating_add(1), Step::Rcpt)
                .unwrap_or_else(|| accepted.clone()),
        }
    }

    /// The reply for those who were waiting for the reply to `step` when the connection failed.
    ///
    /// A host that closes the connection says so with 421 first (RFC 5321 §3.8), and then that is
    /// the reply to everything that follows.
    pub(crate) fn lost(&self, step: Step) -> RecipientReply {
        match self.replies.last() {
            Some(reply) if reply.code() == ReplyCode::NOT_AVAILABLE => {
                RecipientReply::Refused { step, reply: reply.clone() }
            }
            Some(_) | None => {
                RecipientReply::Cut { step, error: self.failure.unwrap_or(DialogueError::Closed) }
            }
        }
    }

    fn refusal(&self, place: usize, step: Step) -> Option<RecipientReply> {
        match self.replies.get(place) {
            Some(reply) if is_positive(reply) => None,
            Some(reply) => Some(RecipientReply::Refused { step, reply: reply.clone() }),
            None => Some(self.lost(step)),
        }
    }
}

fn is_positive(reply: &Reply) -> bool {
    reply.severity() == Severity::PositiveCompletion
}

#[cfg(test)]
mod tests {
    use smtp::{EnvelopeId, Mailbox, Notify, OriginalRecipient, Ret};

    use super::*;

    fn mailbox(text: &str) -> Mailbox {
        Mailbox::parse(text).unwrap()
    }

    fn recipient(text: &str) -> Recipient {
        Recipient::new(mailbox(text))
    }

    const NO_PARAMETERS: &DsnParameters = &DsnParameters { ret: None, envid: None };

    fn offering(keywords: &[&str]) -> Capabilities {
        let lines = [&["mx.example.org"], keywords].concat();
        Capabilities::of(&Reply::multiline(ReplyCode::OK, None, lines))
    }

    fn lines(mail: &Mail<'_>, to: &[&Recipient], keywords: &[&str]) -> Vec<String> {
        commands(mail, to, &offering(keywords), RequireTls::NotRequested)
            .into_iter()
            .map(|command| command.line)
            .collect()
    }

    #[test]
    fn an_envelope_carries_the_parameters_that_are_offered_or_needed() {
        let reverse_path = ReversePath::Mailbox(mailbox("a@example.com"));
        let mut mail = Mail {
            reverse_path: &reverse_path,
            size: 1234,
            body: BodyType::SevenBit,
            smtputf8: Smtputf8::NotRequested,
            dsn: NO_PARAMETERS,
        };
        let to = recipient("b@example.org");
        assert_eq!(
            lines(&mail, &[&to], &[]),
            ["MAIL FROM:<a@example.com>\r\n", "RCPT TO:<b@example.org>\r\n", "DATA\r\n"]
        );
        mail.body = BodyType::EightBitMime;
        mail.smtputf8 = Smtputf8::Requested;
        let all = ["SIZE 0", "8BITMIME", "SMTPUTF8"];
        assert_eq!(
            lines(&mail, &[&to], &all)[0],
            "MAIL FROM:<a@example.com> SIZE=1234 BODY=8BITMIME SMTPUTF8\r\n"
        );
        let null = Mail { reverse_path: &ReversePath::Null, ..mail };
        assert_eq!(lines(&null, &[&to], &[])[0], "MAIL FROM:<> BODY=8BITMIME SMTPUTF8\r\n");
    }

    #[test]
    fn wishes_for_reports_are_passed_on_as_they_came_where_dsn_is_offered_and_not_elsewhere() {
        let dsn = DsnParameters { ret: Some(Ret::Hdrs), envid: EnvelopeId::parse("QQ+20314159") };
        let mail = Mail {
            reverse_path: &ReversePath::Null,
            size: 1,
            body: BodyType::SevenBit,
            smtputf8: Smtputf8::NotRequested,
            dsn: &dsn,
        };
        let asks = Recipient {
            notify: Notify::parse("SUCCESS,DELAY"),
            orcpt: OriginalRecipient::parse("rfc822;Bob+2Bnews@example.com"),
            ..recipient("b@example.org")
        };
        let silent = recipient("c@example.org");
        let commands = lines(&mail, &[&asks, &silent], &["DSN"]);
        assert_eq!(commands[0], "MAIL FROM:<> RET=HDRS ENVID=QQ+20314159\r\n");
        let expected = "RCPT TO:<b@example.org> NOTIFY=SUCCESS,DELAY \
                        ORCPT=rfc822;Bob+2Bnews@example.com\r\n";
        assert_eq!(commands[1], expected);
        assert_eq!(commands[2], "RCPT TO:<c@example.org>\r\n");
        let commands = lines(&mail, &[&asks], &["SIZE"]);
        assert_eq!(commands[0], "MAIL FROM:<> SIZE=1\r\n");
        assert_eq!(commands[1], "RCPT TO:<b@example.org>\r\n");
    }

    #[test]
    fn an_address_that_needs_quotes_cannot_bring_parameters_along() {
        let mail = Mail {
            reverse_path: &ReversePath::Null,
            size: 1,
            body: BodyType::SevenBit,
            smtputf8: Smtputf8::NotRequested,
            dsn: NO_PARAMETERS,
        };
        let to = recipient("\"x> SIZE=1\"@example.org");
        assert_eq!(lines(&mail, &[&to], &[])[1], "RCPT TO:<\"x> SIZE=1\"@example.org>\r\n");
    }

    #[test]
    fn windows_hold_every_command_once_and_in_order() {
        let many: Vec<Command> = (0..500)
            .map(|n| Command {
                step: Step::Rcpt,
                line: format!("RCPT TO:<user{n}@example.org>\r\n"),
            })
            .collect();
        for (pipelining, most) in [(Pipelining::NotOffered, 1), (Pipelining::Offered, 200)] {
            let windows = windows(&many, pipelining);
            assert!(windows.iter().all(|window| window.len() <= most && !window.is_empty()));
            let joined: String = windows.concat().into_iter().map(|command| command.line).collect();
            let whole: String = many.iter().map(|command| command.line.as_str()).collect();
            assert_eq!(joined, whole);
        }
    }

    #[test]
    fn the_reply_421_answers_all_that_was_not_answered() {
        let mut progress = Progress::new(2);
        progress.heard(Reply::new(ReplyCode::OK, None, "sender"));
        progress.heard(Reply::new(ReplyCode::NOT_AVAILABLE, None, "closing"));
        progress.failed(DialogueError::Closed);
        for place in [0, 1] {
            let fate = progress.reply_to(place, &progress.lost(Step::Data));
            let RecipientReply::Refused { step: Step::Rcpt, reply } = fate else {
                panic!("{fate:?}")
            };
            assert_eq!(reply.one_line(), "421 closing");
        }
    }
}
