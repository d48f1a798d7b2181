//! What is said of the commands about notices.

use super::entry::{GROUP, Help};

/// `notify`.
pub(super) const NOTIFY: &[Help] = &[
    Help {
        command: "notify",
        examples: &[("sts-relay notify test", "whether those who are to be told can be")],
        statuses: &GROUP,
    },
    Help {
        command: "notify test",
        examples: &[
            ("sts-relay notify test", "send a test to every [[notify]]"),
            ("sts-relay notify test ops --json", "to one, for scripts"),
        ],
        statuses: &[
            ("0", "each was sent; mail is in the queue"),
            ("1", "one was not sent, or there is none; the reason is printed"),
        ],
    },
];
