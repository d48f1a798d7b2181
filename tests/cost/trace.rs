//! What strace has written down, counted by kind.

use std::ops::Range;
use std::time::Duration;

use crate::budget::Figure;

/// The kinds of system calls, each with a row of the table.
const KINDS: [(&str, &[&str]); 7] = [
    ("system calls: read", &["pread64", "read", "readv", "recvfrom", "recvmsg"]),
    ("system calls: write", &["pwrite64", "pwritev", "sendmsg", "sendto", "write", "writev"]),
    ("system calls: sync", &["fdatasync", "fsync", "msync", "sync_file_range"]),
    ("system calls: wait for events", &["epoll_pwait", "epoll_wait", "poll"]),
    ("system calls: wait for threads, wake threads", &["futex"]),
    (
        "system calls: files, sockets",
        &[
            "accept4",
            "close",
            "connect",
            "epoll_ctl",
            "fallocate",
            "fcntl",
            "ftruncate",
            "getdents64",
            "getsockopt",
            "lseek",
            "mkdir",
            "openat",
            "rename",
            "setsockopt",
            "shutdown",
            "socket",
            "statx",
            "unlink",
        ],
    ),
    ("system calls: memory", &["brk", "madvise", "mmap", "mprotect", "mremap", "munmap"]),
];

/// What is of no kind above.
const OTHER: &str = "system calls: other";

/// How often each kind was called in this time, for one of so many messages.
pub(crate) fn figures(trace: &str, time: Range<Duration>, messages: usize) -> Vec<Figure> {
    let mut counts = [0_u32; KINDS.len() + 1];
    for name in trace.lines().filter_map(|line| call(line, &time)) {
        let kind = KINDS.iter().position(|(_, names)| names.contains(&name));
        counts[kind.unwrap_or(KINDS.len())] += 1;
    }
    let messages = f64::from(u32::try_from(messages).unwrap());
    let names = KINDS.iter().map(|(what, _)| *what).chain([OTHER]);
    let figure = |(what, count)| Figure { what, amount: f64::from(count) / messages };
    names.zip(counts).map(figure).collect()
}

/// The call that began in a line: `PID SECONDS NAME(…`, where it began in this time.
fn call<'t>(line: &'t str, time: &Range<Duration>) -> Option<&'t str> {
    let mut words = line.split_whitespace();
    let (_thread, at) = (words.next()?, words.next()?);
    let at = Duration::try_from_secs_f64(at.parse().ok()?).ok()?;
    let (name, _arguments) = words.next()?.split_once('(')?;
    time.contains(&at).then_some(name)
}
