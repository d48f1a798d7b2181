//! The tests that every store passes: its promises, seen from outside.
//!
//! `conformance_tests!` makes one test of each of these functions. Files,
//! damage and crashes are for the tests of the store that has them, with [`copy_dir`].

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
#![expect(clippy::missing_panics_doc, reason = "a test that fails panics")]

use std::sync::{Arc, Mutex};
use std::thread;

use mail::{ReasonClass, State, TlsRequired};
use tokio::io::AsyncReadExt;
use tokio::runtime::Handle;

use crate::claim::{Demand, Due, Next};
use crate::contract::{Owner, Store};
use crate::entry_id::EntryId;
use crate::error::{BodyError, CommitError, StoreError};
use crate::health::SpaceGuard;
use crate::query::{Act, Which};
use crate::settlement::Settlement;
use crate::turns::Turns;
use crate::value::{Expected, Put};

mod bench;
mod files;
mod home;
mod records;
mod values;

use self::bench::{DESTINATION, NEVER, accept, claim, claim_one, deferred, ids, read};
pub use self::bench::{begun, delivered, envelope, opened, settlement, taken};
pub use self::files::copy_dir;
pub use self::home::Home;
pub use self::records::{
    a_record_is_kept_with_its_settlement, numbers_of_records_rise_after_a_kill_too,
    records_of_every_length_are_given_as_they_were, there_is_no_record_of_what_is_not_settled,
    what_is_forgotten_is_not_given_again,
};
pub use self::values::{
    a_scan_gives_one_namespace_in_order_and_goes_on_where_it_was,
    a_shorter_value_leaves_nothing_of_the_longer_one, a_value_is_read_whole_while_it_is_written,
    pattern, values_of_every_length_survive_a_kill, what_is_no_key_is_refused,
};

/// Makes a test of each promise, for stores whose [`Home`] `$home` makes: an async function.
#[macro_export]
macro_rules! conformance_tests {
    ($home:path) => {
        $crate::conformance_tests! { $home, at_home:
            values_of_every_length_survive_a_kill,
            numbers_of_records_rise_after_a_kill_too,
        }
        $crate::conformance_tests! { $home, over_a_store:
            a_message_is_claimed_as_it_was_committed,
            a_message_that_is_dropped_leaves_nothing,
            a_message_is_kept_with_what_its_header_says_of_tls,
            bytes_that_are_known_late_stand_where_room_was_left,
            a_message_whose_room_is_not_filled_is_not_kept,
            nobody_else_claims_what_is_claimed,
            what_is_given_back_rests_until_its_rest_is_ended,
            what_is_deferred_is_due_when_it_was_said,
            what_is_settled_and_the_notice_of_it_are_one_stroke,
            settled_twice_is_settled_once,
            what_is_deleted_meanwhile_is_no_error,
            a_record_is_kept_with_its_settlement,
            there_is_no_record_of_what_is_not_settled,
            records_of_every_length_are_given_as_they_were,
            what_is_forgotten_is_not_given_again,
            held_mail_is_claimed_when_it_is_released,
            mail_that_waits_is_due_when_an_operator_asks_for_it,
            who_decides_the_turns_is_told_of_what_is_due,
            the_end_of_a_claim_is_told_before_the_entry_can_be_claimed_again,
            a_value_is_there_until_it_is_removed,
            a_value_is_written_only_if_what_is_there_is_expected,
            a_shorter_value_leaves_nothing_of_the_longer_one,
            a_scan_gives_one_namespace_in_order_and_goes_on_where_it_was,
            what_is_no_key_is_refused,
            a_value_is_read_whole_while_it_is_written,
            a_closed_store_takes_nothing_and_gives_nothing,
        }
    };
    ($home:path, at_home: $($promise:ident,)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                $crate::conformance::$promise($home().await).await;
            }
        )+
    };
    ($home:path, over_a_store: $($promise:ident,)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                let home = $home().await;
                $crate::conformance::$promise($crate::conformance::opened(&*home).await).await;
            }
        )+
    };
}

