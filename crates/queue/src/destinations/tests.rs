use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};

use mail::{QueueId, Reason, ReasonClass};
use proptest::prelude::*;
use smtp::{Class, EnhancedCode};

use super::*;

/// An entry that was leased.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Picked {
    destination: Arc<str>,
    due: u64,
    entry: EntryId,
    health: DestinationHealth,
}

/// A store as a sorted list.
#[derive(Default)]
struct Index {
    rows: BTreeSet<(String, DuePosition)>,
    claimed: HashSet<EntryId>,
    resting: HashMap<EntryId, (String, u64)>,
}

/// When an entry is due, and which it is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct DuePosition {
    due: u64,
    entry: EntryId,
}

impl Index {
    fn add(&mut self, table: &mut Destinations, name: &str, due: u64, id: u64) {
        self.rows.insert((name.to_owned(), place(due, id)));
        table.note(name, due);
    }

    fn settle(&mut self, table: &mut Destinations, picked: &Picked) {
        let Picked { destination, due, entry, .. } = picked;
        self.rows.remove(&(destination.to_string(), DuePosition { due: *due, entry: *entry }));
        self.give_back(table, picked, None);
    }

    fn give_back(&mut self, table: &mut Destinations, picked: &Picked, rest: Option<u64>) {
        let Picked { destination, entry, .. } = picked;
        self.claimed.remove(entry);
        self.resting.extend(rest.map(|until| (*entry, (destination.to_string(), until))));
        table.give_back(destination, *entry, rest);
        // It may have come back to another place meanwhile, where it was passed over.
        if let Some((_, row)) = self.rows.iter().find(|(_, row)| row.entry == *entry) {
            table.note(destination, row.due);
        }
    }

    fn pick(&mut self, table: &mut Destinations, now: u64, most: usize) -> Option<Picked> {
        self.pick_within(table, now, DestinationHealth::Failing, most)
    }

    fn pick_within(
        &mut self,
        table: &mut Destinations,
        now: u64,
        worst: DestinationHealth,
        most: usize,
    ) -> Option<Picked> {
        while let Some(turn) = table.begin_turn(now, worst) {
            if turn.leased >= most {
                table.turn_full(&turn);
                continue;
            }
            let (found, next) = self.claim(&turn.destination, now);
            let Some(DuePosition { due, entry }) = found else {
                table.turn_passed(&turn, next);
                continue;
            };
            table.turn_leased(&turn, entry, next);
            let Turn { destination, health, .. } = turn;
            return Some(Picked { destination, due, entry, health });
        }
        None
    }

    /// Claims the first entry of `name` that is due, and says what comes behind it.
    fn claim(&mut self, name: &str, now: u64) -> (Option<DuePosition>, Next) {
        let of_name = self.rows.iter().filter(|row| row.0 == name).map(|row| row.1);
        let free = |row: &DuePosition| !self.claimed.contains(&row.entry);
        let mut free: Vec<DuePosition> = of_name.filter(free).collect();
        let rests = |entry: &EntryId| self.resting.get(entry).is_some_and(|one| one.1 > now);
        free.retain(|row| !rests(&row.entry) || row.due > now);
        let first = free.first().copied().filter(|row| row.due <= now);
        let behind = free.get(usize::from(first.is_some())).map(|row| row.due);
        let rested = self.resting.values().filter(|one| one.0 == name && one.1 > now);
        let rested = rested.map(|one| one.1);
        let next = match behind.into_iter().chain(rested).min() {
            Some(due) if due <= now => Next::Maybe,
            Some(due) => Next::Later(due),
            None => Next::Nothing,
        };
        if let Some(DuePosition { entry, .. }) = first {
            self.resting.remove(&entry);
            self.claimed.insert(entry);
        }
        (first, next)
    }

    fn wake_up(&mut self, table: &mut Destinations, name: Option<&str>) {
        self.resting.retain(|_, one| name.is_some_and(|name| one.0 != name));
        table.wake_up(name);
    }
}

fn place(due: u64, id: u64) -> DuePosition {
    DuePosition { due, entry: EntryId { id: QueueId::from_number(id), number: 0 } }
}

