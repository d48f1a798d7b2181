//! What is announced in the reply to EHLO, and the refusal of what is not.

use queue::{BeginError, Health};
use smtp::{
    BodyType, CommandError, MailParameters, RcptParameters, Reply, ReplyCode, RequireTls, Smtputf8,
};

use super::client::Client;
use crate::protocol::Hello;
use crate::refusal::Refusal;
use crate::rules::Rules;
use crate::service::{AuthMode, BinaryMode, TlsMode};
use crate::settings::{Dsn, RequireTlsOffer};

/// What is offered to a client as it is now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offers<'a> {
    /// What the listener can.
    pub(super) rules: &'a Rules,
    /// Whom it is offered to.
    pub(super) client: &'a Client,
}

impl Offers<'_> {
    /// The reply to EHLO: our name, and a line for each extension (RFC 5321 §4.1.1.1).
    pub(super) fn reply(self) -> Reply {
        let limits = &self.rules.settings.limits;
        let mut lines =
            vec![self.rules.settings.hostname.to_string(), format!("SIZE {}", limits.message_size)];
        let fixed = ["PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES", "SMTPUTF8", "CHUNKING"];
        lines.extend(fixed.map(str::to_owned));
        if self.client.service.binary == BinaryMode::Offered {
            lines.push("BINARYMIME".to_owned());
        }
        if self.rules.settings.dsn == Dsn::Offered {
            lines.push("DSN".to_owned());
        }
        let (mails, rcpts) = (limits.messages_per_connection, limits.recipients);
        lines.push(format!("LIMITS MAILMAX={mails} RCPTMAX={rcpts}"));
        if self.starttls() {
            lines.push("STARTTLS".to_owned());
        }
        if self.requiretls() {
            lines.push("REQUIRETLS".to_owned());
        }
        if self.auth() {
            lines.push("AUTH PLAIN LOGIN".to_owned());
        }
        Reply::multiline(ReplyCode::OK, None, lines)
    }

    /// Whether TLS can be started: not within TLS (RFC 3207 §4.2).
    pub(super) fn starttls(self) -> bool {
        self.client.service.tls == TlsMode::StartTls
            && self.client.tls.is_none()
            && self.rules.tls.is_some()
    }

    /// Whether a message may ask for proven TLS all its way: under TLS alone (RFC 8689 §2).
    fn requiretls(self) -> bool {
        self.rules.settings.requiretls == RequireTlsOffer::Offered && self.client.tls.is_some()
    }

    /// Whether one can log in: under TLS alone, and once (RFC 4954 §4).
    fn auth(self) -> bool {
        self.client.service.auth != AuthMode::Off
            && self.client.tls.is_some()
            && self.client.user.is_none()
    }

    /// A parameter is taken only if its extension was announced, so none after HELO
    /// (RFC 5321 §4.1.1.11). AUTH says who submitted the message; it is taken where one can log
    /// in, and it is not passed on (RFC 4954 §5).
    pub(super) fn take_mail(
        self,
        hello: Hello,
        parameters: &MailParameters,
    ) -> Result<(), Refusal> {
        let MailParameters { size, body, smtputf8, requiretls, ret, envid, auth } = parameters;
        let announced = hello == Hello::Ehlo;
        let logs_in = self.client.service.auth != AuthMode::Off && self.client.tls.is_some();
        let reports = announced && self.rules.settings.dsn == Dsn::Offered;
        first_refused([
            (size.is_some() && !announced, "SIZE"),
            (!self.takes_body(hello, *body), "BODY"),
            (*smtputf8 == Smtputf8::Requested && !announced, "SMTPUTF8"),
            (
                *requiretls == RequireTls::Requested && !(announced && self.requiretls()),
                "REQUIRETLS",
            ),
            (ret.is_some() && !reports, "RET"),
            (envid.is_some() && !reports, "ENVID"),
            (auth.is_some() && !(announced && logs_in), "AUTH"),
        ])
    }

    /// Whether a message of this kind may come.
    fn takes_body(self, hello: Hello, body: BodyType) -> bool {
        let announced = hello == Hello::Ehlo;
        match body {
            BodyType::SevenBit => true,
            BodyType::EightBitMime => announced,
            BodyType::BinaryMime => announced && self.client.service.binary == BinaryMode::Offered,
        }
    }

    /// The parameters of RCPT are all those of DSN (RFC 3461).
    pub(super) fn take_rcpt(
        self,
        hello: Hello,
        parameters: &RcptParameters,
    ) -> Result<(), Refusal> {
        let RcptParameters { notify, orcpt } = parameters;
        let reports = hello == Hello::Ehlo && self.rules.settings.dsn == Dsn::Offered;
        first_refused([
            (notify.is_some() && !reports, "NOTIFY"),
            (orcpt.is_some() && !reports, "ORCPT"),
        ])
    }
}

/// The refusal of the first parameter that is refused.
fn first_refused<const N: usize>(parameters: [(bool, &'static str); N]) -> Result<(), Refusal> {
    match parameters.into_iter().find(|(refused, _)| *refused) {
        Some((_, keyword)) => Err(CommandError::ParameterNotOffered { keyword }.into()),
        None => Ok(()),
    }
}

/// Nobody should send a message that cannot be stored (RFC 1870 §6.1).
pub(super) const fn has_room(health: Health) -> Result<(), Refusal> {
    match health {
        Health::Closed => Err(Refusal::Begin(BeginError::Closed)),
        Health::Failed => Err(Refusal::Begin(BeginError::Failed)),
        Health::LowOnSpace => Err(Refusal::Begin(BeginError::LowOnSpace)),
        Health::Ready => Ok(()),
    }
}

/// Without SMTPUTF8 an address is ASCII, its domain too, which the parser would have made so
/// (RFC 6531 §3.4).
pub(super) fn in_ascii(line: &[u8], smtputf8: Smtputf8) -> Result<(), Refusal> {
    match smtputf8 {
        Smtputf8::NotRequested if !line.is_ascii() => Err(CommandError::Smtputf8Required.into()),
        Smtputf8::NotRequested | Smtputf8::Requested => Ok(()),
    }
}
