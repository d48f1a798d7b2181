//! Proofs: one file that shows what became of a message, and nothing of other mail.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use history::{Proof, Verified};

use crate::bench::{Bench, POLICY};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A history of three messages, and the id of the second.
async fn three() -> (Bench, mail::QueueId) {
    let bench = Bench::new().await;
    bench.deliver(&["before@one.example"]).await;
    let id = bench.deliver(&["ann@one.example", "bob@two.example"]).await;
    bench.deliver(&["after@three.example"]).await;
    bench.keep().await;
    (bench, id)
}

/// What a verification of a proof finds.
fn verified(proof: &Proof) -> Verified {
    Verified::of_proof(proof, Path::new("proof.json"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_has_all_of_a_message_up_to_the_next_seal_and_nothing_of_others() {
    let (bench, id) = three().await;
    let open = bench.history().proof(id).unwrap().unwrap();
    assert_eq!((verified(&open).faults, verified(&open).seals), (vec![], vec![]));
    bench.clock.advance(DAY);
    bench.keep().await;
    let proof = bench.history().proof(id).unwrap().unwrap();
    let found = verified(&proof);
    let head = bench.history().verify().unwrap().head;
    assert_eq!((found.records, &found.faults, &found.head), (2, &vec![], &head));
    assert_eq!(found.seals.len(), 1, "both lead to the seal of the segment's end");
    assert_eq!(proof.blobs.iter().filter(|blob| blob.kind == "certificate").count(), 2);
    let policy: String = POLICY.bytes().map(|octet| format!("{octet:02x}")).collect();
    assert!(proof.blobs.iter().any(|blob| blob.hex == policy), "the policy's text is in it");
    let text = serde_json::to_string(&proof).unwrap();
    assert!(text.contains("two.example") && !text.contains("three.example"));
    let other = bench.history().proof("1mcc5rm0zzzzz".parse().unwrap()).unwrap();
    assert_eq!(other, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn any_character_of_a_proof_that_is_changed_is_found() {
    let (bench, id) = three().await;
    let proof = bench.history().proof(id).unwrap().unwrap();
    let whole = serde_json::to_vec(&proof).unwrap();
    for place in 0..whole.len() {
        let mut changed = whole.clone();
        changed[place] ^= 1;
        let Ok(read) = serde_json::from_slice::<Proof>(&changed) else { continue };
        // A name of a member, or of the relay, which the chain does not have.
        if read == proof || read.relay != proof.relay {
            continue;
        }
        assert_ne!(verified(&read).faults, [], "{}", String::from_utf8_lossy(&changed));
    }
}

/// Whether the verifier that was written from `docs/history-format.md` alone finds nothing wrong.
fn the_other_verifier_agrees(path: &Path) -> bool {
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/real/verify_history.py");
    let run = Command::new("python3").arg(program).arg(path).output().unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(
        matches!(run.status.code(), Some(0 | 1)),
        "{said}{}",
        String::from_utf8_lossy(&run.stderr)
    );
    run.status.success()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_verifier_that_was_written_from_the_page_finds_what_ours_finds() {
    let (bench, id) = three().await;
    bench.clock.advance(DAY);
    bench.keep().await;
    bench.deliver(&["later@one.example"]).await;
    bench.keep().await;
    let dir = &bench.settings.dir;
    assert!(the_other_verifier_agrees(dir));
    let (proof, path) =
        (bench.history().proof(id).unwrap().unwrap(), bench.dir.path().join("proof"));
    let whole = serde_json::to_vec(&proof).unwrap();
    let segment = bench.segments().remove(0);
    // The name of the relay, the time of the seal and the names of such members are not chained.
    let is_proof = |octets: &[u8]| {
        serde_json::from_slice::<Proof>(octets)
            .is_ok_and(|proof| verified(&proof).faults.is_empty())
    };
    for (path, whole) in [(&path, whole), (&segment, fs::read(&segment).unwrap())] {
        fs::write(path, &whole).unwrap();
        assert!(the_other_verifier_agrees(path));
        for place in (whole.len() / 30..whole.len()).step_by(whole.len() / 30) {
            let mut changed = whole.clone();
            changed[place] ^= 1;
            fs::write(path, &changed).unwrap();
            let (agrees, what) = (the_other_verifier_agrees(path), path.display());
            assert_eq!(agrees, is_proof(&changed), "octet {place} of {what}");
        }
        fs::write(path, &whole).unwrap();
    }
    assert!(the_other_verifier_agrees(dir));
    fs::remove_file(&segment).unwrap();
    assert!(the_other_verifier_agrees(dir), "what is oldest may have gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_from_which_something_is_missing_or_that_is_of_another_form_is_none() {
    let (bench, id) = three().await;
    let proof = bench.history().proof(id).unwrap().unwrap();
    let changes: [fn(&mut Proof); 5] = [
        |proof| proof.records.clear(),
        |proof| drop(proof.facts.pop()),
        |proof| drop(proof.records[0].after.pop()),
        |proof| proof.facts.push("{}".to_owned()),
        |proof| proof.proof = 2,
    ];
    for (number, change) in changes.iter().enumerate() {
        let mut changed = proof.clone();
        change(&mut changed);
        assert_ne!(verified(&changed).faults.len(), 0, "change {number}");
    }
}
