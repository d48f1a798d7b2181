//! Commands (RFC 5321 §4.1.1) and those of STARTTLS, AUTH and CHUNKING.
//!
//! Whether a command is *offered* is the server's matter: everything with a syntax is read here, and
//! the server refuses what it has not announced.

mod error;
mod parameters;

use std::fmt;

pub use self::error::CommandError;
pub use self::parameters::{MailParameters, RcptParameters};
use crate::body::Smtputf8;
use crate::client_name::ClientName;
use crate::path::{self, BLANKS, ForwardPath, PathError, ReversePath};

/// What a client asks for.
///
/// ```
/// use smtp::{BodyType, Command, MailParameters, Mailbox, ReversePath};
///
/// let command = Command::parse(b"mail from:<bob@example.com> body=8bitmime")?;
/// let Command::Mail { path, parameters } = command else { panic!("it is MAIL") };
/// assert_eq!(path.to_string(), "<bob@example.com>");
/// assert_eq!(parameters.body, BodyType::EightBitMime);
///
/// let refusal = Command::parse(b"MAIL FROM:<> MOON=FULL").unwrap_err();
/// assert_eq!(refusal.reply().code().as_u16(), 555);
/// # Ok::<(), smtp::CommandError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// AUTH: log in (RFC 4954).
    Auth {
        /// The SASL mechanism, in capitals.
        mechanism: String,
        /// The first response, if it came with the command.
        initial: Option<InitialResponse>,
    },
    /// BDAT: that many octets of the message follow the command (RFC 3030).
    Bdat {
        /// How many octets.
        size: u64,
        /// Whether more are to come after them.
        chunk: Chunk,
    },
    /// DATA: the message follows.
    Data,
    /// EHLO: the client's name, and the wish to hear of extensions.
    Ehlo(ClientName),
    /// EXPN: who is on a list.
    Expn(String),
    /// HELO: the client's name.
    Helo(ClientName),
    /// HELP, on a subject or in general.
    Help(Option<String>),
    /// MAIL: a transaction begins.
    Mail {
        /// Where reports go.
        path: ReversePath,
        /// The rest.
        parameters: MailParameters,
    },
    /// NOOP: nothing.
    Noop,
    /// QUIT: goodbye.
    Quit,
    /// RCPT: the message has this recipient.
    Rcpt {
        /// The recipient.
        path: ForwardPath,
        /// The rest.
        parameters: RcptParameters,
    },
    /// RSET: the transaction is forgotten.
    Rset,
    /// STARTTLS: the next octets are TLS (RFC 3207).
    StartTls,
    /// VRFY: whether a mailbox exists.
    Vrfy(String),
}

/// Whether a chunk ends the message (RFC 3030 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Chunk {
    /// It does: `LAST`.
    Last,
    /// It does not.
    More,
}

/// The first response of an AUTH exchange: BASE64 text, or empty where the client sent `=`.
///
/// It is a secret; [`Debug`](fmt::Debug) does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct InitialResponse(String);

impl InitialResponse {
    fn parse(text: &str) -> Option<Self> {
        if text == "=" {
            return Some(Self(String::new()));
        }
        let digits = text.trim_end_matches('=');
        let padding = text.len() - digits.len();
        let known = digits.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/'));
        let whole = !digits.is_empty() && text.len().is_multiple_of(4) && padding <= 2;
        (known && whole).then(|| Self(text.to_owned()))
    }

    /// The BASE64 text.
    #[must_use]
    pub fn as_base64(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for InitialResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InitialResponse(..)")
    }
}

impl Command {
    /// The verb that a line begins with, as it stands there.
    ///
    /// It is that of [`parse`](Self::parse), for what is no command and must be told apart.
    #[must_use]
    pub fn verb(line: &[u8]) -> &[u8] {
        let is_blank = |octet: &u8| matches!(octet, b' ' | b'\t');
        let mut words = line.split(is_blank).filter(|word| !word.is_empty());
        words.next().unwrap_or_default()
    }

    /// Reads one command line, without its CRLF.
    ///
    /// Blanks at the end are dropped (RFC 5321 §4.1.1). What old clients and devices send is taken
    /// where it can mean but one thing: blanks at the start and after the colon of MAIL and RCPT, a
    /// tab for a blank, a path without brackets, and a client's name in any encoding. A path with characters beyond ASCII needs SMTPUTF8: for MAIL
    /// that is seen to here; for RCPT it is the transaction that knows ([`ForwardPath::is_ascii`]).
    ///
    /// # Errors
    ///
    /// The line is no command; the error knows the [`reply`](CommandError::reply).
    pub fn parse(line: &[u8]) -> Result<Self, CommandError> {
        let text = String::from_utf8_lossy(line);
        let (verb, rest) = split_verb(&text);
        // RFC 5321 §4.1.4: nobody is refused for the name a machine was given.
        let named = ["EHLO", "HELO"].iter().any(|hello| verb.eq_ignore_ascii_case(hello));
        if let (false, Err(source)) = (named, std::str::from_utf8(line)) {
            return Err(CommandError::NotUtf8(source));
        }
        let mut letters = [0; VERB_MAX];
        match upper_case(verb, &mut letters) {
            b"AUTH" => auth(rest),
            b"BDAT" => bdat(rest),
            b"DATA" => alone(rest, Self::Data),
            b"EHLO" => Ok(Self::Ehlo(client(rest, "syntax: EHLO hostname")?)),
            b"EXPN" => Ok(Self::Expn(text_of(rest, "syntax: EXPN list")?)),
            b"HELO" => Ok(Self::Helo(client(rest, "syntax: HELO hostname")?)),
            b"HELP" => Ok(Self::Help(text_of(rest, "").ok())),
            b"MAIL" => mail(rest),
            b"NOOP" => Ok(Self::Noop),
            b"QUIT" => alone(rest, Self::Quit),
            b"RCPT" => rcpt(rest),
            b"RSET" => alone(rest, Self::Rset),
            b"STARTTLS" => alone(rest, Self::StartTls),
            b"VRFY" => Ok(Self::Vrfy(text_of(rest, "syntax: VRFY address")?)),
            b"ATRN" | b"BURL" | b"ETRN" | b"LHLO" | b"SAML" | b"SEND" | b"SOML" | b"TURN" => {
                Err(CommandError::NotImplemented)
            }
            _ => Err(CommandError::Unrecognized),
        }
    }
}

