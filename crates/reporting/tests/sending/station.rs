//! A sender of reports with all that it needs, and no relay around it.

use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use clock::{Clock, SetClock};
use dkim::{Algorithm, FieldName, MessageHasher, Selector, SignedFields, Signer, SigningKey};
use dns::{DnsSettings, Resolver};
use mta_sts::PrivateHosts;
use queue::{Queue, QueueSettings};
use reporting::{
    ReportObserver, ReportResult, ReportSettings, ReportTuning, Reporting, ReportingParts,
    Signatures, Tallies, Transport,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::UnixTime;
use rustls::pki_types::pem::PemObject as _;
use rustls::time_provider::TimeProvider;
use smtp::Domain;
use store::Store;
use store_embedded::{Embedded, StoreSettings};
use tempfile::TempDir;
use testbed::World;
use tls_rpt::{
    AppliedPolicy, Day, DomainName, DomainTally, FailureDetail, MailAddress, ResultType, Row,
    SIGNED_FIELDS,
};

/// The day that is reported on, unless a test says otherwise.
pub(crate) const MONDAY: &str = "2029-12-31";

/// A sender of reports.
pub(crate) struct Station {
    pub(crate) world: World,
    pub(crate) clock: Arc<SetClock>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) queue: Queue,
    pub(crate) tallies: Tallies,
    pub(crate) reporting: Reporting,
    pub(crate) ended: Arc<Ended>,
    signatures: Arc<Signed>,
    settings: ReportSettings,
    directory: TempDir,
}

/// What was told of reports.
#[derive(Debug, Default)]
pub(crate) struct Ended(Mutex<Vec<(Transport, ReportResult)>>);

impl ReportObserver for Ended {
    fn ended(&self, transport: Transport, result: ReportResult) {
        self.0.lock().unwrap().push((transport, result));
    }
}

impl Ended {
    /// What was told since the last time.
    pub(crate) fn take(&self) -> Vec<(Transport, ReportResult)> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// A key of one domain.
#[derive(Debug)]
struct Signed(Mutex<Option<Signer>>);

impl Signatures for Signed {
    fn sign(&self, domain: &DomainName, message: &[u8]) -> Option<Vec<u8>> {
        let signer = self.0.lock().unwrap();
        let signer = signer.as_ref().filter(|signer| signer.domain().as_str() == domain.as_str());
        let mut hasher = MessageHasher::new();
        hasher.feed(message);
        let signature = signer?.sign(&hasher.finish(), SystemTime::UNIX_EPOCH).unwrap();
        Some(signature.into_bytes())
    }

    fn can_sign(&self, _domain: &DomainName) -> bool {
        self.0.lock().unwrap().is_some()
    }
}

/// Certificates are judged by the test's clock.
#[derive(Debug)]
struct CertificateTime(Arc<SetClock>);

impl TimeProvider for CertificateTime {
    fn current_time(&self) -> Option<UnixTime> {
        let since = self.0.now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        Some(UnixTime::since_unix_epoch(since))
    }
}

pub(crate) fn day(text: &str) -> Day {
    Day::parse(text).unwrap()
}

pub(crate) fn domain(name: &str) -> DomainName {
    DomainName::parse(name).unwrap()
}

/// So many sessions with the hosts of a domain, the second number failed.
pub(crate) fn counted(name: &str, successes: u64, failures: u64) -> DomainTally {
    let policy = Arc::new(AppliedPolicy::none(domain(name)));
    let mut tally = DomainTally::new(domain(name));
    tally.count(Row { policy: Arc::clone(&policy), failure: None }, successes);
    let failure = FailureDetail {
        sending_mta_ip: Some(IpAddr::from([10, 0, 0, 1])),
        ..FailureDetail::new(ResultType::StarttlsNotSupported)
    };
    tally.count(Row { policy, failure: Some(failure) }, failures);
    tally
}

impl Station {
    /// One that reports for `sender.test`, and may post to this machine; it is midnight after Monday.
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// The same with other settings.
    pub(crate) async fn with(change: impl FnOnce(&mut ReportSettings)) -> Self {
        let world = World::new().await;
        let clock = Arc::new(SetClock::new(day(MONDAY).after().begins()));
        // In memory where there is such a folder: ten thousand reports are many syncs of a disk.
        let memory = Path::new("/dev/shm");
        let place = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let directory = TempDir::new_in(place).unwrap();
        let mut settings = ReportSettings {
            contact: Some(MailAddress::parse("tls@sender.test").unwrap()),
            private_destinations: PrivateHosts::Allowed,
            ..ReportSettings::default()
        };
        change(&mut settings);
        let signatures = Arc::new(Signed(Mutex::new(Some(signer()))));
        let ended = Arc::new(Ended::default());
        let (store, queue, reporting) =
            open(&world, &directory, &clock, &settings, &signatures, &ended);
        let tallies = Tallies::new(&store);
        let station = Self {
            world,
            clock,
            store,
            queue,
            tallies,
            reporting,
            ended,
            signatures,
            settings,
            directory,
        };
        station.reporting.round().await.unwrap();
        station
    }

