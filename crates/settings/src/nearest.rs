//! "Did you mean": the known name that a misspelt one is nearest to.

/// The name of `known` that `written` is most likely meant to be, if one is near enough.
#[must_use]
pub fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = squashed(written);
    let scored = known.into_iter().map(|name| (distance(&plain, &squashed(name)), name));
    let (edits, name) = scored.min_by_key(|(edits, _)| *edits)?;
    (edits <= tolerated(&plain)).then_some(name)
}

/// Whether one letter more, less or other makes one name of the other.
pub(crate) fn is_one_slip(written: &str, known: &str) -> bool {
    distance(&squashed(written), &squashed(known)) <= 1
}

/// How many edits a name may be away: a third of its length.
fn tolerated(plain: &[char]) -> usize {
    plain.len().div_ceil(3).min(4)
}

/// The letters and digits of a name: case and separators are what people get wrong first.
fn squashed(name: &str) -> Vec<char> {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// How many characters must be inserted, removed or replaced to get from one name to the other.
fn distance(from: &[char], to: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (removed, have) in (1..).zip(from) {
        let mut diagonal = removed - 1;
        let mut left = removed;
        for (cell, want) in row.iter_mut().skip(1).zip(to) {
            let replaced = diagonal + usize::from(have != want);
            diagonal = *cell;
            left = replaced.min(left + 1).min(*cell + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = removed;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_finds_the_one_that_was_meant() {
        let known =
            ["hostname", "data_dir", "message_size", "messages_per_connection", "smtp_port"];
        for (written, meant) in [
            ("hostnam", Some("hostname")),
            ("host_name", Some("hostname")),
            ("HOSTNAME", Some("hostname")),
            ("datadir", Some("data_dir")),
            ("message_sise", Some("message_size")),
            ("port", None),
            ("xyz", None),
            ("", None),
        ] {
            assert_eq!(nearest(written, known), meant, "{written}");
        }
    }

    #[test]
    fn a_distance_counts_edits() {
        let distance = |from: &str, to: &str| distance(&squashed(from), &squashed(to));
        for (from, to, edits) in
            [("", "", 0), ("a", "", 1), ("", "ab", 2), ("kitten", "sitting", 3), ("tls", "tsl", 2)]
        {
            assert_eq!(distance(from, to), edits, "{from} {to}");
        }
    }
}
