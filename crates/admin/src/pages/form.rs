//! What a form or the query of an address says: names and values, in their order.

use std::sync::Arc;

use serde::de::DeserializeOwned;

/// The fields of a form, or of the query of an address.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Fields(Arc<Vec<(String, String)>>);

impl Fields {
    /// Reads `application/x-www-form-urlencoded`. What is no UTF-8 has U+FFFD in its place.
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        Self(Arc::new(form_urlencoded::parse(bytes).into_owned().collect()))
    }

    /// Reads the query of an address that may have fields of these names.
    ///
    /// # Errors
    ///
    /// That it has another one, in words.
    pub(crate) fn asked(query: Option<String>, known: &[&str]) -> Result<Self, String> {
        let fields = Self::parse(query.unwrap_or_default().as_bytes());
        match fields.unknown(known) {
            Some(unknown) => Err(format!("`{unknown}` is nothing that can be asked for.")),
            None => Ok(fields),
        }
    }

    /// The first value of this name that is not empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let of_name = self.iter().filter(|(known, _)| *known == name);
        of_name.map(|(_, value)| value).find(|value| !value.is_empty())
    }

    /// The values of this name.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The name of a field that is none of these.
    fn unknown(&self, known: &[&str]) -> Option<&str> {
        self.0.iter().map(|(name, _)| name.as_str()).find(|name| !known.contains(name))
    }

    /// Those of these names that have a value.
    pub(crate) fn only(&self, names: &[&str]) -> Self {
        let kept = self
            .0
            .iter()
            .filter(|(name, value)| names.contains(&name.as_str()) && !value.is_empty());
        Self(Arc::new(kept.cloned().collect()))
    }

    /// The names and values.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// These as a query, with its `?` where there are any.
    pub(crate) fn query(&self) -> String {
        self.query_with(&[])
    }

    /// These as a query, and behind them these.
    pub(crate) fn query_with(&self, more: &[(&str, &str)]) -> String {
        let mut text = form_urlencoded::Serializer::new(String::new());
        text.extend_pairs(self.iter().filter(|(name, _)| more.iter().all(|(new, _)| new != name)));
        text.extend_pairs(more.iter().filter(|(_, value)| !value.is_empty()));
        let text = text.finish();
        if text.is_empty() { text } else { format!("?{text}") }
    }

    /// What they say, as a type.
    ///
    /// # Errors
    ///
    /// What is wrong, in words that name the field.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, String> {
        let text = serde_urlencoded::to_string(&*self.0).map_err(|error| error.to_string())?;
        serde_urlencoded::from_str(&text).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_come_through_a_query_unchanged() {
        let fields = Fields::parse(b"domain=a%20b%26c&state=&id=1&id=2&x=%C3%A4");
        assert_eq!(fields.get("domain"), Some("a b&c"));
        assert_eq!(fields.get("state"), None);
        assert_eq!(fields.all("id").collect::<Vec<_>>(), ["1", "2"]);
        let kept = fields.only(&["domain", "state", "x"]);
        assert_eq!(kept.query(), "?domain=a+b%26c&x=%C3%A4");
        assert_eq!(Fields::parse(kept.query().trim_start_matches('?').as_bytes()), kept);
        assert_eq!(kept.query_with(&[("x", ""), ("after", "9")]), "?domain=a+b%26c&after=9");
        assert_eq!(fields.only(&[]).query(), "");
    }

    #[test]
    fn a_field_that_nobody_knows_is_named() {
        let fields = Fields::parse(b"domain=a&nonsense=1");
        assert_eq!(fields.unknown(&["domain"]), Some("nonsense"));
        assert_eq!(fields.unknown(&["domain", "nonsense"]), None);
    }
}
