//! From the octets of a file to JSON that is not too large to be read.

use std::borrow::Cow;
use std::io::{self, Read as _};

use flate2::read::GzDecoder;
use thiserror::Error;

/// The most octets that a report unpacks to.
const SIZE_MAX: usize = 32 << 20;

/// The deepest nesting; a report needs 5.
const DEPTH_MAX: usize = 32;

/// The most objects: 100,000 failures, and what stands around them.
const OBJECTS_MAX: usize = 250_000;

/// The most values, in arrays and objects.
const VALUES_MAX: usize = 2_000_000;

/// What gzip begins with (RFC 1952 §2.3.1).
const GZIP: &[u8] = &[0x1f, 0x8b];

/// The byte order mark, which JSON must not begin with (RFC 8259 §8.1).
const MARK: &[u8] = b"\xef\xbb\xbf";

/// A report's JSON.
#[derive(Debug)]
pub(super) struct Unpacked<'b> {
    /// The JSON.
    pub(super) json: Cow<'b, [u8]>,
    /// Whether a byte order mark stood before it.
    pub(super) had_mark: bool,
}

/// The JSON in `bytes`, of a bounded size, depth and number of values.
pub(super) fn json(bytes: &[u8]) -> Result<Unpacked<'_>, UnpackError> {
    let json = if bytes.starts_with(GZIP) { Cow::Owned(gunzip(bytes)?) } else { bytes.into() };
    if json.len() > SIZE_MAX {
        return Err(UnpackError::TooLarge);
    }
    let had_mark = json.starts_with(MARK);
    let json = match json {
        Cow::Borrowed(bytes) => Cow::Borrowed(bytes.strip_prefix(MARK).unwrap_or(bytes)),
        Cow::Owned(bytes) if had_mark => Cow::Owned(bytes.into_iter().skip(MARK.len()).collect()),
        Cow::Owned(bytes) => Cow::Owned(bytes),
    };
    measure(&json)?;
    Ok(Unpacked { json, had_mark })
}

/// What the first member of a gzip file holds; what follows it is ignored.
fn gunzip(bytes: &[u8]) -> Result<Vec<u8>, UnpackError> {
    let most = u64::try_from(SIZE_MAX + 1).unwrap_or(u64::MAX);
    let mut unpacked = Vec::new();
    GzDecoder::new(bytes).take(most).read_to_end(&mut unpacked)?;
    Ok(unpacked)
}

/// Refuses JSON whose structure is too large; whether it is JSON at all is not looked at.
fn measure(json: &[u8]) -> Result<(), UnpackError> {
    let (mut depth, mut objects, mut values) = (0_usize, 0_usize, 0_usize);
    let (mut quoted, mut escaped) = (false, false);
    for byte in json {
        if quoted {
            let ends = *byte == b'"' && !escaped;
            escaped = *byte == b'\\' && !escaped;
            quoted = !ends;
            continue;
        }
        match byte {
            b'"' => quoted = true,
            b'{' | b'[' => {
                depth += 1;
                values += 1;
                objects += usize::from(*byte == b'{');
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b',' => values += 1,
            _ => {}
        }
        if depth > DEPTH_MAX {
            return Err(UnpackError::TooDeep);
        }
        if objects > OBJECTS_MAX || values > VALUES_MAX {
            return Err(UnpackError::TooManyValues);
        }
    }
    Ok(())
}

/// Why a file cannot be unpacked.
#[derive(Debug, Error)]
pub enum UnpackError {
    /// It begins as gzip, and is not.
    #[error("it cannot be unpacked: {0}")]
    Gzip(#[from] io::Error),
    /// Its values are nested too deep.
    #[error("its values are nested deeper than {DEPTH_MAX}")]
    TooDeep,
    /// It is too large.
    #[error("it is larger than {} MiB unpacked", SIZE_MAX >> 20)]
    TooLarge,
    /// It holds too many values.
    #[error("it holds too many values")]
    TooManyValues,
}
