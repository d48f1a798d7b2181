//! What `--help` and the man pages say of a command besides its arguments: examples that work as
//! they stand, and what its exit status means.
//!
//! A test holds that every command has both, and that every example is a command line.

mod entry;
mod history;
mod notify;
mod operators;
mod sendmail;
mod shared_store;

use clap::Command;

use self::entry::{DONE, GROUP, Help, SHARED};
use self::history::HISTORY;
use self::notify::NOTIFY;
use self::operators::OPERATORS;
use self::sendmail::SENDMAIL;
use self::shared_store::SHARED_STORE;

const HELP: &[Help] = &[
    Help {
        command: "",
        examples: &[
            ("sts-relay --config /etc/sts-relay/sts-relay.toml", "run the relay"),
            ("sts-relay check example.org", "what happens to mail for a domain"),
            ("sts-relay queue list", "queued messages, and why they wait"),
        ],
        statuses: &[
            ("0", "stopped by SIGTERM or SIGINT"),
            ("1", "not started, or not stopped cleanly"),
        ],
    },
    Help {
        command: "serve",
        examples: &[("sts-relay serve --config /etc/sts-relay/sts-relay.toml", "run the relay")],
        statuses: &[
            ("0", "stopped by SIGTERM or SIGINT"),
            ("1", "not started, or not stopped cleanly"),
        ],
    },
    Help {
        command: "check",
        examples: &[
            (
                "sts-relay check example.org",
                "record, policy, MX hosts, DNSSEC, TLSA records and certificates",
            ),
            ("sts-relay check ann@example.org", "the same, for an address"),
            (
                "sts-relay check example.org --json",
                "for scripts; \"verdict\" corresponds to the status",
            ),
            (
                "sts-relay check example.org --route",
                "only the next hop that a [[route]] names, with TLS and login",
            ),
        ],
        statuses: &[
            ("0", "mail leaves verified, or no policy asks for that (verified, no-policy)"),
            ("1", "the check could not be made"),
            (
                "2",
                "mail does not leave (waiting); also an invalid command line, with nothing on standard output",
            ),
            ("3", "mail leaves without the protection it is meant to have (unverified)"),
            ("4", "not known: this relay's resolver does not answer (cannot-tell)"),
        ],
    },
    Help {
        command: "check-config",
        examples: &[
            ("sts-relay check-config", "what differs from the defaults, and where it was set"),
            ("sts-relay check-config --network", "also resolver, own host name and port 25"),
            ("sts-relay check-config --as-user sts-relay", "as root: what the service cannot read"),
        ],
        statuses: &[
            ("0", "the settings are valid; there may be warnings"),
            ("1", "it could not be checked"),
        ],
    },
    Help {
        command: "dane",
        examples: &[
            ("sts-relay dane lookup mx1.example.org", "the TLSA records of a mail host"),
            (
                "sts-relay dane match --chain chain.pem --base mx1.example.org -- \"3 1 1 8BD1\"",
                "whether certificates match a record",
            ),
        ],
        statuses: &GROUP,
    },
    Help {
        command: "dane lookup",
        examples: &[
            ("sts-relay dane lookup mx1.example.org", "security, records, and what matches"),
            ("sts-relay dane lookup mx1.example.org --json", "for scripts"),
        ],
        statuses: &[
            ("0", "the host matches its records: mail is protected"),
            ("1", "the host has no DANE, or it could not be looked up"),
            ("2", "senders that know DANE do not send to it"),
            ("3", "no record is usable: senders use TLS with whoever answers"),
            ("4", "not known: no resolver of this relay validates DNSSEC"),
        ],
    },
    Help {
        command: "dane match",
        examples: &[
            (
                "sts-relay dane match --chain chain.pem --base mx1.example.org -- \"3 1 1 8BD1\"",
                "a record of the host's own key",
            ),
            (
                "sts-relay dane match --chain chain.pem --base mx1.example.org --name example.org --at 2027-01-01 -- \"2 0 1 8BD1\"",
                "a record of its authority, on a later day",
            ),
        ],
        statuses: &[("0", "a record matches"), ("1", "none does, or it could not be told")],
    },
    Help {
        command: "dkim",
        examples: &[
            ("sts-relay dkim keygen example.org", "a key, and the record to publish"),
            ("sts-relay dkim check", "whether the records of all keys are published"),
        ],
        statuses: &GROUP,
    },
    Help {
        command: "dkim keygen",
        examples: &[
            ("sts-relay dkim keygen example.org", "RSA, which every receiver knows"),
            (
                "sts-relay dkim keygen example.org --ed25519 --selector e2 --output /etc/sts-relay/e2.key",
                "Ed25519, to sign with besides",
            ),
        ],
        statuses: &[
            ("0", "written"),
            ("1", "not written: the file is there already, for instance"),
        ],
    },
    Help {
        command: "dkim check",
        examples: &[
            ("sts-relay dkim check", "all keys of the settings"),
            ("sts-relay dkim check example.org --json", "those of a domain, for a script"),
        ],
        statuses: &[
            ("0", "the record of each key is published"),
            ("1", "one is not, or cannot be looked up; what is wrong is printed"),
        ],
    },
    Help {
        command: "healthy",
        examples: &[("sts-relay healthy", "in a container's health check")],
        statuses: &[("0", "the relay runs and accepts mail"), ("1", "it does not")],
    },
    Help {
        command: "queue",
        examples: &[
            ("sts-relay queue list", "the messages in the queue"),
            ("sts-relay queue stats", "the same by domain"),
        ],
        statuses: &GROUP,
    },
    Help {
        command: "queue list",
        examples: &[
            ("sts-relay queue list", "all messages, oldest first"),
            ("sts-relay queue list --reason policy", "mail that waits because of a policy"),
            (
                "sts-relay queue list --older-than 4h --json",
                "messages older than four hours, for a script",
            ),
        ],
        statuses: &DONE,
    },
    Help {
        command: "queue show",
        examples: &[
            ("sts-relay queue show 1g8k3m5p7r9tb", "recipients, attempts and reasons"),
            ("sts-relay queue show 1g8k3m5p7r9tb --body", "header and body"),
        ],
        statuses: &DONE,
    },
    Help {
        command: "queue retry",
        examples: &[
            ("sts-relay queue retry 1g8k3m5p7r9tb", "one message, now"),
            ("sts-relay queue retry --domain example.org --yes", "everything for a domain, now"),
        ],
        statuses: &[
            ("0", "attempts are made now"),
            ("1", "none is, for the reason that is printed"),
        ],
    },
    Help {
        command: "queue hold",
        examples: &[
            ("sts-relay queue hold 1g8k3m5p7r9tb", "keep a message from being sent"),
            (
                "sts-relay queue hold --sender ann@example.org",
                "all messages of a sender, after confirmation",
            ),
        ],
        statuses: &DONE,
    },
    Help {
        command: "queue release",
        examples: &[
            ("sts-relay queue release 1g8k3m5p7r9tb", "send it"),
            (
                "sts-relay queue release --state on-hold --yes",
                "all messages on hold, without confirmation",
            ),
        ],
        statuses: &DONE,
    },
    Help {
        command: "queue delete",
        examples: &[
            ("sts-relay queue delete 1g8k3m5p7r9tb", "delete a message"),
            ("sts-relay queue delete 1g8k3m5p7r9tb --bounce", "and notify its sender"),
        ],
        statuses: &DONE,
    },
    Help {
        command: "queue stats",
        examples: &[("sts-relay queue stats", "waiting mail by domain")],
        statuses: &DONE,
    },
    Help {
        command: "queue verify",
        examples: &[("sts-relay queue verify", "compare the spool with the index")],
        statuses: &[("0", "they agree"), ("1", "they do not; each difference is printed")],
    },
    Help {
        command: "policy",
        examples: &[
            ("sts-relay policy list", "the cached policies"),
            ("sts-relay policy new --domain example.org", "a policy to publish"),
        ],
        statuses: &GROUP,
    },
    Help {
        command: "policy show",
        examples: &[("sts-relay policy show example.org", "the cached policy of a domain")],
        statuses: &[("0", "one is cached"), ("1", "none is, or it cannot be read")],
    },
    Help {
        command: "policy list",
        examples: &[("sts-relay policy list --json", "the cached policies, for a script")],
        statuses: &DONE,
    },
    Help {
        command: "policy refresh",
        examples: &[("sts-relay policy refresh example.org", "fetch a domain's policy now")],
        statuses: &[
            ("0", "it was fetched"),
            ("1", "it could not be fetched, or no relay runs; what is cached stays"),
        ],
    },
    Help {
        command: "policy purge",
        examples: &[
            ("sts-relay policy purge example.org", "one domain's"),
            ("sts-relay policy purge --all", "every domain's"),
        ],
        statuses: &DONE,
    },
    Help {
        command: "exception",
        examples: &[("sts-relay exception list", "what is set aside, until when, and why")],
        statuses: &GROUP,
    },
    Help {
        command: "exception add",
        examples: &[
            (
                "sts-relay exception add example.org --reason 'ticket 4711' --accept-certificate ab12..",
                "to hosts that show this certificate, whatever is wrong with it",
            ),
            (
                "sts-relay exception add example.org --reason 'ticket 4711' --for 4h",
                "to any host, in spite of the policy, for four hours",
            ),
        ],
        statuses: &[
            ("0", "it counts from the next decision on, and is on disk"),
            ("1", "not done: no relay runs, or the settings have a say; the reason is printed"),
        ],
    },
    Help {
        command: "exception list",
        examples: &[("sts-relay exception list --json", "for a script")],
        statuses: &DONE,
    },
    Help {
        command: "exception remove",
        examples: &[("sts-relay exception remove example.org", "none for it counts any more")],
        statuses: &DONE,
    },
    Help {
        command: "policy new",
        examples: &[
            (
                "sts-relay policy new --domain example.org --output mta-sts.txt",
                "for its MX hosts, in testing",
            ),
            (
                "sts-relay policy new --domain example.org --mode enforce --mx mx1.example.org --output mta-sts.txt --force",
                "replace the file",
            ),
        ],
        statuses: &[
            ("0", "written"),
            ("1", "not written: no MX host is known, or the file is there already"),
        ],
    },
    Help {
        command: "policy lint",
        examples: &[
            ("sts-relay policy lint mta-sts.txt", "a file, before it is published"),
            ("sts-relay policy lint - --json", "standard input, for a script"),
        ],
        statuses: &[
            ("0", "it is a policy, perhaps with warnings"),
            ("1", "senders reject it, or it cannot be read"),
        ],
    },
    Help {
        command: "policy lint-record",
        examples: &[("sts-relay policy lint-record 'v=STSv1; id=20261201;'", "a TXT record")],
        statuses: &[("0", "it is a record, perhaps with warnings"), ("1", "senders reject it")],
    },
    Help {
        command: "policy match",
        examples: &[(
            "sts-relay policy match mx1.example.org '*.example.org'",
            "a host and patterns",
        )],
        statuses: &[("0", "a pattern names the host"), ("1", "none does")],
    },
    Help {
        command: "demo",
        examples: &[("sts-relay demo", "the relay with simulated domains, some attacked")],
        statuses: &[
            ("0", "every delivery went as promised"),
            ("1", "one did not, or the demonstration cannot run here"),
        ],
    },
    Help {
        command: "tlsrpt",
        examples: &[
            ("sts-relay tlsrpt parse reports/", "what senders report of a domain"),
            ("sts-relay tlsrpt status", "how the reports stand that are sent"),
        ],
        statuses: &GROUP,
    },
    Help {
        command: "tlsrpt preview",
        examples: &[
            ("sts-relay tlsrpt preview", "all that would be sent"),
            ("sts-relay tlsrpt preview example.org", "the report to one domain"),
            ("sts-relay tlsrpt preview example.org --message", "the same as a message"),
        ],
        statuses: &[
            ("0", "there is a report to send"),
            ("1", "there is none for this domain, or no relay runs"),
        ],
    },
    Help {
        command: "tlsrpt send",
        examples: &[
            ("sts-relay tlsrpt send --dry-run", "what would be sent"),
            ("sts-relay tlsrpt send example.org --today", "what was counted today, now"),
        ],
        statuses: &DONE,
    },
    Help {
        command: "tlsrpt status",
        examples: &[("sts-relay tlsrpt status --json", "for a script")],
        statuses: &DONE,
    },
    Help {
        command: "tlsrpt parse",
        examples: &[
            ("sts-relay tlsrpt parse report.json.gz", "one report"),
            ("sts-relay tlsrpt parse Maildir/cur --json", "a folder of messages, for a script"),
        ],
        statuses: &[
            ("0", "no session failed"),
            ("1", "sessions failed"),
            ("2", "a file cannot be read, or the command line is invalid"),
        ],
    },
    Help {
        command: "completions",
        examples: &[
            ("sts-relay completions bash", "for /usr/share/bash-completion/completions/sts-relay"),
            ("sts-relay completions zsh", "for a file _sts-relay in $fpath"),
            (
                "sts-relay completions fish",
                "for /usr/share/fish/vendor_completions.d/sts-relay.fish",
            ),
        ],
        statuses: &DONE,
    },
    Help {
        command: "man",
        examples: &[("sts-relay man /usr/local/share/man/man1", "a page for each command")],
        statuses: &DONE,
    },
];