#[test]
fn destinations_take_turns_however_many_entries_each_has() {
    let (mut table, mut index) = (Destinations::default(), Index::default());
    for id in 0..1_000 {
        index.add(&mut table, "dead.example", 0, id);
    }
    index.add(&mut table, "a.example", 0, 2_000);
    index.add(&mut table, "b.example", 0, 2_001);
    let first: Vec<_> = (0..3).map(|_| index.pick(&mut table, 0, 9).unwrap().destination).collect();
    assert_eq!(BTreeSet::from_iter(first).len(), 3);
}

#[test]
fn no_more_entries_of_a_destination_are_out_than_allowed() {
    let (mut table, mut index) = (Destinations::default(), Index::default());
    for id in 0..5 {
        index.add(&mut table, "a.example", 0, id);
    }
    let first = index.pick(&mut table, 0, 2).unwrap();
    assert!(index.pick(&mut table, 0, 2).is_some());
    assert_eq!(index.pick(&mut table, 0, 2), None);
    assert!(
        !table.is_ready(0, DestinationHealth::Failing),
        "a full destination does not keep a worker awake"
    );
    index.settle(&mut table, &first);
    assert!(table.is_ready(0, DestinationHealth::Failing));
    assert!(index.pick(&mut table, 0, 2).is_some());
}

#[test]
fn an_entry_is_leased_when_it_is_due_and_not_before() {
    let (mut table, mut index) = (Destinations::default(), Index::default());
    index.add(&mut table, "a.example", 10, 1);
    assert_eq!(index.pick(&mut table, 9, 1), None);
    assert_eq!(table.next_due(), Some(10));
    index.add(&mut table, "a.example", 5, 2);
    assert_eq!(index.pick(&mut table, 9, 1).unwrap().due, 5);
}

#[test]
fn an_entry_given_back_rests_and_the_others_go_on() {
    let (mut table, mut index) = (Destinations::default(), Index::default());
    index.add(&mut table, "a.example", 0, 1);
    index.add(&mut table, "a.example", 0, 2);
    let first = index.pick(&mut table, 0, 1).unwrap();
    index.give_back(&mut table, &first, Some(30));
    let second = index.pick(&mut table, 0, 1).unwrap();
    assert_ne!(first.entry, second.entry);
    index.settle(&mut table, &second);
    assert_eq!(index.pick(&mut table, 29, 1), None);
    assert_eq!(index.pick(&mut table, 30, 1).unwrap().entry, first.entry);
}

#[test]
fn an_operator_ends_every_rest() {
    let (mut table, mut index) = (Destinations::default(), Index::default());
    index.add(&mut table, "a.example", 0, 1);
    let only = index.pick(&mut table, 0, 1).unwrap();
    index.give_back(&mut table, &only, Some(50));
    assert_eq!(index.pick(&mut table, 1, 1), None);
    index.wake_up(&mut table, None);
    assert!(index.pick(&mut table, 1, 1).is_some());
}

#[test]
fn a_destination_without_entries_is_forgotten() {
    let (mut table, mut index) = (Destinations::default(), Index::default());
    index.add(&mut table, "a.example", 0, 1);
    let only = index.pick(&mut table, 0, 1).unwrap();
    index.settle(&mut table, &only);
    assert_eq!(index.pick(&mut table, 0, 1), None);
    assert!(table.rows.is_empty() && table.lines.is_empty() && table.waiting.is_empty());
}

fn deferred() -> Outcome {
    let code = EnhancedCode::new(Class::PersistentTransient, 4, 1);
    Outcome::Deferred(Reason::new(ReasonClass::Connect, code, "no host answered"))
}

fn delivered() -> Outcome {
    Outcome::Delivered { mx: "mx.example".to_owned(), addr: None, reply: "250 ok".to_owned() }
}

/// Attempts for destinations that make them failing.
fn fail(table: &mut Destinations, index: &mut Index, names: &[String]) {
    for (name, id) in names.iter().zip(0..) {
        index.add(table, name, 0, id);
        (0..3).for_each(|_| table.attempted(name, &[deferred()]));
    }
}

