//! What sendmail is called with: single letters, many of them from other times.
//!
//! What a caller of Postfix's sendmail may write is understood or passed over in silence. What would
//! ask for something that is not done here is refused.

use std::ffi::OsString;

use smtp::{BodyType, EnvelopeId, Notify, Ret};
use thiserror::Error;

/// The letters that a value follows, in the same word or in the next.
const WITH_VALUE: &[u8] = b"ABCFLNORVXbefhopr";

/// The letters that say nothing to this program: aliases, gateways, verbosity and such.
const SILENT: &[u8] = b"GUcmnvx";

/// What is to be done.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Task {
    /// Send the message at standard input.
    #[default]
    Send,
    /// Speak SMTP at standard input and output.
    Smtp,
    /// Print the queue.
    Mailq,
    /// Make the database of aliases, of which there are none.
    Newaliases,
}

/// Where the message at standard input ends.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum End {
    /// Before a line that holds a dot alone.
    #[default]
    Dot,
    /// Where the input ends.
    Input,
}

/// Whether the header says whom the message is for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum FromHeader {
    /// The command line says it alone.
    #[default]
    No,
    /// The header says it as well.
    Yes,
}

/// What sendmail was called with.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Options {
    pub(super) task: Task,
    /// Who the message is from; none: the user who calls.
    pub(super) sender: Option<String>,
    /// What the user is called by people.
    pub(super) full_name: Option<String>,
    pub(super) end: End,
    pub(super) from_header: FromHeader,
    /// What the body may hold, where it was said.
    pub(super) body: Option<BodyType>,
    pub(super) notify: Option<Notify>,
    pub(super) ret: Option<Ret>,
    pub(super) envid: Option<EnvelopeId>,
    /// The recipients, a list in each.
    pub(super) recipients: Vec<String>,
}

/// The command line is wrong.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub(super) enum UsageError {
    /// A value is none that its option can have.
    #[error("-{option} {value}: {expected} is expected")]
    BadValue {
        /// The option.
        option: char,
        /// What stood there.
        value: String,
        /// What can stand there.
        expected: &'static str,
    },
    /// What the option asks for is done by another command.
    #[error("-{option}: {instead}")]
    Elsewhere {
        /// The option.
        option: &'static str,
        /// What to do instead.
        instead: &'static str,
    },
    /// An argument is not text.
    #[error("`{0}` is not UTF-8")]
    NotUtf8(String),
    /// There is no such option.
    #[error("-{0}: there is no such option")]
    Unknown(char),
    /// An option lacks its value.
    #[error("-{0}: a value is expected behind it")]
    ValueMissing(char),
}

impl Options {
    /// Reads the arguments behind the program's name. Options may stand behind recipients, up to `--`.
    pub(super) fn parse(arguments: &[OsString]) -> Result<Self, UsageError> {
        let mut options = Self::default();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let argument = text(argument)?;
            if argument == "--" {
                for recipient in rest {
                    options.recipients.push(text(recipient)?.to_owned());
                }
                break;
            }
            match argument.strip_prefix('-').filter(|letters| !letters.is_empty()) {
                Some(letters) => options.take_word(letters, || rest.next())?,
                None => options.recipients.push(argument.to_owned()),
            }
        }
        Ok(options)
    }

    /// Takes the options of one word; `next` is the word behind it.
    fn take_word<'a>(
        &mut self,
        letters: &str,
        mut next: impl FnMut() -> Option<&'a OsString>,
    ) -> Result<(), UsageError> {
        // The two that may have a value in the same word alone: a level, a time or a queue.
        if letters.starts_with(['d', 'q']) {
            return self
                .take(letters.chars().next().unwrap_or('d'), letters.get(1..).unwrap_or(""));
        }
        let mut letters = letters.chars();
        while let Some(letter) = letters.next() {
            if !u8::try_from(letter).is_ok_and(|letter| WITH_VALUE.contains(&letter)) {
                self.take(letter, "")?;
                continue;
            }
            let attached = letters.as_str();
            let value = if attached.is_empty() {
                text(next().ok_or(UsageError::ValueMissing(letter))?)?
            } else {
                attached
            };
            return self.take(letter, value);
        }
        Ok(())
    }

    /// Takes one option.
    fn take(&mut self, letter: char, value: &str) -> Result<(), UsageError> {
        let bad =
            |expected| UsageError::BadValue { option: letter, value: value.to_owned(), expected };
        match letter {
            'B' => {
                // What has no lines cannot be read here (RFC 3030 §3).
                let known = BodyType::parse(value).filter(|body| *body != BodyType::BinaryMime);
                self.body = Some(known.ok_or_else(|| bad("7BIT or 8BITMIME"))?);
            }
            'F' => self.full_name = Some(value.to_owned()),
            'I' => self.task = Task::Newaliases,
            'N' => {
                let wish = Notify::parse(value);
                let words = "never, or a list of success, failure and delay";
                self.notify = Some(wish.ok_or_else(|| bad(words))?);
            }
            'R' => self.ret = Some(Ret::parse(value).ok_or_else(|| bad("full or hdrs"))?),
            'V' => {
                let envid = EnvelopeId::parse(value);
                self.envid = Some(envid.ok_or_else(|| bad("xtext of at most 100 characters"))?);
            }
            'b' => self.task = task(value)?,
            'f' | 'r' => self.sender = Some(value.to_owned()),
            'i' => self.end = End::Input,
            'o' => self.take_old(value),
            'q' => {
                let instead =
                    "delivery is tried by the relay itself; `sts-relay queue retry` hurries it";
                return Err(UsageError::Elsewhere { option: "q", instead });
            }
            't' => self.from_header = FromHeader::Yes,
            'A' | 'C' | 'L' | 'O' | 'X' | 'd' | 'e' | 'h' | 'p' => {}
            _ if u8::try_from(letter).is_ok_and(|letter| SILENT.contains(&letter)) => {}
            _ => return Err(UsageError::Unknown(letter)),
        }
        Ok(())
    }

    /// Takes an option in the old way, behind -o; those that say nothing here are passed over.
    fn take_old(&mut self, value: &str) {
        match value {
            "i" => self.end = End::Input,
            "7" => self.body = Some(BodyType::SevenBit),
            "8" => self.body = Some(BodyType::EightBitMime),
            _ => {}
        }
    }
}

