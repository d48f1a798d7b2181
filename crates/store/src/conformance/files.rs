//! What a process leaves that is killed, where a store is files.

use std::fs;
use std::path::Path;

/// Copies a directory as it is now; files that go meanwhile are left out.
pub fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).ok();
        }
    }
}
