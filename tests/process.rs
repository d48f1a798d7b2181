//! The program itself, as a process that can be stopped in every way there is.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use testbed::Sender;
use tokio::time::{sleep, timeout};

use crate::world::PATIENCE;

/// How often a process is looked at while something is waited for.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// A running `sts-relay`, killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
}

/// The program with these settings, and nothing of the environment in them.
fn program(config: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sts-relay"));
    command.arg("--config").arg(config).env_clear();
    command
}

/// Runs the program to its end.
pub(crate) fn run(config: &Path, arguments: &[&str]) -> Output {
    program(config).args(arguments).output().unwrap()
}

/// Runs the program to its end at a terminal of so many columns, at which this is typed; what is
/// seen there. `script` and `stty` are in every Debian (bsdutils, coreutils).
pub(crate) fn run_at_terminal(
    config: &Path,
    arguments: &str,
    columns: usize,
    typed: &str,
) -> String {
    run_at_terminal_with(config, "", arguments, columns, typed)
}

/// The same with these variables, and no others, in the environment.
pub(crate) fn run_at_terminal_with(
    config: &Path,
    variables: &str,
    arguments: &str,
    columns: usize,
    typed: &str,
) -> String {
    let (program, config) = (env!("CARGO_BIN_EXE_sts-relay"), config.display());
    let run = format!("env -i {variables} '{program}' --config '{config}' {arguments}");
    let line = format!("stty cols {columns} -echo; {run}");
    let mut script = Command::new("script")
        .args(["-q", "-e", "-c", &line, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    script.stdin.take().unwrap().write_all(typed.as_bytes()).unwrap();
    let seen = script.wait_with_output().unwrap();
    String::from_utf8(seen.stdout).unwrap().replace('\r', "")
}

impl Process {
    /// Starts the program, with its log in `log`.
    pub(crate) fn start(config: &Path, log: PathBuf) -> Self {
        Self::start_with(config, log, [].into_iter())
    }

    /// Starts the program with these variables in its environment.
    pub(crate) fn start_with<'a>(
        config: &Path,
        log: PathBuf,
        variables: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        let (stdout, stderr) = (File::create(&log).unwrap(), File::create(stderr(&log)).unwrap());
        let child = program(config)
            .arg("serve")
            .envs(variables)
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr)
            .spawn()
            .unwrap();
        Self { child, log }
    }

    /// Waits until it takes connections, and gives one.
    pub(crate) async fn connected(&mut self, listener: SocketAddr) -> Sender {
        let connected = timeout(PATIENCE, async {
            loop {
                if let Ok(client) = Sender::connect(listener).await {
                    return client;
                }
                let ended = self.child.try_wait().unwrap();
                assert_eq!(ended, None, "it ended by itself\n{}", self.said());
                sleep(LOOK_AGAIN).await;
            }
        });
        match connected.await {
            Ok(client) => client,
            Err(_elapsed) => panic!("it takes no connections\n{}", self.said()),
        }
    }

    /// Kills it, so that it can do nothing more, and waits until it is gone.
    pub(crate) fn kill(mut self) -> Vec<String> {
        self.die();
        self.log_lines()
    }

    /// Kills it where it is held, and waits until it is gone.
    pub(crate) fn die(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) async fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        let ended = timeout(2 * PATIENCE, async {
            loop {
                if let Some(status) = self.child.try_wait().unwrap() {
                    return status;
                }
                sleep(LOOK_AGAIN).await;
            }
        });
        match ended.await {
            Ok(status) => status,
            Err(_elapsed) => panic!("it does not stop\n{}", self.said()),
        }
    }

    /// Asks it to read its settings again.
    pub(crate) fn hang_up(&self) {
        self.signal(Signal::HUP);
    }

    /// Waits until it has logged `count` lines that hold `text`; the last of them.
    pub(crate) async fn logged(&self, text: &str, count: usize) -> String {
        self.logged_within(PATIENCE, text, count).await
    }

    /// The same, with patience for what takes its time.
    pub(crate) async fn logged_within(
        &self,
        patience: Duration,
        text: &str,
        count: usize,
    ) -> String {
        let found = timeout(patience, async {
            loop {
                let lines = self.log_lines();
                let mut found: Vec<_> = lines.iter().filter(|line| line.contains(text)).collect();
                if found.len() >= count {
                    return found.pop().unwrap().clone();
                }
                sleep(LOOK_AGAIN).await;
            }
        });
        match found.await {
            Ok(line) => line,
            Err(_elapsed) => panic!("it does not log {text}\n{}", self.said()),
        }
    }

    /// The most bytes of memory it has had at any time so far.
    pub(crate) fn most_memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        most.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
    }

    /// What it has logged so far.
    pub(crate) fn log_lines(&self) -> Vec<String> {
        let text = fs::read_to_string(&self.log).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    /// The end of all that it has said, for a test that fails.
    pub(crate) fn said(&self) -> String {
        let read = |path: &Path| -> io::Result<String> {
            let text = fs::read_to_string(path)?;
            let lines: Vec<_> = text.lines().collect();
            Ok(lines[lines.len().saturating_sub(50)..].join("\n"))
        };
        let (log, stderr) = (read(&self.log), read(&stderr(&self.log)));
        format!("{}\n{}", log.unwrap_or_default(), stderr.unwrap_or_default())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended before.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Where standard error goes.
fn stderr(log: &Path) -> PathBuf {
    log.with_extension("err")
}
