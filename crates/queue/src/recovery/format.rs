//! The file that says which format a store has, and its number.

use std::fs;
use std::io;

use crate::error::OpenError;
use crate::spool::scan::store_of;
use crate::spool::{Paths, replace};

/// The format of the store as a whole that this program writes.
const FORMAT: u32 = 1;

/// What the file begins with.
const TITLE: &str = "sts-relay queue";

/// The store's number; a new store gets one.
pub(super) fn store_number(paths: &Paths) -> Result<u64, OpenError> {
    let path = paths.format();
    let io_error = |source| OpenError::Io { path: path.clone(), source };
    match fs::read_to_string(&path) {
        Ok(text) => parse(paths, &text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let number = number_in_spool(paths).map_err(io_error)?.unwrap_or_else(rand::random);
            let text = format!("{TITLE}\nformat {FORMAT}\nstore {number:016x}\n");
            replace(&path, text.as_bytes()).map_err(io_error)?;
            Ok(number)
        }
        Err(error) => Err(io_error(error)),
    }
}

/// The number of a store that is there.
pub(crate) fn read_number(paths: &Paths) -> Result<u64, OpenError> {
    let path = paths.format();
    let text = fs::read_to_string(&path).map_err(|source| OpenError::Io { path, source })?;
    parse(paths, &text)
}

/// Reads the file.
fn parse(paths: &Paths, text: &str) -> Result<u64, OpenError> {
    let dir = || paths.root().to_path_buf();
    let mut lines = text.lines();
    if lines.next() != Some(TITLE) {
        return Err(OpenError::NotAQueue { dir: dir() });
    }
    let format = lines.next().and_then(|line| line.strip_prefix("format ")?.parse::<u32>().ok());
    match format {
        Some(FORMAT) => {}
        Some(found) => return Err(OpenError::NewerFormat { dir: dir(), found, known: FORMAT }),
        None => return Err(OpenError::NotAQueue { dir: dir() }),
    }
    let store = lines.next().and_then(|line| line.strip_prefix("store "));
    store
        .and_then(|digits| u64::from_str_radix(digits, 16).ok())
        .ok_or_else(|| OpenError::NotAQueue { dir: dir() })
}

/// The number that the spool's records name, for a store whose format file is lost.
fn number_in_spool(paths: &Paths) -> io::Result<Option<u64>> {
    let segments = paths.segments()?.into_iter().map(|number| paths.segment(number));
    let bigs = paths.bigs()?.into_iter().map(|id| paths.big(id));
    for path in segments.chain(bigs) {
        if let Some(number) = store_of(&path)? {
            tracing::error!(path = %paths.format().display(), "format file lost, written anew");
            return Ok(Some(number));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths() -> (tempfile::TempDir, Paths) {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::new(dir.path().to_path_buf());
        paths.create().unwrap();
        (dir, paths)
    }

    #[test]
    fn a_store_keeps_its_number() {
        let (_dir, paths) = paths();
        let number = store_number(&paths).unwrap();
        assert_eq!(store_number(&paths).unwrap(), number);
    }

    #[test]
    fn a_newer_format_is_refused_with_both_numbers() {
        let (_dir, paths) = paths();
        fs::write(paths.format(), "sts-relay queue\nformat 2\nstore 0000000000000001\n").unwrap();
        let refused = store_number(&paths).unwrap_err().to_string();
        assert!(refused.contains("format 2") && refused.contains("knows format 1"), "{refused}");
    }

    #[test]
    fn another_directory_is_refused() {
        let (_dir, paths) = paths();
        for text in ["", "hello\n", "sts-relay queue\n", "sts-relay queue\nformat 1\nstore x\n"] {
            fs::write(paths.format(), text).unwrap();
            assert!(matches!(store_number(&paths), Err(OpenError::NotAQueue { .. })), "{text}");
        }
    }
}
