//! What an MX host is told to do.

use std::time::Duration;

use crate::certificate::Certificate;
use crate::tap::Channel;
use crate::tls::TlsVersions;

/// What an MX host does; begun with one of the named ones and then bent.
#[derive(Clone, Debug)]
pub struct MxBehaviour {
    starttls: Starttls,
    certificate: Certificate,
    versions: TlsVersions,
    keywords: Vec<String>,
    rules: Vec<Rule>,
    greylisting: Greylisting,
    /// How many recipients a transaction may have, and the reply to the next.
    recipient_limit: Option<(usize, String)>,
    logins: Option<Logins>,
    pace: Duration,
}

/// Who may send mail through the host.
#[derive(Clone, Debug)]
pub(super) struct Logins {
    pub(super) mechanisms: Vec<String>,
    /// The line of the EHLO reply that offers them.
    pub(super) line: String,
    pub(super) name: String,
    pub(super) secret: String,
}

/// How STARTTLS is dealt with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Starttls {
    /// TLS begins with the connection (RFC 8314 §3).
    Implicit,
    NotOffered,
    Offered(After220),
    /// Offered by the host, taken away by a man in the middle.
    Stripped(Strip),
}

/// What follows the 220 to STARTTLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum After220 {
    /// A TLS alert with this number in answer to the client's first message.
    Alert(u8),
    Close,
    Garbage,
    Handshake,
    /// The first message of a server that has no TLS after 1.0.
    HelloOfTls10,
    /// In the same write as the 220, before a proper handshake.
    Injected(Vec<u8>),
    Silence,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Greylisting {
    Off,
    On,
}

/// How a man in the middle takes STARTTLS away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strip {
    /// The line is overwritten with as many X, as some firewalls do.
    Overwrite,
    /// The line is left out.
    Remove,
}

/// A moment in a session, at which something may go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The client has connected; the greeting is due.
    Greeting,
    /// EHLO was read.
    Ehlo,
    /// HELO was read.
    Helo,
    /// STARTTLS was read, where it is offered.
    Starttls,
    /// AUTH was read.
    Auth,
    /// MAIL was read.
    MailFrom,
    /// RCPT was read.
    RcptTo,
    /// DATA was read.
    Data,
    /// A chunk was read that is not the last.
    Chunk,
    /// The last chunk was read.
    LastChunk,
    /// The first line of the message was read. Only an end of the connection makes sense here.
    Message,
    /// The final dot was read; the message is not taken unless all goes its usual way.
    EndOfData,
    /// The message was taken; the reply to the final dot is due, and may not be seen.
    Taken,
    /// RSET was read.
    Rset,
    /// QUIT was read.
    Quit,
}

/// What a host does instead of the usual.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// These bytes are sent as they are, and then the usual is done.
    Before(Vec<u8>),
    /// The usual, but late.
    Delay(Duration),
    /// The connection closes without a word.
    Drop,
    /// These bytes are sent as they are.
    Raw(Vec<u8>),
    /// This reply is given; several lines are parted by CRLF.
    Reply(String),
    /// This reply is given, and then the connection closes.
    ReplyAndDrop(String),
    /// Nothing more is said until the client goes away.
    Silence,
}

/// What is done at a step, and when.
#[derive(Clone, Debug)]
pub struct Rule {
    step: Step,
    act: Act,
    channel: Option<Channel>,
    recipient: Option<String>,
    times: Option<usize>,
}

