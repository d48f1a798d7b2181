//! Measures the queue on a real disk, beside what the disk itself can do, and prints a table.
//!
//! ```text
//! cargo run --release -p queue --example measure -- DIR [accept|churn|million] [SECONDS|MESSAGES]
//! ```
//!
//! * `accept`: durable accepts in a second with 1, 10, 100 and 500 writers and bodies of 4 and
//!   50 KiB, for so many seconds each (3). Beside it, in the same run, the two floors: one thread
//!   that appends to a file for everybody and calls `fdatasync` once for all who wait (a queue does
//!   at least that), and a file for each message (what a queue of files does).
//! * `churn`: messages that come and leave again while 20,000 wait.
//! * `million`: so many queued messages (1,000,000): time and memory to fill, to open after a crash
//!   and after an end in order, and to list.
//!
//! DIR is made, must not exist, and is removed in the end; what is measured is its disk.

use std::error::Error;
use std::fs::{self, File};
use std::future::Future;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::{Command, ExitStatus};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use access::Networks;
use clock::SystemClock;
use queue::{Envelope, Filter, Outcome, Queue, QueueSettings, Recipient};
use smtp::{BodyType, Mailbox, ReversePath, Smtputf8};
use store_embedded::{Embedded, StoreSettings};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Whatever kept something from being measured.
type Failure = Box<dyn Error + Send + Sync>;

/// A promise to have made one message durable.
type Accepted = Pin<Box<dyn Future<Output = Result<(), Failure>> + Send>>;

/// Something that makes one message durable each time it is called.
type Accept = Arc<dyn Fn() -> Accepted + Send + Sync>;

/// How many writers there are at once.
const WRITERS: [usize; 4] = [1, 10, 100, 500];

/// How long a body is.
const BODIES: [usize; 2] = [4 << 10, 50 << 10];

/// How many messages wait while others come and go.
const WAITING: u64 = 20_000;

/// How many domains the mail is for.
const DOMAINS: u64 = 1_000;

fn main() -> Result<(), Failure> {
    let mut words = std::env::args().skip(1);
    let dir = PathBuf::from(words.next().ok_or("which directory?")?);
    let part = words.next().unwrap_or_default();
    let number = words.next().map(|number| number.parse::<u64>()).transpose()?;
    let runtime = Runtime::new()?;
    match part.as_str() {
        // What the program calls itself for, in processes of their own.
        "fill" => return runtime.block_on(fill(&dir, number.unwrap_or(1))),
        "open" => return runtime.block_on(open_again(&dir)),
        _ => {}
    }
    fs::create_dir(&dir)?;
    let all = part.is_empty();
    if all || part == "accept" {
        runtime.block_on(accept(&dir, Duration::from_secs(number.unwrap_or(3))))?;
    }
    if all || part == "churn" {
        runtime.block_on(churn(&dir.join("churn"), Duration::from_secs(number.unwrap_or(20))))?;
    }
    if all || part == "million" {
        million(&dir.join("million"), if all { 1_000_000 } else { number.unwrap_or(1_000_000) })?;
    }
    Ok(fs::remove_dir_all(&dir)?)
}

/// Writes a line of the table.
fn say(line: std::fmt::Arguments<'_>) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{line}")
}

/// The table of durable accepts.
async fn accept(dir: &Path, span: Duration) -> Result<(), Failure> {
    say(format_args!(
        "{:<34}{:>8}{:>10}{:>10}{:>10}",
        "durable accept", "writers", "/s", "p50 ms", "p99 ms"
    ))?;
    for size in BODIES {
        for writers in WRITERS {
            let body: Arc<[u8]> = vec![b'x'; size].into();
            let name = |what: &str| format!("{what}, {} KiB", size >> 10);
            let log = dir.join("log");
            row(&name("append + group fdatasync"), writers, span, append(&log, &body)?).await?;
            fs::remove_file(&log)?;
            let files = dir.join("files");
            fs::create_dir(&files)?;
            row(&name("file per message + fsync"), writers, span, file_each(&files, &body)).await?;
            fs::remove_dir_all(&files)?;
            let queue = opened(&dir.join("queue")).await?;
            row(&name("queue"), writers, span, queued(&queue, &body)).await?;
            queue.close().await;
            fs::remove_dir_all(dir.join("queue"))?;
        }
    }
    Ok(())
}

