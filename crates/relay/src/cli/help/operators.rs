//! What is said of the commands for operators and users.

use super::entry::{DONE, GROUP, Help};

/// `ui` and `user`.
pub(super) const OPERATORS: &[Help] = &[
    Help {
        command: "ui",
        examples: &[
            ("sts-relay ui", "a link to the operators' page"),
            ("sts-relay ui --role viewer", "one for somebody who only looks"),
        ],
        statuses: &[("0", "the relay has stopped"), ("1", "no relay runs, or it serves no page")],
    },
    Help {
        command: "user",
        examples: &[("sts-relay user hash ann@example.org", "a line for the users file")],
        statuses: &GROUP,
    },
    Help {
        command: "user check",
        examples: &[
            ("sts-relay user check ann", "asks for the password"),
            (
                "sts-relay user check app --sender app@example.org",
                "and whether app may send from there",
            ),
        ],
        statuses: &[
            ("0", "the password is right, and the user may send from the address"),
            ("1", "it is not, or the user may not, or there are no users"),
        ],
    },
    Help {
        command: "user hash",
        examples: &[
            ("sts-relay user hash ann@example.org", "asks for the password twice"),
            (
                "sts-relay user hash app --sender @example.org",
                "a name that is not an address; the password can come from a pipe",
            ),
        ],
        statuses: &DONE,
    },
    Help {
        command: "user list",
        examples: &[
            ("sts-relay user list", "who may log in, and what each may send from"),
            ("sts-relay user list --json", "for a script"),
        ],
        statuses: &DONE,
    },
];
