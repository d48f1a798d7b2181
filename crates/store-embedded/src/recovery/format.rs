//! The file that says which format a store has, and its number.

use std::fs;
use std::io;

use crate::error::OpenError;
use crate::spool::scan::store_of;
use crate::spool::{Paths, replace};

/// The format of the store as a whole that this program writes. It reads all before it: 1 had no
/// journal.
const FORMAT: u32 = 2;

/// What the file begins with.
const TITLE: &str = "sts-relay queue";

/// The store's number; a new store gets one, and one of an earlier format is of this one from now on,
/// because programs that know no later one would take the journal for damage.
pub(super) fn store_number(paths: &Paths) -> Result<u64, OpenError> {
    let path = paths.format();
    let io_error = |source| OpenError::Io { path: path.clone(), source };
    match fs::read_to_string(&path) {
        Ok(text) => {
            let (format, number) = parse(paths, &text)?;
            if format < FORMAT {
                write(paths, number).map_err(io_error)?;
                tracing::info!(
                    from = format,
                    to = FORMAT,
                    "store converted from an earlier format"
                );
            }
            Ok(number)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let number = number_in_spool(paths).map_err(io_error)?.unwrap_or_else(rand::random);
            write(paths, number).map_err(io_error)?;
            Ok(number)
        }
        Err(error) => Err(io_error(error)),
    }
}

/// Writes the file.
fn write(paths: &Paths, number: u64) -> io::Result<()> {
    let text = format!("{TITLE}\nformat {FORMAT}\nstore {number:016x}\n");
    replace(&paths.format(), text.as_bytes())
}

/// The number of a store that is there.
pub(crate) fn read_number(paths: &Paths) -> Result<u64, OpenError> {
    let path = paths.format();
    let text = fs::read_to_string(&path).map_err(|source| OpenError::Io { path, source })?;
    Ok(parse(paths, &text)?.1)
}

/// Reads the file: format and number.
fn parse(paths: &Paths, text: &str) -> Result<(u32, u64), OpenError> {
    let dir = || paths.root().to_path_buf();
    let mut lines = text.lines();
    if lines.next() != Some(TITLE) {
        return Err(OpenError::NotAQueue { dir: dir() });
    }
    let format = lines.next().and_then(|line| line.strip_prefix("format ")?.parse::<u32>().ok());
    let format = match format {
        Some(format @ 1..=FORMAT) => format,
        Some(found) => return Err(OpenError::NewerFormat { dir: dir(), found, known: FORMAT }),
        None => return Err(OpenError::NotAQueue { dir: dir() }),
    };
    let store = lines.next().and_then(|line| line.strip_prefix("store "));
    store
        .and_then(|digits| u64::from_str_radix(digits, 16).ok())
        .map(|number| (format, number))
        .ok_or_else(|| OpenError::NotAQueue { dir: dir() })
}

/// The number that the spool's records name, for a store whose format file is lost.
fn number_in_spool(paths: &Paths) -> io::Result<Option<u64>> {
    let segments = paths.segments()?.into_iter().map(|number| paths.segment(number));
    let bigs = paths.bigs()?.into_iter().map(|id| paths.big(id));
    for path in segments.chain(bigs) {
        if let Some(number) = store_of(&path)? {
            tracing::error!(path = %paths.format().display(), "format file missing: rewritten");
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
        fs::write(paths.format(), "sts-relay queue\nformat 3\nstore 0000000000000001\n").unwrap();
        let refused = store_number(&paths).unwrap_err().to_string();
        assert!(refused.contains("format 3") && refused.contains("knows format 2"), "{refused}");
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