    /// Opens the store again as after an end at any moment: nothing but the store is left.
    pub(crate) async fn restart(&mut self) {
        self.store.close().await;
        let (store, queue, reporting) = open(
            &self.world,
            &self.directory,
            &self.clock,
            &self.settings,
            &self.signatures,
            &self.ended,
        );
        self.tallies = Tallies::new(&store);
        (self.store, self.queue, self.reporting) = (store, queue, reporting);
    }

    /// Has no key from now on.
    pub(crate) fn lose_keys(&self) {
        *self.signatures.0.lock().unwrap() = None;
    }

    /// Publishes where reports to a domain go.
    pub(crate) fn publish(&self, domain: &str, rua: &str) {
        self.world
            .names()
            .add_txt(&format!("_smtp._tls.{domain}"), &format!("v=TLSRPTv1; rua={rua}"));
    }

    /// The URI of a report host of the world.
    pub(crate) fn uri(&self, host: &str) -> String {
        format!("https://{host}:{}/v1/tlsrpt", self.world.https_port())
    }

    /// Counts sessions of Monday.
    pub(crate) async fn count(&self, domain: &str, successes: u64, failures: u64) {
        self.tallies.add(day(MONDAY), counted(domain, successes, failures)).await.unwrap();
    }

    /// Lets time pass, and does what is due then.
    pub(crate) async fn pass(&self, hours: u64) {
        self.clock.advance(Duration::from_secs(hours * 3600));
        self.reporting.round().await.unwrap();
    }

    /// Does what is due when all reports are.
    pub(crate) async fn send_all(&self) {
        self.reporting.send_finished().await.unwrap();
    }

    /// Whether nothing is left of tallies and reports.
    pub(crate) async fn is_idle(&self) -> bool {
        let tallies = self.tallies.list(None, 10).await.unwrap();
        let reports = self.store.scan("tls-rpt-reports", None, 10).await.unwrap();
        tallies.is_empty() && reports.is_empty()
    }
}

/// Opens the store, and all that works with it.
fn open(
    world: &World,
    directory: &TempDir,
    clock: &Arc<SetClock>,
    settings: &ReportSettings,
    signatures: &Arc<Signed>,
    ended: &Arc<Ended>,
) -> (Arc<dyn Store>, Queue, Reporting) {
    let time: Arc<dyn Clock> = Arc::<SetClock>::clone(clock);
    let store = Embedded::open(StoreSettings::new(directory.path()), Arc::clone(&time)).unwrap();
    let store: Arc<dyn Store> = Arc::new(store);
    let queue = Queue::over(Arc::clone(&store), QueueSettings::default(), Arc::clone(&time));
    let dns = DnsSettings { servers: vec![world.dns_address()], ..DnsSettings::default() };
    let parts = ReportingParts {
        queue: queue.clone(),
        dns: Arc::new(Resolver::new(dns).unwrap()),
        clock: time,
        certificate_time: Arc::new(CertificateTime(Arc::clone(clock))),
        signatures: Arc::<Signed>::clone(signatures),
        observer: Arc::<Ended>::clone(ended),
    };
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(world.ca_file()).unwrap()).unwrap();
    let tuning = ReportTuning {
        settings: settings.clone(),
        roots: Arc::new(roots).into(),
        hostname: Domain::parse("relay.sender.test").unwrap(),
    };
    (store, queue, Reporting::new(parts, tuning).unwrap())
}

/// A key of the submitter's domain.
fn signer() -> Signer {
    let names = SIGNED_FIELDS.iter().map(|name| FieldName::parse(name).unwrap());
    let fields = SignedFields::new(names).unwrap();
    let key = SigningKey::generate(Algorithm::Ed25519Sha256).unwrap();
    let (domain, selector) =
        (Domain::parse("sender.test").unwrap(), Selector::parse("tls").unwrap());
    Signer::new(domain, selector, key, fields).unwrap()
}