/// A command called `name` with all of its help, and its subcommands with theirs.
pub(super) fn with_help(mut command: Command, name: &str) -> Command {
    let names: Vec<_> = command.get_subcommands().map(|one| one.get_name().to_owned()).collect();
    for sub in names {
        let full = format!("{name} {sub}");
        command = command.mut_subcommand(sub, |command| with_help(command, full.trim()));
    }
    let shared = HELP.iter().chain(HISTORY).chain(NOTIFY).chain(OPERATORS).chain(SHARED_STORE);
    let shared = shared.map(|help| (help, SHARED.as_slice()));
    let mut all = shared.chain([(&SENDMAIL, [].as_slice())]);
    match all.find(|(help, _)| help.command == name) {
        Some((help, shared)) => command.after_help(help.text(shared)),
        None => command,
    }
}

impl Help {
    /// The examples and statuses, and those that it shares with other commands.
    fn text(&self, shared: &[(&str, &str)]) -> String {
        let mut text = "Examples:\n".to_owned();
        for (line, does) in self.examples {
            text.push_str(&format!("  {line}\n      {does}\n"));
        }
        text.push_str("\nExit status:\n");
        let shared =
            shared.iter().filter(|(status, _)| !self.statuses.iter().any(|(own, _)| own == status));
        for (status, means) in self.statuses.iter().chain(shared) {
            text.push_str(&format!("  {status:<2}  {means}\n"));
        }
        text.truncate(text.trim_end().len());
        text
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::CommandLine;

    /// The command line with all of its help.
    fn command() -> Command {
        with_help(CommandLine::command(), "")
    }

    /// Every command's words, and the command.
    fn commands(command: &Command, name: &str, found: &mut Vec<(String, Command)>) {
        found.push((name.to_owned(), command.clone()));
        for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
            commands(sub, format!("{name} {}", sub.get_name()).trim(), found);
        }
    }