#[test]
fn a_destination_that_answers_waits_for_others_that_do_and_not_for_those_that_fail() {
    let (mut table, mut index) = (Destinations::default(), Index::default());
    let failing: Vec<String> = (0..100).map(|n| format!("{n}.dead.example")).collect();
    fail(&mut table, &mut index, &failing);
    for id in 1_000..1_100 {
        index.add(&mut table, "a.example", 0, id);
    }
    table.attempted("a.example", &[delivered()]);
    let picked: Vec<_> =
        (0..40).map(|_| index.pick(&mut table, 0, 100).unwrap().destination).collect();
    assert_eq!(picked.iter().filter(|name| ***name == *"a.example").count(), 20);
}

#[test]
fn a_destination_that_fails_is_passed_over_by_who_wants_none_and_found_when_it_answers_again() {
    let (mut table, mut index) = (Destinations::default(), Index::default());
    fail(&mut table, &mut index, &["a.example".to_owned(), "b.example".to_owned()]);
    index.add(&mut table, "a.example", 0, 9);
    assert!(table.is_ready(0, DestinationHealth::Failing));
    let first = index.pick(&mut table, 0, 9).unwrap();
    assert_eq!(first.health, DestinationHealth::Failing);
    assert!(!table.is_ready(0, DestinationHealth::Untried));
    assert_eq!(index.pick_within(&mut table, 0, DestinationHealth::Untried, 9), None);
    table.attempted(&first.destination, &[delivered()]);
    assert!(table.is_ready(0, DestinationHealth::Answering));
    let next = index.pick_within(&mut table, 0, DestinationHealth::Answering, 9).unwrap();
    assert_eq!((next.destination, next.health), (first.destination, DestinationHealth::Answering));
}

#[test]
fn that_a_destination_answers_is_remembered_when_all_its_entries_are_gone() {
    let (mut table, mut index) = (Destinations::default(), Index::default());
    index.add(&mut table, "a.example", 0, 1);
    let only = index.pick(&mut table, 0, 1).unwrap();
    table.attempted("a.example", &[delivered()]);
    index.settle(&mut table, &only);
    assert_eq!(index.pick(&mut table, 0, 1), None);
    assert!(table.rows.is_empty());
    index.add(&mut table, "a.example", 0, 2);
    assert_eq!(index.pick(&mut table, 0, 1).unwrap().health, DestinationHealth::Answering);
    assert!(table.answered.is_empty());
}

const MOST: usize = 3;

/// What happens to the queue.
#[derive(Clone, Debug)]
enum Event {
    /// A message comes to a destination, due so long after now, or before.
    Add(u8, i64),
    /// Time passes, or the clock is set back.
    Clock(i64),
    /// An operator makes everything due that one entry in so many has.
    Retry(u8),
    /// One lease in so many is dropped, and rests.
    Drop(u8, u64),
    /// Many messages come to a destination.
    Flood(u8),
    /// One entry in so many is taken out of the due index.
    Hold(u8),
    /// And comes back to it.
    Release,
    /// An entry is picked, of destinations that stand no worse than this.
    Pick(DestinationHealth),
    /// What happened to the index is told to the table.
    Publish,
    /// One lease in so many is settled: it is done, or due so long after now.
    Settle(u8, Option<u64>),
    StartAgain,
    WakeUp(Option<u8>),
}

fn event() -> impl Strategy<Value = Event> {
    let add = (0_u8..4, -20_i64..40).prop_map(|(to, due)| Event::Add(to, due));
    let settle = (any::<u8>(), prop::option::of(0_u64..30));
    prop_oneof![
        8 => add,
        2 => (-3_i64..30).prop_map(Event::Clock),
        1 => any::<u8>().prop_map(Event::Retry),
        2 => (any::<u8>(), 0_u64..30).prop_map(|(which, rest)| Event::Drop(which, rest)),
        1 => (0_u8..4).prop_map(Event::Flood),
        1 => any::<u8>().prop_map(Event::Hold),
        1 => Just(Event::Release),
        8 => Just(Event::Pick(DestinationHealth::Failing)),
        2 => Just(Event::Pick(DestinationHealth::Untried)),
        2 => Just(Event::Pick(DestinationHealth::Answering)),
        8 => Just(Event::Publish),
        8 => settle.prop_map(|(which, later)| Event::Settle(which, later)),
        1 => Just(Event::StartAgain),
        1 => prop::option::of(0_u8..4).prop_map(Event::WakeUp),
    ]
}

/// What the table has yet to be told.
#[derive(Debug)]
enum News {
    Due(String, u64),
    GivenBack(Picked, Option<u64>),
}