/// What is committed is claimed with its recipients, and its body is what was written.
pub async fn a_message_is_claimed_as_it_was_committed(store: Arc<dyn Store>) {
    let id = accept(&*store, &["a@one.example", "b@one.example", "c@two.example"], b"hello").await;
    let entry = claim_one(&*store).await.unwrap();
    assert_eq!((entry.id.id, entry.attempts), (id, 0));
    assert_eq!(entry.destination.to_string(), DESTINATION);
    let to: Vec<_> = entry.recipients.iter().map(|one| one.recipient.mailbox.to_string()).collect();
    assert_eq!(to, ["a@one.example", "b@one.example"]);
    assert_eq!(entry.message.received_at, taken());
    assert_eq!(read(&*store, id).await, b"hello");
    assert_eq!(store.totals().recipients, 3);
    assert_eq!(store.open_recipients(id).await.unwrap(), 3);
}

/// Nothing is there of a message that was not committed.
pub async fn a_message_that_is_dropped_leaves_nothing(store: Arc<dyn Store>) {
    let message = begun(&*store, &["a@one.example"], &vec![b'x'; 400_000]).await;
    let id = message.id();
    drop(message);
    assert_eq!(ids(&*store).await, []);
    assert!(matches!(store.body(id).await, Err(BodyError::Gone)));
    assert!(claim_one(&*store).await.is_none());
}

/// What a message says about TLS is known when its header is, however much of it was written by then.
pub async fn a_message_is_kept_with_what_its_header_says_of_tls(store: Arc<dyn Store>) {
    for octets in [0, 10, 1 << 20] {
        let size = u64::try_from(octets).unwrap().saturating_add(13);
        let mut message = begun(&*store, &["a@one.example"], &pattern(octets)).await;
        message.reserve(4).await.unwrap();
        message.tag(TlsRequired::No).await.unwrap();
        message.write(b" and more").await.unwrap();
        message.fill(b"late").await.unwrap();
        let id = store.commit(message, Owner::Anybody).await.unwrap().id();
        let entry = claim_one(&*store).await.unwrap();
        assert_eq!((entry.message.tls, entry.message.size), (TlsRequired::No, size));
        let expected = [&pattern(octets)[..], b"late and more"].concat();
        assert!(read(&*store, id).await == expected, "{octets} octets");
        store.settle(settlement(&entry, &delivered(), 0)).await.unwrap();
    }
}

/// Bytes that are known late stand where room was left for them, in a short body and in a long one.
pub async fn bytes_that_are_known_late_stand_where_room_was_left(store: Arc<dyn Store>) {
    let long = b"a long line of a message\r\n".repeat(40_000);
    for (early, late) in [(&b"before "[..], &b" after"[..]), (b"", &long), (&long, b"")] {
        let mut message = begun(&*store, &["a@one.example"], early).await;
        message.reserve(10).await.unwrap();
        for piece in late.chunks(100_000) {
            message.write(piece).await.unwrap();
        }
        message.fill(b"0123456789").await.unwrap();
        message.write(b"!").await.unwrap();
        let expected = [early, b"0123456789", late, b"!"].concat();
        assert_eq!(message.size(), u64::try_from(expected.len()).unwrap());
        let id = store.commit(message, Owner::ThisProcess).await.unwrap().id();
        let mut read = Vec::new();
        store.body(id).await.unwrap().read_to_end(&mut read).await.unwrap();
        assert!(read == expected, "{} octets", read.len());
    }
    assert_eq!(store.verify().await.unwrap().problems, []);
}

