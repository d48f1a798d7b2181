//! Where a command's answer goes: the one place that holds standard output.

use std::io::{self, IsTerminal as _, Write};

use clap::Args;
use serde::Serialize;

/// A command's answer on its way out.
pub struct Output {
    sink: Box<dyn Write + Send>,
    reader: Reader,
}

/// Who reads the answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Reader {
    /// Someone at a terminal.
    Person,
    /// A pipe or a file.
    Program,
}

/// How an answer is written: the `--json` of every command that prints one.
#[derive(Args, Clone, Copy, Debug)]
pub(super) struct Format {
    /// Print JSON, for scripts.
    #[arg(long)]
    json: bool,
}

impl Format {
    /// Writes `value`: as JSON, or as `text` shows it to a person.
    pub(super) fn write<T: Serialize>(
        self,
        value: &T,
        output: &mut Output,
        text: impl FnOnce(&T, &mut Output) -> io::Result<()>,
    ) -> io::Result<()> {
        if self.json { output.json(value) } else { text(value, output) }
    }
}

/// How a list is written: `--json` or `--csv`.
#[derive(Args, Clone, Copy, Debug)]
pub(super) struct ListFormat {
    #[command(flatten)]
    format: Format,
    /// Print CSV (RFC 4180), for spreadsheets.
    #[arg(long, conflicts_with = "json")]
    csv: bool,
}

impl ListFormat {
    /// Writes `value`: as JSON, as `csv` writes its rows, or as `text` shows it to a person.
    pub(super) fn write<T: Serialize>(
        self,
        value: &T,
        output: &mut Output,
        csv: impl FnOnce(&T) -> Vec<String>,
        text: impl FnOnce(&T, &mut Output) -> io::Result<()>,
    ) -> io::Result<()> {
        if self.csv {
            csv(value).iter().try_for_each(|line| output.line(line))
        } else {
            self.format.write(value, output, text)
        }
    }
}

impl Output {
    /// Standard output.
    #[must_use]
    pub fn stdout() -> Self {
        let stdout = io::stdout();
        let reader = if stdout.is_terminal() { Reader::Person } else { Reader::Program };
        Self { sink: Box::new(stdout), reader }
    }

    /// Who reads the answer.
    pub(super) const fn reader(&self) -> Reader {
        self.reader
    }

    /// How many columns the terminal has; none where there is no terminal.
    pub(super) fn width(&self) -> Option<usize> {
        match self.reader {
            Reader::Person => {
                let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
                Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
            }
            Reader::Program => None,
        }
    }

    /// Writes one line.
    ///
    /// # Errors
    ///
    /// Where it cannot be written; a reader who went away is no error (`queue list | head`).
    pub fn line(&mut self, line: impl std::fmt::Display) -> io::Result<()> {
        forgive_departure(writeln!(self.sink, "{line}").and_then(|()| self.sink.flush()))
    }

    /// Writes bytes as they are.
    ///
    /// # Errors
    ///
    /// As for [`Self::line`].
    pub fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        forgive_departure(self.sink.write_all(bytes).and_then(|()| self.sink.flush()))
    }

    /// Writes a value as JSON, one line.
    ///
    /// # Errors
    ///
    /// As for [`Self::line`].
    pub fn json(&mut self, value: &impl Serialize) -> io::Result<()> {
        let text = serde_json::to_string(value)?;
        self.line(text)
    }
}

impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Output").field("reader", &self.reader).finish_non_exhaustive()
    }
}

/// The reader of a pipe may leave when it has seen enough.
fn forgive_departure(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}
