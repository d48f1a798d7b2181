//! The running relay: every part, made of the settings and wired to the others.

mod data_dir;
mod desk;
mod history;
mod needs;
mod notices;
mod page;
mod part;
mod parts;
mod reload;
mod reports;
mod sockets;
mod start_error;

use std::net::SocketAddr;
use std::sync::Arc;

use admin::readiness::Checks;
use admin::server::actions::Actions;
use admin::server::health::HealthChecks;
use admin::server::monitoring_port::PagesAtPort;
use admin::server::reports::ReportDesk;
use admin::server::{self, monitoring_port};
use clock::{Clock, SteadyClock};
use delivery::Delivery;
use dkim::SigningTable;
use dns::{Dns, Resolver};
use listener::Listener;
use mta_sts::Policies;
use notify::Notifier;
use queue::Queue;
use reporting::{Counter, Counting, Reporting};
use settings::{ChosenStore, Listening, Settings};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use crate::adapters::counted_observations::{CountedDelivery, CountedPolicies};
use crate::adapters::reloadable_dns::ReloadableDns;
use crate::certificates::{self, Watched};
use crate::key_records;
use crate::refresh;
use crate::timekeeping::{self, Witness};
use crate::unix_socket::SocketFile;
use crate::validation::ValidationNews;

use self::data_dir::{make_data_dir, open_queue};
pub(crate) use self::desk::Desk;
use self::history::HistorySources;
use self::notices::{Lookout, notifier};
use self::page::{page_of, site_settings};
pub use self::part::EndedUnasked;
use self::part::{Part, end, end_admin, end_exceptions, first_ended};
use self::parts::{
    access, actions, bearings, counted, counting_of, grant_rule, install_crypto_provider,
    listener_of, metrics_of, policies, recorder_of, reporting_mta, reports_of, shown,
};
pub use self::reload::ReloadError;
use self::reload::{Ready, keep_what_needs_a_restart, services};
use self::reports::Reports;
use self::sockets::{UnixSockets, bind, bind_monitors};
pub use self::start_error::StartError;

/// A relay that takes mail in and sends it out.
///
/// Dropped instead of stopped, it ends like one that is killed: nothing that was acknowledged is
/// lost, and what was in flight may be sent again.
#[derive(Debug)]
pub struct Relay {
    addresses: Vec<SocketAddr>,
    admin_address: Option<SocketAddr>,
    /// The operators' page at that address, where it is there.
    page: Option<PagesAtPort>,
    /// Boxed, for it is large and futures hold relays.
    settings: Box<Settings>,
    queue: Queue,
    policies: Arc<Policies>,
    /// How often the policies that are due were refreshed.
    refreshes: watch::Sender<u64>,
    dns: Arc<ReloadableDns>,
    /// Counts for TLS reports.
    counter: Counter,
    /// Tells whether its resolvers validate.
    validation: Arc<ValidationNews>,
    delivery: Delivery,
    notifier: Notifier,
    history: HistorySources,
    reports: Reports,
    listener: Listener,
    clock: Arc<SteadyClock>,
    /// What the admin interface shows.
    actions: Actions,
    /// What monitors are told.
    health: HealthChecks,
    /// Which certificate and users are read again when they change.
    watched: watch::Sender<Watched>,
    /// The keys whose records are looked up.
    dkim_keys: watch::Sender<Arc<SigningTable>>,
    /// Ends what takes mail in and sends it out.
    stop: CancellationToken,
    /// Breaks off what takes mail in, when the grace has ended.
    give_up: CancellationToken,
    /// Ends the admin interface, which tells of the rest until it has ended.
    stop_admin: CancellationToken,
    parts: JoinSet<Part>,
    admin: JoinSet<()>,
}

impl Relay {
    /// Starts a relay; when this returns, its addresses accept connections.
    ///
    /// # Errors
    ///
    /// [`StartError`]; nothing is left running then.
    pub async fn start(settings: Settings, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        install_crypto_provider();
        make_data_dir(&settings.data_dir)?;
        // The queue's lock comes first: it tells two relays on one data directory apart.
        let clock = Arc::new(SteadyClock::new(clock));
        let queue = open_queue(&settings, &clock).await?;
        timekeeping::resume(&clock, &queue).await;
        match Box::pin(Self::start_around(queue.clone(), settings, clock)).await {
            Ok(relay) => Ok(relay),
            Err(error) => {
                queue.close().await;
                Err(error)
            }
        }
    }

