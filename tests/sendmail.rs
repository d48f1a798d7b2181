//! Programs of this machine send: `sts-relay sendmail` as a process, and the relay as another.

mod conversation;
mod messages;
mod options;
mod statuses;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use access::SystemUser;
use tempfile::TempDir;
use testbed::{Message, MxBehaviour, MxHost};

use crate::process_in_world::ProcessInWorld;
use crate::world::PATIENCE;

/// A message that lacks nothing.
const WHOLE: &str = "From: ann@sender.test\nTo: bob@far.test\nSubject: test\n\nHello\n";

/// A relay with a socket for local programs, and a domain to send to.
struct Local {
    relay: ProcessInWorld,
    far: MxHost,
    /// Where the socket is.
    folder: TempDir,
}

impl Local {
    /// One with these settings besides.
    async fn start(settings: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("submit.sock");
        let settings = format!("submission.socket = {socket:?}\n{settings}");
        let relay = ProcessInWorld::start(&settings).await;
        // A message of any size is to pass.
        let far = relay
            .domain(
                "far.test",
                MxBehaviour::valid().with_extension("DSN").without_extension("SIZE"),
            )
            .await;
        Self { relay, far, folder }
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("submit.sock")
    }

    /// The program with these arguments, separated by blanks.
    fn program(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sts-relay"));
        command.env_clear().env("STS_RELAY_CONFIG", &self.relay.config);
        command.arg("sendmail").args(arguments.split_whitespace());
        command
    }

    /// Runs sendmail to its end.
    fn sendmail(&self, arguments: &str, input: impl AsRef<[u8]>) -> Output {
        run(self.program(arguments), input)
    }

    /// Runs sendmail, which must succeed and say nothing; what the other host got then.
    async fn sent(&self, arguments: &str, input: impl AsRef<[u8]>) -> Arc<Message> {
        let before = self.far.messages().len();
        succeeded(&self.sendmail(arguments, input));
        let messages = self.far.wait_for_messages(before + 1, PATIENCE).await.unwrap();
        Arc::clone(&messages[before])
    }
}

/// Runs a program to its end.
fn run(mut command: Command, input: impl AsRef<[u8]>) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // One that refuses what it is called with does not read.
    let _gone = child.stdin.take().unwrap().write_all(input.as_ref()).is_err();
    child.wait_with_output().unwrap()
}

/// It did what was asked, without a word.
fn succeeded(output: &Output) {
    assert_eq!(output.status.code(), Some(0), "{}", words(output));
    assert_eq!((words(output).as_str(), output.stdout.as_slice()), ("", &b""[..]));
}

/// What it said of what went wrong.
fn words(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// What came behind our own Received field.
fn as_sent(message: &Message) -> String {
    let text = String::from_utf8(message.data.clone()).unwrap();
    let mut lines = text.split_inclusive("\r\n").skip(1).skip_while(|line| line.starts_with('\t'));
    lines.by_ref().collect()
}

/// The address of whoever runs the tests.
fn own_address() -> String {
    let user = SystemUser::of(rustix::process::getuid().as_raw());
    let name = user.name().map_or_else(|| user.uid().to_string(), str::to_owned);
    format!("{name}@relay.test")
}
