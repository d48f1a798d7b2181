//! What the pages are made of, and who is logged in: one site for each address that shows pages.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clock::Clock;
use tokio::time::Instant;

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

/// The pages at one address.
#[derive(Clone, Debug)]
pub struct Site(Arc<Inside>);

#[derive(Debug)]
struct Inside {
    shown: Shown,
    names: HostNames,
    transport: Transport,
    cookie: String,
    logins: Mutex<Logins>,
}

impl Site {
    /// The pages at an address with this port, which answer to these names.
    pub fn new(shown: Shown, names: HostNames, transport: Transport, port: u16) -> Self {
        let cookie = match transport {
            // Cookies know no ports: the name keeps the relays of one machine apart.
            Transport::Clear => format!("sts-relay-{port}"),
            Transport::Tls => "__Host-sts-relay".to_owned(),
        };
        let logins = Mutex::new(Logins::new(LoginTimes::default()));
        Self(Arc::new(Inside { shown, names, transport, cookie, logins }))
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

    pub(crate) fn names(&self) -> &HostNames {
        &self.0.names
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
