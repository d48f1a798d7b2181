//! What every session of a listener is judged by.

use std::sync::{Arc, PoisonError, RwLock};

use access::{Networks, Users};

use crate::guesses::Guesses;
use crate::meters::Meters;
use crate::settings::ListenerSettings;
use crate::tls::ServerTls;

/// What every session of a listener is judged by.
#[derive(Debug)]
pub(crate) struct Rules {
    /// The listener's name and limits.
    pub(crate) settings: ListenerSettings,
    /// Whose hosts may submit.
    pub(crate) networks: Networks,
    /// Whose hosts may say for whom they connect.
    pub(crate) proxies: Networks,
    /// Who may submit from anywhere.
    pub(crate) users: RwLock<Arc<Users>>,
    /// What clients are shown under TLS; none where there is no TLS.
    pub(crate) tls: Option<ServerTls>,
    /// How often each client does things.
    pub(crate) meters: Arc<Meters>,
    /// How often the passwords of each user are guessed.
    pub(crate) guesses: Arc<Guesses>,
}

impl Rules {
    /// The rules of a listener that has networks and nothing else.
    pub(crate) fn new(settings: ListenerSettings, networks: Networks) -> Self {
        let meters = Arc::new(Meters::new(settings.rates));
        Self {
            settings,
            networks,
            proxies: Networks::default(),
            users: RwLock::default(),
            tls: None,
            meters,
            guesses: Arc::default(),
        }
    }

    /// The users as they are now.
    pub(crate) fn users(&self) -> Arc<Users> {
        Arc::clone(&self.users.read().unwrap_or_else(PoisonError::into_inner))
    }
}
