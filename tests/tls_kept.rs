//! What was counted for TLS reports when days have gone by, or the index is lost: counts may go, mail
//! never.

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use clock::{Clock as _, SystemClock};
use reporting::Tallies;
use testbed::{MxBehaviour, Step, World};
use tls_rpt::Day;

use crate::counted::{Counted, Mail, REPORTS, open_store, succeeded};
use crate::process::Process;
use crate::world::{PATIENCE, write_settings};

const TOO_OLD: &str = "TLS report counts too old: dropped";

#[tokio::test(flavor = "multi_thread")]
async fn counts_that_are_too_old_for_a_report_are_dropped_with_one_warning() {
    let world = World::new().await;
    let listener = SocketAddr::new(world.address(), world.smtp_port());
    let config = write_settings(&world, listener, REPORTS);
    let old = Day::of(SystemClock.now() - Duration::from_secs(4 * 24 * 3600));
    let store = open_store(&world);
    let tallies = Tallies::new(&store);
    for (day, domain) in [(old, "a.test"), (old, "b.test"), (old.after(), "a.test")] {
        tallies.add(day, succeeded(domain, 1)).await.unwrap();
    }
    store.close().await;
    let mut relay = Process::start(&config, world.directory().join("log"));
    let line = relay.logged(TOO_OLD, 1).await;
    assert!(line.contains(" domains=3 "), "{line}");
    drop(relay.connected(listener).await);
    assert!(relay.terminate().await.success());
    let told = relay.log_lines().into_iter().filter(|line| line.contains(TOO_OLD));
    assert_eq!(told.count(), 1);
    let store = open_store(&world);
    assert_eq!(Tallies::new(&store).list(None, 9).await.unwrap(), []);
    store.close().await;
    let mut relay = Process::start(&config, world.directory().join("log-of-the-second"));
    drop(relay.connected(listener).await);
    assert!(relay.terminate().await.success());
    assert!(relay.log_lines().iter().all(|line| !line.contains(TOO_OLD)));
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_index_counts_may_go_and_mail_never_and_counting_goes_on() {
    let mut counted = Counted::start("").await;
    counted.enforced("good.test", MxBehaviour::valid()).await;
    counted.send("good.test", Mail::Delivered, &[]).await;
    let late = MxBehaviour::valid().at(Step::MailFrom, "451 4.3.0 later");
    let host = counted.relay.domain("late.test", late).await;
    counted.send("late.test", Mail::Waits, &[]).await;
    counted.relay.stop().await;
    let store = open_store(&counted.relay.world);
    assert_eq!(Tallies::new(&store).list(None, 9).await.unwrap().len(), 1);
    store.close().await;
    fs::remove_dir_all(counted.relay.world.directory().join("data/queue/index")).unwrap();
    counted.relay.restart().await;
    host.behave(MxBehaviour::valid());
    counted.relay.retry().await;
    counted.relay.empty().await;
    assert_eq!(host.messages().len(), 1, "mail never");
    counted.send("good.test", Mail::Delivered, &[]).await;
    let kept = counted.stop().await;
    let rows = kept.rows("good.test").await;
    // What was written before may have been found in the journal, and need not be.
    assert!(rows == ["sts success 1"] || rows == ["sts success 2"], "{rows:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_domain_without_a_record_is_asked_again_when_its_answer_and_an_hour_are_over() {
    const ABSENT: &str = "_smtp._tls.absent.test";
    for (kept_for, asked_at_last) in [(0, 2), (2 * 3600, 1)] {
        let mut counted = Counted::start("").await;
        counted.relay.world.names().keep_for(Duration::from_secs(kept_for));
        counted.relay.domain("absent.test", MxBehaviour::valid()).await;
        let mut asked = Vec::new();
        for (number, minutes) in [0, 59, 2].into_iter().enumerate() {
            counted.relay.clock.advance(Duration::from_secs(minutes * 60));
            counted.send("absent.test", Mail::Delivered, &[]).await;
            // Domains are asked in the order in which they were counted.
            let next = format!("d{number}.test");
            counted.domain(&next, MxBehaviour::valid()).await;
            counted.send(&next, Mail::Delivered, &[]).await;
            let names = counted.relay.world.names();
            names.wait_for_queries(&format!("_smtp._tls.{next}"), 1, PATIENCE).await.unwrap();
            if number == 0 || kept_for == 0 && number == 2 {
                names.wait_for_queries(ABSENT, asked.len().min(1) + 1, PATIENCE).await.unwrap();
            }
            asked.push(names.queries(ABSENT));
        }
        // The resolver remembers what is not asked again for longer than an hour.
        assert_eq!(asked, [1, 1, asked_at_last], "kept for {kept_for} s");
    }
}
