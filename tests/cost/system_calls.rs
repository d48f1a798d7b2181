//! The system calls of the program itself, written down by strace.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::SystemTime;

use clock::{Clock as _, SystemClock};
use rustix::process::{Pid, Signal, kill_process};

use crate::budget::Figure;
use crate::client::Client;
use crate::internet::Internet;
use crate::trace;
use crate::workload::Workload;

/// How many messages go ahead, so that policies, names and connections are there.
const BEFORE: usize = 60;

/// How many messages are counted; strace makes each of them slow.
const COUNTED: usize = 300;

/// The system calls of one message, by kind; none where there is no strace.
pub(crate) fn figures(workload: Workload) -> Option<Vec<Figure>> {
    let kind = workload.kind;
    if Command::new("strace").arg("--version").output().is_err() {
        println!("{kind:?}: strace is not installed: no system calls are counted");
        return None;
    }
    let (directory, mut internet) = (tempfile::tempdir().unwrap(), Internet::start());
    let trace = directory.path().join("trace");
    let config = directory.path().join("sts-relay.toml");
    fs::write(&config, internet.settings(directory.path(), workload)).unwrap();
    let traced = Traced::start(&config, &trace);
    let mut client = Client::connect(internet.relay, kind);
    let mut send = |messages: std::ops::Range<usize>| {
        for number in messages {
            client.send(number);
            internet.wait_for(kind, number + 1);
        }
        SystemClock.wall()
    };
    let begin = send(0..BEFORE);
    let end = send(BEFORE..BEFORE + COUNTED);
    traced.stop();
    let since = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let text = fs::read_to_string(&trace).unwrap();
    Some(trace::figures(&text, since(begin)..since(end), COUNTED))
}

/// The program under strace.
struct Traced(Child);

impl Traced {
    fn start(config: &Path, trace: &Path) -> Self {
        let log = File::create(config.with_extension("log")).unwrap();
        let child = Command::new("strace")
            .args(["--follow-forks", "--timestamps=unix,us", "--decode-fds=path", "-s", "0", "-o"])
            .arg(trace)
            .arg(env!("CARGO_BIN_EXE_sts-relay"))
            .arg("--config")
            .arg(config)
            .arg("serve")
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Self(child)
    }

    /// Stops the program, and waits for strace.
    fn stop(mut self) {
        let strace = self.0.id();
        let children = format!("/proc/{strace}/task/{strace}/children");
        let children = fs::read_to_string(children).unwrap();
        for child in children.split_whitespace() {
            let child = Pid::from_raw(child.parse().unwrap()).unwrap();
            kill_process(child, Signal::TERM).unwrap();
        }
        assert!(self.0.wait().unwrap().success(), "the relay stops in order");
    }
}