/// A message whose room is not filled, or not filled as it was left, is not kept.
pub async fn a_message_whose_room_is_not_filled_is_not_kept(store: Arc<dyn Store>) {
    let mut empty = begun(&*store, &["a@one.example"], b"x").await;
    empty.reserve(10).await.unwrap();
    let mut short = begun(&*store, &["a@one.example"], b"x").await;
    short.reserve(10).await.unwrap();
    assert!(short.fill(b"012345678").await.is_err());
    let mut none = begun(&*store, &["a@one.example"], b"x").await;
    assert!(none.fill(b"").await.is_err());
    let mut twice = begun(&*store, &["a@one.example"], b"x").await;
    twice.reserve(10).await.unwrap();
    assert!(twice.reserve(10).await.is_err());
    for message in [empty, short, none, twice] {
        assert!(store.commit(message, Owner::ThisProcess).await.is_err());
    }
    assert_eq!(store.totals().messages, 0);
}

/// A claim is nobody else's, however often and for how many is asked.
pub async fn nobody_else_claims_what_is_claimed(store: Arc<dyn Store>) {
    for _ in 0..10 {
        accept(&*store, &["a@one.example"], b"x").await;
    }
    let (first, next) = claim(&*store, 6).await;
    assert_eq!((first.len(), next), (6, Next::Maybe));
    let (second, _) = claim(&*store, 100).await;
    assert_eq!(second.len(), 4);
    let mut all: Vec<EntryId> = first.iter().chain(&second).map(|entry| entry.id).collect();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 10);
    assert_eq!(claim(&*store, 1).await, (Vec::new(), Next::Nothing));
}

/// What is given back is claimed again when its time has come, or when its rest is ended.
pub async fn what_is_given_back_rests_until_its_rest_is_ended(store: Arc<dyn Store>) {
    accept(&*store, &["a@one.example"], b"x").await;
    let entry = claim_one(&*store).await.unwrap();
    store.give_back(DESTINATION, entry.id, NEVER);
    assert_eq!(claim(&*store, 1).await, (Vec::new(), Next::Later(NEVER)));
    store.end_rests(Some(DESTINATION));
    assert_eq!(claim_one(&*store).await.unwrap().id, entry.id);
    store.give_back(DESTINATION, entry.id, 0);
    assert_eq!(claim_one(&*store).await.unwrap().id, entry.id);
}

/// Who is deferred is due at the time that the settlement says, with the reason and the attempts.
pub async fn what_is_deferred_is_due_when_it_was_said(store: Arc<dyn Store>) {
    accept(&*store, &["a@one.example"], b"x").await;
    let entry = claim_one(&*store).await.unwrap();
    let settled = store.settle(settlement(&entry, &deferred(), 7)).await.unwrap();
    assert_eq!((settled.len(), settled.first().unwrap().deferred), (1, 1));
    assert!(!settled.first().unwrap().message_gone);
    let again = claim_one(&*store).await.unwrap();
    assert_eq!((again.id, again.attempts), (entry.id, 1));
    let class = again.recipients.first().unwrap().reason.as_ref().unwrap().class;
    assert_eq!(class, ReasonClass::Connect);
    assert_eq!(store.waiting().of(ReasonClass::Connect), 1);
    store.settle(settlement(&again, &deferred(), NEVER)).await.unwrap();
    assert_eq!(claim(&*store, 1).await, (Vec::new(), Next::Later(NEVER)));
}

/// Outcomes and what tells the sender are kept together.
pub async fn what_is_settled_and_the_notice_of_it_are_one_stroke(store: Arc<dyn Store>) {
    let id = accept(&*store, &["a@one.example"], b"x").await;
    let entry = claim_one(&*store).await.unwrap();
    let notice = begun(&*store, &["sender@two.example"], b"late").await;
    let notice_id = notice.id();
    assert_eq!(ids(&*store).await, [id], "nothing is there before it is settled");
    let settlement = Settlement { notice: Some(notice), ..settlement(&entry, &delivered(), 0) };
    assert!(store.settle(settlement).await.unwrap().first().unwrap().message_gone);
    assert_eq!(ids(&*store).await, [notice_id]);
    assert_eq!(read(&*store, notice_id).await, b"late");
}

