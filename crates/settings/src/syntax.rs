//! What is wrong with a line that is not TOML, in the words of one who wrote it.

/// What a parser's message begins with where a key is there twice.
const DUPLICATE: &str = "duplicate key";

/// Whether the message is about a key that is there twice.
pub(crate) fn is_duplicate(message: &str) -> bool {
    message.starts_with(DUPLICATE)
}

/// What is wrong at `offset` of `text`, which the parser calls `message`.
pub(crate) fn problem(message: &str, text: &str, offset: usize) -> String {
    let (before, line) = around(text, offset);
    let bare = line.trim();
    if is_duplicate(message) {
        return duplicate(before, line, text);
    }
    if message.starts_with("cannot extend value") {
        return "this key has a value already, so it cannot be a section as well".to_owned();
    }
    if message.contains("carriage return") {
        return "a line ends with a carriage return alone: save the file with line ends of Unix"
            .into();
    }
    let three = ["\"\"\"", "'''"].into_iter().find(|three| before.matches(three).count() % 2 == 1);
    if let Some(three) = three {
        let begin = before.rfind(three).and_then(|begin| text.get(..begin)).unwrap_or_default();
        let begin = begin.matches('\n').count().saturating_add(1);
        return format!("the three quotes in line {begin} are not closed");
    }
    if bare.starts_with("//") || bare.starts_with(';') || bare.starts_with("--") {
        return "a comment begins with #".to_owned();
    }
    if bare.starts_with('[') && !bare.contains('=') {
        return header(bare);
    }
    if let Some((key, value)) = with_colon(bare) {
        return format!("write = between a key and its value: {}", assignment(key, value));
    }
    let Some((key, value)) = bare.split_once('=') else {
        return no_value(bare);
    };
    let (key, value) = (key.trim(), value.trim());
    if !is_key(key) {
        let named = "a key has letters, digits, _ and - alone";
        return if key.is_empty() {
            "a key is missing before the =".to_owned()
        } else {
            named.into()
        };
    }
    if value.is_empty() || value.starts_with('#') {
        return format!("a value is missing behind the =: write {key} = \"...\"");
    }
    value_problem(key, value, message)
}

/// A value that is none.
fn value_problem(key: &str, value: &str, message: &str) -> String {
    let typographic =
        ['\u{201c}', '\u{201d}', '\u{201e}', '\u{2018}', '\u{2019}', '\u{ab}', '\u{bb}'];
    if value.starts_with(typographic) {
        let plain = value.trim_matches(typographic);
        return format!("these are not the plain quotes of TOML: {}", assignment(key, plain));
    }
    for quote in ['"', '\''] {
        if let Some(rest) = value.strip_prefix(quote) {
            return match rest.find(quote) {
                None => format!("the quote {quote} is not closed on this line"),
                Some(end) => match rest.get(end..).unwrap_or_default().trim_matches(quote).trim() {
                    "" => message_in_words(message),
                    tail if tail.starts_with("//") || tail.starts_with(';') => {
                        "a comment begins with #".to_owned()
                    }
                    _ if value.contains('\\') => {
                        "a backslash must be doubled, or the text be put in single quotes"
                            .to_owned()
                    }
                    _ => "only a comment may stand behind the value; it begins with #".to_owned(),
                },
            };
        }
    }
    if value.starts_with(['[', '{']) {
        let close = if value.starts_with('[') { ']' } else { '}' };
        return if value.contains(close) {
            "this list or table is not TOML: write text in quotes, and commas between".to_owned()
        } else {
            format!("{} is not closed by {close}", value.chars().next().unwrap_or_default())
        };
    }
    if value.get(4..5) == Some("-") && value.starts_with(|c: char| c.is_ascii_digit()) {
        return "there is no such date: write one such as 2026-12-24".to_owned();
    }
    if value.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c))
        && value.chars().all(|c| c.is_ascii_digit() || "+-._".contains(c))
        && !value.contains(':')
        && value.matches('.').count() < 2
    {
        return "this is not a number: write digits alone, as in 25".to_owned();
    }
    if value.contains(',') || value.contains('=') {
        return "write each key on a line of its own, and text in quotes".to_owned();
    }
    if ["yes", "no", "on", "off", "True", "False", "TRUE", "FALSE"].contains(&value) {
        return "write true or false, or text in quotes".to_owned();
    }
    format!("text needs quotes: {}", assignment(key, value))
}

