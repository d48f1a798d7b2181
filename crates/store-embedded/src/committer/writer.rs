//! Flushing the index: a thread that brings the engine up to date while groups go on.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::{self, JoinHandle};

use store::Flushed;
use tokio::time::Instant;

use crate::index::{EngineError, Overlay};
use crate::spool::Mark;

/// From so many bytes on a layer is flushed, however new.
pub(super) const ENOUGH: usize = 8 << 20;

/// No layer grows beyond about this while the one before it is flushed: groups wait then.
pub(super) const MOST: usize = 32 << 20;

/// The thread and what it was asked to do.
#[derive(Debug)]
pub(super) struct Writer {
    index: Arc<Overlay>,
    /// How far the spool is flushed: segment and offset.
    mark: Mark,
    /// How far it will be once the thread has answered, if it was asked.
    next: Option<Mark>,
    ask: Option<Sender<()>>,
    answers: Receiver<Result<Flushed, EngineError>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread; the engine under `index` knows the spool up to `mark`.
    pub(super) fn start(index: Arc<Overlay>, mark: Mark) -> Result<Self, EngineError> {
        let ((ask, asked), (answer, answers)) = (channel::<()>(), channel());
        let below = Arc::clone(&index);
        let thread = thread::Builder::new().name("queue-index".to_owned());
        let thread = thread.spawn(move || {
            while asked.recv().is_ok() {
                let begun = Instant::now();
                let flushed = below.flush();
                let took = begun.elapsed();
                if answer.send(flushed.map(|rows| Flushed { rows, took })).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { index, mark, next: None, ask: Some(ask), answers, thread: Some(thread) })
    }

    /// Whether the thread has nothing to do.
    pub(super) const fn is_idle(&self) -> bool {
        self.next.is_none()
    }

    /// How far the spool is flushed: what lies before is not needed to bring the engine up to
    /// date.
    pub(super) const fn mark(&self) -> Mark {
        self.mark
    }

    /// Has the active layer flushed, which reaches up to `mark`.
    pub(super) fn ask(&mut self, mark: Mark) -> Result<(), EngineError> {
        self.index.rotate();
        self.next = Some(mark);
        let asked = self.ask.as_ref().is_some_and(|ask| ask.send(()).is_ok());
        if asked { Ok(()) } else { Err(ended()) }
    }

    /// What the thread says to what it was asked; none while it is at work, or was not asked.
    pub(super) fn answer(&mut self, patience: Patience) -> Result<Option<Flushed>, EngineError> {
        let Some(next) = self.next else { return Ok(None) };
        let answer = match patience {
            Patience::None => match self.answers.try_recv() {
                Err(TryRecvError::Empty) => return Ok(None),
                answer => answer.map_err(|_gone| ended())?,
            },
            Patience::Endless => self.answers.recv().map_err(|_gone| ended())?,
        };
        self.next = None;
        let flushed = answer?;
        self.mark = next;
        Ok(Some(flushed))
    }
}

impl Drop for Writer {
    /// Waits for the thread, which holds the index.
    fn drop(&mut self) {
        self.ask = None;
        if let Some(Err(_panic)) = self.thread.take().map(JoinHandle::join) {
            tracing::error!("index writer panicked");
        }
    }
}

/// Whether to wait for the thread.
#[derive(Clone, Copy, Debug)]
pub(super) enum Patience {
    None,
    Endless,
}

/// The thread has panicked.
fn ended() -> EngineError {
    EngineError::Damaged("the thread that writes the index has ended".to_owned())
}

/// When the index is flushed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Flush {
    /// Now, if it is not being flushed already.
    Now,
    /// When much has come together.
    WhenMuch,
}
