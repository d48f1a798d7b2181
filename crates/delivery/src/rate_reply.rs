//! Which replies say that we send too fast.
//!
//! There is no reply code for it. Hosts say it with 421, or with 450 or 451 and an enhanced code of
//! security or policy (RFC 3463 §3.8), which also are what greylisting and a host that shuts down say;
//! so what counts is the text.

use smtp::{Reply, ReplyCode};

/// The subject of security and policy (RFC 3463 §3.8).
const POLICY: u16 = 7;

/// Details of it that mean nothing else: what Gmail and Exchange Online use.
const DETAILS: [u16; 3] = [28, 650, 651];

/// Words, whole, of which one alone speaks of a rate.
const WORDS: [&str; 9] = [
    "rate",
    "rates",
    "ratelimit",
    "ratelimited",
    "throttled",
    "throttling",
    "frequency",
    "frequently",
    "volume",
];

/// Words that do so next to each other.
const PAIRS: [[&str; 2]; 8] = [
    ["too", "many"],
    ["too", "much"],
    ["too", "fast"],
    ["too", "quickly"],
    ["too", "frequent"],
    ["slow", "down"],
    ["limit", "exceeded"],
    ["exceeded", "limit"],
];

/// Whether a reply says that messages, or connections, follow each other too fast.
pub(crate) fn names_rate(reply: &Reply) -> bool {
    let policy = reply.enhanced().filter(|code| code.subject() == POLICY);
    let may = match reply.code() {
        ReplyCode::NOT_AVAILABLE => true,
        ReplyCode::MAILBOX_BUSY | ReplyCode::LOCAL_ERROR => policy.is_some(),
        _ => false,
    };
    let says_so = policy.is_some_and(|code| DETAILS.contains(&code.detail()));
    may && (says_so || speaks_of_rate(&reply.one_line()))
}

/// Whether a text speaks of a rate.
fn speaks_of_rate(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    let words: Vec<&str> =
        text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let is_pair = |pair: &[&str]| PAIRS.iter().any(|known| known == pair);
    words.iter().any(|word| WORDS.contains(word)) || words.windows(2).any(is_pair)
}

#[cfg(test)]
mod tests {
    use smtp::ReplyReader;

    use super::*;

    fn reply(line: &str) -> Reply {
        ReplyReader::new().line(line.as_bytes()).unwrap().unwrap()
    }

    #[test]
    fn replies_that_name_a_rate_are_told_from_those_of_greylisting_and_of_a_host_that_shuts_down() {
        for (line, expected) in [
            ("421 4.7.0 Try again later, too many messages from your network", true),
            ("421 4.7.28 Gmail has detected an unusual amount of unsolicited mail", true),
            (
                "421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume",
                true,
            ),
            ("421 Too many concurrent connections", true),
            ("451 4.7.650 The mail server has been temporarily rate limited", true),
            ("450 4.7.1 Rate limit exceeded, slow down", true),
            ("450 4.7.1 Error: too much mail from 192.0.2.1", true),
            ("451 4.7.1 throttled", true),
            ("421 4.3.2 Service shutting down", false),
            ("421 mx.example.org closing connection", false),
            ("450 4.7.1 Greylisted, try again in 300 seconds", false),
            ("451 4.7.1 a separate corporate concern", false),
            ("450 4.2.1 mailbox receives mail at too high a rate", false),
            ("451 4.3.0 rate limit", false),
            ("452 4.7.1 rate limit", false),
            ("550 5.7.1 rate limit exceeded", false),
            ("550 5.7.28 unusual rate", false),
        ] {
            assert_eq!(names_rate(&reply(line)), expected, "{line}");
        }
    }
}
