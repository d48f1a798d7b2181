//! Comparing the spool with the index.

use super::*;
use crate::verify::verify_in;

/// Three messages, one of them big, and one that was delivered.
async fn filled() -> (Bench, Vec<QueueId>) {
    let bench = Bench::new().await;
    bench.accept(&["z@gone.example"], &pattern(500)).await;
    bench.deliver_all().await;
    bench.accept(&["a@one.example"], &pattern(500)).await;
    bench.accept(&["b@one.example", "b@two.example"], &pattern(600)).await;
    bench.accept(&["c@one.example"], &pattern(400_000)).await;
    let ids = bench.ids().await;
    (bench, ids)
}

async fn verified(bench: &Bench) -> Result<Findings, OpenError> {
    let path = bench.dir.path().to_path_buf();
    tokio::task::spawn_blocking(move || verify(&path)).await.unwrap()
}

#[tokio::test]
async fn a_whole_store_has_no_problem_in_use_or_closed_or_killed() {
    let (bench, _) = filled().await;
    let expected = Findings { messages: 3, records: 4, problems: Vec::new() };
    let found = bench.queue.store().verify().await.unwrap();
    assert_eq!(found, expected);
    assert!(matches!(verified(&bench).await, Err(OpenError::Locked { .. })));
    bench.queue.close().await;
    let before = files_in(bench.dir.path());
    assert_eq!(verified(&bench).await.unwrap(), expected);
    assert_eq!(files_in(bench.dir.path()), before, "nothing is left or taken away");
    let bench = bench.opened_again().await.crash().await;
    bench.queue.close().await;
    assert_eq!(verified(&bench).await.unwrap().problems, []);
}

#[tokio::test]
async fn verifying_changes_nothing_in_the_queue_and_leaves_nothing_elsewhere() {
    let (bench, _) = filled().await;
    bench.queue.close().await;
    let scratch = tempfile::tempdir().unwrap();
    let before = everything_in(bench.dir.path());
    let found = verify_in(bench.dir.path(), scratch.path(), 0).unwrap();
    assert_eq!(found.problems, []);
    assert!(everything_in(bench.dir.path()) == before);
    assert!(files_in(scratch.path()).is_empty());
    // The same where sled has something to say.
    fs::write(bench.path("index/db"), [b'x'; 8_192]).unwrap();
    let before = everything_in(bench.dir.path());
    assert_eq!(verify_in(bench.dir.path(), scratch.path(), 0).unwrap().problems.len(), 1);
    assert!(everything_in(bench.dir.path()) == before);
    assert!(files_in(scratch.path()).is_empty());
}

#[tokio::test]
async fn a_disk_without_room_is_not_filled_to_verify() {
    let (bench, _) = filled().await;
    bench.queue.close().await;
    let scratch = tempfile::tempdir().unwrap();
    let refused = verify_in(bench.dir.path(), scratch.path(), u64::MAX).unwrap_err();
    assert!(matches!(&refused, OpenError::NoRoomForCopy { dir, .. } if dir == scratch.path()));
    assert!(refused.to_string().contains("TMPDIR"), "{refused}");
    assert!(files_in(scratch.path()).is_empty());
}

#[tokio::test]
async fn damage_is_found_and_named_and_nothing_is_changed() {
    let (bench, ids) = filled().await;
    bench.queue.close().await;
    let segment = bench.path("spool/seg-00000001");
    damage_body(&segment, &pattern(600));
    let mut bytes = fs::read(&segment).unwrap();
    bytes[3] ^= 1;
    fs::write(&segment, &bytes).unwrap();
    fs::remove_file(bench.path("spool/big").join(ids[2].to_string())).unwrap();
    let found = verified(&bench).await.unwrap();
    let problems: Vec<String> = found.problems.iter().map(ToString::to_string).collect();
    assert_eq!(problems.len(), 3, "{problems:?}");
    assert!(problems[0].starts_with(&format!("message {}: its record cannot be read", ids[2])));
    assert!(problems[1].starts_with("spool/seg-00000001: "), "{problems:?}");
    assert_eq!(problems[2], format!("message {}: the body's checksum is wrong", ids[1]));
    assert!(fs::read(&segment).unwrap() == bytes);
}

#[tokio::test]
async fn a_record_that_is_neither_queued_nor_settled_is_found() {
    let (bench, _) = filled().await;
    bench.queue.close().await;
    fs::remove_file(bench.path("spool/seg-00000001.settled")).unwrap();
    let found = verified(&bench).await.unwrap();
    assert!(matches!(found.problems[..], [Problem::Unknown { .. }]), "{found:?}");
}

#[tokio::test]
async fn an_index_that_cannot_be_read_is_a_problem() {
    let (bench, _) = filled().await;
    bench.queue.close().await;
    fs::write(bench.path("index/db"), [b'x'; 8_192]).unwrap();
    let found = verified(&bench).await.unwrap();
    assert!(matches!(found.problems[..], [Problem::Index { .. }]), "{found:?}");
}

#[tokio::test]
async fn a_directory_without_a_queue_is_not_made_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_path_buf();
    let found = tokio::task::spawn_blocking(move || verify(&path)).await.unwrap();
    assert!(matches!(found, Err(OpenError::Io { .. })));
    assert!(files_in(dir.path()).is_empty());
}