    /// Starts everything around the queue.
    async fn start_around(
        queue: Queue,
        mut settings: Settings,
        steady: Arc<SteadyClock>,
    ) -> Result<Self, StartError> {
        let clock: Arc<dyn Clock> = Arc::<SteadyClock>::clone(&steady);
        let tls = certificates::of(&settings, clock.wall())?;
        let sockets = bind(&settings.listeners).await?;
        let addresses: Vec<_> = sockets.iter().map(|(listening, _)| listening.address).collect();
        settings.delivery.own_addresses.clone_from(&addresses);
        let reloadable = Arc::new(ReloadableDns::new(Resolver::new(settings.dns.clone())?));
        let metrics = metrics_of(&queue, &clock);
        let dns = counted(&reloadable, &metrics);
        let validation = ValidationNews::new(metrics.validation(), settings.delivery.dane.mode);
        let policies =
            policies(&settings, &queue, &dns, &clock).map_err(StartError::TlsToPolicyHosts)?;
        let (counter, counting) = counting_of(&settings, &queue, &dns, &clock, &metrics);
        let history = HistorySources::new(&settings.history, metrics.inbound());
        let counted = Arc::new(CountedPolicies::new(counter.clone(), metrics.policies()));
        let witness = Witness::new(&steady, history.policies(counted));
        let policies = Arc::new(policies.observed_by(Arc::new(witness)));
        let reports = Reports::new(&settings, &queue, &dns, &clock, &metrics)?;
        let delivery = Delivery::new(
            settings.delivery.clone(),
            queue.clone(),
            dns,
            Arc::clone(&policies),
            settings.roots.clone(),
            Arc::clone(&clock),
            reports.told_with(Arc::new(CountedDelivery::new(counter.clone(), metrics.outbound()))),
            recorder_of(history.recorder(), &queue, &clock).await,
        )?;
        let notifier = notifier(&settings, &queue, &clock)?;
        let unix = UnixSockets::listen(&settings).await?;
        let monitors = bind_monitors(settings.admin_address).await?;
        let listener = listener_of(&settings, tls.clone(), &queue, &clock, &metrics);
        let actions = actions(&settings, &queue, &policies, &delivery, &clock).await;
        let (stop, resolvers) =
            (CancellationToken::new(), Arc::<ReloadableDns>::clone(&reloadable));
        let checks = Checks::of(&queue, resolvers, &clock, &delivery, &stop, bearings(&settings));
        let health =
            HealthChecks::of(&queue, &policies, &clock, checks, metrics, reports.reporting.clone())
                .with_history(history.watched());
        let mut relay = Self {
            addresses,
            admin_address: monitors.as_ref().map(|(address, _socket)| *address),
            page: None,
            queue,
            policies,
            refreshes: watch::Sender::default(),
            dns: reloadable,
            counter,
            validation: Arc::new(validation),
            delivery,
            notifier,
            history,
            reports,
            listener,
            clock: steady,
            actions,
            health,
            watched: watch::Sender::new(Watched { tls, users_file: settings.users_file.clone() }),
            dkim_keys: watch::Sender::new(Arc::clone(&settings.dkim.table)),
            stop,
            give_up: CancellationToken::new(),
            stop_admin: CancellationToken::new(),
            parts: JoinSet::new(),
            admin: JoinSet::new(),
            settings: Box::new(settings),
        };
        relay.answer(unix.admin, monitors.map(|(_address, socket)| socket));
        relay.start_parts(sockets, unix.submit, counting);
        Ok(relay)
    }

    /// Starts everything else.
    fn start_parts(
        &mut self,
        sockets: Vec<(Listening, TcpListener)>,
        submit: Option<(UnixListener, SocketFile)>,
        counting: Counting,
    ) {
        self.take_in(sockets);
        self.take_in_locally(submit);
        self.send_out(counting);
        self.keep_fresh();
        self.look_up_keys();
        self.keep_time();
        self.report();
        let ending = end_exceptions(Arc::clone(&self.actions.grants), self.stop.clone());
        let _handle = self.parts.spawn(ending);
        self.keep_testing_resolvers();
        self.follow_grants();
        self.look_out();
    }

    /// Starts the admin interface.
    fn answer(&mut self, admin: (UnixListener, SocketFile), monitors: Option<TcpListener>) {
        let (health, stop) = (self.health.clone(), self.stop_admin.clone());
        let clock: Arc<dyn Clock> = Arc::<SteadyClock>::clone(&self.clock);
        let shown = shown(&self.settings, &self.actions, &clock);
        self.page = self.admin_address.and_then(|at| page_of(&self.settings, shown.clone(), at));
        let desk = ReportDesk { reporting: self.reports.reporting.clone(), clock };
        let (socket, file) = admin;
        let notifier = self.notifier.clone();
        let _admin = self.admin.spawn(async move {
            server::serve(socket, shown, health, desk, notifier, stop).await;
            drop(file);
        });
        if let Some(socket) = monitors {
            let (health, stop) = (self.health.clone(), self.stop_admin.clone());
            let page = self.page.clone();
            let _port = self.admin.spawn(monitoring_port::serve(socket, health, page, stop));
        }
    }

