//! Whether a password is right, and how long the answer takes.

use std::sync::Arc;

use smtp::{Class, Credentials, EnhancedCode, Reply, ReplyCode};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::sleep;
use tracing::{error, info, warn};

use super::{Connection, Onward};
use crate::observer::Login;
use crate::session::verify;
use crate::wire::WireFault;

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Checks a password and answers AUTH. A wrong one is told of in a line of its own, which has
    /// all that a program needs that shuts such clients out.
    pub(super) async fn verify(&mut self, credentials: Credentials) -> Result<Onward, WireFault> {
        let rules = Arc::clone(&self.host.rules);
        let known = rules.users().knows(credentials.name());
        // What is no user's name may be a password that was typed in the wrong place.
        let user = known.then(|| credentials.name().to_owned());
        let checked = {
            let peer = self.session.peer();
            let mut line = self.host.password_checks.line(peer, self.place.standing());
            let _turn = line.turn().await;
            if let Err(refusal) = self.session.count_guess(user.as_deref()) {
                return Ok(self.refuse(&refusal));
            }
            tokio::task::spawn_blocking(move || verify(&rules, &credentials)).await
        };
        let peer = self.session.peer();
        let checked = match checked {
            Ok(checked) => checked,
            Err(error) => {
                error!(%error, "password check task panicked");
                self.wire.queue(&unavailable());
                return Ok(Onward::Continue);
            }
        };
        let Some(authenticated) = checked else {
            warn!(%peer, user, "authentication failed");
            self.host.observer.login(Login::Failed);
            sleep(self.timeouts().auth_delay).await;
            let refusal = self.session.not_logged_in();
            return Ok(self.refuse(&refusal));
        };
        info!(%peer, user = authenticated.name(), "authenticated");
        self.host.observer.login(Login::Succeeded);
        self.session.uncount_guess(authenticated.name());
        self.place.admit();
        let reply = self.session.logged_in(authenticated);
        self.wire.queue(&reply);
        Ok(Onward::Continue)
    }
}

/// RFC 4954 §6: try again later.
fn unavailable() -> Reply {
    let enhanced = EnhancedCode::new(Class::PersistentTransient, 7, 0);
    Reply::new(ReplyCode::TEMPORARY_FAILURE, Some(enhanced), "cannot authenticate now")
}
