//! What was said of a message before its text (RFC 5321 §3.3).

/// What was said of a message before its text.
#[derive(Debug, Default)]
pub(super) struct Transaction {
    pub(super) reverse_path: String,
    pub(super) mail_parameters: Vec<String>,
    pub(super) recipients: Vec<String>,
    pub(super) recipient_parameters: Vec<Vec<String>>,
    /// What has come in chunks (RFC 3030).
    pub(super) chunks: Option<Vec<u8>>,
}

/// The path and the parameters of MAIL or RCPT.
pub(super) struct Argument {
    pub(super) path: String,
    pub(super) parameters: Vec<String>,
}

impl Transaction {
    pub(super) fn is_binary(&self) -> bool {
        self.mail_parameters.iter().any(|one| one.eq_ignore_ascii_case("BODY=BINARYMIME"))
    }

    pub(super) fn is_smtputf8(&self) -> bool {
        self.mail_parameters.iter().any(|parameter| parameter.eq_ignore_ascii_case("SMTPUTF8"))
    }
}

impl Argument {
    /// Takes a command apart; a closing bracket inside quotes does not end the path.
    pub(super) fn parse(line: &str, command: &str) -> Option<Self> {
        let (verb, rest) = line.split_at_checked(command.len())?;
        let rest = rest.strip_prefix('<').filter(|_| verb.eq_ignore_ascii_case(command))?;
        let (mut quoted, mut escaped) = (false, false);
        let end = rest.bytes().position(|byte| {
            let closes = byte == b'>' && !quoted;
            if byte == b'"' && !escaped {
                quoted = !quoted;
            }
            escaped = quoted && byte == b'\\' && !escaped;
            closes
        })?;
        let (path, parameters) = rest.split_at_checked(end)?;
        let parameters = parameters.strip_prefix('>')?;
        if !parameters.is_empty() && !parameters.starts_with(' ') {
            return None;
        }
        let parameters = parameters.split_ascii_whitespace().map(str::to_owned).collect();
        Some(Self { path: path.to_owned(), parameters })
    }
}
