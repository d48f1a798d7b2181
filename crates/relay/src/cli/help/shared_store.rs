//! Examples and exit statuses of `node` and `store`.

use super::entry::{DONE, GROUP, Help};

/// `node` and `store`.
pub(super) const SHARED_STORE: &[Help] = &[
    Help {
        command: "node",
        examples: &[("sts-relay node list", "the relays that share the queue")],
        statuses: &GROUP,
    },
    Help {
        command: "node list",
        examples: &[("sts-relay node list --json", "for a script")],
        statuses: &DONE,
    },
    Help {
        command: "store",
        examples: &[("sts-relay store check", "whether the database keeps what it confirms")],
        statuses: &GROUP,
    },
    Help {
        command: "store check",
        examples: &[("sts-relay store check --json", "for a script")],
        statuses: &[
            ("0", "nothing was found, but for a standby that is not asked for"),
            ("1", "something was, or the database was not reached"),
        ],
    },
    Help {
        command: "store init",
        examples: &[("sts-relay store init", "make the tables")],
        statuses: &DONE,
    },
];