impl MxBehaviour {
    /// A good host: STARTTLS with a valid certificate, PIPELINING, SIZE, 8BITMIME, SMTPUTF8 and
    /// ENHANCEDSTATUSCODES.
    #[must_use]
    pub fn valid() -> Self {
        let keywords =
            ["PIPELINING", "SIZE 52428800", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES"];
        Self {
            starttls: Starttls::Offered(After220::Handshake),
            certificate: Certificate::Valid,
            versions: TlsVersions::Both,
            keywords: keywords.map(str::to_owned).to_vec(),
            rules: Vec::new(),
            greylisting: Greylisting::Off,
            recipient_limit: None,
            logins: None,
            pace: Duration::ZERO,
        }
    }

    /// STARTTLS is not offered, and refused when it is asked for all the same.
    #[must_use]
    pub fn starttls_not_offered() -> Self {
        Self::valid().starttls(Starttls::NotOffered)
    }

    /// STARTTLS is offered, and then answered with this reply.
    #[must_use]
    pub fn starttls_refused(reply: &str) -> Self {
        Self::valid().at(Step::Starttls, reply)
    }

    /// A good host behind a man in the middle who takes STARTTLS away and passes on all else. The
    /// tap is on his side.
    #[must_use]
    pub fn stripped() -> Self {
        Self::stripped_by(Strip::Remove)
    }

    /// The same, in another way.
    #[must_use]
    pub fn stripped_by(strip: Strip) -> Self {
        Self::valid().starttls(Starttls::Stripped(strip))
    }

    /// This certificate instead of a valid one.
    #[must_use]
    pub fn presenting(certificate: Certificate) -> Self {
        Self { certificate, ..Self::valid() }
    }

    /// The handshake is broken by bytes that are not TLS.
    #[must_use]
    pub fn handshake_garbage() -> Self {
        Self::valid().starttls(Starttls::Offered(After220::Garbage))
    }

    /// The host wants none of the TLS that the client offers, and says so by this alert
    /// (RFC 8446 §6).
    #[must_use]
    pub fn handshake_alert(number: u8) -> Self {
        Self::valid().starttls(Starttls::Offered(After220::Alert(number)))
    }

    /// The host has no TLS after 1.0, and answers the client's first message with that.
    #[must_use]
    pub fn handshake_of_tls10() -> Self {
        Self::valid().starttls(Starttls::Offered(After220::HelloOfTls10))
    }

    /// The connection closes after the 220 to STARTTLS.
    #[must_use]
    pub fn handshake_closed() -> Self {
        Self::valid().starttls(Starttls::Offered(After220::Close))
    }

    /// Nothing follows the 220 to STARTTLS.
    #[must_use]
    pub fn handshake_silent() -> Self {
        Self::valid().starttls(Starttls::Offered(After220::Silence))
    }

    /// A man in the middle adds these bytes to the segment with the 220 to STARTTLS, in clear
    /// (CVE-2011-0411 and its kind); the handshake that follows is good.
    #[must_use]
    pub fn injected(bytes: &[u8]) -> Self {
        Self::valid().starttls(Starttls::Offered(After220::Injected(bytes.to_vec())))
    }

    /// TLS begins with the connection.
    #[must_use]
    pub fn implicit_tls() -> Self {
        Self::valid().starttls(Starttls::Implicit)
    }

    /// A good host that takes mail only in TLS.
    #[must_use]
    pub fn requiring_tls() -> Self {
        let refused = "530 5.7.0 Must issue a STARTTLS command first";
        Self::valid().rule(Rule::new(Step::MailFrom, refused).in_clear())
    }

    /// A good host that turns every pair of sender and recipient away once.
    #[must_use]
    pub fn greylisting() -> Self {
        Self { greylisting: Greylisting::On, ..Self::valid() }
    }

    /// A good host that waits this long before every reply.
    #[must_use]
    pub fn slow(pace: Duration) -> Self {
        Self { pace, ..Self::valid() }
    }

    /// Mail is taken from this account alone, which proves itself under TLS by one of these.
    #[must_use]
    pub fn with_login(mut self, mechanisms: &[&str], name: &str, secret: &str) -> Self {
        let line = format!("AUTH {}", mechanisms.join(" "));
        let mechanisms = mechanisms.iter().map(|mechanism| (*mechanism).to_owned()).collect();
        let (name, secret) = (name.to_owned(), secret.to_owned());
        self.logins = Some(Logins { mechanisms, line, name, secret });
        self
    }

    /// The login is offered on this line of the EHLO reply instead.
    #[must_use]
    pub fn offering_login_as(mut self, line: &str) -> Self {
        if let Some(logins) = &mut self.logins {
            logins.line = line.to_owned();
        }
        self
    }

    /// At every `step`, this instead of the usual.
    #[must_use]
    pub fn at(self, step: Step, act: impl Into<Act>) -> Self {
        self.rule(Rule::new(step, act))
    }

    /// The first `times` that `step` is reached, this instead of the usual.
    #[must_use]
    pub fn first(self, times: usize, step: Step, act: impl Into<Act>) -> Self {
        self.rule(Rule::new(step, act).times(times))
    }

    /// This instead of the usual for RCPT with this address.
    #[must_use]
    pub fn for_recipient(self, recipient: &str, act: impl Into<Act>) -> Self {
        self.rule(Rule::new(Step::RcptTo, act).recipient(recipient))
    }

    /// Adds a rule; of several that fit, the one that was added first counts.
    #[must_use]
    pub fn rule(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }

    /// This certificate instead.
    #[must_use]
    pub fn with_certificate(mut self, certificate: Certificate) -> Self {
        self.certificate = certificate;
        self
    }

    /// These versions of TLS only.
    #[must_use]
    pub const fn with_versions(mut self, versions: TlsVersions) -> Self {
        self.versions = versions;
        self
    }

    /// Takes so many recipients in a transaction, and gives this reply to all further ones.
    #[must_use]
    pub fn with_recipient_limit(mut self, limit: usize, reply: &str) -> Self {
        self.recipient_limit = Some((limit, reply.to_owned()));
        self
    }

    /// Offers one more extension, by its EHLO line; one that was offered already is replaced.
    #[must_use]
    pub fn with_extension(self, line: &str) -> Self {
        let mut changed = self.without_extension(keyword(line));
        changed.keywords.push(line.to_owned());
        changed
    }

    /// Does not offer this extension, and refuses what belongs to it.
    #[must_use]
    pub fn without_extension(mut self, unwanted: &str) -> Self {
        self.keywords.retain(|line| !keyword(line).eq_ignore_ascii_case(unwanted));
        self
    }

    fn starttls(self, starttls: Starttls) -> Self {
        Self { starttls, ..self }
    }

    pub(super) const fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    pub(super) const fn versions(&self) -> TlsVersions {
        self.versions
    }

    pub(super) const fn how_starttls(&self) -> &Starttls {
        &self.starttls
    }

    pub(super) const fn pace(&self) -> Duration {
        self.pace
    }

    pub(super) const fn recipient_limit(&self) -> Option<&(usize, String)> {
        self.recipient_limit.as_ref()
    }

    /// Who may send mail through the host; none: anybody.
    pub(super) const fn logins(&self) -> Option<&Logins> {
        self.logins.as_ref()
    }

    pub(super) fn is_greylisting(&self) -> bool {
        self.greylisting == Greylisting::On
    }

    /// The EHLO lines of the extensions offered, STARTTLS not among them.
    pub(super) fn keywords(&self) -> &[String] {
        &self.keywords
    }

    /// Whether an extension is offered.
    pub(super) fn offers(&self, wanted: &str) -> bool {
        self.keywords.iter().any(|line| keyword(line).eq_ignore_ascii_case(wanted))
    }

    /// The number after SIZE (RFC 1870 §4), if there is one.
    pub(super) fn size_limit(&self) -> Option<usize> {
        let line = self.keywords.iter().find(|line| keyword(line).eq_ignore_ascii_case("SIZE"))?;
        line.split_once(' ')?.1.parse().ok()
    }

    /// What is done at `step` by the first rule that fits, which is used up by it.
    pub(super) fn act(
        &mut self,
        step: Step,
        channel: Channel,
        recipient: Option<&str>,
    ) -> Option<Act> {
        let rule = self.rules.iter_mut().find(|rule| rule.fits(step, channel, recipient))?;
        if let Some(times) = &mut rule.times {
            *times = times.saturating_sub(1);
        }
        Some(rule.act.clone())
    }
}

impl Rule {
    /// At every `step`, this instead of the usual.
    #[must_use]
    pub fn new(step: Step, act: impl Into<Act>) -> Self {
        Self { step, act: act.into(), channel: None, recipient: None, times: None }
    }

