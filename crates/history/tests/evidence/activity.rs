//! What operators have done.

use std::time::Duration;

use history::{Act, Activity, ActivityLog, Between, Messages, activities, verify_activities};
use rusqlite::Connection;

const DAY: u64 = 24 * 60 * 60 * 1_000;

fn hold(at: u64, count: u64) -> Activity {
    let messages = Messages { queue_id: None, domain: Some("one.example".to_owned()), count };
    Activity { at, by: "ann (uid 1000)".to_owned(), act: Act::Hold { messages } }
}

#[tokio::test]
async fn acts_are_there_after_a_restart_and_a_changed_or_missing_one_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let there = dir.path().join("history");
    assert!(activities(&there, Between::ALWAYS, 10).unwrap().is_empty());
    for count in 1..=4 {
        let log = ActivityLog::in_dir(&there, Duration::from_secs(400 * 24 * 60 * 60));
        log.record(hold(DAY + count, count)).await;
    }
    let all = activities(&there, Between::ALWAYS, 10).unwrap();
    assert_eq!(all, [4, 3, 2, 1].map(|count| hold(DAY + count, count)));
    let some = activities(&there, Between { since: DAY + 2, until: DAY + 4 }, 1).unwrap();
    assert_eq!(some, [hold(DAY + 3, 3)]);
    assert_eq!(verify_activities(&there).unwrap(), None);
    let file = || Connection::open(there.join("activity.sqlite")).unwrap();
    let change = |sql: &str| file().execute(sql, []).unwrap();
    change("UPDATE activity SET text = replace(text, 'ann', 'eve') WHERE number = 2");
    assert_eq!(verify_activities(&there).unwrap().unwrap().number, Some(2));
    change("UPDATE activity SET text = replace(text, 'eve', 'ann') WHERE number = 2");
    assert_eq!(verify_activities(&there).unwrap(), None);
    change("DELETE FROM activity WHERE number = 3");
    assert_eq!(verify_activities(&there).unwrap().unwrap().number, Some(4));
}

#[tokio::test]
async fn what_is_too_old_goes_from_the_beginning_and_the_rest_holds() {
    let dir = tempfile::tempdir().unwrap();
    let keep = Duration::from_millis(10 * DAY);
    for day in 0..20 {
        ActivityLog::in_dir(dir.path(), keep).record(hold(day * DAY, day)).await;
    }
    assert_eq!(activities(dir.path(), Between::ALWAYS, 100).unwrap().len(), 11);
    assert_eq!(verify_activities(dir.path()).unwrap(), None);
    ActivityLog::disabled().record(hold(30 * DAY, 30)).await;
    assert_eq!(activities(dir.path(), Between::ALWAYS, 1).unwrap(), [hold(19 * DAY, 19)]);
}
