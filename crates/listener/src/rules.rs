//! What every session of a listener is judged by.

use std::sync::{Arc, PoisonError, RwLock};

use access::{AllowedRecipients, AllowedSenders, Networks, Peer, Users};

use crate::connections::ClientClass;
use crate::guesses::Guesses;
use crate::meters::{Metered, Meters};
use crate::refusal::Refusal;
use crate::settings::ListenerSettings;
use crate::tls::ServerTls;

/// What every session of a listener is judged by.
#[derive(Debug)]
pub(crate) struct Rules {
    /// The listener's name and limits.
    pub(crate) settings: ListenerSettings,
    /// Whose hosts may submit.
    pub(crate) networks: Networks,
    /// What the users of this machine may send from, each besides the own address.
    pub(crate) local_senders: AllowedSenders,
    /// Whose hosts may say for whom they connect.
    pub(crate) proxies: Networks,
    /// Whom mail may be sent to.
    pub(crate) recipients: AllowedRecipients,
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
            local_senders: AllowedSenders::all(),
            proxies: Networks::default(),
            recipients: AllowedRecipients::default(),
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

    /// Counts one thing that `peer` does, unless it does so too often.
    pub(crate) fn count(&self, peer: Peer, what: Metered) -> Result<(), Refusal> {
        self.meters.take(peer, what).map_err(|_often| Refusal::TooOften(what))
    }

    /// Counts a password before it is looked at: were it counted once it is found wrong, as many
    /// could be looked at as connections send them at once. `user` is the name, if there is such a
    /// user.
    pub(crate) fn count_guess(
        &self,
        peer: Peer,
        class: ClientClass,
        user: Option<&str>,
    ) -> Result<(), Refusal> {
        self.count(peer, Metered::AuthFailure)?;
        let Some(user) = user else { return Ok(()) };
        let guessed = self.guesses.take(user, peer, class, self.meters.auth_failures());
        guessed.map_err(|_often| Refusal::TooOften(Metered::AuthFailure))
    }

    /// The password that was counted was no guess.
    pub(crate) fn uncount_guess(&self, peer: Peer, class: ClientClass, user: &str) {
        self.meters.give_back(peer, Metered::AuthFailure);
        self.guesses.give_back(user, peer, class, self.meters.auth_failures());
    }
}
