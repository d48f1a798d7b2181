//! `sts-relay healthy`: whether the relay that runs can do its work, for Docker and for monitors.

use crate::admin::answer::Wellbeing;
use crate::admin::client::Client;
use crate::settings::Settings;

use super::{Ending, Output};

/// Asks the running relay how it is; no relay is not healthy.
pub(super) async fn run(settings: &Settings, output: &mut Output) -> anyhow::Result<Ending> {
    let Some(mut client) = Client::connect(&settings.admin_socket).await? else {
        let socket = settings.admin_socket.display();
        output.line(format_args!("no relay answers at {socket}"))?;
        return Ok(Ending::Refused);
    };
    let Some(Wellbeing { healthy, queue, delivery }) = client.get("/healthz").await? else {
        output.line(format_args!("another version of the relay runs, and does not say"))?;
        return Ok(Ending::Refused);
    };
    output.line(format_args!("the queue {queue}"))?;
    output.line(format_args!("{delivery}"))?;
    Ok(if healthy { Ending::Done } else { Ending::Refused })
}
