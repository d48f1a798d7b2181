//! What a policy host is told to do.

use std::time::Duration;

use crate::certificate::Certificate;
use crate::policy_text::PolicyText;
use crate::tls::TlsVersions;

/// What a policy host does; begun with one of the named ones and then bent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyBehaviour {
    certificate: Certificate,
    versions: TlsVersions,
    answer: Answer,
    paths: Paths,
}

/// For which paths there is an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Paths {
    Any,
    /// That of a policy alone; there is nothing at others.
    Policy,
}

/// What a client gets to see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The connection closes before a handshake.
    Close,
    /// The connection closes after the request.
    CloseAfterRequest,
    /// These bytes are sent in answer to the request.
    Raw(Vec<u8>),
    Response(Response),
    /// Nothing is ever sent, not even a handshake.
    Silence,
    /// Nothing is sent in answer to the request.
    SilenceAfterRequest,
}

/// An HTTP response to a request for the policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) media_type: Option<String>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    pub(super) framing: Framing,
    /// How long to wait after each byte of the body.
    pub(super) drip: Option<Duration>,
}

/// How the end of a body is marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    Chunked,
    ContentLength,
    /// More bytes are declared than come.
    Overstated,
    UntilClose,
}

impl PolicyBehaviour {
    /// Serves this text as a good host does.
    #[must_use]
    pub fn serve(text: impl Into<Vec<u8>>) -> Self {
        Self::responding(200, text.into())
    }

    /// Answers with this status code.
    #[must_use]
    pub fn status(code: u16) -> Self {
        Self::responding(code, b"no policy here\r\n".to_vec())
    }

    /// Sends the client elsewhere, with this status code.
    #[must_use]
    pub fn redirect(code: u16, location: &str) -> Self {
        Self::status(code).header("Location", location)
    }

    /// Serves a policy that is padded to this many bytes by lines that mean nothing.
    #[must_use]
    pub fn oversize(policy: &PolicyText, length: usize) -> Self {
        let mut text = policy.to_string();
        while text.len() < length {
            text.push_str("x-padding: 0123456789012345678901234567890123456789012345678901\r\n");
        }
        Self::serve(text)
    }

    /// Answers with these bytes.
    #[must_use]
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self::answering(Answer::Raw(bytes.into()))
    }

    /// Closes the connection before a handshake.
    #[must_use]
    pub const fn closing() -> Self {
        Self::answering(Answer::Close)
    }

    /// Closes the connection after the request.
    #[must_use]
    pub const fn closing_after_request() -> Self {
        Self::answering(Answer::CloseAfterRequest)
    }

    /// Says nothing at all.
    #[must_use]
    pub const fn silent() -> Self {
        Self::answering(Answer::Silence)
    }

    /// Says nothing in answer to the request.
    #[must_use]
    pub const fn silent_after_request() -> Self {
        Self::answering(Answer::SilenceAfterRequest)
    }

    /// Presents this certificate instead of a valid one.
    #[must_use]
    pub fn with_certificate(mut self, certificate: Certificate) -> Self {
        self.certificate = certificate;
        self
    }

    /// Speaks these versions of TLS only.
    #[must_use]
    pub const fn with_versions(mut self, versions: TlsVersions) -> Self {
        self.versions = versions;
        self
    }

    /// Answers whatever the path is, as a host that takes reports does.
    #[must_use]
    pub const fn at_any_path(mut self) -> Self {
        self.paths = Paths::Any;
        self
    }

    /// Calls the text something else than `text/plain`.
    #[must_use]
    pub fn media_type(self, media_type: &str) -> Self {
        self.respond(|response| response.media_type = Some(media_type.to_owned()))
    }

    /// Does not say what the text is.
    #[must_use]
    pub fn without_media_type(self) -> Self {
        self.respond(|response| response.media_type = None)
    }

    /// Adds a header field to the response.
    #[must_use]
    pub fn header(self, name: &str, value: &str) -> Self {
        self.respond(|response| response.headers.push((name.to_owned(), value.to_owned())))
    }

    /// Sends the body in chunks, without a Content-Length.
    #[must_use]
    pub fn chunked(self) -> Self {
        self.respond(|response| response.framing = Framing::Chunked)
    }

    /// Sends the body without saying how long it is, and closes at its end.
    #[must_use]
    pub fn until_close(self) -> Self {
        self.respond(|response| response.framing = Framing::UntilClose)
    }

    /// Closes before all of the body that was declared has been sent.
    #[must_use]
    pub fn truncated(self) -> Self {
        self.respond(|response| response.framing = Framing::Overstated)
    }

    /// Waits this long after each byte of the body.
    #[must_use]
    pub fn dripping(self, pace: Duration) -> Self {
        self.respond(|response| response.drip = Some(pace))
    }

    fn responding(status: u16, body: Vec<u8>) -> Self {
        Self::answering(Answer::Response(Response {
            status,
            media_type: Some("text/plain".to_owned()),
            headers: Vec::new(),
            body,
            framing: Framing::ContentLength,
            drip: None,
        }))
    }

    const fn answering(answer: Answer) -> Self {
        let (certificate, versions) = (Certificate::Valid, TlsVersions::Both);
        Self { certificate, versions, answer, paths: Paths::Policy }
    }

    /// Changes the response.
    fn respond(mut self, change: impl FnOnce(&mut Response)) -> Self {
        let Answer::Response(response) = &mut self.answer else {
            unreachable!("only a host that answers with a response can bend it")
        };
        change(response);
        self
    }

    pub(super) const fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    pub(super) const fn versions(&self) -> TlsVersions {
        self.versions
    }

    pub(super) const fn paths(&self) -> Paths {
        self.paths
    }

    pub(super) const fn answer(&self) -> &Answer {
        &self.answer
    }
}

impl From<&str> for PolicyBehaviour {
    /// Serves this text.
    fn from(text: &str) -> Self {
        Self::serve(text)
    }
}

impl From<PolicyText> for PolicyBehaviour {
    /// Serves this policy.
    fn from(policy: PolicyText) -> Self {
        Self::serve(policy.to_string())
    }
}