    /// Starts the listener on each socket; its limits are shared.
    fn take_in(&mut self, sockets: Vec<(Listening, TcpListener)>) {
        let (listener, watched) = (self.listener.clone(), self.watched.subscribe());
        let stop = self.stop.clone();
        let _handle = self.parts.spawn(async move {
            certificates::keep_fresh(listener, watched, stop).await;
            Part::Certificates
        });
        for (Listening { address, service }, socket) in sockets {
            let (listener, stop) = (self.listener.clone(), self.stop.clone());
            let give_up = self.give_up.clone();
            let _handle = self.parts.spawn(async move {
                let serve = listener.serve(socket, service, stop);
                // Who is broken off was not told that the message is here, and sends it again.
                if give_up.run_until_cancelled(serve).await.is_none() {
                    debug!(listener = %address, "connections aborted");
                }
                Part::Listener(address)
            });
        }
    }

    /// Starts the listener on the socket for programs of this machine, where there is one.
    fn take_in_locally(&mut self, submit: Option<(UnixListener, SocketFile)>) {
        let Some((socket, file)) = submit else { return };
        let (listener, stop) = (self.listener.clone(), self.stop.clone());
        let give_up = self.give_up.clone();
        let _handle = self.parts.spawn(async move {
            let _file = file;
            let serve = listener.serve_local(socket, stop);
            if give_up.run_until_cancelled(serve).await.is_none() {
                debug!("connections of local programs aborted");
            }
            Part::LocalListener
        });
    }

    /// Starts delivery, and what counts its connections and keeps its history until it has ended.
    fn send_out(&mut self, counting: Counting) {
        let (delivery, stop) = (self.delivery.clone(), self.stop.clone());
        let sent = CancellationToken::new();
        let ended = sent.clone().drop_guard();
        self.keep_history(sent.clone());
        let _handle = self.parts.spawn(async move {
            let _ended = ended;
            delivery.run(stop).await;
            Part::Delivery
        });
        let _handle = self.parts.spawn(async move {
            counting.run(sent).await;
            Part::Counting
        });
    }

    /// Starts keeping the history of what delivery settles, until that has `ended`.
    fn keep_history(&mut self, ended: CancellationToken) {
        let clock: Arc<dyn Clock> = Arc::<SteadyClock>::clone(&self.clock);
        let Some(histories) = self.history.histories(&self.queue, &clock) else { return };
        let _handle = self.parts.spawn(async move {
            histories.run(ended).await;
            Part::History
        });
    }

    /// Starts sending TLS reports.
    fn report(&mut self) {
        let (reporting, stop) = (self.reports.reporting.clone(), self.stop.clone());
        let _handle = self.parts.spawn(async move {
            reporting.run(stop).await;
            Part::Reports
        });
    }

    /// Starts comparing the clocks.
    fn keep_time(&mut self) {
        let (clock, queue) = (Arc::clone(&self.clock), self.queue.clone());
        let stop = self.stop.clone();
        let _handle = self.parts.spawn(async move {
            timekeeping::watch(clock, queue, stop).await;
            Part::Clock
        });
    }

    /// Starts telling operators when a person is needed.
    fn look_out(&mut self) {
        let lookout = Lookout {
            notifier: self.notifier.clone(),
            health: self.health.clone(),
            queue: self.queue.clone(),
            policies: Arc::clone(&self.policies),
            reporting: self.reports.reporting.clone(),
            clock: Arc::<SteadyClock>::clone(&self.clock),
            watched: self.watched.subscribe(),
            needs: needs::Needs::of(&self.settings, &self.queue),
        };
        let _handle = self.parts.spawn(lookout.keep(self.stop.clone()));
    }

    /// Starts looking up the records of DKIM keys.
    fn look_up_keys(&mut self) {
        let dns: Arc<dyn Dns> = Arc::<ReloadableDns>::clone(&self.dns);
        let (tables, stop) = (self.dkim_keys.subscribe(), self.stop.clone());
        let _handle = self.parts.spawn(async move {
            key_records::watch(dns, tables, stop).await;
            Part::DkimKeys
        });
    }

    /// Starts testing whether the resolvers validate DNSSEC.
    fn keep_testing_resolvers(&mut self) {
        let (dns, news) = (Arc::clone(&self.dns), Arc::clone(&self.validation));
        let stop = self.stop.clone();
        let _handle = self.parts.spawn(async move {
            stop.run_until_cancelled(dns.keep_testing(|states| news.tell(states))).await;
            Part::Resolvers
        });
    }

