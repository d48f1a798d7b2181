//! What is said of `sendmail`, whose exit statuses are its own.

use super::entry::Help;

/// sendmail, whose statuses are all its own.
pub(super) const SENDMAIL: Help = Help {
    command: "sendmail",
    examples: &[
        ("sts-relay sendmail -i ann@example.org", "the message at standard input, to its end"),
        ("sts-relay sendmail -t -i", "the same, to those whom To, Cc and Bcc name"),
        ("sts-relay sendmail -bp", "the queue, as mailq prints it"),
    ],
    statuses: &[
        ("0", "the message is durable, or what was asked for is done"),
        ("64", "EX_USAGE: an option is wrong, or nobody is named to send to"),
        ("67", "EX_NOUSER: a recipient is no address"),
        ("69", "EX_UNAVAILABLE: refused, and would be refused again"),
        ("74", "EX_IOERR: the message cannot be read, or the answer not written"),
        ("75", "EX_TEMPFAIL: not now, such as when no relay runs; may be tried again"),
        ("77", "EX_NOPERM: the user may not open the socket, or not see the queue"),
    ],
};