/// A queue without a table: it knows what may be leased by looking at everything.
#[derive(Default)]
struct Model {
    now: u64,
    index: Index,
    held: Vec<(String, EntryId)>,
    leased: Vec<Picked>,
    resting: Vec<(String, EntryId, u64)>,
    news: VecDeque<News>,
    last_id: u64,
    /// For each destination that could have had a turn, who of the same health has had one since.
    turns: HashMap<(String, DestinationHealth), BTreeSet<String>>,
}

impl Model {
    fn name(number: u8) -> String {
        format!("{number}.example")
    }

    /// Puts an entry into the due index.
    fn enter(&mut self, name: String, due: u64, entry: EntryId) {
        self.index.rows.insert((name.clone(), DuePosition { due, entry }));
        self.news.push_back(News::Due(name, due));
    }

    fn add(&mut self, to: u8, due: u64) {
        self.last_id += 1;
        self.enter(Self::name(to), due, place(due, self.last_id).entry);
    }

    fn may_be_leased(&self, name: &str) -> bool {
        let is_free = |entry: EntryId| {
            let rests = self.resting.iter().any(|one| one.1 == entry && one.2 > self.now);
            !rests && !self.leased.iter().any(|one| one.entry == entry)
        };
        let out = self.leased.iter().filter(|one| *one.destination == *name).count();
        let mut rows = self.index.rows.iter().filter(|row| row.0 == name);
        out < MOST && rows.any(|row| row.1.due <= self.now && is_free(row.1.entry))
    }

    fn destinations(&self) -> BTreeSet<String> {
        self.index.rows.iter().map(|row| row.0.clone()).collect()
    }

    fn publish(&mut self, table: &mut Destinations) -> bool {
        match self.news.pop_front() {
            Some(News::Due(name, due)) => table.note(&name, due),
            Some(News::GivenBack(one, rest)) => self.index.give_back(table, &one, rest),
            None => return false,
        }
        true
    }

    /// Picks, and holds what is picked against what could have been; whether there was anything.
    fn pick(&mut self, table: &mut Destinations, worst: DestinationHealth) -> bool {
        let told = self.news.is_empty();
        let health = |name: &str| table.rows.get(name).map(|row| row.attempts.health);
        let could: BTreeSet<(String, DestinationHealth)> = self
            .destinations()
            .into_iter()
            .filter(|name| self.may_be_leased(name))
            .map(|name| (name.clone(), health(&name).unwrap_or_default()))
            .collect();
        let Some(picked) = self.index.pick_within(table, self.now, worst, MOST) else {
            assert!(!told || could.iter().all(|one| one.1 > worst), "{could:?} have entries due");
            return false;
        };
        let one = (picked.destination.to_string(), picked.health);
        let row = (one.0.clone(), DuePosition { due: picked.due, entry: picked.entry });
        assert!(picked.due <= self.now, "{picked:?} is not due at {}", self.now);
        assert!(!self.leased.iter().any(|one| one.entry == picked.entry), "{picked:?} is leased");
        assert!(picked.health <= worst);
        if !self.index.rows.contains(&row) {
            self.turns.remove(&one);
            self.news.push_back(News::GivenBack(picked, None));
            return true;
        }
        assert!(could.contains(&one), "{picked:?} may not be leased");
        if told {
            self.count_turn(&one, could);
        } else {
            self.turns.clear();
        }
        self.resting.retain(|one| one.1 != picked.entry);
        self.leased.push(picked);
        true
    }

    /// `one` has its turn while all of these could have one.
    fn count_turn(
        &mut self,
        one: &(String, DestinationHealth),
        could: BTreeSet<(String, DestinationHealth)>,
    ) {
        self.turns.retain(|other, _| could.contains(other) && other != one);
        for other in could.into_iter().filter(|other| other != one && other.1 == one.1) {
            let first = self.turns.entry(other).or_default().insert(one.0.clone());
            assert!(first, "{one:?} had two turns while others had none");
        }
    }

    /// Ends one lease.
    fn take(&mut self, which: u8) -> Option<Picked> {
        let place = usize::from(which).checked_rem(self.leased.len())?;
        Some(self.leased.swap_remove(place))
    }

