//! How a command ended, as an exit status that scripts can act on.

use settings::SettingsError;

use super::sysexit::Sysexit;

/// How a command ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ending {
    /// It did what was asked, or the answer is yes.
    Done,
    /// The answer is no.
    Refused,
    /// `check`: mail for the domain does not leave.
    Waiting,
    /// `check`: mail for the domain leaves without the protection it is meant to have.
    Unverified,
    /// `check`: whether mail leaves cannot be told from here.
    CannotTell,
    /// `sendmail`: in the statuses of sysexits.h.
    Sendmail(Sysexit),
    /// `tlsrpt parse`: a file could not be read.
    Unreadable,
}

/// The status where a command could not be carried out.
const FAILED: u8 = 1;

/// The status where the settings cannot be used: `EX_CONFIG` of sysexits.h. Trying again changes
/// nothing, so the unit does not restart the relay for it (`RestartPreventExitStatus=`).
const SETTINGS: u8 = 78;

impl Ending {
    /// The exit status.
    #[must_use]
    pub const fn status(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Refused => 1,
            Self::Unreadable | Self::Waiting => 2,
            Self::Unverified => 3,
            Self::CannotTell => 4,
            Self::Sendmail(status) => status.number(),
        }
    }
}

/// The exit status for an error.
#[must_use]
pub fn status_of(error: &anyhow::Error) -> u8 {
    if error.chain().any(|cause| cause.is::<SettingsError>()) { SETTINGS } else { FAILED }
}

/// An error in words for the terminal; several faults of the settings have a line each.
#[must_use]
pub fn in_words(error: &anyhow::Error) -> String {
    let mut words = String::new();
    for cause in error.chain() {
        match cause.downcast_ref::<SettingsError>() {
            Some(faults) if faults.faults().len() > 1 => {
                words.push_str(":\n  ");
                words.push_str(&faults.to_string().replace('\n', "\n  "));
            }
            Some(_) | None => {
                words.push_str(if words.is_empty() { "" } else { ": " });
                words.push_str(&cause.to_string());
            }
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;
    use settings::Source;

    use super::*;

    #[test]
    fn settings_that_cannot_be_used_have_a_status_and_a_line_for_each_fault() {
        let read = |variables: &[(&str, &str)]| {
            let variables = variables.iter().map(|(name, value)| (name.into(), value.into()));
            let read = Source::read(None, variables.collect::<Vec<_>>());
            read.map(drop).context("the settings cannot be used").unwrap_err()
        };
        let one = read(&[("STS_RELAY_HOSTNAME", "a.example")]);
        assert_eq!(status_of(&one), 78);
        assert_eq!(
            in_words(&one),
            "the settings cannot be used: STS_RELAY_HOSTNAME: unknown variable; did you mean \
             STS_RELAY__HOSTNAME?"
        );
        let two = read(&[("STS_RELAY_HOSTNAME", "a.example"), ("STS_RELAY__DNS", "")]);
        assert_eq!(in_words(&two).lines().count(), 3, "{}", in_words(&two));
        assert_eq!(status_of(&anyhow::anyhow!("the disk is full")), 1);
    }
}
