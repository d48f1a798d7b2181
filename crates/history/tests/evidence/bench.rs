//! A store whose settlements are recorded, and the history that is kept of them.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use clock::{Clock, SetClock};
use history::{Found, FoundRecord, History, HistorySettings, Keeper, Query, Recorder};
use mail::{
    AttemptRecord, CertificateRecord, CertificateVerdict, Channel, DaneVerdict, DeliveryRecord,
    DeliveryResult, MtaStsVerdict, NextHopRecord, PolicyDecision, PolicyMode, PolicySource,
    PolicyVersion, Proof, QueueId, Reports, RouteTaken, SessionRecord, ShownCertificate, TlsRecord,
    TlsVersion, TxtSeen,
};
use queue::conformance::{envelope, submitter};
use queue::{LeaseResult, Queue, QueueSettings};
use store::Store;
use store::conformance::copy_dir;
use store_embedded::{Embedded, StoreSettings};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// The certificate that all hosts show.
pub(crate) const DER: [u8; 500] = [0xab; 500];

/// The policy of all domains.
pub(crate) const POLICY: &str = "version: STSv1\nmode: enforce\nmx: *.example\nmax_age: 86400\n";

/// The SHA-256 of octets.
pub(crate) fn digest(octets: &[u8]) -> [u8; 32] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, octets);
    digest.as_ref().try_into().unwrap()
}

/// A certificate as a host shows it.
fn shown(der: &[u8]) -> ShownCertificate {
    ShownCertificate { digest: digest(der), der: der.into() }
}

/// A store and its history in a directory.
pub(crate) struct Bench {
    pub(crate) dir: TempDir,
    pub(crate) clock: Arc<SetClock>,
    pub(crate) store: Embedded,
    pub(crate) queue: Queue,
    pub(crate) settings: HistorySettings,
    pub(crate) recorder: Recorder,
}

impl Bench {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut HistorySettings)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut settings = HistorySettings::new(dir.path().join("history"), "relay.example");
        change(&mut settings);
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        Self::open(dir, settings, Arc::new(SetClock::new(start))).await
    }

    async fn open(dir: TempDir, settings: HistorySettings, clock: Arc<SetClock>) -> Self {
        let own = StoreSettings {
            reserve: 0,
            min_free: 0,
            ..StoreSettings::new(dir.path().join("queue"))
        };
        let shared: Arc<dyn Clock> = Arc::<SetClock>::clone(&clock);
        let opening = Arc::clone(&shared);
        let store = tokio::task::spawn_blocking(move || Embedded::open(own, opening));
        let store = store.await.unwrap().unwrap();
        let queue = Queue::over(Arc::new(store.clone()), QueueSettings::default(), shared);
        let recorder = Recorder::new(&settings);
        recorder.load_key(clock::millis(clock.now())).await.unwrap();
        Self { dir, clock, store, queue, settings, recorder }
    }

    /// What a process that is killed now leaves, opened.
    pub(crate) async fn killed(&self) -> Self {
        let dir = tempfile::tempdir().unwrap();
        copy_dir(self.dir.path(), dir.path());
        let history = dir.path().join("history");
        let settings = HistorySettings { dir: history, ..self.settings.clone() };
        Self::open(dir, settings, Arc::clone(&self.clock)).await
    }

    /// Takes a message and delivers it.
    pub(crate) async fn deliver(&self, recipients: &[&str]) -> QueueId {
        let mut draft = self.queue.begin(submitter(), envelope(recipients)).unwrap();
        draft.write(b"Subject: a secret\r\n\r\nHello\r\n").await.unwrap();
        let id = draft.commit().await.unwrap().id();
        while let Some(lease) = self.queue.lease(usize::MAX).await.unwrap() {
            let record = record(&lease, self.clock.now());
            let mailboxes: Vec<_> = lease.recipients().iter().map(|one| &one.mailbox).collect();
            let records = self.recorder.records(&record, lease.message(), &mailboxes);
            let outcomes = mailboxes.iter().map(|_| record.result.outcome()).collect();
            self.queue.settle(lease, LeaseResult { outcomes, records }, None).await.unwrap();
        }
        id
    }

    /// Keeps all that is recorded, and ends.
    pub(crate) async fn keep(&self) {
        let (stop, mut tasks) = (CancellationToken::new(), JoinSet::new());
        let store: Arc<dyn Store> = Arc::new(self.store.clone());
        let clock: Arc<dyn Clock> = Arc::<SetClock>::clone(&self.clock);
        tasks.spawn(
            Keeper::new(self.settings.clone(), store, clock, &self.recorder).run(stop.clone()),
        );
        self.queue.values("barrier").put("synced", Vec::new()).await.unwrap();
        let kept = async {
            while !self.store_records().await.is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), kept).await.unwrap();
        stop.cancel();
        tasks.join_next().await.unwrap().unwrap();
    }

    /// What the store still has.
    pub(crate) async fn store_records(&self) -> Vec<store::KeptRecord> {
        store::Records::records(&self.store, 0, usize::MAX).await.unwrap()
    }

    pub(crate) fn history(&self) -> History {
        History::in_dir(&self.settings.dir)
    }

    pub(crate) fn all(&self) -> Found {
        self.history().find(&Query::default(), usize::MAX).unwrap()
    }

    /// The ids of all attempts, the oldest first, and words for gaps.
    pub(crate) fn told(&self) -> Vec<String> {
        let told = |record: &FoundRecord| match record {
            FoundRecord::Attempt { attempt, .. } => attempt.queue_id.clone(),
            FoundRecord::Gap { gap, .. } => format!("{:?} {:?}", gap.why, gap.count),
        };
        self.all().records.iter().rev().map(told).collect()
    }

    /// The names of all keys.
    pub(crate) fn keys(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.settings.dir).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut keys: Vec<String> = names.filter(|name| name.ends_with(".key")).collect();
        keys.sort();
        keys
    }

    /// All segments, the oldest first.
    pub(crate) fn segments(&self) -> Vec<PathBuf> {
        let mut found: Vec<PathBuf> =
            fs::read_dir(&self.settings.dir).unwrap().map(|entry| entry.unwrap().path()).collect();
        found.retain(|path| path.extension().is_some_and(|extension| extension == "sqlite"));
        found.sort();
        found
    }
}