    fn settle(&mut self, table: &mut Destinations, which: u8, later: Option<u64>) {
        let Some(one) = self.take(which) else { return };
        let health = |table: &Destinations| table.rows[&one.destination].attempts.health;
        let before = health(table);
        table.attempted(&one.destination, &[later.map_or_else(delivered, |_| deferred())]);
        if health(table) != before {
            self.turns.clear();
        }
        let held = self.held.iter().position(|held| held.1 == one.entry);
        let row = self.index.rows.iter().find(|row| row.1.entry == one.entry).cloned();
        row.map(|row| self.index.rows.remove(&row));
        match (held, later) {
            (Some(held), None) => drop(self.held.swap_remove(held)),
            (None, Some(later)) => {
                self.enter(one.destination.to_string(), self.now + later, one.entry);
            }
            (Some(_), Some(_)) | (None, None) => {}
        }
        self.news.push_back(News::GivenBack(one, None));
    }

    fn happen(&mut self, table: &mut Destinations, event: &Event) {
        let at = |offset: i64, now: u64| now.saturating_add_signed(offset);
        match *event {
            Event::Add(to, due) => self.add(to, at(due, self.now)),
            Event::Flood(to) => (0..=64).for_each(|_| self.add(to, self.now)),
            Event::Clock(offset) => self.now = at(offset, self.now),
            Event::Retry(one_in) => {
                let later = |row: &&(String, DuePosition)| row.1.due > self.now;
                let rows: Vec<_> = self.index.rows.iter().filter(later).cloned().collect();
                for row in rows.into_iter().step_by(usize::from(one_in % 4) + 1) {
                    self.index.rows.remove(&row);
                    self.enter(row.0, self.now, row.1.entry);
                }
            }
            Event::Drop(which, rest) => {
                let Some(one) = self.take(which) else { return };
                let until = self.now + rest;
                self.resting.push((one.destination.to_string(), one.entry, until));
                self.index.give_back(table, &one, Some(until));
            }
            Event::Hold(one_in) => {
                let rows: Vec<_> = self.index.rows.iter().cloned().collect();
                for row in rows.into_iter().step_by(usize::from(one_in) + 1) {
                    self.index.rows.remove(&row);
                    self.held.push((row.0, row.1.entry));
                }
            }
            Event::Release => {
                for (name, entry) in std::mem::take(&mut self.held) {
                    self.enter(name, self.now, entry);
                }
            }
            Event::Pick(worst) => drop(self.pick(table, worst)),
            Event::Publish => drop(self.publish(table)),
            Event::Settle(which, later) => self.settle(table, which, later),
            Event::StartAgain => {
                while self.publish(table) {}
                table.start_again();
                self.turns.clear();
                let leased = &self.leased;
                let is_leased = |name: &str| leased.iter().any(|one| *one.destination == *name);
                self.resting.retain(|one| is_leased(&one.0));
                self.index.resting.retain(|_, one| is_leased(&one.0));
                for name in self.destinations() {
                    let first = self.index.rows.iter().find(|row| row.0 == name).unwrap();
                    table.note(&name, first.1.due);
                }
            }
            Event::WakeUp(to) => {
                let name = to.map(Self::name);
                while self.publish(table) {}
                self.index.wake_up(table, name.as_deref());
                self.resting.retain(|one| name.as_ref().is_some_and(|name| one.0 != *name));
            }
        }
    }

    /// Everything ends well: all that is not held is picked and settled.
    fn end(&mut self, table: &mut Destinations) {
        self.happen(table, &Event::Release);
        for _ in 0..2 {
            while !self.leased.is_empty() {
                self.settle(table, 0, None);
            }
            self.now += 1_000;
            loop {
                while self.publish(table) {}
                if !self.pick(table, DestinationHealth::Failing) {
                    break;
                }
                self.settle(table, 0, None);
            }
        }
        assert!(self.index.rows.is_empty(), "{:?} were never picked", self.index.rows);
        assert_eq!(table.leased(), 0);
        assert!(table.rows.is_empty() && table.lines.is_empty() && table.waiting.is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn what_is_picked_is_what_a_look_at_everything_would_allow(
        events in prop::collection::vec(event(), 1..150)
    ) {
        let (mut table, mut model) = (Destinations::default(), Model::default());
        model.now = 100;
        for event in &events {
            model.happen(&mut table, event);
        }
        model.end(&mut table);
    }
}
