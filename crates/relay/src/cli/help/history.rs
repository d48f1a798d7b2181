//! What is said of the commands that find what became of mail.

use super::entry::{DONE, GROUP, Help};

/// `trace` and `history`.
pub(super) const HISTORY: &[Help] = &[
    Help {
        command: "trace",
        examples: &[
            ("sts-relay trace 1mcc5rm000003", "all that is known of a message's attempts"),
            ("sts-relay trace --domain example.org --since 7d", "a week of mail to a domain"),
            ("sts-relay trace --protection plaintext --json", "mail without TLS, for scripts"),
        ],
        statuses: &[
            ("0", "something was found"),
            ("1", "nothing was found, or a file could not be read"),
        ],
    },
    Help {
        command: "status",
        examples: &[
            ("sts-relay status", "what flows, what protects it, and who needs a person"),
            ("sts-relay status --watch", "the same, every five seconds"),
        ],
        statuses: &[
            ("0", "nobody is needed"),
            ("1", "somebody is, or the ledger could not be read"),
        ],
    },
    Help {
        command: "domains",
        examples: &[
            ("sts-relay domains", "all domains that mail went to"),
            ("sts-relay domains --protection plaintext --csv", "those without TLS, as a table"),
            ("sts-relay domains --changed 7d", "whose protection or policy has changed this week"),
        ],
        statuses: &DONE,
    },
    Help {
        command: "domain",
        examples: &[
            ("sts-relay domain example.org", "all that is known of a domain"),
            ("sts-relay domain example.org --since 365d --json", "a year of it, for scripts"),
        ],
        statuses: &[
            ("0", "it is known"),
            ("1", "it is not known, or the ledger could not be read"),
        ],
    },
    Help {
        command: "explain",
        examples: &[
            ("sts-relay explain example.org", "why mail to a domain waits, for its postmaster"),
            ("sts-relay explain 1mcc5rm000003", "the same of one message, for each domain"),
        ],
        statuses: &[
            ("0", "something is known of it"),
            ("1", "nothing is, or it could not be read"),
        ],
    },
    Help {
        command: "activity",
        examples: &[
            ("sts-relay activity --since 7d", "who did what this week"),
            ("sts-relay activity --csv", "the last thousand acts, as a table"),
        ],
        statuses: &DONE,
    },
    Help {
        command: "history",
        examples: &[
            ("sts-relay history stats", "how much history there is"),
            ("sts-relay history verify", "whether it is what was written"),
        ],
        statuses: &GROUP,
    },
    Help {
        command: "history stats",
        examples: &[("sts-relay history stats", "how many records, in how much space, since when")],
        statuses: &DONE,
    },
    Help {
        command: "history export",
        examples: &[
            ("sts-relay history export --since 30d", "a month as JSON"),
            ("sts-relay history export --csv --domain example.org", "a domain's, as a table"),
        ],
        statuses: &DONE,
    },
    Help {
        command: "history proof",
        examples: &[(
            "sts-relay history proof 1mcc5rm000003",
            "all that shows what became of a message, to be kept in a file",
        )],
        statuses: &[
            ("0", "it was written"),
            ("1", "nothing is known of the message, or a file could not be read"),
        ],
    },
    Help {
        command: "history forget",
        examples: &[(
            "sts-relay history forget ann@example.org",
            "an address that is kept in clear",
        )],
        statuses: &[("0", "it was removed"), ("1", "no file had it, or one could not be written")],
    },
    Help {
        command: "history verify",
        examples: &[
            ("sts-relay history verify", "whether a record was changed or is missing"),
            ("sts-relay history verify proof.json", "whether a proof is one, anywhere"),
        ],
        statuses: &[
            ("0", "all is as it was written"),
            ("1", "something is not; each fault is printed"),
        ],
    },
];
