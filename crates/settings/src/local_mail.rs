//! Mail of programs of this machine: the socket that they send through, and what they may.

use std::path::PathBuf;

use access::{AllowedSenders, SystemGroup};
use smtp::Mailbox;

use crate::check::Check;
use crate::raw_submission::RawSubmission;
use crate::socket_mode::SocketMode;

/// The unix socket through which programs of this machine send.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SubmitSocket {
    /// Where it is.
    pub path: PathBuf,
    /// Who may open it.
    pub mode: SocketMode,
    /// The number of its group; none: the group that the relay runs with.
    pub group: Option<u32>,
}

impl Check<'_> {
    /// The socket that local programs send through, where there is one.
    pub(crate) fn submit_socket(&mut self) -> Option<SubmitSocket> {
        let RawSubmission { socket_group, socket_mode, .. } = &self.raw.submission;
        let group = (!socket_group.is_empty()).then(|| SystemGroup::named(socket_group));
        if group == Some(None) {
            let problem = format!("there is no group `{socket_group}` on this machine");
            self.wrong("submission.socket_group", &problem);
        }
        let path = self.raw.submit_socket()?;
        if path.is_relative() {
            let problem =
                "is relative to the relay's working directory, where programs do not look";
            self.wrong("submission.socket", problem);
        }
        if path == self.raw.admin_socket() {
            let problem = "is the admin socket, through which more can be done than send";
            self.wrong_with("submission.socket", "admin.socket", problem);
        }
        let group = group.flatten().map(SystemGroup::gid);
        Some(SubmitSocket { path, mode: *socket_mode, group })
    }

    /// The addresses that local users may send from, besides their own.
    pub(crate) fn local_senders(&mut self) -> AllowedSenders {
        match AllowedSenders::parse(&self.raw.access.local_senders) {
            Ok(senders) => senders,
            Err(error) => {
                self.wrong("access.local_senders", &error);
                AllowedSenders::all()
            }
        }
    }

    /// Who gets mail that local programs send to this host.
    pub(crate) fn local_mail_to(&mut self) -> Option<Mailbox> {
        let text = &self.raw.submission.local_mail_to;
        if text.is_empty() {
            return None;
        }
        let mailbox = Mailbox::parse(text).map_err(|error| format!("`{text}`: {error}"));
        mailbox.map_err(|problem| self.wrong("submission.local_mail_to", &problem)).ok()
    }
}
