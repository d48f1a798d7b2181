//! What the allocator and the kernel count while a relay in this process takes and sends messages.

use std::fs;
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use clock::SystemClock;
use settings::{Settings, Source};
use stats_alloc::Region;
use sts_relay::Relay;
use tokio::runtime::Builder;

use crate::ALLOCATOR;
use crate::budget::Figure;
use crate::client::Client;
use crate::internet::Internet;
use crate::workload::Workload;

/// How many messages go ahead, so that policies, names and connections are there.
const BEFORE: usize = 200;

/// How many messages are counted.
const COUNTED: usize = 1000;

/// How often the queue is looked at until it is empty.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Allocations and bytes of one message.
pub(crate) fn figures(workload: Workload) -> Vec<Figure> {
    let kind = workload.kind;
    let (directory, mut internet) = (tempfile::tempdir().unwrap(), Internet::start());
    let config = directory.path().join("sts-relay.toml");
    fs::write(&config, internet.settings(directory.path(), workload)).unwrap();
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let relay = runtime.block_on(start(&config));
    let mut client = Client::connect(internet.relay, kind);
    let mut send = |messages: std::ops::Range<usize>| {
        for number in messages {
            client.send(number);
            internet.wait_for(kind, number + 1);
        }
        while relay.queue().totals().recipients > 0 {
            sleep(LOOK_AGAIN);
        }
    };
    send(0..BEFORE);
    let (region, written) = (Region::new(ALLOCATOR), written());
    send(BEFORE..BEFORE + COUNTED);
    // What was counted for TLS reports is written at the stop.
    runtime.block_on(relay.stop());
    let (change, written) = (region.change(), self::written() - written);
    let allocations = change.allocations + change.reallocations;
    vec![
        of_one("allocations", u64::try_from(allocations).unwrap()),
        of_one("bytes allocated", u64::try_from(change.bytes_allocated).unwrap()),
        of_one("bytes written to disk", written),
    ]
}

async fn start(config: &std::path::Path) -> Relay {
    let now = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_900_000_000);
    let settings = Settings::check(&Source::read(Some(config), []).unwrap(), now).unwrap();
    Box::pin(Relay::start(settings, Arc::new(SystemClock))).await.unwrap()
}

/// How many octets this process has had written to a disk so far; the kernel counts whole pages.
fn written() -> u64 {
    let counts = fs::read_to_string("/proc/self/io").unwrap();
    let counted = counts.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    counted.unwrap().parse().unwrap()
}

/// The part of one message.
fn of_one(what: &'static str, total: u64) -> Figure {
    let total = f64::from(u32::try_from(total).unwrap());
    Figure { what, amount: total / f64::from(u32::try_from(COUNTED).unwrap()) }
}
