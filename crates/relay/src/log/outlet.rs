//! Lines on their way out: few are written one by one, many are written together.
//!
//! A busy relay logs thousands of lines a second, and each would be a system call of its own. So
//! while there are many, lines are gathered for [`GATHERED_FOR`], and a thread writes them in one
//! piece. No line waits longer, and [`Outlet::close`] leaves none behind.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::time::Instant;

/// How long lines are gathered before they are written.
const GATHERED_FOR: Duration = Duration::from_millis(2);

/// How many lines are many, if they come within [`LOOKED_AT`]: 3,200 in a second.
const MANY: u32 = 32;

/// How long lines are counted.
const LOOKED_AT: Duration = Duration::from_millis(10);

/// Fewer lines than this in [`GATHERED_FOR`] are not worth a thread that wakes for them.
const FEW: u32 = 4;

/// How many octets wait; whoever logs more waits until they are written.
const MAX_HELD: usize = 256 << 10;

/// Writes lines in the order in which they come.
#[derive(Debug)]
pub(super) struct Outlet<W> {
    state: Mutex<State<W>>,
    /// Told when somebody has written.
    written: Condvar,
    /// Told when lines are to be gathered, or never again.
    gathers: Condvar,
}

#[derive(Debug)]
struct State<W> {
    /// None while somebody writes.
    out: Option<W>,
    /// Whole lines that wait.
    held: Vec<u8>,
    phase: Phase,
    rate: Rate,
}

/// How many lines come.
#[derive(Debug)]
struct Rate {
    /// Since when they are counted.
    since: Instant,
    lines: u32,
}

impl Rate {
    fn new() -> Self {
        Self { since: Instant::now(), lines: 0 }
    }

    /// Counts a line that comes `now`; whether there are many.
    fn is_high(&mut self, now: Instant) -> bool {
        if now.saturating_duration_since(self.since) > LOOKED_AT {
            *self = Self { since: now, lines: 0 };
        }
        self.lines = self.lines.saturating_add(1);
        self.lines >= MANY
    }
}

/// What becomes of a line that comes now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    /// It is written at once: there is no thread, or it has ended.
    Closed,
    /// It waits for the thread.
    Gathering,
    /// It is written at once, and counted.
    Quiet,
}

