//! The positive replies that are the same for everyone (RFC 5321 §4.2).

use smtp::{Class, EnhancedCode, Reply, ReplyCode};

/// A positive reply with an enhanced code of this subject and detail.
pub(super) fn reply(code: ReplyCode, (subject, detail): (u16, u16), text: &str) -> Reply {
    Reply::new(code, Some(EnhancedCode::new(Class::Success, subject, detail)), text)
}

/// 250 2.0.0.
pub(super) fn ok(text: &str) -> Reply {
    reply(ReplyCode::OK, (0, 0), text)
}

/// RFC 5321 §3.5.3: the answer of a server that does not tell who exists.
pub(super) fn cannot_verify() -> Reply {
    let text = "cannot VRFY user, but will accept message and attempt delivery";
    reply(ReplyCode::CANNOT_VERIFY, (0, 0), text)
}

/// The reply to HELP.
pub(super) fn help() -> Reply {
    let text = "commands: EHLO HELO STARTTLS AUTH MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT";
    reply(ReplyCode::HELP, (0, 0), text)
}
