//! The nouns of RFC 5321: mailboxes, commands, replies, lines and the end of data. No I/O.
