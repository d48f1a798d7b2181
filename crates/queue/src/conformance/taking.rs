//! Taking mail: drafts, commits, envelopes, bodies.

use std::time::Duration;

use mail::{Purpose, QueueId};
use smtp::ReversePath;
use store::conformance::{Home, pattern};
use store::{BeginError, CommitError, Health, StoreError};

use crate::conformance::bench::{
    Bench, delivered_outcome, envelope, own_message, read, start, submitter,
};
use crate::queue::OwnMessage;

pub async fn a_committed_message_is_leased_with_its_envelope_and_its_bytes(home: Box<dyn Home>) {
    let bench = Bench::new(home).await;
    let id =
        bench.accept(&["a@one.example", "b@one.example"], b"Subject: x\r\n\r\nhello\r\n").await;
    let lease = bench.lease().await.unwrap();
    assert_eq!(lease.id(), id);
    assert_eq!(lease.destination().to_string(), "one.example");
    assert_eq!(lease.message().reverse_path, *envelope(&["x@x.example"]).reverse_path());
    assert_eq!(lease.message().purpose, Purpose::Mail);
    assert_eq!(lease.message().received_at, start());
    assert_eq!(lease.recipients().len(), 2);
    assert_eq!((lease.attempts(), lease.reasons()), (0, &[None, None][..]));
    assert_eq!(read(&lease).await.unwrap(), b"Subject: x\r\n\r\nhello\r\n");
    assert!(bench.lease().await.is_none(), "nobody else has it meanwhile");
}

pub async fn the_reply_to_the_data_names_the_queue_id(home: Box<dyn Home>) {
    let bench = Bench::new(home).await;
    let draft = bench.queue.begin(submitter(), envelope(&["a@one.example"])).unwrap();
    let id = draft.id();
    let committed = draft.commit().await.unwrap();
    assert_eq!(committed.id(), id);
    let mut wire = Vec::new();
    committed.reply().write_to(&mut wire);
    assert_eq!(String::from_utf8(wire).unwrap(), format!("250 2.0.0 queued as {id}\r\n"));
}

pub async fn an_envelope_without_recipients_is_refused(home: Box<dyn Home>) {
    let bench = Bench::new(home).await;
    let refused = bench.queue.begin(submitter(), envelope(&[])).unwrap_err();
    assert!(matches!(refused, BeginError::NoRecipients));
}

pub async fn bodies_of_every_size_are_read_back_as_they_came(home: Box<dyn Home>) {
    let bench = Bench::new(home).await;
    for size in [0, 1, 65_535, 65_536, 65_537, 262_000, 262_144, 262_145, 700_000, 5 << 20] {
        let body = pattern(size);
        let mut draft = bench.queue.begin(submitter(), envelope(&["a@one.example"])).unwrap();
        for piece in body.chunks(10_007) {
            draft.write(piece).await.unwrap();
        }
        assert_eq!(draft.size(), u64::try_from(size).unwrap());
        draft.commit().await.unwrap();
        let lease = bench.lease().await.unwrap();
        assert_eq!(lease.message().size, u64::try_from(size).unwrap());
        assert!(read(&lease).await.unwrap() == body, "{size}");
        bench.queue.settle(lease, vec![delivered_outcome()], None).await.unwrap();
    }
}

pub async fn a_bounce_has_the_null_reverse_path_and_a_report_its_purpose(home: Box<dyn Home>) {
    let bench = Bench::new(home).await;
    let report = OwnMessage { purpose: Purpose::TlsReport, ..own_message("tls@one.example") };
    let draft = bench.queue.begin_own(report).unwrap();
    draft.commit().await.unwrap();
    let bench = bench.restart().await;
    let lease = bench.lease().await.unwrap();
    assert_eq!(lease.message().reverse_path, ReversePath::Null);
    assert_eq!(lease.message().purpose, Purpose::TlsReport);
}

pub async fn a_closed_queue_takes_nothing(home: Box<dyn Home>) {
    let bench = Bench::new(home).await;
    let draft = bench.queue.begin(submitter(), envelope(&["a@one.example"])).unwrap();
    bench.queue.close().await;
    assert_eq!(bench.queue.health(), Health::Closed);
    assert!(matches!(draft.commit().await, Err(CommitError::Closed)));
    let refused = bench.queue.begin(submitter(), envelope(&["a@one.example"])).unwrap_err();
    assert_eq!(refused.reply().code().as_u16(), 421);
    assert!(matches!(bench.queue.lease(1).await, Err(StoreError::Closed)));
}

pub async fn ids_grow_over_restarts_and_kills_with_a_clock_that_goes_back(home: Box<dyn Home>) {
    let mut bench = Bench::new(home).await;
    let mut last = QueueId::from_number(0);
    for hours in 0..6 {
        for _ in 0..3 {
            let id = bench.accept(&["a@one.example"], b"x").await;
            assert!(id > last);
            last = id;
        }
        bench.clock.set(start() - Duration::from_secs(3_600 * hours));
        bench = if hours % 2 == 0 { bench.restart().await } else { bench.killed().await };
    }
}
