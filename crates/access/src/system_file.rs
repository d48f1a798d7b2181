//! The files that name the users and groups of this machine.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};

/// Where the names of users are.
pub(crate) const USERS: &str = "/etc/passwd";

/// Where the names of groups are.
pub(crate) const GROUPS: &str = "/etc/group";

/// As much of such a file is read, in bytes.
const MOST: u64 = 1 << 20;

/// The lines of a file; of one that cannot be read there are none.
pub(crate) fn lines(path: &str) -> impl Iterator<Item = String> + use<> {
    let file = File::open(path).into_iter();
    file.flat_map(|file| BufReader::new(file.take(MOST)).lines().map_while(Result::ok))
}
