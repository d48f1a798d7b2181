//! What the pages are made of, and who is logged in: one site for each address that shows pages.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use access::{Operators, Role};
use clock::Clock;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use crate::pages::failed_logins::FailedLogins;
use crate::pages::logins::{LoginTimes, Logins, Visitor};
use crate::pages::moment::Calendar;
use crate::pages::names::HostNames;
use crate::pages::secret::Secret;
use crate::server::actions::Actions;

/// What pages show, wherever they are shown.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The queue, the policies and the exceptions, and what can be done with them.
    pub actions: Actions,
    /// Where the history is; none: none is kept.
    pub history: Option<PathBuf>,
    /// The relay's name.
    pub relay: String,
    /// The version of the program.
    pub version: &'static str,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// How browsers reach a site.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Transport {
    /// Without TLS, on a loopback address.
    Clear,
    /// Under TLS.
    Tls,
}

/// Who may see pages, under which names, and for how long.
#[derive(Clone, Debug, Default)]
pub struct SiteSettings {
    /// The names that they answer to besides those of loopback.
    pub names: HostNames,
    /// Who may log in by password.
    pub operators: Operators,
    /// How long logins last.
    pub times: LoginTimes,
}

/// The pages at one address.
#[derive(Clone, Debug)]
pub struct Site(Arc<Inside>);

#[derive(Debug)]
struct Inside {
    shown: Shown,
    settings: RwLock<SiteSettings>,
    transport: Transport,
    cookie: String,
    logins: Mutex<Logins>,
    failed: Mutex<FailedLogins>,
    hashing: Semaphore,
}

/// So many passwords are checked at a time: each takes a processor and 19 MiB for a while.
const HASHING: usize = 2;

impl Site {
    /// The pages at an address with this port.
    pub fn new(shown: Shown, settings: SiteSettings, transport: Transport, port: u16) -> Self {
        let cookie = match transport {
            // Cookies know no ports: the name keeps the relays of one machine apart.
            Transport::Clear => format!("sts-relay-{port}"),
            Transport::Tls => "__Host-sts-relay".to_owned(),
        };
        let logins = Mutex::new(Logins::new(settings.times));
        let (failed, hashing) = (Mutex::default(), Semaphore::new(HASHING));
        let settings = RwLock::new(settings);
        Self(Arc::new(Inside { shown, settings, transport, cookie, logins, failed, hashing }))
    }

    /// Goes by other settings from now on. Who is not listed any more, or with another role, is
    /// logged out.
    pub fn reload(&self, settings: SiteSettings) {
        self.logins().reload(settings.times, |visitor| match visitor.by.account_name() {
            Some(name) => settings.operators.role(name) == Some(visitor.role),
            None => true,
        });
        *self.0.settings.write().unwrap_or_else(PoisonError::into_inner) = settings;
    }

    /// Whether anybody may log in by password.
    pub(crate) fn has_passwords(&self) -> bool {
        !self.settings().operators.is_empty()
    }

    /// What somebody may do who knows this password. Others wait while it is checked.
    pub(crate) async fn prove(&self, name: String, password: String) -> Option<Role> {
        let _turn = self.0.hashing.acquire().await.ok()?;
        let operators = self.settings().operators.clone();
        let proved = spawn_blocking(move || operators.prove(&name, &password));
        proved.await.ok().flatten()
    }

    /// Wrong passwords; held for a moment alone.
    pub(crate) fn failed(&self) -> MutexGuard<'_, FailedLogins> {
        self.0.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn settings(&self) -> RwLockReadGuard<'_, SiteSettings> {
        self.0.settings.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// A code that logs `visitor` in, once, within this time.
    pub(crate) fn offer(&self, visitor: Visitor, within: Duration) -> Secret {
        self.logins().offer(visitor, within, Instant::now())
    }

    pub(crate) fn actions(&self) -> &Actions {
        &self.0.shown.actions
    }

    pub(crate) fn shown(&self) -> &Shown {
        &self.0.shown
    }

    /// Whether a `Host` field names this relay.
    pub(crate) fn answers_to(&self, host: &str) -> bool {
        self.settings().names.answer_to(host)
    }

    pub(crate) fn transport(&self) -> Transport {
        self.0.transport
    }

    /// The name of the cookie.
    pub(crate) fn cookie(&self) -> &str {
        &self.0.cookie
    }

    /// Who is logged in; held for a moment alone.
    pub(crate) fn logins(&self) -> MutexGuard<'_, Logins> {
        self.0.logins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How times are shown now.
    pub(crate) fn calendar(&self) -> Calendar {
        Calendar::utc(self.0.shown.clock.wall())
    }
}

impl Transport {
    /// The scheme of its addresses.
    pub(crate) const fn scheme(self) -> &'static str {
        match self {
            Self::Clear => "http",
            Self::Tls => "https",
        }
    }
}
