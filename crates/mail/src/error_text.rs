//! Errors as one line.

use std::error::Error;

/// An error and its causes, for a log or the reason that mail waits.
#[must_use]
pub fn in_full(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    causes.fold(words(error), |text, cause| format!("{text}: {}", words(cause)))
}

/// What an error says, without the number that the system has for it.
fn words(error: &dyn Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error ") {
        Some((words, number)) => {
            let rest = number.split_once(')').map_or("", |(_, rest)| rest);
            format!("{words}{rest}")
        }
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("a file cannot be read")]
    struct Unreadable(#[source] io::Error);

    #[test]
    fn an_error_has_its_causes_and_no_numbers_of_the_system() {
        let error = Unreadable(io::Error::from_raw_os_error(13));
        assert_eq!(in_full(&error), "a file cannot be read: Permission denied");
        let wrapped = io::Error::other(io::Error::from_raw_os_error(2).to_string() + ", at line 3");
        assert_eq!(in_full(&wrapped), "No such file or directory, at line 3");
    }
}
