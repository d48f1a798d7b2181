//! Where a secret comes from: the settings, a file, or a command that prints it.

use std::fmt;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::sync::Mutex;

/// The longest secret: RFC 4954 §4 lets a response have 12,288 octets, as BASE64.
const SECRET_MAX: u64 = 8 * 1024;

/// How long a command may take to print a token.
const COMMAND_LIMIT: Duration = Duration::from_secs(30);

/// How often it is looked whether it has ended.
const COMMAND_LOOK: Duration = Duration::from_millis(20);

/// What proves who we are: a password or a token.
pub struct Secret(Source);

enum Source {
    Command {
        line: Vec<String>,
        /// What it printed last; asking anew can cost a call to a provider.
        printed: Mutex<Option<String>>,
    },
    File(PathBuf),
    Given(String),
}

/// Whether a secret may be one that was read before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Age {
    Any,
    New,
}

impl Secret {
    /// This one.
    #[must_use]
    pub const fn password(password: String) -> Self {
        Self(Source::Given(password))
    }

    /// What is in this file, without the end of its line; it is read for each session, so that a
    /// change counts at once.
    #[must_use]
    pub const fn file(path: PathBuf) -> Self {
        Self(Source::File(path))
    }

    /// What this program prints, with these arguments; it is asked again once it was refused.
    #[must_use]
    pub fn command(line: Vec<String>) -> Self {
        Self(Source::Command { line, printed: Mutex::new(None) })
    }

    /// The secret.
    pub(crate) async fn read(&self, age: Age) -> Result<String, SecretError> {
        match &self.0 {
            Source::Given(secret) => Ok(secret.clone()),
            Source::File(path) => read_file(path).await,
            Source::Command { line, printed } => {
                // Held while the command runs, so that sessions at the same time share one run.
                let mut printed = printed.lock().await;
                if let (Age::Any, Some(secret)) = (age, &*printed) {
                    return Ok(secret.clone());
                }
                let line = line.clone();
                let secret = tokio::task::spawn_blocking(move || run(&line)).await;
                let secret =
                    secret.map_err(|_panic| SecretError::Command("failed".to_owned()))??;
                *printed = Some(secret.clone());
                Ok(secret)
            }
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Why there is no secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The command did not print one.
    #[error("the token command {0}")]
    Command(String),
    /// The file cannot be read.
    #[error("{path} cannot be read: {source}", path = .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What was read cannot be a secret.
    #[error("a secret is one line of text, not empty, of at most {SECRET_MAX} bytes")]
    Unfit,
}

async fn read_file(path: &Path) -> Result<String, SecretError> {
    let failed = |source| SecretError::File { path: path.to_owned(), source };
    let file = tokio::fs::File::open(path).await.map_err(failed)?;
    let mut octets = Vec::new();
    let _read = file.take(SECRET_MAX.saturating_add(1)).read_to_end(&mut octets).await;
    let _octets = _read.map_err(failed)?;
    secret(octets)
}

/// Runs a command and takes what it prints. It may block.
fn run(line: &[String]) -> Result<String, SecretError> {
    let failed = |text: &dyn fmt::Display| SecretError::Command(text.to_string());
    let Some((program, arguments)) = line.split_first() else {
        return Err(failed(&"is empty"));
    };
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|error| failed(&error))?;
    let ended = wait(&mut child);
    if ended.is_err() {
        // It has printed more than a pipe holds, or takes too long.
        drop(child.kill());
        drop(child.wait());
    }
    ended?;
    let mut octets = Vec::new();
    if let Some(printed) = child.stdout.take() {
        let read = printed.take(SECRET_MAX.saturating_add(1)).read_to_end(&mut octets);
        let _octets = read.map_err(|error| failed(&error))?;
    }
    secret(octets)
}

fn wait(child: &mut Child) -> Result<(), SecretError> {
    let failed = |text: String| SecretError::Command(text);
    let mut left = COMMAND_LIMIT;
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => return Err(failed(format!("failed: {status}"))),
            Ok(None) if left.is_zero() => return Err(failed("took too long".to_owned())),
            Ok(None) => {
                thread::sleep(COMMAND_LOOK);
                left = left.saturating_sub(COMMAND_LOOK);
            }
            Err(error) => return Err(failed(error.to_string())),
        }
    }
}

/// The first line of `octets`, which has to be the only one.
fn secret(octets: Vec<u8>) -> Result<String, SecretError> {
    let text = String::from_utf8(octets).map_err(|_not_text| SecretError::Unfit)?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    let is_long = u64::try_from(line.len()).is_ok_and(|octets| octets > SECRET_MAX);
    if line.is_empty() || is_long || line.chars().any(char::is_control) {
        return Err(SecretError::Unfit);
    }
    Ok(line.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(script: &str) -> Secret {
        Secret::command(["/bin/sh", "-c", script].map(str::to_owned).to_vec())
    }

    #[tokio::test]
    async fn a_file_is_read_each_time_anew_and_without_the_end_of_its_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("password");
        let secret = Secret::file(path.clone());
        assert!(matches!(secret.read(Age::Any).await, Err(SecretError::File { .. })));
        for (text, expected) in [
            ("one\n", Some("one")),
            ("two\r\n", Some("two")),
            ("three", Some("three")),
            ("\n", None),
            ("two\nlines\n", None),
        ] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(secret.read(Age::Any).await.ok().as_deref(), expected);
        }
        std::fs::write(&path, "x".repeat(10_000)).unwrap();
        assert!(matches!(secret.read(Age::Any).await, Err(SecretError::Unfit)));
    }

    #[tokio::test]
    async fn a_command_is_asked_once_until_a_new_secret_is_wanted() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log");
        let script = format!("echo x >> {0}; echo token-$(wc -l < {0})", log.display());
        let secret = command(&script);
        assert_eq!(secret.read(Age::Any).await.unwrap(), "token-1");
        assert_eq!(secret.read(Age::Any).await.unwrap(), "token-1");
        assert_eq!(secret.read(Age::New).await.unwrap(), "token-2");
        assert_eq!(secret.read(Age::Any).await.unwrap(), "token-2");
    }

    #[tokio::test]
    async fn a_command_that_fails_is_no_secret_and_its_words_are_not_shown() {
        let failed = command("echo s3cret; exit 3").read(Age::Any).await.unwrap_err().to_string();
        assert!(failed.contains("exit status: 3") && !failed.contains("s3cret"), "{failed}");
        let missing = Secret::command(vec!["/nonexistent".to_owned()]);
        assert!(matches!(missing.read(Age::Any).await, Err(SecretError::Command(_))));
        assert!(matches!(command("true").read(Age::Any).await, Err(SecretError::Unfit)));
    }
}
