//! The verdicts of OpenSSL beside ours, where the program is there.
