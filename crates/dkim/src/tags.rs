//! Lists of tags (RFC 6376 §3.2).

/// The tags of a list in their order, with blanks around names and values taken off; none where the
/// list is malformed or has a tag twice, for then all of it is to be disregarded.
pub(crate) fn tags(list: &str) -> Option<Vec<(&str, &str)>> {
    let list = list.trim_matches(is_blank);
    let list = list.strip_suffix(';').unwrap_or(list);
    let mut tags = Vec::<(&str, &str)>::new();
    for tag in list.split(';') {
        let (name, value) = tag.split_once('=')?;
        let (name, value) = (name.trim_matches(is_blank), value.trim_matches(is_blank));
        if !is_name(name) || !is_value(value) || tags.iter().any(|(other, _)| *other == name) {
            return None;
        }
        tags.push((name, value));
    }
    Some(tags)
}

/// `tag-name`.
fn is_name(name: &str) -> bool {
    let mut rest = name.chars();
    rest.next().is_some_and(|first| first.is_ascii_alphabetic())
        && rest.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// `tag-value`: blanks within it are not looked at. Notes are UTF-8 in records that exist.
fn is_value(value: &str) -> bool {
    !value.chars().any(|c| c.is_control() && !is_blank(c))
}

/// Folding white space.
pub(crate) const fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_with_blanks_and_a_last_semicolon() {
        let list = [("v", "DKIM1"), ("k", "rsa"), ("p", ""), ("n", "a = b")];
        for text in [
            "v=DKIM1;k=rsa;p=;n=a = b",
            " v = DKIM1 ;\r\n\tk=rsa; p= ; n=a = b; ",
            "v=DKIM1; k=rsa; p=; n=a = b;",
        ] {
            assert_eq!(tags(text).unwrap(), list, "{text}");
        }
    }

    #[test]
    fn a_malformed_list_is_no_list() {
        for text in
            ["", ";", "v", "v=1;;p=", "v=1; v=1", "1=2", "v w=1", "=1", "v=\0", "p=a;\u{e4}=1"]
        {
            assert_eq!(tags(text), None, "{text:?}");
        }
    }
}
