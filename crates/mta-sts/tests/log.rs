//! What is logged while a test runs.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use tracing::subscriber::{DefaultGuard, set_default};
use tracing_subscriber::fmt::MakeWriter;

/// Collects what the thread of this test logs.
#[derive(Debug)]
pub(crate) struct Log {
    written: Written,
    _while: DefaultGuard,
}

#[derive(Clone, Debug, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub(crate) fn collect() -> Self {
        let written = Written::default();
        let subscriber =
            tracing_subscriber::fmt().with_ansi(false).with_writer(written.clone()).finish();
        Self { written, _while: set_default(subscriber) }
    }

    /// The lines that were logged at this level, such as `WARN`.
    pub(crate) fn lines(&self, level: &str) -> Vec<String> {
        let text = String::from_utf8(self.written.0.lock().unwrap().clone()).unwrap();
        let level = format!(" {level} ");
        text.lines().filter(|line| line.contains(&level)).map(str::to_owned).collect()
    }
}

impl Write for Written {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Written {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
