//! The parameters of MAIL and RCPT (RFC 5321 §4.1.2, `Mail-parameters`, `Rcpt-parameters`).

use std::fmt;

use super::error::CommandError;
use crate::body::{BodyType, RequireTls, Smtputf8};
use crate::dsn::{EnvelopeId, Notify, OriginalRecipient, Ret};
use crate::mailbox::Mailbox;
use crate::path::{BLANKS, ReversePath};
use crate::xtext;

/// How much of an unknown keyword the reply repeats.
const KEYWORD_SHOWN: usize = 40;

/// What MAIL may carry besides the path.
///
/// Displayed, it is what follows the path on the wire, each parameter after a blank.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MailParameters {
    /// SIZE: how many octets the sender thinks the message has (RFC 1870).
    pub size: Option<u64>,
    /// BODY (RFC 6152, RFC 3030).
    pub body: BodyType,
    /// SMTPUTF8 (RFC 6531).
    pub smtputf8: Smtputf8,
    /// REQUIRETLS (RFC 8689).
    pub requiretls: RequireTls,
    /// RET (RFC 3461).
    pub ret: Option<Ret>,
    /// ENVID (RFC 3461).
    pub envid: Option<EnvelopeId>,
    /// AUTH: who submitted the message, null if that is not known (RFC 4954 §5).
    pub auth: Option<ReversePath>,
}

impl MailParameters {
    /// Reads what follows the path.
    pub(super) fn parse(text: &str) -> Result<Self, CommandError> {
        let mut seen = MailSeen::default();
        for word in text.split(BLANKS).filter(|word| !word.is_empty()) {
            let (keyword, value) = split(word)?;
            match keyword.to_ascii_uppercase().as_str() {
                "SIZE" => set(&mut seen.size, "SIZE", number(value))?,
                "BODY" => set(&mut seen.body, "BODY", BodyType::parse(value))?,
                "SMTPUTF8" => set(&mut seen.smtputf8, "SMTPUTF8", flag(word, Smtputf8::Requested))?,
                "REQUIRETLS" => {
                    let value = flag(word, RequireTls::Requested);
                    set(&mut seen.requiretls, "REQUIRETLS", value)?;
                }
                "RET" => set(&mut seen.ret, "RET", Ret::parse(value))?,
                "ENVID" => set(&mut seen.envid, "ENVID", EnvelopeId::parse(value))?,
                "AUTH" => set(&mut seen.auth, "AUTH", submitter(value))?,
                _ => return Err(unknown(keyword)),
            }
        }
        Ok(Self {
            size: seen.size,
            body: seen.body.unwrap_or_default(),
            smtputf8: seen.smtputf8.unwrap_or_default(),
            requiretls: seen.requiretls.unwrap_or_default(),
            ret: seen.ret,
            envid: seen.envid,
            auth: seen.auth,
        })
    }
}

/// What was found so far; a second one of a kind is refused.
#[derive(Default)]
struct MailSeen {
    size: Option<u64>,
    body: Option<BodyType>,
    smtputf8: Option<Smtputf8>,
    requiretls: Option<RequireTls>,
    ret: Option<Ret>,
    envid: Option<EnvelopeId>,
    auth: Option<ReversePath>,
}

impl fmt::Display for MailParameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(size) = self.size {
            write!(f, " SIZE={size}")?;
        }
        if self.body != BodyType::default() {
            write!(f, " BODY={}", self.body)?;
        }
        match self.smtputf8 {
            Smtputf8::Requested => f.write_str(" SMTPUTF8")?,
            Smtputf8::NotRequested => {}
        }
        match self.requiretls {
            RequireTls::Requested => f.write_str(" REQUIRETLS")?,
            RequireTls::NotRequested => {}
        }
        if let Some(ret) = self.ret {
            write!(f, " RET={ret}")?;
        }
        if let Some(envid) = &self.envid {
            write!(f, " ENVID={envid}")?;
        }
        match &self.auth {
            None => Ok(()),
            Some(ReversePath::Null) => f.write_str(" AUTH=<>"),
            Some(ReversePath::Mailbox(mailbox)) => {
                f.write_str(" AUTH=")?;
                xtext::write(f, &mailbox.to_string())
            }
        }
    }
}

/// What RCPT may carry besides the path.
///
/// Displayed, it is what follows the path on the wire, each parameter after a blank.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RcptParameters {
    /// NOTIFY (RFC 3461).
    pub notify: Option<Notify>,
    /// ORCPT (RFC 3461).
    pub orcpt: Option<OriginalRecipient>,
}

impl RcptParameters {
    /// Reads what follows the path.
    pub(super) fn parse(text: &str) -> Result<Self, CommandError> {
        let mut parameters = Self::default();
        for word in text.split(BLANKS).filter(|word| !word.is_empty()) {
            let (keyword, value) = split(word)?;
            match keyword.to_ascii_uppercase().as_str() {
                "NOTIFY" => set(&mut parameters.notify, "NOTIFY", Notify::parse(value))?,
                "ORCPT" => set(&mut parameters.orcpt, "ORCPT", OriginalRecipient::parse(value))?,
                _ => return Err(unknown(keyword)),
            }
        }
        Ok(parameters)
    }
}

impl fmt::Display for RcptParameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(notify) = self.notify {
            write!(f, " NOTIFY={notify}")?;
        }
        if let Some(orcpt) = &self.orcpt {
            write!(f, " ORCPT={orcpt}")?;
        }
        Ok(())
    }
}

/// A decimal number of at most 20 digits that fits 64 bits (RFC 1870 §3, RFC 3030 §2).
pub(super) fn number(text: &str) -> Option<u64> {
    let plain = (1..=20).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

/// Keyword and value of `esmtp-param`, the value empty if there is none (RFC 5321 §4.1.2).
fn split(word: &str) -> Result<(&str, &str), CommandError> {
    let (keyword, value) = match word.split_once('=') {
        Some((_, "")) => return Err(CommandError::ParameterSyntax),
        Some(pair) => pair,
        None => (word, ""),
    };
    let named = keyword.starts_with(|c: char| c.is_ascii_alphanumeric())
        && keyword.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let plain = !value.chars().any(|c| c == '=' || c.is_control());
    if named && plain { Ok((keyword, value)) } else { Err(CommandError::ParameterSyntax) }
}

/// A parameter that nobody knows, by the name it was given.
fn unknown(keyword: &str) -> CommandError {
    CommandError::UnknownParameter { keyword: keyword.chars().take(KEYWORD_SHOWN).collect() }
}

fn set<T>(
    place: &mut Option<T>,
    keyword: &'static str,
    value: Option<T>,
) -> Result<(), CommandError> {
    if place.is_some() {
        return Err(CommandError::DuplicateParameter { keyword });
    }
    *place = Some(value.ok_or(CommandError::ParameterValue { keyword })?);
    Ok(())
}

/// SMTPUTF8 and REQUIRETLS have no value (RFC 6531 §3.4, RFC 8689 §2).
fn flag<T>(word: &str, requested: T) -> Option<T> {
    (!word.contains('=')).then_some(requested)
}

/// RFC 4954 §5: `<>`, or a mailbox as xtext. A mailbox beyond ASCII does not fit.
fn submitter(value: &str) -> Option<ReversePath> {
    if value == "<>" {
        return Some(ReversePath::Null);
    }
    let mailbox = Mailbox::parse(&xtext::decode(value)?).ok()?;
    Some(ReversePath::Mailbox(mailbox))
}
