//! Whether a password is right, and how long the answer takes.

use std::sync::Arc;

use smtp::{Class, Credentials, EnhancedCode, Reply, ReplyCode};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::sleep;
use tracing::{error, info, warn};

use super::dialogue::{Dialogue, Onward};
use crate::observer::Login;
use crate::wire::WireFault;

/// Checks a password and answers AUTH. A wrong one is logged in a line of its own, which has
/// all that a program needs that shuts such clients out.
pub(super) async fn verify<S: AsyncRead + AsyncWrite + Unpin>(
    dialogue: &mut Dialogue<S>,
    credentials: Credentials,
) -> Result<Onward, WireFault> {
    let rules = Arc::clone(&dialogue.host.rules);
    let (peer, class) = (dialogue.session.peer(), dialogue.session.class());
    let known = rules.users().knows(credentials.name());
    // What is no user's name may be a password that was typed in the wrong place.
    let user = known.then(|| credentials.name().to_owned());
    let checked = {
        let mut line = dialogue.host.password_checks.line(peer, dialogue.permit.class());
        let _turn = line.turn().await;
        if let Err(refusal) = rules.count_guess(peer, class, user.as_deref()) {
            return Ok(dialogue.refuse(&refusal));
        }
        // It takes a while and much memory.
        let users = rules.users();
        tokio::task::spawn_blocking(move || users.authenticate(&credentials)).await
    };
    let checked = match checked {
        Ok(checked) => checked,
        Err(error) => {
            error!(%error, "password check task panicked");
            dialogue.wire.queue(&unavailable());
            return Ok(Onward::Continue);
        }
    };
    let Some(authenticated) = checked else {
        warn!(%peer, user, "authentication failed");
        dialogue.host.observer.login(Login::Failed);
        sleep(dialogue.timeouts().auth_delay).await;
        let refusal = dialogue.session.not_logged_in();
        return Ok(dialogue.refuse(&refusal));
    };
    info!(%peer, user = authenticated.name(), "authenticated");
    dialogue.host.observer.login(Login::Succeeded);
    rules.uncount_guess(peer, class, authenticated.name());
    dialogue.permit.admit();
    let reply = dialogue.session.logged_in(authenticated);
    dialogue.wire.queue(&reply);
    Ok(Onward::Continue)
}

/// RFC 4954 §6: try again later.
fn unavailable() -> Reply {
    let enhanced = EnhancedCode::new(Class::PersistentTransient, 7, 0);
    Reply::new(ReplyCode::TEMPORARY_FAILURE, Some(enhanced), "cannot authenticate now")
}