/// The second of two settlements of the same entry changes nothing.
pub async fn settled_twice_is_settled_once(store: Arc<dyn Store>) {
    accept(&*store, &["a@one.example", "b@two.example"], b"x").await;
    let entry = claim_one(&*store).await.unwrap();
    for _ in 0..2 {
        store.settle(settlement(&entry, &delivered(), 0)).await.unwrap();
        assert_eq!((store.totals().messages, store.totals().recipients), (1, 1));
    }
}

/// A settlement of what an operator has deleted tells nobody, and is no error.
pub async fn what_is_deleted_meanwhile_is_no_error(store: Arc<dyn Store>) {
    let id = accept(&*store, &["a@one.example"], b"x").await;
    let entry = claim_one(&*store).await.unwrap();
    assert!(store.delete(id, None).await.unwrap());
    assert!(!store.delete(id, None).await.unwrap());
    let notice = Some(begun(&*store, &["sender@two.example"], b"late").await);
    let settlement = Settlement { notice, ..settlement(&entry, &deferred(), 7) };
    let settled = store.settle(settlement).await.unwrap();
    assert!(settled.first().unwrap().message_gone);
    assert_eq!(ids(&*store).await, []);
}

/// What is held is not claimed until it is released.
pub async fn held_mail_is_claimed_when_it_is_released(store: Arc<dyn Store>) {
    let id = accept(&*store, &["a@one.example"], b"x").await;
    let held = Which::Message(id);
    assert_eq!(store.change(&held, Act::Hold).await.unwrap(), 1);
    assert_eq!(store.change(&held, Act::Hold).await.unwrap(), 0);
    assert!(claim_one(&*store).await.is_none());
    assert_eq!(store.show(id).await.unwrap().unwrap().state, State::OnHold);
    assert_eq!(store.counts().await.unwrap().on_hold.messages, 1);
    assert_eq!(store.change(&held, Act::Release).await.unwrap(), 1);
    assert_eq!(claim_one(&*store).await.unwrap().id.id, id);
}

/// What waits is due at once when it is asked for, and remembers when it would have been.
pub async fn mail_that_waits_is_due_when_an_operator_asks_for_it(store: Arc<dyn Store>) {
    accept(&*store, &["a@one.example"], b"x").await;
    let entry = claim_one(&*store).await.unwrap();
    store.settle(settlement(&entry, &deferred(), NEVER)).await.unwrap();
    let there = Which::Destination(entry.destination.clone());
    assert_eq!(store.change(&there, Act::Retry).await.unwrap(), 1);
    assert_eq!(claim_one(&*store).await.unwrap().by_hand.planned, Some(NEVER));
}

/// What somebody was told.
#[derive(Debug, Default)]
struct Told(Mutex<Vec<String>>);