/// What -b asks for.
fn task(value: &str) -> Result<Task, UsageError> {
    let elsewhere = |option, instead| Err(UsageError::Elsewhere { option, instead });
    match value {
        "m" => Ok(Task::Send),
        "s" => Ok(Task::Smtp),
        "p" => Ok(Task::Mailq),
        "i" => Ok(Task::Newaliases),
        "d" | "D" | "l" => elsewhere("bd", "the relay is run by `sts-relay serve`"),
        "v" => elsewhere("bv", "addresses are not verified; `sts-relay check` looks a domain up"),
        _ => Err(UsageError::BadValue {
            option: 'b',
            value: value.to_owned(),
            expected: "one of m, s, p and i",
        }),
    }
}

/// An argument as text.
fn text(argument: &OsString) -> Result<&str, UsageError> {
    let not_utf8 = || UsageError::NotUtf8(argument.to_string_lossy().into_owned());
    argument.to_str().ok_or_else(not_utf8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, UsageError> {
        Options::parse(&line.split_whitespace().map(OsString::from).collect::<Vec<_>>())
    }

    fn options(line: &str) -> Options {
        parse(line).unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    #[test]
    fn what_programs_write_is_understood() {
        let to = |recipients: &[&str]| recipients.iter().map(ToString::to_string).collect();
        let sent =
            |recipients: &[&str]| Options { recipients: to(recipients), ..Options::default() };
        for (line, expected) in [
            ("a@b.example c@d.example", sent(&["a@b.example", "c@d.example"])),
            ("-- -a@b.example", sent(&["-a@b.example"])),
            ("a@b.example -- -i", sent(&["a@b.example", "-i"])),
            ("-", sent(&["-"])),
            ("-oem -odb -oA/etc/x -o d -om -G -n -m -v -x -U a@b.example", sent(&["a@b.example"])),
            ("-Ac -Am -C /etc/x -L tag -X log -h 3 -p smtp -e m -em -d0.1 a", sent(&["a"])),
            ("-O DeliveryMode=b -OMaxHop=3 a", sent(&["a"])),
        ] {
            assert_eq!(options(line), expected, "{line}");
        }
        for line in ["-t -i", "-ti", "-it", "-t -oi", "-oi -t", "-i -t -bm"] {
            let options = options(line);
            assert_eq!((options.from_header, options.end), (FromHeader::Yes, End::Input), "{line}");
        }
        for line in [
            "-f a@b.example c",
            "-fa@b.example c",
            "-tfa@b.example c",
            "-r a@b.example c",
            "c -f a@b.example",
        ] {
            assert_eq!(options(line).sender.as_deref(), Some("a@b.example"), "{line}");
        }
        for (line, body) in [
            ("-B 8BITMIME a", BodyType::EightBitMime),
            ("-B7bit a", BodyType::SevenBit),
            ("-o8 a", BodyType::EightBitMime),
            ("-o7 a", BodyType::SevenBit),
        ] {
            assert_eq!(options(line).body, Some(body), "{line}");
        }
        let wishes = options("-N success,delay -R hdrs -V id+2B1 -F Ann a");
        assert_eq!(wishes.notify, Notify::parse("SUCCESS,DELAY"));
        assert_eq!((wishes.ret, wishes.full_name.as_deref()), (Some(Ret::Hdrs), Some("Ann")));
        assert_eq!(wishes.envid.unwrap().as_str(), "id+1");
        for (line, task) in [
            ("-bs", Task::Smtp),
            ("-bp", Task::Mailq),
            ("-bi", Task::Newaliases),
            ("-I", Task::Newaliases),
            ("-bm", Task::Send),
        ] {
            assert_eq!(options(line).task, task, "{line}");
        }
    }

    #[test]
    fn what_is_not_done_here_is_refused_with_words() {
        for (line, words) in [
            ("-z", "-z: there is no such option"),
            ("-f", "-f: a value is expected behind it"),
            ("-tf", "-f: a value is expected behind it"),
            (
                "-N sometimes",
                "-N sometimes: never, or a list of success, failure and delay is expected",
            ),
            ("-R all", "-R all: full or hdrs is expected"),
            ("-V a=b", "-V a=b: xtext of at most 100 characters is expected"),
            ("-B BINARYMIME", "-B BINARYMIME: 7BIT or 8BITMIME is expected"),
            ("-bd", "-bd: the relay is run by `sts-relay serve`"),
            ("-bt", "-b t: one of m, s, p and i is expected"),
            (
                "-q30m",
                "-q: delivery is tried by the relay itself; `sts-relay queue retry` hurries it",
            ),
            ("-\u{e4}", "-\u{e4}: there is no such option"),
        ] {
            assert_eq!(parse(line).unwrap_err().to_string(), words, "{line}");
        }
    }
}
