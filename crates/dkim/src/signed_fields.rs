//! Which fields of a message are signed (RFC 6376 §5.4).

use crate::field::FieldName;
use crate::fields::{Fields, INSTANCES_MOST};

/// The fields that are signed of mail; those that stand here twice cannot be added to it.
const OF_MAIL: [&str; 25] = [
    "From",
    "From",
    "Subject",
    "Subject",
    "Date",
    "Date",
    "To",
    "To",
    "Cc",
    "Cc",
    "Reply-To",
    "Reply-To",
    "Message-ID",
    "In-Reply-To",
    "References",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
    "List-Id",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
    "List-Post",
    "List-Help",
    "List-Subscribe",
    "List-Owner",
];

/// The fields that the next host adds or takes away, so that a signature over them breaks
/// (RFC 6376 §5.4.1, RFC 5322 §3.6.3, RFC 8601 §5).
const NEVER: [&str; 5] =
    ["Authentication-Results", "Bcc", "DKIM-Signature", "Received", "Return-Path"];

/// The most names in a list, each time that one stands there.
const NAMES_MOST: usize = 50;

/// The fields that are signed, each as often as it occurs, and once more for each time more that the
/// list has it: then a signature breaks when one is added.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SignedFields(Vec<Signed>);

/// A field that is signed.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Signed {
    name: FieldName,
    /// How often it is signed beyond those that there are.
    beyond: usize,
}

impl SignedFields {
    /// The fields that are signed of mail unless others are chosen.
    #[must_use]
    pub fn of_mail() -> Self {
        Self::counted(OF_MAIL.iter().filter_map(|name| FieldName::parse(name).ok()))
    }

    /// The fields of this list.
    ///
    /// # Errors
    ///
    /// [`SignedFieldsError`]: a signature over these would be none, or would not last.
    pub fn new(names: impl IntoIterator<Item = FieldName>) -> Result<Self, SignedFieldsError> {
        let names: Vec<_> = names.into_iter().take(NAMES_MOST.saturating_add(1)).collect();
        if names.len() > NAMES_MOST {
            return Err(SignedFieldsError::TooMany);
        }
        if let Some(name) = names.iter().find(|name| NEVER.iter().any(|never| name.is(never))) {
            return Err(SignedFieldsError::ChangesOnTheWay(name.clone()));
        }
        if !names.iter().any(|name| name.is("From")) {
            return Err(SignedFieldsError::NoFrom);
        }
        Ok(Self::counted(names))
    }

    fn counted(names: impl IntoIterator<Item = FieldName>) -> Self {
        let mut fields = Vec::<Signed>::new();
        for name in names {
            match fields.iter_mut().find(|signed| signed.name == name) {
                Some(signed) => signed.beyond = signed.beyond.saturating_add(1),
                None => fields.push(Signed { name, beyond: 0 }),
            }
        }
        Self(fields)
    }

    /// The names, each as often as the list has it.
    pub fn names(&self) -> impl Iterator<Item = &FieldName> {
        self.0
            .iter()
            .flat_map(|Signed { name, beyond }| std::iter::repeat_n(name, beyond.saturating_add(1)))
    }

    /// The names that a signature of a message with these fields lists.
    pub(crate) fn names_in<'a>(&'a self, message: &Fields) -> Vec<&'a FieldName> {
        let listed = self.0.iter().flat_map(|Signed { name, beyond }| {
            let times = message.values(name).count().saturating_add(*beyond).min(INSTANCES_MOST);
            std::iter::repeat_n(name, times)
        });
        listed.collect()
    }

    /// The canonical forms of the fields that are signed, with their line ends: for each name those
    /// from the bottom up (RFC 6376 §5.4.2).
    pub(crate) fn canonical(&self, message: &Fields) -> Vec<u8> {
        let mut canonical = Vec::new();
        for Signed { name, .. } in &self.0 {
            let lower = name.to_lower();
            for value in message.values(name).rev() {
                for part in [&lower[..], b":", value, b"\r\n"] {
                    canonical.extend_from_slice(part);
                }
            }
        }
        canonical
    }
}

/// Why a list of fields cannot be signed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SignedFieldsError {
    /// The next host changes this field.
    #[error("{0} cannot be signed: hosts on the way change it")]
    ChangesOnTheWay(FieldName),
    /// The author's field must be signed (RFC 6376 §5.4).
    #[error("From must be signed (RFC 6376)")]
    NoFrom,
    /// There are more names than a signature should have.
    #[error("more than {NAMES_MOST} names of fields")]
    TooMany,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MessageHash;

    fn fields(names: &[&str]) -> Result<SignedFields, SignedFieldsError> {
        SignedFields::new(names.iter().map(|name| FieldName::parse(name).unwrap()))
    }

    fn selected(fields: &SignedFields, message: &str) -> (String, String) {
        let hash = MessageHash::of(message.as_bytes());
        let names = fields.names_in(hash.fields());
        let names: Vec<_> = names.into_iter().map(FieldName::as_str).collect();
        (names.join(":"), String::from_utf8(fields.canonical(hash.fields())).unwrap())
    }

    #[test]
    fn each_field_is_signed_as_often_as_it_occurs_and_once_more_where_asked() {
        let fields = fields(&["From", "To", "FROM"]).unwrap();
        let message = "To: 1\r\nfrom:2\r\nTo: 3\r\nX: 4\r\nFrom : 5\r\n\r\n";
        let (names, canonical) = selected(&fields, message);
        assert_eq!(names, "From:From:From:To:To");
        assert_eq!(canonical, "from:5\r\nfrom:2\r\nto:3\r\nto:1\r\n");
        let (names, canonical) = selected(&fields, "\r\n");
        assert_eq!((names.as_str(), canonical.as_str()), ("From", ""));
    }

    #[test]
    fn of_many_fields_of_one_name_the_last_are_signed() {
        let fields = fields(&["From", "To", "To"]).unwrap();
        let message: String = (0..60).map(|number| format!("To: {number}\r\n")).collect();
        let (names, canonical) = selected(&fields, &message);
        assert_eq!(names.split(':').count(), 10);
        assert!(canonical.starts_with("to:59\r\n") && canonical.ends_with("to:50\r\n"));
    }

    #[test]
    fn six_fields_of_mail_cannot_be_added() {
        let (names, _) = selected(&SignedFields::of_mail(), "From: a\r\nReferences: b\r\n\r\n");
        assert_eq!(names, "From:From:Subject:Date:To:Cc:Reply-To:References");
        let listed: Vec<_> = SignedFields::of_mail().names().cloned().collect();
        assert_eq!(listed.len(), OF_MAIL.len());
        assert_eq!(SignedFields::new(listed), Ok(SignedFields::of_mail()));
    }

    #[test]
    fn a_list_that_would_not_last_is_refused() {
        assert_eq!(fields(&["To"]), Err(SignedFieldsError::NoFrom));
        for name in ["received", "BCC", "DKIM-Signature", "Return-Path", "Authentication-Results"] {
            let refused = fields(&["From", name]);
            assert!(matches!(refused, Err(SignedFieldsError::ChangesOnTheWay(_))), "{name}");
        }
        assert_eq!(fields(&["From"; 51]), Err(SignedFieldsError::TooMany));
    }
}
