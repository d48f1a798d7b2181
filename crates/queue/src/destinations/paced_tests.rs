//! Destinations that share a limit, beside others.

use mail::QueueId;
use proptest::prelude::*;

use super::*;

const LINE: PacedLine = PacedLine(7);

/// A limit that is for the destinations whose names begin with `p`.
#[derive(Clone, Copy, Debug, Default)]
struct Limit {
    /// How many it lets through now.
    room: usize,
    /// When there is room for another one.
    until: Option<u64>,
}

/// A table of destinations with entries that are due, and what was done with it.
#[derive(Debug, Default)]
struct Bench {
    table: Destinations,
    /// How many entries each has.
    due: HashMap<String, usize>,
    served: Vec<String>,
    turns: usize,
    entries: u64,
}

impl Bench {
    fn with(names: impl IntoIterator<Item = String>) -> Self {
        let mut bench = Self::default();
        names.into_iter().for_each(|name| bench.note(&name));
        bench
    }

    /// An entry of a destination is due.
    fn note(&mut self, name: &str) {
        *self.due.entry(name.to_owned()).or_default() += 1;
        self.table.note(name, 0);
    }

    /// Serves one entry of whoever has a turn.
    fn serve(&mut self, now: u64, worst: DestinationHealth, limit: &mut Limit) -> bool {
        while let Some(turn) = self.table.begin_turn(now, worst) {
            self.turns += 1;
            let is_paced = turn.destination.starts_with('p');
            if is_paced && limit.room == 0 {
                self.table.turn_paced(&turn, LINE, limit.until);
                continue;
            }
            let due = self.due.entry(turn.destination.to_string()).or_default();
            if *due == 0 {
                self.table.turn_passed(&turn, Next::Nothing);
                continue;
            }
            *due -= 1;
            limit.room -= usize::from(is_paced);
            self.entries += 1;
            let entry = EntryId { id: QueueId::from_number(self.entries), number: 0 };
            let next = if *due > 0 { Next::Maybe } else { Next::Nothing };
            self.table.turn_leased(&turn, entry, next);
            self.table.give_back(&turn.destination, entry, None);
            self.served.push(turn.destination.to_string());
            return true;
        }
        false
    }

    fn serve_all(&mut self, now: u64, limit: &mut Limit) {
        while self.serve(now, DestinationHealth::Failing, limit) {}
    }

    /// Those that were served and are under the limit.
    fn paced(&self) -> Vec<&str> {
        self.served.iter().map(String::as_str).filter(|name| name.starts_with('p')).collect()
    }
}

fn named(kind: char, count: usize) -> impl Iterator<Item = String> {
    (0..count).map(move |number| format!("{kind}{number:04}"))
}

#[test]
fn a_thousand_destinations_of_one_limit_go_on_one_by_one_in_their_order_and_each_costs_little() {
    let mut bench = Bench::with(named('p', 1000));
    let mut limit = Limit { room: 0, until: Some(10) };
    bench.serve_all(0, &mut limit);
    assert_eq!((bench.served.len(), bench.table.paced_in(LINE)), (0, 1000));
    assert_eq!(bench.table.next_due(), Some(10));
    assert!(!bench.table.is_ready(9, DestinationHealth::Failing), "nobody looks meanwhile");
    bench.turns = 0;
    for round in 1..=1000 {
        limit = Limit { room: 1, until: Some(round * 10 + 10) };
        bench.serve_all(round * 10, &mut limit);
    }
    assert_eq!(bench.paced(), named('p', 1000).collect::<Vec<_>>());
    assert!(bench.turns <= 3_000, "{} turns for a thousand", bench.turns);
    // Each is still in the line, to be found to have nothing left, which takes no room.
    bench.serve_all(10_010, &mut Limit { room: 1, until: None });
    assert!(bench.table.rows.is_empty());
}

#[test]
fn others_have_their_turns_as_if_nobody_were_paced() {
    let mut bench = Bench::with(named('p', 100).chain(named('o', 1000)));
    let mut limit = Limit { room: 0, until: Some(10) };
    bench.serve_all(0, &mut limit);
    assert_eq!(bench.served, named('o', 1000).collect::<Vec<_>>());
    // Each of the others was served, and then found to have nothing left.
    assert_eq!(bench.turns, 2_100, "each paced one was asked once");
}

