//! `[[rewrite]]` as it is typed.

use listener::OriginatorField;
use serde::de::Deserializer;
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

use crate::secret_text::one_or_more;

/// `[[rewrite]]`
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RawRewrite {
    /// The addresses that are rewritten: one, `@example.com` for those of a domain, `*` for all; empty:
    /// all in mail of `sender`.
    #[serde(default, deserialize_with = "one_or_more")]
    pub from: Vec<String>,
    /// The senders of the envelope whose mail it is for, written the same way; empty: any.
    #[serde(default, deserialize_with = "one_or_more")]
    pub sender: Vec<String>,
    /// What the addresses become: one address, or `@example.com` for the same local part there.
    pub to: String,
    /// Where they are rewritten.
    #[serde(default = "usual", deserialize_with = "read_fields", serialize_with = "write_fields")]
    pub fields: Vec<OriginatorField>,
}

impl Default for RawRewrite {
    /// What is shown where one is missing.
    fn default() -> Self {
        let to = "ops@example.org".to_owned();
        Self { from: Vec::new(), sender: Vec::new(), to, fields: usual() }
    }
}

/// Where addresses are rewritten unless other fields are listed: all that says who sends, and not who
/// gets replies.
fn usual() -> Vec<OriginatorField> {
    vec![OriginatorField::Envelope, OriginatorField::From, OriginatorField::Sender]
}

/// How an [`OriginatorField`] is written.
#[derive(Deserialize, Serialize)]
#[serde(remote = "OriginatorField", rename_all = "kebab-case")]
enum OriginatorFieldText {
    Envelope,
    From,
    Sender,
    ReplyTo,
}

/// A field of a list.
#[derive(Deserialize, Serialize)]
struct Listed(#[serde(with = "OriginatorFieldText")] OriginatorField);

/// Reads a list of fields.
fn read_fields<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<OriginatorField>, D::Error> {
    let listed = Vec::<Listed>::deserialize(input)?;
    Ok(listed.into_iter().map(|Listed(field)| field).collect())
}

/// Writes a list of fields the way it is read.
fn write_fields<S: Serializer>(fields: &[OriginatorField], output: S) -> Result<S::Ok, S::Error> {
    output.collect_seq(fields.iter().copied().map(Listed))
}
