//! What is said before mail: greeting, EHLO and STARTTLS.

use mta_sts::OpenHost;
use rustls::pki_types::ServerName;
use smtp::{Reply, ReplyCode, Severity};

use crate::capabilities::{Capabilities, Extension};
use crate::dialogue::{Dialogue, DialogueError};
use crate::failure::{SessionFailure, Stage, TlsFailure};
use crate::line_io::Stream;
use crate::settings::DeliverySettings;

/// Hears the greeting.
pub(super) async fn greeting<S: Stream>(
    mut dialogue: Dialogue<S>,
    settings: &DeliverySettings,
) -> Result<Dialogue<S>, SessionFailure> {
    let greeting = dialogue.reply(settings.timeouts.greeting).await;
    let greeting = greeting.map_err(|error| at(Stage::Greeting, error))?;
    if is_positive(&greeting) {
        return Ok(dialogue);
    }
    // RFC 5321 §3.1: whoever is refused still says QUIT.
    dialogue.quit(settings.timeouts.quit).await;
    Err(SessionFailure::Refused { stage: Stage::Greeting, reply: greeting })
}

/// Asks for TLS (RFC 3207 §4); afterwards it may begin.
pub(super) async fn starttls<S: Stream>(
    dialogue: &mut Dialogue<S>,
    capabilities: &Capabilities,
    settings: &DeliverySettings,
) -> Result<(), TlsFailure> {
    if !capabilities.offers(Extension::Starttls) {
        return Err(TlsFailure::NotOffered);
    }
    match dialogue.command("STARTTLS\r\n", settings.timeouts.tls).await {
        Ok(reply) if reply.code() == ReplyCode::READY => Ok(()),
        Ok(reply) if reply.code() == ReplyCode::NOT_AVAILABLE => {
            Err(TlsFailure::Cut(DialogueError::Closed))
        }
        Ok(reply) => Err(TlsFailure::Refused(reply)),
        Err(error) => Err(TlsFailure::Cut(error)),
    }
}

/// Says EHLO, or HELO to a host that does not know EHLO (RFC 5321 §3.2).
pub(super) async fn hello<S: Stream>(
    mut dialogue: Dialogue<S>,
    settings: &DeliverySettings,
    stage: Stage,
) -> Result<(Dialogue<S>, Capabilities), SessionFailure> {
    let name = &settings.hostname;
    let limit = settings.timeouts.hello;
    let ehlo = dialogue.ehlo(&format!("EHLO {name}\r\n"), limit).await;
    let ehlo = ehlo.map_err(|error| at(stage, error))?;
    if is_positive(&ehlo) {
        let capabilities = Capabilities::of(&ehlo);
        return Ok((dialogue, capabilities));
    }
    if ehlo.severity() == Severity::PermanentNegative {
        let helo = dialogue.command(&format!("HELO {name}\r\n"), limit).await;
        if is_positive(&helo.map_err(|error| at(stage, error))?) {
            return Ok((dialogue, Capabilities::default()));
        }
    }
    dialogue.quit(settings.timeouts.quit).await;
    Err(SessionFailure::Refused { stage, reply: ehlo })
}

/// The name to ask a host for: many hosts have many certificates.
pub(super) fn server_name(host: &OpenHost) -> Result<ServerName<'static>, TlsFailure> {
    match host {
        OpenHost::Name(mx) => ServerName::try_from(mx.as_str().to_owned())
            .map_err(|_invalid| TlsFailure::NotAName(mx.as_str().to_owned())),
        OpenHost::Literal(address) => Ok(ServerName::IpAddress((*address).into())),
    }
}

/// The dialogue has ended at this stage.
pub(super) const fn at(stage: Stage, error: DialogueError) -> SessionFailure {
    SessionFailure::Dialogue { stage, error }
}

/// Whether a reply says yes.
fn is_positive(reply: &Reply) -> bool {
    reply.severity() == Severity::PositiveCompletion
}
