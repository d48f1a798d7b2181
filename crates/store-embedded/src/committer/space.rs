//! Room on the disk: how much there is, and a reserve that is given up when there is none.

use std::fs;
use std::io::{self, Read};

use rustix::fs::{FallocateFlags, statvfs};
use rustix::io::Errno;
use store::Health;

use crate::shared::Shared;
use crate::spool::unlink;

/// Whether there is room enough for new mail; the reserve is taken again before there is.
pub(super) fn space(shared: &Shared) -> Health {
    let (reserve, min_free) = (shared.settings.reserve, shared.tuning().min_free);
    let free = match statvfs(shared.paths.root()) {
        Ok(stat) => stat.f_bavail.saturating_mul(stat.f_frsize),
        Err(error) => {
            tracing::warn!(%error, "free disk space unknown");
            return Health::Ready;
        }
    };
    if free < min_free {
        return Health::LowOnSpace;
    }
    if reserve == 0 || shared.paths.reserve().exists() {
        return Health::Ready;
    }
    // Twice the reserve: taking it again must not be what fills the disk.
    if free < min_free.saturating_add(reserve.saturating_mul(2)) {
        return Health::LowOnSpace;
    }
    match take_reserve(shared) {
        Ok(()) => Health::Ready,
        Err(error) => {
            tracing::warn!(%error, "disk reserve allocation failed");
            Health::LowOnSpace
        }
    }
}

/// Writes the reserve file, whole or not at all.
fn take_reserve(shared: &Shared) -> io::Result<()> {
    let size = shared.settings.reserve;
    let path = shared.paths.reserve();
    let mut file = fs::File::create(&path)?;
    let taken = match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, size) {
        Err(Errno::OPNOTSUPP) => io::copy(&mut io::repeat(0).take(size), &mut file).map(|_| ()),
        taken => taken.map_err(io::Error::from),
    };
    if taken.is_err() {
        unlink(&path)?;
    }
    taken
}

/// Gives the reserve up, so that the store can open and delete on a full disk.
pub(super) fn give_up_reserve(shared: &Shared) {
    if let Err(error) = unlink(&shared.paths.reserve()) {
        tracing::warn!(%error, "disk reserve release failed");
    }
}
