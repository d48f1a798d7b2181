//! `sts-relay healthy`: whether the relay that runs can do its work, for Docker and for monitors.

use std::io::Write as _;
use std::time::Duration;

use admin::api::answers::Health;
use admin::api::check_name::CheckName;
use admin::client::Client;
use serde::Deserialize;
use settings::RelayPaths;
use tokio::time::timeout;

use super::table::printable;
use crate::cli::ending::Ending;
use crate::cli::output::Output;

/// How long the checks of `/readyz` may take: longer than a resolver that does not answer takes, and
/// shorter than a container waits for its health check.
const PATIENCE: Duration = Duration::from_secs(5);

/// What `/readyz` says, as far as it is printed.
#[derive(Debug, Deserialize)]
struct Readiness {
    checks: Vec<Check>,
}

/// One of its checks.
#[derive(Debug, Deserialize)]
struct Check {
    name: Name,
    ok: bool,
    detail: String,
}

/// What was checked.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Name {
    Known(CheckName),
    /// A relay of another version has it.
    Other(String),
}

impl Name {
    fn word(&self) -> &str {
        match self {
            Self::Known(name) => name.word(),
            Self::Other(name) => name,
        }
    }

    /// Whether standard output has said how it is.
    const fn is_said(&self) -> bool {
        match self {
            Self::Known(CheckName::Delivery | CheckName::Queue) => true,
            Self::Known(
                CheckName::Clock | CheckName::Resolver | CheckName::Running | CheckName::Trust,
            )
            | Self::Other(_) => false,
        }
    }
}

/// Asks the running relay how it is; no relay is not healthy.
///
/// The status is that of the queue alone, for a container is restarted by it, and a restart mends no
/// resolver. What else keeps mail from leaving is printed.
pub(super) async fn run(paths: &RelayPaths, output: &mut Output) -> anyhow::Result<Ending> {
    let Some(mut client) = Client::connect(&paths.admin_socket).await? else {
        paths.ensure_certain()?;
        let socket = paths.admin_socket.display();
        output.line(format_args!("no relay answers at {socket}"))?;
        return Ok(Ending::Refused);
    };
    let Some(Health { healthy, queue, delivery }) = client.get("/healthz").await? else {
        output.line(format_args!(
            "the running relay is another version, which does not report this"
        ))?;
        return Ok(Ending::Refused);
    };
    output.line(format_args!("the queue {queue}"))?;
    output.line(format_args!("{delivery}"))?;
    report(&mut client).await;
    Ok(if healthy { Ending::Done } else { Ending::Refused })
}

/// Says on standard error what else is not well, within a time that a container's check has.
///
/// A relay of another version may have no such checks, or others; then nothing is said.
async fn report(client: &mut Client) {
    let ready = client.get_whatever_status::<Readiness>("/readyz");
    let Ok(Ok(Readiness { checks })) = timeout(PATIENCE, Box::pin(ready)).await else { return };
    for check in checks.iter().filter(|check| !check.ok && !check.name.is_said()) {
        let (name, detail) = (printable(check.name.word()), printable(&check.detail));
        // Nobody can be told if this cannot be written either.
        let _unheard = writeln!(std::io::stderr(), "not ready: {name}: {detail}").is_err();
    }
}