/// What is left of the parser's own words.
fn message_in_words(message: &str) -> String {
    match message {
        "invalid escape sequence" => {
            "a backslash must be doubled, or the text be put in single quotes".to_owned()
        }
        _ if message.contains("escape") || message.contains("escaped") => {
            "a backslash must be doubled, or the text be put in single quotes".to_owned()
        }
        _ => "this is not TOML; write KEY = \"TEXT\", KEY = NUMBER, or KEY = [\"TEXT\", \"TEXT\"]"
            .to_owned(),
    }
}

/// A line like `[dns`.
fn header(line: &str) -> String {
    let name: String = line.chars().filter(|c| is_key_char(*c) || *c == '.').collect();
    if name.is_empty() {
        return "a section has a name: write [dns], or [[listener]] for an entry of a list".into();
    }
    if line.starts_with("[[") {
        format!("write [[{name}]] alone on its line")
    } else {
        format!("write [{name}] alone on its line")
    }
}

/// A line with nothing that could be a value.
fn no_value(line: &str) -> String {
    match line.split_once(char::is_whitespace) {
        Some((key, value)) if is_key(key) => {
            format!("write = between a key and its value: {}", assignment(key, value.trim()))
        }
        None if is_key(line) => format!("a value is missing: write {line} = \"...\""),
        Some(_) | None => "this is not TOML: write KEY = \"VALUE\"".to_owned(),
    }
}

/// A key and a value with a colon between, as YAML has them.
fn with_colon(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once(':')?;
    let key = key.trim();
    (is_key(key)).then(|| (key, value.trim()))
}

/// How a value is written right; a secret is not repeated.
fn assignment(key: &str, value: &str) -> String {
    let value = value.split(" #").next().unwrap_or_default().trim();
    let plain = value.trim_matches(['"', '\'']);
    if value.is_empty() || key.contains("password") || key.contains("token") {
        return format!("{key} = \"...\"");
    }
    let is_bare = plain == "true" || plain == "false" || plain.parse::<i64>().is_ok();
    if is_bare || value.starts_with(['[', '{']) {
        return format!("{key} = {value}");
    }
    format!("{key} = {plain:?}")
}

/// A key that is there twice, by its whole name, and where it was first.
fn duplicate(before: &str, line: &str, text: &str) -> String {
    let section = before.lines().rev().find_map(|line| section_of(line.trim()));
    let Some(name) = section_of(line.trim()) else {
        let key = line.split('=').next().unwrap_or_default().trim();
        let within = section.map(|name| format!("{name}.")).unwrap_or_default();
        let first = before.lines().enumerate().filter(|(_, earlier)| {
            earlier.split_once('=').is_some_and(|(earlier, _)| earlier.trim() == key)
        });
        let first = first.last().map(|(number, _)| number.saturating_add(1));
        let first =
            first.map(|line| format!("; it has a value in line {line}")).unwrap_or_default();
        return format!("duplicate key: `{within}{key}` is set twice{first}");
    };
    let first = text.lines().position(|earlier| section_of(earlier.trim()) == Some(name));
    let first = first.map(|line| format!("; it begins in line {}", line.saturating_add(1)));
    format!(
        "duplicate section: [{name}] is there twice{}; put its keys together",
        first.unwrap_or_default()
    )
}

/// The section that a line begins.
fn section_of(line: &str) -> Option<&str> {
    let name = line.strip_prefix('[')?.split(']').next()?.trim_start_matches('[').trim();
    (!name.is_empty()).then_some(name)
}

/// What stands before the line of `offset`, and that line.
fn around(text: &str, offset: usize) -> (&str, &str) {
    let until = text.get(..offset).unwrap_or(text);
    let start = until.rfind('\n').map_or(0, |newline| newline.saturating_add(1));
    let (before, rest) = text.split_at_checked(start).unwrap_or((text, ""));
    (before, rest.lines().next().unwrap_or_default().trim_start_matches('\u{feff}'))
}

/// Whether `text` can be a key, with or without dots.
fn is_key(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| is_key_char(c) || c == '.')
}

fn is_key_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}
