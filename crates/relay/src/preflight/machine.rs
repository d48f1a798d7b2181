//! The machine: its disk, its clock, its files.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use clock::Timestamp;
use rustix::fs::{Access, access, statfs};
use settings::{Settings, Source, TRIAL_DATA_DIR};

/// File systems that forget, by the number that Linux gives them (statfs(2)).
const FORGETFUL: [(u64, &str); 3] = [
    (0x0102_1994, "tmpfs, which is memory: mail in it does not survive a restart of the machine"),
    (0x8584_58f6, "ramfs, which is memory: mail in it does not survive a restart of the machine"),
    (0x794c_7630, "a container's own layer: mail in it is lost with the container; mount a volume"),
];

/// No relay of this version ran before that: 1 November 2026.
const RELEASED: Duration = Duration::from_secs(1_793_491_200);

/// How far the clock may be behind the newest file.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(3_600);

/// Anyone may read it.
const READ_BY_ALL: u32 = 0o004;

/// What is to be said of the machine.
pub(crate) fn of_machine(settings: &Settings, source: &Source, now: SystemTime) -> Vec<String> {
    let mut found = Vec::new();
    found.extend(disk(&settings.data_dir));
    found.extend(clock(newest(&settings.data_dir), now));
    found.extend(files(settings, source).iter().filter_map(|(path, what)| exposed(path, what)));
    found
}

/// Queues that this relay does not send from, though one with other settings may have filled them:
/// those at the default of a relay without a settings file, here and below `data_dir`.
pub(crate) fn queues_elsewhere(data_dir: &Path) -> Vec<String> {
    let ours = fs::canonicalize(data_dir).unwrap_or_else(|_none| data_dir.to_owned());
    let mut found = Vec::new();
    for place in [PathBuf::from(TRIAL_DATA_DIR), data_dir.join(TRIAL_DATA_DIR)] {
        let Ok(place) = fs::canonicalize(place) else { continue };
        if place == ours || !place.join("queue").is_dir() || found.contains(&place) {
            continue;
        }
        found.push(place);
    }
    let shown = data_dir.display();
    let words = |place: PathBuf| {
        let place = place.display();
        format!(
            "there is a queue in {place}, and data_dir is {shown}: mail in {place} is not sent. To \
             send it, stop the relay, and start it once with data_dir = \"{place}\" until that queue is \
             empty; or, where {shown} has no queue yet, move it: mv {place}/queue {shown}/"
        )
    };
    found.into_iter().map(words).collect()
}

/// Whether mail stays where it is put.
fn disk(data_dir: &Path) -> Option<String> {
    // Before the first start its parent tells.
    let path = data_dir.ancestors().find(|path| path.exists()).unwrap_or_else(|| Path::new("."));
    let shown = data_dir.display();
    if let Err(error) = access(path, Access::WRITE_OK) {
        return Some(format!("data_dir {shown} cannot be written ({error})"));
    }
    let kind = u64::try_from(statfs(path).ok()?.f_type).ok()?;
    let (_, words) = FORGETFUL.iter().find(|(number, _)| *number == kind)?;
    Some(format!("data_dir {shown} is on {words}"))
}

/// Whether the clock can be right: certificates, policies and exceptions go by it.
fn clock(newest: Option<SystemTime>, now: SystemTime) -> Option<String> {
    let (shown, released) = (Timestamp::of(now), SystemTime::UNIX_EPOCH + RELEASED);
    if now < released {
        return Some(format!("the clock says {shown}, which is before this version was made"));
    }
    let newest = newest.filter(|newest| *newest > now + CLOCK_TOLERANCE)?;
    let newest = Timestamp::of(newest);
    Some(format!("the clock says {shown}, but there is a file of {newest} in data_dir"))
}

/// When the newest file of the data directory was written.
fn newest(data_dir: &Path) -> Option<SystemTime> {
    let entries = [data_dir.to_owned(), data_dir.join("queue")].map(fs::read_dir);
    let files = entries.into_iter().flatten().flatten().flatten();
    files.filter_map(|entry| entry.metadata().ok()?.modified().ok()).max()
}