/// What delivery knows of an attempt that a host with a valid certificate ended.
fn record(lease: &queue::Lease, now: SystemTime) -> DeliveryRecord {
    let host = format!("mx.{}", lease.destination());
    let attempt = AttemptRecord {
        queue_id: lease.id(),
        destination: lease.destination().clone(),
        number: lease.attempts() + 1,
        received_at: lease.message().received_at,
        began_at: now,
    };
    let version = PolicyVersion {
        domain: lease.destination().to_string(),
        id: "20261201".to_owned(),
        mode: PolicyMode::Enforce,
        source: PolicySource {
            text: Some(POLICY.into()),
            fetched_at: Some(now),
            valid_until: Some(now + Duration::from_secs(86_400)),
        },
    };
    let tls = TlsRecord {
        version: TlsVersion::Tls13,
        cipher_suite: Some("TLS_AES_256_GCM_SHA384".to_owned()),
        certificate: Some(CertificateRecord {
            digest: Some(digest(&DER)),
            issuer: Some("CN=Test CA".to_owned()),
            names: vec![host.clone()],
            not_before: Some(now),
            not_after: Some(now),
        }),
        key_exchange: Some("X25519".to_owned()),
        chain: [&DER[..], b"an authority's"].map(shown).to_vec(),
        verdict: CertificateVerdict::Valid,
        dane: DaneVerdict::NotApplied,
        tlsa: Vec::new(),
    };
    let session = SessionRecord {
        host: host.clone(),
        address: Some(([192, 0, 2, 1], 25).into()),
        source: Some([192, 0, 2, 9].into()),
        connected_at: now,
        proved_at: now,
        proof: Proof::Policy,
        channel: Channel::Tls(Arc::new(tls)),
        mta_sts: MtaStsVerdict::Met,
        exception: None,
    };
    DeliveryRecord {
        attempt: Arc::new(attempt),
        next_hop: Arc::new(NextHopRecord {
            route: RouteTaken::Direct,
            decision: PolicyDecision::Enforced(version),
            exception: None,
            txt: Some(TxtSeen::Found("20261201".to_owned())),
            tried: Vec::new(),
        }),
        session: Some(Arc::new(session)),
        result: DeliveryResult::Delivered {
            mx: host,
            addr: None,
            reply: "250 2.0.0 taken".to_owned(),
            reports: Reports::Ours,
        },
        ended_at: now,
    }
}