#[test]
fn a_failing_destination_without_a_slot_does_not_keep_the_others_of_its_limit_waiting() {
    let mut bench = Bench::with(["p-failing".to_owned(), "p-untried".to_owned()]);
    bench.table.stalls("p-failing");
    let mut limit = Limit { room: 0, until: Some(10) };
    bench.serve_all(0, &mut limit);
    limit = Limit { room: 1, until: Some(20) };
    assert!(bench.serve(10, DestinationHealth::Untried, &mut limit));
    assert_eq!(bench.served, ["p-untried"]);
    limit = Limit { room: 1, until: Some(30) };
    bench.serve_all(20, &mut limit);
    assert_eq!(bench.served, ["p-untried", "p-failing"]);
}

#[test]
fn a_destination_whose_health_changes_keeps_waiting() {
    let mut bench = Bench::with(["p-one".to_owned()]);
    bench.serve_all(0, &mut Limit { room: 0, until: Some(10) });
    bench.table.stalls("p-one");
    assert_eq!(bench.table.paced_in(LINE), 1);
    bench.serve_all(10, &mut Limit { room: 1, until: None });
    assert_eq!(bench.served, ["p-one"]);
}

#[test]
fn room_that_comes_while_a_destination_is_asked_about_is_not_missed() {
    let mut bench = Bench::with(["p-one".to_owned()]);
    let turn = bench.table.begin_turn(0, DestinationHealth::Failing).unwrap();
    bench.table.move_on(LINE);
    bench.table.turn_paced(&turn, LINE, None);
    assert!(bench.table.is_ready(0, DestinationHealth::Failing));
    bench.serve_all(0, &mut Limit { room: 1, until: None });
    assert_eq!(bench.served, ["p-one"]);
}

#[test]
fn mail_that_comes_and_a_retry_by_hand_change_nothing_for_a_destination_that_waits() {
    let mut bench = Bench::with(["p-one".to_owned()]);
    bench.serve_all(0, &mut Limit { room: 0, until: Some(10) });
    bench.turns = 0;
    for _ in 0..1000 {
        bench.note("p-one");
    }
    bench.table.wake_up(None);
    bench.serve_all(1, &mut Limit::default());
    assert_eq!(bench.turns, 0);
    bench.table.move_all();
    bench.serve_all(1, &mut Limit { room: 1, until: None });
    assert_eq!(bench.served, ["p-one"]);
}

#[test]
fn a_queue_that_is_read_again_forgets_who_waited() {
    let mut bench = Bench::with(named('p', 3));
    bench.serve_all(0, &mut Limit { room: 0, until: Some(10) });
    bench.table.start_again();
    assert_eq!((bench.table.paced_in(LINE), bench.table.next_due()), (0, None));
    named('p', 3).for_each(|name| bench.note(&name));
    bench.serve_all(0, &mut Limit { room: 3, until: None });
    assert_eq!(bench.paced().len(), 3);
}

proptest! {
    #[test]
    fn whatever_happens_no_more_go_on_than_there_is_room_for_and_at_last_all_do(
        steps in prop::collection::vec((0_usize..4, 0_usize..6, 0_usize..3), 1..60)
    ) {
        let mut bench = Bench::with(named('p', 8).chain(named('o', 3)));
        let (mut now, mut room_given) = (0, 0);
        for (room, what, which) in steps {
            now += 10;
            room_given += room;
            let worst = [
                DestinationHealth::Answering,
                DestinationHealth::Untried,
                DestinationHealth::Failing,
            ][which];
            let mut limit = Limit { room, until: Some(now + 10) };
            for _ in 0..room + 2 {
                bench.serve(now, worst, &mut limit);
            }
            let name = format!("p{what:04}");
            match which {
                0 => bench.table.stalls(&name),
                1 => bench.table.move_on(LINE),
                _ => bench.note(&name),
            }
        }
        prop_assert!(bench.paced().len() <= room_given);
        named('p', 8).chain(named('o', 3)).for_each(|name| bench.note(&name));
        bench.served.clear();
        for _ in 0..200 {
            now += 10;
            let mut limit = Limit { room: 1, until: Some(now + 10) };
            bench.serve_all(now, &mut limit);
        }
        let served: BTreeSet<_> = bench.served.iter().collect();
        prop_assert_eq!(served.len(), 11);
        prop_assert!(bench.table.rows.is_empty() && bench.table.paced_in(LINE) == 0);
    }
}