/// The longest verb, in octets: STARTTLS.
const VERB_MAX: usize = 8;

/// A verb in upper case; nothing where it is longer than any.
fn upper_case<'l>(verb: &str, letters: &'l mut [u8; VERB_MAX]) -> &'l [u8] {
    let Some(letters) = letters.get_mut(..verb.len()) else { return b"" };
    letters.copy_from_slice(verb.as_bytes());
    letters.make_ascii_uppercase();
    letters
}

/// The verb of a line and what follows it, without the blanks around.
fn split_verb(text: &str) -> (&str, &str) {
    let text = text.trim_matches(BLANKS);
    let (verb, rest) = text.split_once(BLANKS).unwrap_or((text, ""));
    (verb, rest.trim_start_matches(BLANKS))
}

fn alone(rest: &str, command: Command) -> Result<Command, CommandError> {
    if rest.is_empty() { Ok(command) } else { Err(CommandError::NoArgumentsAllowed) }
}

fn client(rest: &str, syntax: &'static str) -> Result<ClientName, CommandError> {
    ClientName::parse(&rest.replace('\t', " ")).ok_or(CommandError::HelloArguments { syntax })
}

fn text_of(rest: &str, syntax: &'static str) -> Result<String, CommandError> {
    if rest.is_empty() { Err(CommandError::Arguments { syntax }) } else { Ok(rest.to_owned()) }
}

fn mail(rest: &str) -> Result<Command, CommandError> {
    let syntax = "syntax: MAIL FROM:<address>";
    let rest = after_keyword(rest, "FROM:").ok_or(CommandError::Arguments { syntax })?;
    let (inside, parameters) = path_and_parameters(rest).map_err(CommandError::ReversePath)?;
    let path = ReversePath::from_bracketed(inside).map_err(CommandError::ReversePath)?;
    let parameters = MailParameters::parse(parameters)?;
    if parameters.smtputf8 == Smtputf8::NotRequested && !path.is_ascii() {
        return Err(CommandError::Smtputf8Required);
    }
    Ok(Command::Mail { path, parameters })
}

fn rcpt(rest: &str) -> Result<Command, CommandError> {
    let syntax = "syntax: RCPT TO:<address>";
    let rest = after_keyword(rest, "TO:").ok_or(CommandError::Arguments { syntax })?;
    let (inside, parameters) = path_and_parameters(rest).map_err(CommandError::ForwardPath)?;
    let path = ForwardPath::from_bracketed(inside).map_err(CommandError::ForwardPath)?;
    Ok(Command::Rcpt { path, parameters: RcptParameters::parse(parameters)? })
}

/// What follows `keyword`, which may be in any case, and blanks after it.
fn after_keyword<'a>(text: &'a str, keyword: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(keyword.len())?;
    start.eq_ignore_ascii_case(keyword).then(|| rest.trim_start_matches(BLANKS))
}

/// The path without its brackets, and the parameters, which a blank must set off.
fn path_and_parameters(text: &str) -> Result<(&str, &str), PathError> {
    let (inside, rest) = path::split(text)?;
    if rest.is_empty() || rest.starts_with(BLANKS) {
        Ok((inside, rest))
    } else {
        Err(PathError::Brackets)
    }
}

fn bdat(rest: &str) -> Result<Command, CommandError> {
    let error = CommandError::Arguments { syntax: "syntax: BDAT size [LAST]" };
    let mut words = rest.split(BLANKS).filter(|word| !word.is_empty());
    let size = words.next().and_then(parameters::number);
    let chunk = match words.next() {
        None => Some(Chunk::More),
        Some(word) => word.eq_ignore_ascii_case("LAST").then_some(Chunk::Last),
    };
    match (size, chunk, words.next()) {
        (Some(size), Some(chunk), None) => Ok(Command::Bdat { size, chunk }),
        (_, _, _) => Err(error),
    }
}

fn auth(rest: &str) -> Result<Command, CommandError> {
    let error = CommandError::Arguments { syntax: "syntax: AUTH mechanism [initial-response]" };
    let mut words = rest.split(BLANKS).filter(|word| !word.is_empty());
    let mechanism = words.next().filter(|word| is_mechanism(word));
    let initial = words.next().map(InitialResponse::parse);
    match (mechanism, initial, words.next()) {
        (None, _, _) | (_, Some(None), _) | (_, _, Some(_)) => Err(error),
        (Some(mechanism), initial, None) => {
            let mechanism = mechanism.to_ascii_uppercase();
            Ok(Command::Auth { mechanism, initial: initial.flatten() })
        }
    }
}

/// RFC 4422 §3.1: 1 to 20 letters, digits, hyphens and underscores.
fn is_mechanism(word: &str) -> bool {
    (1..=20).contains(&word.len())
        && word.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

#[cfg(test)]
mod tests;