/// Measures one cell, and prints it.
async fn row(name: &str, writers: usize, span: Duration, accept: Accept) -> Result<(), Failure> {
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..writers {
        let accept = Arc::clone(&accept);
        let _handle = tasks.spawn(async move {
            let mut took = Vec::new();
            while start.elapsed() < span {
                let begun = Instant::now();
                accept().await?;
                took.push(begun.elapsed());
            }
            Ok::<_, Failure>(took)
        });
    }
    let mut took = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        took.extend(ended??);
    }
    let seconds = start.elapsed().as_secs_f64();
    took.sort_unstable();
    let at = |percent: usize| {
        let place = took.len().saturating_mul(percent) / 100;
        took.get(place).or_else(|| took.last()).map_or(0.0, |took| took.as_secs_f64() * 1000.0)
    };
    let rate = f64::from(u32::try_from(took.len())?) / seconds;
    say(format_args!("{name:<34}{writers:>8}{rate:>10.0}{:>10.1}{:>10.1}", at(50), at(99)))?;
    Ok(())
}

/// The least that durability takes: one thread appends for all who wait, and syncs once.
fn append(path: &Path, body: &Arc<[u8]>) -> Result<Accept, Failure> {
    let mut file = File::create(path)?;
    let (jobs, waiting) = mpsc::channel::<oneshot::Sender<()>>();
    let written = Arc::clone(body);
    thread::spawn(move || -> io::Result<()> {
        while let Ok(first) = waiting.recv() {
            let mut together = vec![first];
            together.extend(waiting.try_iter().take(1023));
            for _ in &together {
                file.write_all(&written)?;
            }
            file.sync_data()?;
            for answer in together {
                // A writer whose time is up has gone.
                let _heard = answer.send(()).is_ok();
            }
        }
        Ok(())
    });
    Ok(Arc::new(move || {
        let (answer, answered) = oneshot::channel();
        let sent = jobs.send(answer);
        Box::pin(async move {
            sent?;
            Ok(answered.await?)
        })
    }))
}

/// What a queue of files does: a file for each message, synced with its directory.
fn file_each(dir: &Path, body: &Arc<[u8]>) -> Accept {
    let (dir, body, next) = (dir.to_path_buf(), Arc::clone(body), AtomicU64::new(0));
    Arc::new(move || {
        let path = dir.join(next.fetch_add(1, Ordering::Relaxed).to_string());
        let (dir, body) = (dir.clone(), Arc::clone(&body));
        Box::pin(async move {
            let write = move || -> io::Result<()> {
                let mut file = File::create(path)?;
                file.write_all(&body)?;
                file.sync_all()?;
                File::open(dir)?.sync_all()
            };
            Ok(tokio::task::spawn_blocking(write).await??)
        })
    })
}

/// The queue itself.
fn queued(queue: &Queue, body: &Arc<[u8]>) -> Accept {
    let (queue, body, next) = (queue.clone(), Arc::clone(body), AtomicU64::new(0));
    Arc::new(move || {
        let (queue, body) = (queue.clone(), Arc::clone(&body));
        let number = next.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move { put(&queue, number, &body).await })
    })
}

/// Puts a message into the queue.
async fn put(queue: &Queue, number: u64, body: &[u8]) -> Result<(), Failure> {
    let networks = Networks::parse(["127.0.0.0/8"])?;
    let submitter = networks.admit([127, 0, 0, 1].into()).ok_or("not admitted")?;
    let sender = ReversePath::Mailbox(Mailbox::parse("ann@sender.example")?);
    let recipient = Mailbox::parse(&format!("bob@d{}.example", number % DOMAINS))?;
    let envelope = Envelope::new(
        sender,
        vec![Recipient::new(recipient)],
        BodyType::SevenBit,
        Smtputf8::NotRequested,
    );
    let mut draft = queue.begin(submitter, envelope)?;
    draft.write(body).await?;
    let _committed = draft.commit().await?;
    Ok(())
}

/// A queue in `dir`.
async fn opened(dir: &Path) -> Result<Queue, Failure> {
    let settings = StoreSettings::new(dir);
    let open = move || Embedded::open(settings, Arc::new(SystemClock));
    let store = Arc::new(tokio::task::spawn_blocking(open).await??);
    Ok(Queue::over(store, QueueSettings::default(), Arc::new(SystemClock)))
}