/// Files that hold secrets, and what they are.
fn files(settings: &Settings, source: &Source) -> Vec<(PathBuf, &'static str)> {
    // What is in data_dir is closed to others by itself, whatever the mode of a mounted volume is.
    let mut files = vec![(settings.data_dir.join("queue"), "the queue, with all mail")];
    if let Some(tls) = &settings.tls {
        let [_, key] = tls.files();
        files.push((key.to_owned(), "tls.key"));
    }
    files.extend(settings.dkim.key_files.iter().map(|key| (key.clone(), "a DKIM key")));
    let notices = settings.notices.secret_files.iter();
    files.extend(notices.map(|file| (file.clone(), "a secret of a [[notify]]")));
    files.extend(settings.users_file.clone().map(|users| (users, "access.users_file")));
    if let Some(page) = &settings.page {
        files.push((page.users_file.clone(), "admin.users_file"));
        if let Some(tls) = &page.tls {
            let [_, key] = tls.files();
            files.push((key.to_owned(), "admin.key"));
        }
    }
    let passwords = source
        .file()
        .filter(|file| fs::read_to_string(file).is_ok_and(|text| text.lines().any(holds_password)));
    files.extend(passwords.map(|file| (file.to_owned(), "the settings file, with a password")));
    files
}

/// Whether a line of the settings sets a password.
fn holds_password(line: &str) -> bool {
    line.trim_start()
        .strip_prefix("password")
        .is_some_and(|rest| rest.trim_start().starts_with('='))
}

/// Whether others than the relay's user and group can read a file.
fn exposed(path: &Path, what: &str) -> Option<String> {
    let mode = fs::metadata(path).ok()?.mode();
    let path = path.display();
    (mode & READ_BY_ALL != 0)
        .then(|| format!("{path} ({what}) can be read by every user of this machine; chmod o-rwx"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn memory_is_no_place_for_mail() {
        let told = disk(Path::new("/dev/shm/there/is/no/such")).unwrap();
        assert!(told.contains("is on tmpfs, which is memory"), "{told}");
        let told = disk(Path::new("/proc/data")).unwrap_or_default();
        assert!(!told.contains("memory"), "{told}");
    }

    #[test]
    fn a_clock_that_cannot_be_right_is_told() {
        let released = SystemTime::UNIX_EPOCH + RELEASED;
        let told = clock(None, SystemTime::UNIX_EPOCH).unwrap();
        assert!(told.starts_with("the clock says 1970-01-01T00:00:00Z, which is before"), "{told}");
        assert_eq!(clock(None, released), None);
        assert_eq!(clock(Some(released), released), None);
        let told = clock(Some(released + 2 * CLOCK_TOLERANCE), released).unwrap();
        assert!(told.contains("but there is a file of 2026-11-01T02:00:00Z"), "{told}");
    }

    #[test]
    fn a_secret_that_others_can_read_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key.pem");
        fs::write(&file, "secret").unwrap();
        for (mode, told) in [(0o600, false), (0o640, false), (0o644, true)] {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(exposed(&file, "tls.key").is_some(), told, "{mode:o}");
        }
        assert!(holds_password("  password = \"x\"") && !holds_password("password_file = \"x\""));
    }

    #[test]
    fn a_queue_at_the_default_of_a_trial_is_told_of_unless_it_is_the_one_in_use() {
        let folder = tempfile::tempdir().unwrap();
        let old = folder.path().join(TRIAL_DATA_DIR);
        assert_eq!(queues_elsewhere(folder.path()), Vec::<String>::new());
        fs::create_dir_all(old.join("queue")).unwrap();
        let [told] = &queues_elsewhere(folder.path())[..] else { panic!() };
        assert!(told.starts_with(&format!("there is a queue in {}", old.display())), "{told}");
        assert!(told.contains("is not sent"), "{told}");
        assert_eq!(queues_elsewhere(&old), Vec::<String>::new());
    }

    #[test]
    fn the_newest_file_of_the_data_directory_counts() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("queue")).unwrap();
        let file = fs::File::create(folder.path().join("queue/segment")).unwrap();
        let future = SystemTime::UNIX_EPOCH + 2 * RELEASED;
        file.set_modified(future).unwrap();
        assert_eq!(newest(folder.path()), Some(future));
    }
}
