//! How sendmail ends, in the statuses that programs know from sysexits.h.

/// An exit status of sysexits.h.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sysexit {
    /// `EX_OK`: the message is durable, or what was asked for is printed.
    Ok,
    /// `EX_USAGE`: the command line is wrong, or nobody is named to send to.
    Usage,
    /// `EX_NOUSER`: a recipient is no address.
    NoUser,
    /// `EX_UNAVAILABLE`: it was refused, and would be refused again.
    Unavailable,
    /// `EX_IOERR`: the message cannot be read, or the answer cannot be written.
    IoErr,
    /// `EX_TEMPFAIL`: not now; the same may be tried later.
    TempFail,
    /// `EX_NOPERM`: the user may not.
    NoPerm,
}

impl Sysexit {
    /// The number.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Usage => 64,
            Self::NoUser => 67,
            Self::Unavailable => 69,
            Self::IoErr => 74,
            Self::TempFail => 75,
            Self::NoPerm => 77,
        }
    }
}