/// Mail that comes and leaves while other mail waits.
async fn churn(dir: &Path, span: Duration) -> Result<(), Failure> {
    let queue = opened(dir).await?;
    let body: Arc<[u8]> = vec![b'x'; 4 << 10].into();
    put_many(&queue, WAITING, &body).await?;
    let (start, left) = (Instant::now(), Arc::new(AtomicU64::new(0)));
    let mut tasks = JoinSet::new();
    for writer in 0..100_u64 {
        let (queue, body, left) = (queue.clone(), Arc::clone(&body), Arc::clone(&left));
        let _handle = tasks.spawn(async move {
            while start.elapsed() < span {
                put(&queue, writer, &body).await?;
                let Some(lease) = queue.lease(usize::MAX).await? else { continue };
                let (mx, reply) = ("mx".into(), "250 ok".into());
                let delivered = Outcome::Delivered { mx, addr: None, reply };
                let _settled = queue.settle(lease, vec![delivered], None).await?;
                let _before = left.fetch_add(1, Ordering::Relaxed);
            }
            Ok::<_, Failure>(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    let rate =
        f64::from(u32::try_from(left.load(Ordering::Relaxed))?) / start.elapsed().as_secs_f64();
    let (disk, memory) = (size_of_dir(dir)? >> 20, memory()? >> 20);
    queue.close().await;
    say(format_args!(
        "churn, 4 KiB, {WAITING} waiting: {rate:.0} in and out /s; disk {disk} MiB, memory {memory} MiB"
    ))?;
    Ok(())
}

/// Puts messages into the queue, many at a time.
async fn put_many(queue: &Queue, count: u64, body: &Arc<[u8]>) -> Result<(), Failure> {
    let next = Arc::new(AtomicU64::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..500 {
        let (queue, body, next) = (queue.clone(), Arc::clone(body), Arc::clone(&next));
        let _handle = tasks.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return Ok::<_, Failure>(());
                }
                put(&queue, number, &body).await?;
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(())
}

/// A long queue, filled by a process that crashes, and opened by two more.
fn million(dir: &Path, count: u64) -> Result<(), Failure> {
    say(format_args!("{count} queued, 500 bytes each, {DOMAINS} domains"))?;
    // The first ends by a signal: that is the crash.
    let _crashed = itself(dir, &["fill", &count.to_string()])?;
    for after in ["a crash", "an end in order"] {
        say(format_args!("after {after}:"))?;
        if !itself(dir, &["open"])?.success() {
            return Err("the queue could not be opened again".into());
        }
    }
    Ok(say(format_args!("  disk {} MiB", size_of_dir(dir)? >> 20))?)
}

/// Runs this program for one of its parts.
fn itself(dir: &Path, words: &[&str]) -> io::Result<ExitStatus> {
    Command::new(std::env::current_exe()?).arg(dir).args(words).status()
}

/// Fills a queue, and crashes.
async fn fill(dir: &Path, count: u64) -> Result<(), Failure> {
    let queue = opened(dir).await?;
    let start = Instant::now();
    put_many(&queue, count, &vec![b'x'; 500].into()).await?;
    let (took, memory) = (start.elapsed().as_secs_f64(), memory()? >> 20);
    say(format_args!("  filled in {took:.1} s, memory {memory} MiB"))?;
    std::process::abort()
}

/// Opens a long queue, looks through it, and ends in order.
async fn open_again(dir: &Path) -> Result<(), Failure> {
    let start = Instant::now();
    let queue = opened(dir).await?;
    let (took, after_open) = (start.elapsed().as_secs_f64(), memory()? >> 20);
    let timed = |start: Instant| start.elapsed().as_secs_f64();
    let start = Instant::now();
    let first = queue.store().list(&Filter::default(), None, 1_000).await?.len();
    let first_page = timed(start);
    let start = Instant::now();
    let (mut listed, mut after) = (0_usize, None);
    loop {
        let page = queue.store().list(&Filter::default(), after, 10_000).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        listed = listed.saturating_add(page.len());
    }
    let whole = timed(start);
    let start = Instant::now();
    let domains = queue.store().stats().await?.destinations.len();
    let stats = timed(start);
    say(format_args!(
        "  opened in {took:.2} s, memory {after_open} MiB; {first} listed in {first_page:.3} s, all \
         {listed} in {whole:.1} s; stats of {domains} domains in {stats:.1} s; memory then {} MiB",
        memory()? >> 20
    ))?;
    queue.close().await;
    Ok(())
}

/// How much memory this process has, in bytes.
fn memory() -> Result<u64, Failure> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix("kB")).ok_or("no VmRSS")?;
    Ok(kibibytes.trim().parse::<u64>()? << 10)
}

/// How much is in a directory, in bytes.
fn size_of_dir(dir: &Path) -> io::Result<u64> {
    let mut size = 0_u64;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let found = entry.metadata()?;
        let more = if found.is_dir() { size_of_dir(&entry.path())? } else { found.len() };
        size = size.saturating_add(more);
    }
    Ok(size)
}
