//! What is logged while a test runs.

use std::cell::RefCell;
use std::io::{self, Write};
use std::sync::Once;

use tracing::callsite::rebuild_interest_cache;
use tracing::subscriber::set_global_default;

/// All tests share the subscriber: of several, each for a thread, tracing may ask the wrong one
/// whether an event is wanted.
static SUBSCRIBED: Once = Once::new();

thread_local! {
    /// What this thread has logged, which is what its one test has.
    static WRITTEN: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Collects what the thread of this test logs from now on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Log;

impl Log {
    pub(crate) fn collect() -> Self {
        SUBSCRIBED.call_once(|| {
            let subscriber =
                tracing_subscriber::fmt().with_ansi(false).with_writer(|| Written).finish();
            set_global_default(subscriber).unwrap();
            rebuild_interest_cache();
        });
        WRITTEN.with_borrow_mut(Vec::clear);
        Self
    }

    /// The lines that were logged at this level, such as `WARN`.
    pub(crate) fn lines(self, level: &str) -> Vec<String> {
        let Self = self;
        let text = WRITTEN.with_borrow(|written| String::from_utf8(written.clone()).unwrap());
        let level = format!(" {level} ");
        text.lines().filter(|line| line.contains(&level)).map(str::to_owned).collect()
    }
}

/// Writes to the buffer of the thread.
struct Written;

impl Write for Written {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        WRITTEN.with_borrow_mut(|written| written.write(octets))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
