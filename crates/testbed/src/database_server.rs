//! A PostgreSQL server of the tests' own.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

/// The role and the database that are there from the beginning.
const NAME: &str = "postgres";

/// What the server says once it takes connections.
const READY: &str = "database system is ready to accept connections";

/// How often it is tried whether the server is ready, and how long to wait in between.
const TRIES: (u32, Duration) = (1_500, Duration::from_millis(20));

/// Starts the server and ends it by its number once nobody holds the other end of standard input any more:
/// when the process under test has ended, however it did.
const KEEPER: &str = r#"
"$1"/postgres -D "$2/data" -k "$2" -h 127.0.0.1 -p "$3" -c max_connections=300 \
    -c logging_collector=off >"$2/log" 2>&1 </dev/null &
server=$!
read -r end
kill -INT "$server"
wait "$server"
rm -rf "$2"
"#;

/// A server on a Unix socket and a loopback port of its own, with an empty database. It ends with the process.
#[derive(Debug)]
pub struct DatabaseServer {
    directory: PathBuf,
    port: u16,
    /// Holds the pipe that keeps the server.
    _keeper: Child,
}

impl DatabaseServer {
    /// The one of this process, started when it is first asked for; none where PostgreSQL's programs are
    /// not installed.
    pub fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<DatabaseServer>> = OnceLock::new();
        SHARED.get_or_init(|| programs().map(|programs| Self::start(&programs).unwrap())).as_ref()
    }

    /// The directory of its Unix socket.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Its port, on 127.0.0.1 and in the name of the socket.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The role and the database.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        NAME
    }

    fn start(programs: &Path) -> io::Result<Self> {
        let directory = TempDir::with_prefix("pg")?.keep();
        // PostgreSQL refuses to run as root.
        let user = is_root()?.then(|| user_of(NAME)).flatten();
        if let Some((uid, gid)) = user {
            chown(&directory, Some(uid), Some(gid))?;
        }
        let made = run_as(user, Command::new(programs.join("initdb")))
            .args(["--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C"])
            .args(["--username", NAME, "--pgdata"])
            .arg(directory.join("data"))
            .current_dir(&directory)
            .output()?;
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let keeper = run_as(user, Command::new("sh"))
            .args(["-c", KEEPER, "sh"])
            .arg(programs)
            .arg(&directory)
            .arg(port.to_string())
            .current_dir(&directory)
            .stdin(Stdio::piped())
            .spawn()?;
        let server = Self { directory, port, _keeper: keeper };
        server.wait();
        Ok(server)
    }

    /// Waits until it says that it takes connections.
    fn wait(&self) {
        let log = || fs::read_to_string(self.directory.join("log")).unwrap_or_default();
        for _ in 0..TRIES.0 {
            if log().contains(READY) {
                return;
            }
            thread::sleep(TRIES.1);
        }
        unreachable!("PostgreSQL takes no connections: {}", log());
    }
}

/// Where PostgreSQL's programs are: where Debian has them, the newest first, or where the shell finds them.
fn programs() -> Option<PathBuf> {
    let installed = fs::read_dir("/usr/lib/postgresql").ok();
    let versions = installed.into_iter().flatten().flatten().map(|version| version.path());
    let mut folders: Vec<PathBuf> = versions.map(|version| version.join("bin")).collect();
    folders.sort();
    folders.reverse();
    let found = Command::new("sh").args(["-c", "command -v initdb"]).output().ok();
    let found = found.and_then(|found| String::from_utf8(found.stdout).ok());
    folders.extend(found.and_then(|path| Path::new(path.trim()).parent().map(Path::to_owned)));
    folders
        .into_iter()
        .find(|folder| ["initdb", "postgres"].iter().all(|program| folder.join(program).is_file()))
}

/// Whether this process is root's.
fn is_root() -> io::Result<bool> {
    Ok(fs::metadata("/proc/self")?.uid() == 0)
}

/// The numbers of a user.
fn user_of(name: &str) -> Option<(u32, u32)> {
    let users = fs::read_to_string("/etc/passwd").ok()?;
    let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
    let mut numbers = line.split(':').skip(2).map_while(|field| field.parse().ok());
    Some((numbers.next()?, numbers.next()?))
}

/// The same command, run by a user.
fn run_as(user: Option<(u32, u32)>, mut command: Command) -> Command {
    if let Some((uid, gid)) = user {
        command.uid(uid).gid(gid);
    }
    command
}
