//! What is said of one command.

/// A command, how it is used, and what it ends with.
pub(super) struct Help {
    /// The command's words, without the program's name.
    pub(super) command: &'static str,
    /// Command lines, each with what it does.
    pub(super) examples: &'static [(&'static str, &'static str)],
    /// Statuses besides those that all commands share.
    pub(super) statuses: &'static [(&'static str, &'static str)],
}

/// What every command may end with.
pub(super) const SHARED: [(&str, &str); 2] = [
    ("2", "the command line is invalid"),
    ("78", "the settings cannot be used; each error is printed"),
];

/// The plain yes or no of most commands.
pub(super) const DONE: [(&str, &str); 2] =
    [("0", "done"), ("1", "not done, for the reason that is printed")];

/// The commands with subcommands: what is true of each of these.
pub(super) const GROUP: [(&str, &str); 2] =
    [("0", "done"), ("1", "not done; see the command's own help")];