    fn all() -> Vec<(String, Command)> {
        let (mut found, mut whole) = (Vec::new(), command());
        // What is only known of the whole: usage with all words, and options that are everywhere.
        whole.build();
        commands(&whole, "", &mut found);
        found
    }

    #[test]
    fn every_command_has_examples_and_exit_statuses() {
        for (name, mut command) in all() {
            let text = command.render_help().to_string();
            assert!(text.contains("Examples:\n  sts-relay"), "{name}: {text}");
            assert!(text.contains("Exit status:\n  0"), "{name}: {text}");
        }
        for help in HELP.iter().chain(HISTORY).chain(NOTIFY).chain(OPERATORS).chain(SHARED_STORE) {
            let demo = help.command == "demo" && !cfg!(feature = "demo");
            let is_there = all().iter().any(|(name, _)| name == help.command);
            assert!(is_there || demo, "{} is no command", help.command);
        }
    }

    #[test]
    fn every_example_is_a_command_line_of_its_command() {
        for help in HELP
            .iter()
            .chain(HISTORY)
            .chain(NOTIFY)
            .chain(OPERATORS)
            .chain(SHARED_STORE)
            .filter(|help| cfg!(feature = "demo") || help.command != "demo")
        {
            for (line, _) in help.examples {
                let words = line.split(' ').map(|word| word.trim_matches('\''));
                // A quoted record holds a blank; its parts are texts all the same.
                let words: Vec<_> = match line.split_once('\'') {
                    Some((before, rest)) => {
                        before.split_whitespace().chain([rest.trim_end_matches('\'')]).collect()
                    }
                    None => words.collect(),
                };
                let read = command().try_get_matches_from(&words);
                assert!(read.is_ok(), "{line}: {}", read.unwrap_err());
                let rest = format!("{} ", line.strip_prefix("sts-relay ").unwrap());
                assert!(rest.starts_with(help.command), "{line} is not of {}", help.command);
            }
        }
    }

    /// docs/commands.md, made of the help.
    #[cfg(feature = "demo")]
    fn page() -> String {
        let mut page = "# Commands\n\n\
            <!-- Made of the help: `STS_RELAY_UPDATE=1 cargo test -p sts-relay the_page_of_commands` -->\n\n\
            What `--help` says of each command. `sts-relay man DIRECTORY` writes the same as manual pages, and\n\
            `sts-relay completions SHELL` prints completions.\n"
            .to_owned();
        for (name, mut command) in all() {
            let (name, help) = (format!("sts-relay {name}"), command.render_long_help());
            let help: Vec<_> =
                help.to_string().lines().map(|line| line.trim_end().to_owned()).collect();
            page.push_str(&format!(
                "\n## `{}`\n\n```text\n{}\n```\n",
                name.trim(),
                help.join("\n").trim()
            ));
        }
        page
    }

    #[test]
    #[cfg(feature = "demo")]
    fn the_page_of_commands_is_what_their_help_says() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/commands.md");
        if std::env::var_os("STS_RELAY_UPDATE").is_some() {
            std::fs::write(&path, page()).unwrap();
        }
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            written == page(),
            "docs/commands.md is not what the help says: run this test with STS_RELAY_UPDATE=1"
        );
    }
}
