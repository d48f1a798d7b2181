//! The ledger that is made of the history.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use clock::{Clock, millis};
use history::{
    Between, Domain, DomainQuery, Figures, FullDomain, Keeper, Ledger, LedgerKeeper, Span,
};
use mail::{PolicyMode, Protection};
use store::Store;
use tokio_util::sync::CancellationToken;

use crate::bench::Bench;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Keeps all that is recorded, and its ledger, and ends.
async fn keep(bench: &Bench) {
    bench.keep().await;
    let store: Arc<dyn Store> = Arc::new(bench.store.clone());
    let clock = || -> Arc<dyn Clock> { Arc::<clock::SetClock>::clone(&bench.clock) };
    let written =
        Keeper::new(bench.settings.clone(), Arc::clone(&store), clock(), &bench.recorder).written();
    let stop = CancellationToken::new();
    stop.cancel();
    LedgerKeeper::new(bench.settings.clone(), store, clock(), written).run(stop).await;
}

fn domains(bench: &Bench) -> Vec<Domain> {
    Ledger::in_dir(&bench.settings.dir).domains(&DomainQuery::default()).unwrap()
}

fn domain(bench: &Bench, name: &str) -> FullDomain {
    Ledger::in_dir(&bench.settings.dir).domain(name, Between::ALWAYS, 100).unwrap().unwrap()
}

fn delivered(bench: &Bench) -> u64 {
    domains(bench).iter().map(|domain| domain.state.counts.delivered).sum()
}

fn of_figures(bench: &Bench, span: Span) -> Vec<Figures> {
    Ledger::in_dir(&bench.settings.dir).figures(span, Between::ALWAYS).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_domain_is_protected_since_its_first_mail_over_days_without_any_and_restarts() {
    let bench = Bench::new().await;
    let start = millis(bench.clock.now());
    bench.deliver(&["a@one.example", "b@two.example"]).await;
    keep(&bench).await;
    bench.clock.advance(DAY * 40);
    let after = bench.killed().await;
    after.deliver(&["a@one.example", "b@one.example"]).await;
    keep(&after).await;
    let names: Vec<_> = domains(&after).into_iter().map(|domain| domain.domain).collect();
    assert_eq!(names, ["one.example", "two.example"]);
    let one = domain(&after, "one.example");
    let state = &one.domain.state;
    assert_eq!((state.protection, state.since), (Some(Protection::Verified), Some(start)));
    assert_eq!(state.at_least.verified, Some(start));
    assert_eq!(state.policy.as_ref().unwrap().mode, PolicyMode::Enforce);
    assert_eq!(state.last_proof.as_ref().unwrap().host, "mx.one.example");
    let days: Vec<_> = one.days.iter().map(|day| (day.worst, day.counts.delivered)).collect();
    assert_eq!(days, [(Some(Protection::Verified), 1), (Some(Protection::Verified), 2)]);
    assert_eq!(one.days[1].day.number() - one.days[0].day.number(), 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_record_counts_once_whatever_of_history_and_ledger_a_crash_has_left() {
    let bench = Bench::new().await;
    for _ in 0..3 {
        bench.deliver(&["a@one.example", "b@two.example"]).await;
    }
    keep(&bench).await;
    assert_eq!(delivered(&bench), 6);
    // The ledger is behind the history.
    bench.deliver(&["a@one.example"]).await;
    bench.keep().await;
    let behind = bench.killed().await;
    assert_eq!(delivered(&behind), 6);
    keep(&behind).await;
    assert_eq!(delivered(&behind), 7);
    // Nothing more is there.
    keep(&behind).await;
    assert_eq!(delivered(&behind), 7);
    let sum = |span| -> u64 {
        let figures = of_figures(&behind, span);
        figures.iter().flat_map(|one| one.delivered.values()).sum()
    };
    assert_eq!((sum(Span::Minute), sum(Span::Hour)), (7, 7));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_is_damaged_or_lost_is_made_again_of_the_history_that_is_kept() {
    let bench = Bench::new().await;
    bench.deliver(&["a@one.example"]).await;
    keep(&bench).await;
    bench.clock.advance(DAY + DAY);
    bench.deliver(&["a@one.example"]).await;
    keep(&bench).await;
    let (before, path) = (domain(&bench, "one.example"), bench.settings.dir.join("ledger.sqlite"));
    let length = usize::try_from(fs::metadata(&path).unwrap().len()).unwrap();
    for damage in [vec![0xff; length], b"nothing of the kind".to_vec(), Vec::new()] {
        let is_damage = !damage.is_empty();
        fs::write(&path, damage).unwrap();
        keep(&bench).await;
        assert_eq!(domain(&bench, "one.example"), before);
        let aside = path.with_extension("sqlite.damaged");
        assert_eq!(aside.exists(), is_damage);
        drop(fs::remove_file(aside));
    }
    fs::remove_file(&path).unwrap();
    keep(&bench).await;
    assert_eq!(domain(&bench, "one.example"), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_older_than_is_kept_goes() {
    let bench = Bench::with(|settings| settings.keep_domains = DAY * 3).await;
    bench.deliver(&["a@one.example", "a@old.example"]).await;
    keep(&bench).await;
    bench.clock.advance(DAY * 2);
    bench.deliver(&["a@one.example"]).await;
    keep(&bench).await;
    assert_eq!(domain(&bench, "one.example").days.len(), 2);
    bench.clock.advance(DAY * 2 + Duration::from_secs(60));
    keep(&bench).await;
    let names: Vec<_> = domains(&bench).into_iter().map(|domain| domain.domain).collect();
    assert_eq!(names, ["one.example"]);
    let one = domain(&bench, "one.example");
    assert_eq!((one.days.len(), one.events.len()), (1, 0), "{one:?}");
    assert_eq!(one.domain.state.counts.delivered, 2);
    let days =
        |span| of_figures(&bench, span).iter().filter(|one| !one.delivered.is_empty()).count();
    assert_eq!((days(Span::Minute), days(Span::Hour)), (0, 1));
}
