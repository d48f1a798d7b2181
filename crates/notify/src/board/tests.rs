use smtp::Mailbox;

use super::*;
use crate::destination::{Channel, EventPattern};

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;

/// A destination that is told of everything, and again each four hours.
fn all(name: &str) -> Destination {
    Destination {
        name: name.to_owned(),
        channel: Channel::Mail { to: vec![Mailbox::parse("ops@example.org").unwrap()] },
        events: vec![EventPattern::All],
        least: Severity::Warning,
        repeat: Some(Duration::from_secs(4 * 3_600)),
    }
}

fn not_ready(check: &str) -> Condition {
    Condition::NotReady { check: check.to_owned(), seen: "does not answer".to_owned() }
}

fn granted(domain: &str) -> Condition {
    let until = clock::time(1_800_000_000_000);
    Condition::ExceptionGranted { domain: domain.to_owned(), until, reason: "agreed".to_owned() }
}

/// A board, who is told, and what they were told: each with its time in minutes.
struct Desk {
    board: Board,
    destinations: Vec<Destination>,
    now: u64,
}

impl Desk {
    fn new(destinations: Vec<Destination>) -> Self {
        Self { board: Board::default(), destinations, now: HOUR }
    }

    /// Looks at a minute of this, and takes in what is to be told then; all of it is told.
    fn minute(&mut self, conditions: &[Condition]) -> Vec<(String, Status)> {
        self.look(conditions);
        self.tell()
    }

    fn look(&mut self, conditions: &[Condition]) {
        self.now += MINUTE;
        self.board.see(&Event::ALL, conditions, self.now);
        self.board.plan(&self.destinations, self.now);
    }

    fn tell(&mut self) -> Vec<(String, Status)> {
        let mut told = Vec::new();
        for destination in &self.destinations {
            while let Some((notice, pending)) = self.board.due(&destination.name, self.now) {
                let key = notice.key.clone();
                told.push((format!("{} {key}", destination.name), pending.status));
                self.board.told(&key, &destination.name, pending, self.now);
                self.board.plan(&self.destinations, self.now);
            }
        }
        told
    }

    /// The same for so many minutes.
    fn minutes(&mut self, count: u64, conditions: &[Condition]) -> Vec<(String, Status)> {
        (0..count).flat_map(|_| self.minute(conditions)).collect()
    }

    /// Another board that goes on with what this one has kept.
    fn restart(&mut self) {
        let kept: Vec<_> = self.board.notices().cloned().collect();
        let kept = serde_json::to_vec(&kept).unwrap();
        self.board = Board::resume(serde_json::from_slice(&kept).unwrap(), self.now);
    }
}

fn said(words: &str, status: Status) -> Vec<(String, Status)> {
    vec![(words.to_owned(), status)]
}

const RESOLVER: &str = "ops not-ready/one/resolver";

#[test]
fn what_lasts_is_told_after_five_minutes_again_each_repeat_and_when_it_is_over() {
    let mut desk = Desk::new(vec![all("ops")]);
    let so = [not_ready("resolver")];
    assert_eq!(desk.minutes(5, &so), []);
    assert_eq!(desk.minute(&so), said(RESOLVER, Status::Firing));
    assert_eq!(desk.minutes(239, &so), []);
    assert_eq!(desk.minute(&so), said(RESOLVER, Status::Reminder));
    assert_eq!(desk.minutes(239, &so), []);
    assert_eq!(desk.minute(&so), said(RESOLVER, Status::Reminder));
    assert_eq!(desk.minutes(4, &[]), []);
    assert_eq!(desk.minute(&[]), said(RESOLVER, Status::Resolved));
    assert_eq!(desk.minutes(600, &[]), []);
    assert_eq!(desk.board.notices().count(), 0);
}

#[test]
fn what_comes_and_goes_is_told_not_at_all_or_as_one_notice() {
    let mut desk = Desk::new(vec![all("ops")]);
    let so = [not_ready("resolver")];
    for _ in 0..20 {
        assert_eq!(desk.minutes(4, &so), []);
        assert_eq!(desk.minute(&[]), []);
    }
    assert_eq!(desk.minutes(6, &so), said(RESOLVER, Status::Firing));
    for _ in 0..4 {
        assert_eq!(desk.minutes(3, &[]), [], "it may come back");
        assert_eq!(desk.minutes(6, &so), []);
    }
}

#[test]
fn over_ten_of_one_kind_are_one_notice_and_what_joins_them_is_part_of_it() {
    let mut desk = Desk::new(vec![all("ops")]);
    let many = |count: usize| -> Vec<_> {
        (0..count).map(|number| granted(&format!("d{number}.example"))).collect()
    };
    assert_eq!(desk.minute(&many(10)).len(), 10);
    let mut desk = Desk::new(vec![all("ops")]);
    let told = desk.minute(&many(1_000));
    assert_eq!(told, said("ops exception-granted/many/exceptions are in force", Status::Firing));
    assert_eq!(desk.minutes(9, &many(1_200)), [], "those that join");
    let notice = desk.board.notices().next().unwrap();
    assert!(
        notice.summary.starts_with("1200 domains: exceptions are in force: d0.example, "),
        "{}",
        notice.summary
    );
    assert!(notice.summary.ends_with(" and 1195 more"), "{}", notice.summary);
    assert_eq!(desk.minutes(9, &many(3)), [], "those that are left");
}

