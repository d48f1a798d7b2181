//! A PostgreSQL server of the tests' own.

use std::fs;
use std::io::{self, BufRead as _, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::net::UnixStream;
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
const READY: &str = "database system is ready to accept ";

/// How often it is tried whether the server is ready, and how long to wait in between.
const TRIES: (u32, Duration) = (1_500, Duration::from_millis(20));

/// Starts the server and ends it by its number once nobody holds the other end of standard input any more:
/// when the process under test has ended, however it did.
const KEEPER: &str = r#"
"$1"/postgres -D "$2/data" -k "$2" -h 127.0.0.1 -p "$3" -c max_connections=300 \
    -c logging_collector=off -c synchronous_standby_names="$4" >"$2/log" 2>&1 </dev/null &
server=$!
echo "$server"
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
    programs: PathBuf,
    /// Its number.
    process: u32,
    /// Holds the pipe that keeps the server.
    _keeper: Child,
}

/// What confirms the commits of a server besides its own disk.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Standbys {
    /// Any standby has to.
    Any,
    /// Nothing.
    None,
}

impl DatabaseServer {
    /// The one of this process, started when it is first asked for; none where PostgreSQL's programs are
    /// not installed.
    pub fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<DatabaseServer>> = OnceLock::new();
        SHARED
            .get_or_init(|| {
                programs().map(|programs| Self::start(&programs, Standbys::None).unwrap())
            })
            .as_ref()
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

    /// A primary and its synchronous standby; none where PostgreSQL's programs are not installed.
    #[must_use]
    pub fn pair() -> Option<(Self, Self)> {
        programs().map(|programs| {
            let primary = Self::start(&programs, Standbys::Any).unwrap();
            let standby = primary.standby().unwrap();
            (primary, standby)
        })
    }

    /// Has the server offer TLS with this certificate and key, both PEM, on the network from now on.
    pub fn encrypt(&self, certificate: &str, key: &str) {
        let data = self.directory.join("data");
        let user = as_user().unwrap();
        for (name, text) in [("server.crt", certificate), ("server.key", key)] {
            let path = data.join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            if let Some((uid, gid)) = user {
                chown(&path, Some(uid), Some(gid)).unwrap();
            }
        }
        let switched = Command::new(self.programs.join("psql"))
            .args(["--quiet", "--username", NAME, "--dbname", NAME, "--host"])
            .arg(&self.directory)
            .args(["--port", &self.port.to_string()])
            .args(["--command", "ALTER SYSTEM SET ssl = on"])
            .args(["--command", "SELECT pg_reload_conf()"])
            .output()
            .unwrap();
        assert!(switched.status.success(), "{}", String::from_utf8_lossy(&switched.stderr));
    }

    /// Kills the server and all its backends, so that they can do nothing more.
    pub fn kill(&self) {
        let path = format!("/proc/{0}/task/{0}/children", self.process);
        let backends = fs::read_to_string(path).unwrap_or_default();
        let all = std::iter::once(self.process.to_string());
        let all = all.chain(backends.split_whitespace().map(str::to_owned));
        let killed = Command::new("kill").arg("-9").args(all).output();
        assert!(killed.unwrap().status.success(), "the server was not there");
        let socket = self.directory.join(format!(".s.PGSQL.{}", self.port));
        while UnixStream::connect(&socket).is_ok() {
            thread::sleep(TRIES.1);
        }
    }

    /// Makes the standby the primary; it takes writes when this returns.
    pub fn promote(&self) {
        let user = as_user();
        let promoted = run_as(user.unwrap(), Command::new(self.programs.join("pg_ctl")))
            .args(["promote", "--wait", "--pgdata"])
            .arg(self.directory.join("data"))
            .current_dir(&self.directory)
            .output()
            .unwrap();
        assert!(promoted.status.success(), "{}", String::from_utf8_lossy(&promoted.stderr));
    }

    /// A standby of this server.
    fn standby(&self) -> io::Result<Self> {
        let (directory, user) = own_directory()?;
        let copied = run_as(user, Command::new(self.programs.join("pg_basebackup")))
            .args(["--write-recovery-conf", "--checkpoint=fast", "--no-sync", "--username", NAME])
            .arg("--host")
            .arg(&self.directory)
            .args(["--port", &self.port.to_string(), "--pgdata"])
            .arg(directory.join("data"))
            .current_dir(&directory)
            .output()?;
        assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
        Self::run(&self.programs, directory, user, Standbys::None)
    }

    fn start(programs: &Path, standbys: Standbys) -> io::Result<Self> {
        let (directory, user) = own_directory()?;
        let made = run_as(user, Command::new(programs.join("initdb")))
            .args(["--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C"])
            .args(["--username", NAME, "--pgdata"])
            .arg(directory.join("data"))
            .current_dir(&directory)
            .output()?;
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        Self::run(programs, directory, user, standbys)
    }

    /// Runs the server of a directory.
    fn run(
        programs: &Path,
        directory: PathBuf,
        user: Option<(u32, u32)>,
        standbys: Standbys,
    ) -> io::Result<Self> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let names = match standbys {
            Standbys::Any => "*",
            Standbys::None => "",
        };
        let mut keeper = run_as(user, Command::new("sh"))
            .args(["-c", KEEPER, "sh"])
            .arg(programs)
            .arg(&directory)
            .args([&port.to_string(), names])
            .current_dir(&directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut process = String::new();
        let said = keeper.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        BufReader::new(said).read_line(&mut process)?;
        let process = process.trim().parse().map_err(io::Error::other)?;
        let programs = programs.to_owned();
        let server = Self { directory, port, programs, process, _keeper: keeper };
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

/// A new directory, and the user whose it is: PostgreSQL refuses to run as root.
fn own_directory() -> io::Result<(PathBuf, Option<(u32, u32)>)> {
    let directory = TempDir::with_prefix("pg")?.keep();
    let user = as_user()?;
    if let Some((uid, gid)) = user {
        chown(&directory, Some(uid), Some(gid))?;
    }
    Ok((directory, user))
}

/// As whom PostgreSQL's programs run, if not as the user of this process.
fn as_user() -> io::Result<Option<(u32, u32)>> {
    Ok(is_root()?.then(|| user_of(NAME)).flatten())
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
