//! The digest of a closed segment's whole file, as `sha256sum` writes and checks it: what the chain does not
//! reach, as indexes and unused space, is found changed by it.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

use aws_lc_rs::digest::{Context, SHA256};

use crate::digest::{Digest, unhex};
use crate::error::HistoryError;
use crate::files::{SegmentFile, write_file};

/// How much is read at a time.
const PIECE: usize = 64 << 10;

/// Writes the digest of a segment beside it.
pub(crate) fn write_digest(file: &SegmentFile) -> Result<(), HistoryError> {
    let digest = digest_of(&file.path)?;
    let name = file.path.file_name().unwrap_or_default().to_string_lossy();
    write_file(&file.digest_path(), format!("{digest}  {name}\n").as_bytes())
}

/// Whether a segment has the digest that is beside it; none where there is none.
pub(crate) fn has_its_digest(file: &SegmentFile) -> Result<Option<bool>, HistoryError> {
    let path = file.digest_path();
    if !path.exists() {
        return Ok(None);
    }
    let text = fs::read(&path).map_err(HistoryError::io(&path))?;
    let text = String::from_utf8_lossy(&text);
    let digest = text.split_once("  ").and_then(|(digest, _name)| unhex(digest));
    let digest = digest.and_then(|octets| Digest::read(&octets));
    Ok(Some(digest == Some(digest_of(&file.path)?)))
}

/// The digest of a file.
fn digest_of(path: &Path) -> Result<Digest, HistoryError> {
    let mut file = File::open(path).map_err(HistoryError::io(path))?;
    let (mut context, mut piece) = (Context::new(&SHA256), vec![0; PIECE]);
    loop {
        let length = file.read(&mut piece).map_err(HistoryError::io(path))?;
        let Some(read) = piece.get(..length).filter(|read| !read.is_empty()) else { break };
        context.update(read);
    }
    Ok(Digest::read(context.finish().as_ref()).unwrap_or(Digest::ZERO))
}