#[test]
fn a_restart_forgets_nothing_that_was_told_or_is_to_be() {
    let mut desk = Desk::new(vec![all("ops")]);
    let so = [not_ready("resolver"), granted("a.example")];
    assert_eq!(desk.minutes(6, &so).len(), 2);
    desk.restart();
    assert_eq!(desk.minutes(200, &so), [], "it was told before");
    desk.restart();
    desk.look(&[]);
    desk.restart();
    assert_eq!(desk.minutes(4, &[]), []);
    assert_eq!(desk.minutes(2, &[]), said(RESOLVER, Status::Resolved));
    // What was to be told and was not.
    desk.look(&[granted("b.example")]);
    desk.restart();
    assert_eq!(desk.tell(), said("ops exception-granted/one/b.example", Status::Firing));
}

#[test]
fn what_happens_is_told_once_and_its_end_is_not() {
    let mut desk = Desk::new(vec![all("ops")]);
    let told = said("ops exception-granted/one/a.example", Status::Firing);
    assert_eq!(desk.minute(&[granted("a.example")]), told);
    assert_eq!(desk.minutes(3_000, &[granted("a.example")]), []);
    assert_eq!(desk.minutes(10, &[]), []);
    assert_eq!(desk.board.notices().count(), 0);
    assert_eq!(desk.minute(&[granted("a.example")]), told, "another one");
}

#[test]
fn a_destination_is_told_what_it_asked_for() {
    let critical = Destination { least: Severity::Critical, ..all("critical") };
    let clocks = Destination { events: vec![EventPattern::One(Event::Clock)], ..all("clocks") };
    let once = Destination { repeat: None, ..all("once") };
    let mut desk = Desk::new(vec![critical, clocks, once]);
    let so = [not_ready("resolver"), Condition::Clock { seen: "in doubt".to_owned() }];
    let told: Vec<_> = desk.minutes(6, &so).into_iter().map(|(words, _)| words).collect();
    assert_eq!(
        told,
        [
            "critical not-ready/one/resolver",
            "clocks clock/one/",
            "once clock/one/",
            "once not-ready/one/resolver"
        ]
    );
    let again = desk.minutes(241, &so);
    assert!(
        again
            .iter()
            .all(|(words, status)| { *status == Status::Reminder && !words.starts_with("once ") })
    );
    assert_eq!(again.len(), 2);
}

#[test]
fn a_destination_that_fails_is_tried_for_a_day_each_time_later() {
    let mut desk = Desk::new(vec![all("ops")]);
    desk.look(&[granted("a.example")]);
    let (begun, mut tries, mut last) = (desk.now, 0, Effort::Again);
    while last == Effort::Again {
        let due = desk.board.next_due(&desk.destinations).unwrap();
        desk.now = desk.now.max(due);
        let (notice, pending) = desk.board.due("ops", desk.now).unwrap();
        let key = notice.key.clone();
        last = desk.board.failed(&key, "ops", pending, desk.now);
        tries += 1;
    }
    assert_eq!((desk.now - begun) / HOUR, 24);
    assert!((50..70).contains(&tries), "{tries}");
    assert_eq!(desk.board.next_due(&desk.destinations), None);
}

#[test]
fn what_was_over_before_it_could_be_told_is_told_as_over() {
    let mut desk = Desk::new(vec![all("ops")]);
    let so = [not_ready("resolver")];
    for _ in 0..6 {
        desk.look(&so);
    }
    for _ in 0..6 {
        desk.look(&[]);
    }
    assert_eq!(desk.tell(), said(RESOLVER, Status::Resolved));
    assert_eq!(desk.board.notices().count(), 0);
}

#[test]
fn what_is_not_looked_at_is_not_over() {
    let mut desk = Desk::new(vec![all("ops")]);
    assert_eq!(desk.minutes(6, &[not_ready("resolver")]).len(), 1);
    for _ in 0..60 {
        desk.now += MINUTE;
        desk.board.see(&[Event::Clock], &[], desk.now);
        desk.board.plan(&desk.destinations, desk.now);
        assert_eq!(desk.tell(), []);
    }
}

#[test]
fn a_destination_that_is_gone_is_told_nothing_and_one_that_is_new_what_is_so() {
    let mut desk = Desk::new(vec![all("ops")]);
    let so = [not_ready("resolver")];
    desk.minutes(6, &so);
    desk.destinations = vec![all("night")];
    assert_eq!(desk.minute(&so), said("night not-ready/one/resolver", Status::Firing));
    assert_eq!(desk.minutes(6, &[]), said("night not-ready/one/resolver", Status::Resolved));
}

#[test]
fn no_more_is_kept_than_there_may_be() {
    let mut desk = Desk::new(vec![all("ops")]);
    let many: Vec<_> = (0..2_000).map(|number| not_ready(&format!("c{number}"))).collect();
    for _ in 0..6 {
        desk.look(&many);
    }
    assert_eq!(desk.board.notices().count(), NOTICES_MOST);
}