    /// Starts to follow what other relays grant, where they share the store.
    fn follow_grants(&mut self) {
        let ChosenStore::Postgres(_) = self.settings.store else { return };
        let (grants, stop) = (Arc::clone(&self.actions.grants), self.stop.clone());
        let _handle = self.parts.spawn(async move {
            stop.run_until_cancelled(grants.follow()).await;
            Part::Grants
        });
    }

    /// Starts refreshing policies.
    fn keep_fresh(&mut self) {
        let policies = Arc::clone(&self.policies);
        let clock: Arc<dyn Clock> = Arc::<SteadyClock>::clone(&self.clock);
        let (refreshes, stop) = (self.refreshes.clone(), self.stop.clone());
        let _handle = self.parts.spawn(async move {
            refresh::keep_fresh(policies, clock, refreshes, stop).await;
            Part::Refresh
        });
    }

    /// Where mail is taken in, in the order of the settings; a port 0 has become the real one.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Where monitors may ask over TCP; a port 0 has become the real one.
    #[must_use]
    pub const fn admin_address(&self) -> Option<SocketAddr> {
        self.admin_address
    }

    /// The settings that it runs by.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Its queue.
    #[must_use]
    pub const fn queue(&self) -> &Queue {
        &self.queue
    }

    /// What the admin interface does.
    #[must_use]
    pub const fn actions(&self) -> &Actions {
        &self.actions
    }

    /// Its TLS reports.
    #[must_use]
    pub const fn reporting(&self) -> &Reporting {
        &self.reports.reporting
    }

    /// Its policies.
    #[must_use]
    pub const fn policies(&self) -> &Arc<Policies> {
        &self.policies
    }

    /// Waits until the policies that were due at the start have been refreshed, as far as they
    /// could be.
    pub async fn policies_refreshed(&self) {
        // The sender is ours, so there is always one.
        self.refreshes.subscribe().wait_for(|rounds| *rounds > 0).await.ok();
    }

    /// Waits until a part ends, which none should before it is told to.
    pub async fn ended(&mut self) -> EndedUnasked {
        first_ended(&mut self.parts).await
    }

    /// Goes by other settings from now on; returns what of them needs a restart and was left as it
    /// was.
    ///
    /// # Errors
    ///
    /// [`ReloadError`]; everything is as it was then.
    pub fn reload(&mut self, mut settings: Settings) -> Result<Vec<&'static str>, ReloadError> {
        let kept = keep_what_needs_a_restart(&self.settings, &mut settings);
        settings.delivery.own_addresses.clone_from(&self.addresses);
        let ready = Ready::prepare(&settings, &self.clock, &self.delivery, &self.reports)?;
        self.notifier.reload(notices::tuning(&settings))?;
        self.take_over(settings, ready);
        Ok(kept)
    }

    /// Puts the new in the place of the old.
    fn take_over(&mut self, settings: Settings, ready: Ready) {
        let Ready { tls, resolver, fetcher, delivery, reports } = ready;
        self.validation.reload(settings.delivery.dane.mode);
        self.dns.replace(resolver);
        self.policies.reload(settings.policies.clone(), fetcher);
        self.queue.tune(settings.queue.tuning());
        self.queue.store().tune(settings.store.tuning());
        self.delivery.reload(delivery);
        self.counter.turn(reports_of(&settings));
        self.reports.reload(reports, &settings);
        self.listener.reload(settings.listener.clone(), access(&settings, tls.clone()));
        for (address, service) in services(&self.addresses, &settings.listeners) {
            self.listener.offer(address, service);
        }
        self.health.reload(bearings(&settings));
        self.actions.reload(reporting_mta(&settings));
        settings.dkim.table.inherit(&self.settings.dkim.table);
        self.dkim_keys.send_replace(Arc::clone(&settings.dkim.table));
        if let (Some(PagesAtPort { site, .. }), Some(page)) = (&self.page, &settings.page) {
            site.reload(site_settings(page));
        }
        self.actions.tell_staging(settings.listener.staging.in_words());
        self.actions.grants.reload(grant_rule(&settings));
        self.watched.send_replace(Watched { tls, users_file: settings.users_file.clone() });
        *self.settings = settings;
    }

    /// Stops the relay: nobody is let in any more, what is in flight comes to its end within the
    /// grace, and the rest stays in the queue.
    pub async fn stop(mut self) {
        info!("stopping");
        self.stop.cancel();
        let grace = self.settings.shutdown_grace;
        end(&mut self.parts, grace, &self.give_up).await;
        self.stop_admin.cancel();
        end_admin(&mut self.admin).await;
        timekeeping::keep(&self.clock, &self.queue).await;
        self.queue.close().await;
        info!("stopped");
    }
}