    /// Only as long as there is no TLS.
    #[must_use]
    pub const fn in_clear(mut self) -> Self {
        self.channel = Some(Channel::Clear);
        self
    }

    /// Only in TLS.
    #[must_use]
    pub const fn in_tls(mut self) -> Self {
        self.channel = Some(Channel::Tls);
        self
    }

    /// Only for RCPT with this address.
    #[must_use]
    pub fn recipient(mut self, recipient: &str) -> Self {
        self.recipient = Some(recipient.to_owned());
        self
    }

    /// Only so often, over all connections.
    #[must_use]
    pub const fn times(mut self, times: usize) -> Self {
        self.times = Some(times);
        self
    }

    fn fits(&self, step: Step, channel: Channel, recipient: Option<&str>) -> bool {
        let for_this = |wanted: &str| recipient.is_some_and(|is| is.eq_ignore_ascii_case(wanted));
        self.step == step
            && self.times != Some(0)
            && self.channel.is_none_or(|only| only == channel)
            && self.recipient.as_deref().is_none_or(for_this)
    }
}

impl From<&str> for Act {
    /// A reply.
    fn from(reply: &str) -> Self {
        Self::Reply(reply.to_owned())
    }
}

/// The first word of an EHLO line.
fn keyword(line: &str) -> &str {
    line.split_once(' ').map_or(line, |(keyword, _)| keyword)
}
