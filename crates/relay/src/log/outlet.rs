//! Lines on their way out: one that comes alone is written at once, many are written together.
//!
//! A busy relay logs thousands of lines a second, and each would be a system call of its own. So
//! those that come within [`GATHERED_FOR`] after a line was written wait for its end, and a thread
//! writes them in one piece. No line waits longer, and [`Outlet::close`] leaves none behind.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// How long lines are gathered after one has been written.
const GATHERED_FOR: Duration = Duration::from_millis(2);

/// How many octets wait; whoever logs more waits until they are written.
const MAX_HELD: usize = 256 << 10;

/// Writes lines in the order in which they come.
#[derive(Debug)]
pub(super) struct Outlet<W> {
    state: Mutex<State<W>>,
    /// Told of every change of the state.
    changed: Condvar,
}

#[derive(Debug)]
struct State<W> {
    /// None while somebody writes.
    out: Option<W>,
    /// Whole lines that wait.
    held: Vec<u8>,
    phase: Phase,
}

/// What becomes of a line that comes now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    /// It is written at once: there is no thread, or it has ended.
    Closed,
    /// It waits for the thread.
    Gathering,
    /// It is written at once, and those that follow it are gathered.
    Quiet,
}

impl<W: Write + Send + 'static> Outlet<W> {
    /// Lines go to `out`. Where no thread can be had, each is written by itself.
    pub(super) fn open(out: W) -> Arc<Self> {
        let state = State { out: Some(out), held: Vec::new(), phase: Phase::Quiet };
        let outlet = Arc::new(Self { state: Mutex::new(state), changed: Condvar::new() });
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
            state = self.wait(state);
        }
        match state.phase {
            Phase::Closed => {}
            Phase::Gathering => {
                state.held.extend_from_slice(line);
                return Ok(());
            }
            Phase::Quiet => state.phase = Phase::Gathering,
        }
        self.write(state, line).1
    }

    /// Writes what waits. What is logged later is written line by line.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.phase = Phase::Closed;
        drop(self.write_held(state));
    }

    /// Writes what has been gathered, until the outlet is closed.
    fn gather(&self) {
        let mut state = self.state();
        loop {
            match state.phase {
                Phase::Closed => return,
                Phase::Gathering => {
                    drop(state);
                    thread::sleep(GATHERED_FOR);
                    state = self.write_held(self.state());
                }
                Phase::Quiet => state = self.wait(state),
            }
        }
    }

    /// Writes what waits; where nothing does, the next line is written at once.
    fn write_held<'a>(&'a self, state: MutexGuard<'a, State<W>>) -> MutexGuard<'a, State<W>> {
        let mut state = self.until_nobody_writes(state);
        if state.held.is_empty() && state.phase == Phase::Gathering {
            state.phase = Phase::Quiet;
            return state;
        }
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
        self.changed.notify_all();
        (state, written)
    }

    fn until_nobody_writes<'a>(
        &'a self,
        mut state: MutexGuard<'a, State<W>>,
    ) -> MutexGuard<'a, State<W>> {
        while state.out.is_none() {
            state = self.wait(state);
        }
        state
    }

    fn wait<'a>(&'a self, state: MutexGuard<'a, State<W>>) -> MutexGuard<'a, State<W>> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> MutexGuard<'_, State<W>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// Says that it writes, and writes once it is told to; keeps each piece.
    struct Gated {
        begun: Sender<()>,
        go_on: Receiver<()>,
        written: Arc<Mutex<Vec<String>>>,
    }

    impl Write for Gated {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // The test has ended where it does not listen any more.
            let _heard = self.begun.send(());
            let _told = self.go_on.recv();
            self.written.lock().unwrap().push(String::from_utf8(bytes.to_vec()).unwrap());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_that_come_while_one_is_written_are_written_together_and_none_is_lost_at_the_end() {
        let ((begun, has_begun), (go_on, told)) = (channel(), channel());
        let written = Arc::default();
        let outlet = Outlet::open(Gated { begun, go_on: told, written: Arc::clone(&written) });
        thread::scope(|scope| {
            scope.spawn(|| outlet.put(b"first\n").unwrap());
            has_begun.recv().unwrap();
            for number in 0..1000 {
                outlet.put(format!("{number}\n").as_bytes()).unwrap();
            }
            go_on.send(()).unwrap();
            go_on.send(()).unwrap();
            outlet.close();
            go_on.send(()).unwrap();
            outlet.put(b"last\n").unwrap();
        });
        let written = written.lock().unwrap();
        let many: String = (0..1000).map(|number| format!("{number}\n")).collect();
        assert_eq!(*written, ["first\n", &many, "last\n"]);
    }
}
