//! `[submission]` as it is typed.

use std::path::PathBuf;

use listener::{AddedField, BareNewlines, Bcc, Submission};
use serde::de::Deserializer;
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

use crate::socket_mode::SocketMode;

/// `[submission]`
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawSubmission {
    /// The fields that a message gets where it lacks them.
    #[serde(deserialize_with = "read_fields", serialize_with = "write_fields")]
    pub add: Vec<AddedField>,
    /// Whether Bcc fields are removed.
    pub remove_bcc: bool,
    /// What becomes of line ends that lack their CR.
    #[serde(with = "BareNewlinesText")]
    pub bare_newlines: BareNewlines,
    /// The unix socket through which programs of this machine send; empty: there is none.
    pub socket: PathBuf,
    /// The group whose members may open the socket; empty: the one that the relay runs with.
    pub socket_group: String,
    /// Who may open the socket.
    pub socket_mode: SocketMode,
    /// Who gets mail that programs of this machine send to this host; empty: nobody in its place.
    pub local_mail_to: String,
}

impl From<&RawSubmission> for Submission {
    fn from(raw: &RawSubmission) -> Self {
        Self {
            add: raw.add.clone(),
            bcc: if raw.remove_bcc { Bcc::Removed } else { Bcc::Kept },
            bare_newlines: raw.bare_newlines,
        }
    }
}

/// How [`BareNewlines`] are written.
#[derive(Deserialize, Serialize)]
#[serde(remote = "BareNewlines")]
enum BareNewlinesText {
    #[serde(rename = "refuse")]
    Refused,
    #[serde(rename = "repair")]
    Repaired,
}

/// How an [`AddedField`] is written.
#[derive(Deserialize, Serialize)]
#[serde(remote = "AddedField", rename_all = "kebab-case")]
enum AddedFieldText {
    Date,
    From,
    MessageId,
}

/// A field of a list.
#[derive(Deserialize, Serialize)]
struct Listed(#[serde(with = "AddedFieldText")] AddedField);

/// Reads a list of fields.
fn read_fields<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<AddedField>, D::Error> {
    let listed = Vec::<Listed>::deserialize(input)?;
    Ok(listed.into_iter().map(|Listed(field)| field).collect())
}

/// Writes a list of fields the way it is read.
fn write_fields<S: Serializer>(fields: &[AddedField], output: S) -> Result<S::Ok, S::Error> {
    output.collect_seq(fields.iter().copied().map(Listed))
}