impl<W: Write + Send + 'static> Outlet<W> {
    /// Lines go to `out`. Where no thread can be had, each is written by itself.
    pub(super) fn open(out: W) -> Arc<Self> {
        let state =
            State { out: Some(out), held: Vec::new(), phase: Phase::Quiet, rate: Rate::new() };
        let outlet = Arc::new(Self {
            state: Mutex::new(state),
            written: Condvar::new(),
            gathers: Condvar::new(),
        });
        let gathering = Arc::clone(&outlet);
        let begun = thread::Builder::new().name("log".to_owned()).spawn(move || gathering.gather());
        if begun.is_err() {
            outlet.state().phase = Phase::Closed;
        }
        outlet
    }

    /// Takes a line, its line feed included.
    ///
    /// # Errors
    ///
    /// Those of the writer, where the line is written at once. One that waited and cannot be
    /// written is lost.
    pub(super) fn put(&self, line: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        while state.phase == Phase::Gathering && state.held.len() >= MAX_HELD {
            state = wait(&self.written, state);
        }
        match state.phase {
            Phase::Closed => {}
            Phase::Gathering => {
                state.held.extend_from_slice(line);
                state.rate.lines = state.rate.lines.saturating_add(1);
                return Ok(());
            }
            Phase::Quiet => {
                if state.rate.is_high(Instant::now()) {
                    state.phase = Phase::Gathering;
                    self.gathers.notify_one();
                }
            }
        }
        self.write(state, line).1
    }

    /// Writes what waits. What is logged later is written line by line.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.phase = Phase::Closed;
        self.gathers.notify_one();
        drop(self.write_held(state));
    }

    /// Writes what has been gathered, until the outlet is closed.
    fn gather(&self) {
        let mut state = self.state();
        loop {
            match state.phase {
                Phase::Closed => return,
                Phase::Gathering => {
                    state.rate.lines = 0;
                    drop(state);
                    thread::sleep(GATHERED_FOR);
                    state = self.until_nobody_writes(self.state());
                    if state.phase == Phase::Gathering && state.rate.lines < FEW {
                        (state.phase, state.rate) = (Phase::Quiet, Rate::new());
                    }
                    state = self.write_held(state);
                }
                Phase::Quiet => state = wait(&self.gathers, state),
            }
        }
    }

    /// Writes what waits.
    fn write_held<'a>(&'a self, state: MutexGuard<'a, State<W>>) -> MutexGuard<'a, State<W>> {
        let mut state = self.until_nobody_writes(state);
        let mut held = std::mem::take(&mut state.held);
        let (mut state, _lost) = self.write(state, &held);
        // The same room again, unless lines have come meanwhile.
        if state.held.is_empty() {
            held.clear();
            state.held = held;
        }
        state
    }

    /// Writes, and meanwhile lets others log.
    fn write<'a>(
        &'a self,
        state: MutexGuard<'a, State<W>>,
        lines: &[u8],
    ) -> (MutexGuard<'a, State<W>>, io::Result<()>) {
        let mut state = self.until_nobody_writes(state);
        let Some(mut out) = state.out.take() else { return (state, Ok(())) };
        drop(state);
        let written = out.write_all(lines);
        let mut state = self.state();
        state.out = Some(out);
        self.written.notify_all();
        (state, written)
    }

    fn until_nobody_writes<'a>(
        &'a self,
        mut state: MutexGuard<'a, State<W>>,
    ) -> MutexGuard<'a, State<W>> {
        while state.out.is_none() {
            state = wait(&self.written, state);
        }
        state
    }

    fn state(&self) -> MutexGuard<'_, State<W>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wait<'a, T>(told: &Condvar, state: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    told.wait(state).unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keeps each piece that is written.
    #[derive(Clone, Debug, Default)]
    struct Pieces(Arc<Mutex<Vec<String>>>);

    impl Pieces {
        fn written(&self) -> Vec<String> {
            self.0.lock().unwrap().clone()
        }
    }

    impl Write for Pieces {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().push(String::from_utf8(bytes.to_vec()).unwrap());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn few_lines_are_written_at_once_and_one_by_one() {
        let pieces = Pieces::default();
        let outlet = Outlet::open(pieces.clone());
        for line in ["first\n", "second\n"] {
            outlet.put(line.as_bytes()).unwrap();
        }
        assert_eq!(pieces.written(), ["first\n", "second\n"]);
        outlet.close();
        outlet.put(b"last\n").unwrap();
        assert_eq!(pieces.written(), ["first\n", "second\n", "last\n"]);
    }

    #[test]
    fn many_lines_are_written_in_one_piece_and_a_stop_leaves_none_behind() {
        let pieces = Pieces::default();
        let outlet = Outlet::open(pieces.clone());
        // Somebody writes while they come.
        let out = outlet.state().out.take();
        outlet.state().phase = Phase::Gathering;
        for number in 0..1000 {
            outlet.put(format!("{number}\n").as_bytes()).unwrap();
        }
        outlet.state().out = out;
        outlet.close();
        let many: String = (0..1000).map(|number| format!("{number}\n")).collect();
        assert_eq!(pieces.written(), [many]);
    }

    #[test]
    fn lines_are_many_if_they_come_close_together() {
        let mut rate = Rate::new();
        let (since, seldom) = (rate.since, LOOKED_AT * 2 / MANY);
        assert!((1..10 * MANY).all(|number| !rate.is_high(since + seldom * number)));
        let mut rate = Rate { since, lines: 0 };
        let often = LOOKED_AT / MANY / 2;
        let high = (1..10 * MANY).find(|number| rate.is_high(since + often * *number));
        assert_eq!(high, Some(MANY));
    }
}
