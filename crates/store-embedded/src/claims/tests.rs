use std::collections::{BTreeSet, VecDeque};

use mail::QueueId;

use super::*;

/// A due index as a sorted list.
#[derive(Default)]
struct Index {
    rows: BTreeSet<(String, DuePosition)>,
    scans: usize,
}

impl Index {
    fn add(&mut self, claims: &mut Claims, due: u64, id: u64) {
        self.rows.insert((NAME.to_owned(), place(due, id)));
        claims.note(NAME, due);
    }

    fn claim(&mut self, claims: &mut Claims, now: u64) -> Sought {
        let Self { rows, scans } = self;
        let scan = |from| {
            *scans += 1;
            let rows = rows.range((NAME.to_owned(), from)..);
            Ok(rows.take(SLICE).map(|row| row.1).collect())
        };
        claims.claim(NAME, now, scan).unwrap()
    }

    fn must_claim(&mut self, claims: &mut Claims, now: u64) -> DuePosition {
        match self.claim(claims, now) {
            Sought::Due(place) => place,
            other @ (Sought::Later(_) | Sought::None) => panic!("{other:?}"),
        }
    }

    fn settle(&mut self, claims: &mut Claims, place: DuePosition) {
        self.rows.remove(&(NAME.to_owned(), place));
        claims.release(NAME, place.entry, None);
    }
}

const NAME: &str = "a.example";

fn place(due: u64, id: u64) -> DuePosition {
    DuePosition { due, entry: EntryId { id: QueueId::from_number(id), number: 0 } }
}

#[test]
fn nothing_is_kept_of_the_entries_of_a_destination_that_waits() {
    let (mut claims, mut index) = (Claims::default(), Index::default());
    index.add(&mut claims, 0, 1);
    let only = index.must_claim(&mut claims, 0);
    index.add(&mut claims, 60, 1);
    index.settle(&mut claims, only);
    assert!(claims.destinations.is_empty());
    assert_eq!(index.claim(&mut claims, 0), Sought::Later(60));
    assert!(claims.destinations.is_empty());
}

#[test]
fn a_claim_costs_no_look_past_those_that_are_claimed() {
    for out in [1, 20, 1_000] {
        let (mut claims, mut index) = (Claims::default(), Index::default());
        let all = 10 * SLICE;
        for id in (0..).take(out + all) {
            index.add(&mut claims, 0, id);
        }
        let mut claimed: VecDeque<DuePosition> =
            (0..out).map(|_| index.must_claim(&mut claims, 0)).collect();
        index.scans = 0;
        for _ in 0..all {
            claimed.push_back(index.must_claim(&mut claims, 0));
            index.settle(&mut claims, claimed.pop_front().unwrap());
        }
        assert!(index.scans <= 11, "{} scans for {all} claims", index.scans);
    }
}

#[test]
fn a_message_that_comes_alone_costs_one_scan() {
    let (mut claims, mut index) = (Claims::default(), Index::default());
    for id in 0..100 {
        index.add(&mut claims, id, id);
        let only = index.must_claim(&mut claims, id);
        assert_eq!(claims.next(NAME, id), Next::Nothing);
        index.settle(&mut claims, only);
        assert_eq!(index.claim(&mut claims, id), Sought::None);
    }
    assert_eq!(index.scans, 100);
}

#[test]
fn an_entry_that_rests_is_passed_over_until_its_rest_ends_or_is_ended() {
    let (mut claims, mut index) = (Claims::default(), Index::default());
    index.add(&mut claims, 0, 1);
    let only = index.must_claim(&mut claims, 0);
    assert_eq!(claims.release(NAME, only.entry, Some(30)), Some(30));
    assert_eq!(index.claim(&mut claims, 29), Sought::Later(30));
    assert_eq!(index.claim(&mut claims, 30), Sought::Due(only));
    claims.release(NAME, only.entry, Some(60));
    claims.end_rests(Some(NAME));
    assert_eq!(index.claim(&mut claims, 31), Sought::Due(only));
}

#[test]
fn an_entry_that_came_back_while_it_was_claimed_is_found_when_its_claim_ends() {
    let (mut claims, mut index) = (Claims::default(), Index::default());
    index.add(&mut claims, 0, 1);
    let before = index.must_claim(&mut claims, 5);
    index.rows.clear();
    index.add(&mut claims, 3, 1);
    assert_eq!(index.claim(&mut claims, 5), Sought::None);
    assert_eq!(claims.release(NAME, before.entry, None), Some(3));
    assert_eq!(index.claim(&mut claims, 5), Sought::Due(place(3, 1)));
}

#[test]
fn what_is_claimed_stays_claimed_when_the_index_is_read_again() {
    let (mut claims, mut index) = (Claims::default(), Index::default());
    index.add(&mut claims, 0, 1);
    index.add(&mut claims, 0, 2);
    let first = index.must_claim(&mut claims, 0);
    claims.start_again();
    let second = index.must_claim(&mut claims, 0);
    assert_ne!(first.entry, second.entry);
    assert_eq!(index.claim(&mut claims, 0), Sought::None);
}
