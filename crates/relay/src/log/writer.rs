//! Where lines of the log go: standard output, which may be a terminal, a file, or the journal.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, PoisonError, RwLock};

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};

use super::addresses::Addresses;
use super::outlet::Outlet;

/// The variable by which systemd says which stream goes to the journal: `DEVICE:INODE`.
const JOURNAL_STREAM: &str = "JOURNAL_STREAM";

/// Who reads standard output.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Reader {
    /// The journal: it notes the time itself, and takes the priority from before the line
    /// (sd-daemon(3)).
    Journal,
    /// Anybody else.
    Other,
}

impl Reader {
    /// Who reads the standard output of this process.
    pub(super) fn of_stdout() -> Self {
        let stream = std::env::var_os(JOURNAL_STREAM).unwrap_or_default();
        let is_journal = rustix::fs::fstat(io::stdout())
            .is_ok_and(|stat| stream == *format!("{}:{}", stat.st_dev, stat.st_ino));
        if is_journal { Self::Journal } else { Self::Other }
    }
}

/// Makes the writers of lines; clones share what becomes of addresses, and where lines go.
#[derive(Clone, Debug)]
pub(super) struct Lines {
    reader: Reader,
    addresses: Arc<RwLock<Addresses>>,
    outlet: Arc<Outlet<io::Stdout>>,
}

impl Lines {
    /// Lines for standard output.
    pub(super) fn new(reader: Reader, addresses: Addresses) -> Self {
        Self {
            reader,
            addresses: Arc::new(RwLock::new(addresses)),
            outlet: Outlet::open(io::stdout()),
        }
    }

    /// Writes the lines that wait; each that comes later is written at once.
    pub(super) fn close(&self) {
        self.outlet.close();
    }

    /// Writes addresses in another way from now on.
    pub(super) fn change(&self, addresses: Addresses) {
        *self.addresses.write().unwrap_or_else(PoisonError::into_inner) = addresses;
    }

    /// A line as it is written.
    fn finished<'a>(&self, line: &'a str, level: Level) -> Cow<'a, str> {
        let addresses = self.addresses.read().unwrap_or_else(PoisonError::into_inner);
        let line = addresses.in_line(line);
        match self.reader {
            // Without a time there is a blank where it would be.
            Reader::Journal => format!("<{}>{}", priority(level), line.trim_start()).into(),
            Reader::Other => line,
        }
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line { lines: self.clone(), level: Level::INFO }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Line {
        Line { lines: self.clone(), level: *metadata.level() }
    }
}

/// One line, which is written in one piece.
#[derive(Debug)]
pub(super) struct Line {
    lines: Lines,
    level: Level,
}

impl Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        // In one piece, so that no other line comes between.
        self.lines.outlet.put(self.lines.finished(&text, self.level).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The time of a line, unless its reader notes that.
#[derive(Clone, Copy, Debug)]
pub(super) struct Time(pub(super) Reader);

impl FormatTime for Time {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        match self.0 {
            Reader::Journal => Ok(()),
            Reader::Other => SystemTime.format_time(writer),
        }
    }
}

/// The priority of a level (syslog(3)).
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_for_the_journal_has_a_priority_and_no_time() {
        let journal = Lines::new(Reader::Journal, Addresses::Full);
        for (level, line) in [
            (Level::ERROR, "<3>ERROR x\n"),
            (Level::WARN, "<4>ERROR x\n"),
            (Level::INFO, "<6>ERROR x\n"),
            (Level::DEBUG, "<7>ERROR x\n"),
            (Level::TRACE, "<7>ERROR x\n"),
        ] {
            assert_eq!(journal.finished(" ERROR x\n", level), line);
        }
        let other = Lines::new(Reader::Other, Addresses::Hidden);
        assert_eq!(other.finished(" INFO a@b.test\n", Level::INFO), " INFO *\n");
    }
}