impl Told {
    fn note(&self, what: String) {
        self.0.lock().unwrap().push(what);
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

impl Turns for Told {
    fn due(&self, due: &[Due]) {
        due.iter().for_each(|one| self.note(format!("due {}", one.destination)));
    }

    fn settled(&self, destination: &str, _: EntryId) {
        self.note(format!("settled {destination}"));
    }

    fn reopened(&self, due: Vec<Due>) {
        due.iter().for_each(|one| self.note(format!("there {}", one.destination)));
    }

    fn health_changed(&self) {}
}

/// Who decides the turns is told of what is there, of what comes, and of what ends.
pub async fn who_decides_the_turns_is_told_of_what_is_due(store: Arc<dyn Store>) {
    accept(&*store, &["a@one.example"], b"x").await;
    let told = Arc::new(Told::default());
    store.tell(Arc::<Told>::clone(&told));
    assert_eq!(told.take(), ["there one.example"]);
    accept(&*store, &["a@two.example"], b"x").await;
    assert_eq!(told.take(), ["due two.example"]);
    let entry = claim_one(&*store).await.unwrap();
    store.settle(settlement(&entry, &deferred(), NEVER)).await.unwrap();
    assert_eq!(told.take(), ["due one.example", "settled one.example"]);
}

/// Claims again, where that can be done, what it is told was settled.
#[derive(Debug)]
struct Hasty {
    store: Arc<dyn Store>,
    runtime: Handle,
    claimed: Mutex<Vec<usize>>,
}

impl Turns for Hasty {
    fn due(&self, _: &[Due]) {}

    fn settled(&self, _: &str, _: EntryId) {
        let claim = || self.runtime.block_on(claim(&*self.store, 1)).0.len();
        let claimed = thread::scope(|scope| scope.spawn(claim).join().unwrap());
        self.claimed.lock().unwrap().push(claimed);
    }

    fn reopened(&self, _: Vec<Due>) {}

    fn health_changed(&self) {}
}

/// Who decides the turns hears that a claim has ended before anybody can claim the entry again: the
/// end of one claim is never taken for the end of the next.
pub async fn the_end_of_a_claim_is_told_before_the_entry_can_be_claimed_again(
    store: Arc<dyn Store>,
) {
    accept(&*store, &["a@one.example"], b"x").await;
    let entry = claim_one(&*store).await.unwrap();
    let runtime = Handle::current();
    let claimed = Mutex::default();
    let hasty = Arc::new(Hasty { store: Arc::clone(&store), runtime, claimed });
    store.tell(Arc::<Hasty>::clone(&hasty));
    store.settle(settlement(&entry, &deferred(), 0)).await.unwrap();
    assert_eq!(*hasty.claimed.lock().unwrap(), [0]);
    assert_eq!(claim_one(&*store).await.unwrap().id, entry.id);
}

/// A value is what was written last, whatever its length; keys are in order.
pub async fn a_value_is_there_until_it_is_removed(store: Arc<dyn Store>) {
    let long = vec![7; 30_000];
    for (key, value) in [("b", long.clone()), ("a", b"short".to_vec()), ("b", long.clone())] {
        assert_eq!(store.put("n", key, value, Expected::Anything).await.unwrap(), Put::Written);
    }
    assert_eq!(store.get("n", "b").await.unwrap(), Some(long));
    assert_eq!(store.get("other", "b").await.unwrap(), None);
    let keys: Vec<_> =
        store.scan("n", None, 9).await.unwrap().into_iter().map(|row| row.0).collect();
    assert_eq!(keys, ["a", "b"]);
    assert_eq!(store.scan("n", Some("a"), 9).await.unwrap().len(), 1);
    assert!(store.remove("n", "b").await.unwrap());
    assert!(!store.remove("n", "b").await.unwrap());
    assert_eq!(store.get("n", "b").await.unwrap(), None);
    assert!(matches!(store.get("n", "").await, Err(StoreError::Key)));
}

/// A value is not written over one that somebody else has written meanwhile.
pub async fn a_value_is_written_only_if_what_is_there_is_expected(store: Arc<dyn Store>) {
    let put = async |value: u8, expected| store.put("n", "k", vec![value], expected).await.unwrap();
    assert_eq!(put(1, Expected::Absent).await, Put::Written);
    assert_eq!(put(2, Expected::Absent).await, Put::Changed);
    let version = store.version("n", "k");
    assert_eq!(put(3, Expected::Version(version)).await, Put::Written);
    assert_eq!(put(4, Expected::Version(version)).await, Put::Changed);
    assert_eq!(store.get("n", "k").await.unwrap(), Some(vec![3]));
}

/// After its end a store refuses, and does not keep anybody waiting.
pub async fn a_closed_store_takes_nothing_and_gives_nothing(store: Arc<dyn Store>) {
    let message = begun(&*store, &["a@one.example"], b"x").await;
    store.close().await;
    assert!(!store.is_open());
    let refused = store.commit(message, Owner::Anybody).await;
    assert!(matches!(refused, Err(CommitError::Closed)));
    assert!(store.begin(&envelope(&["a@one.example"]), taken(), SpaceGuard::Waived).is_err());
    assert!(matches!(store.get("n", "k").await, Err(StoreError::Closed)));
    let demand = [Demand { destination: Arc::from(DESTINATION), most: 1 }];
    assert!(matches!(store.claim(&demand, 1).await, Err(StoreError::Closed)));
    store.close().await;
}
