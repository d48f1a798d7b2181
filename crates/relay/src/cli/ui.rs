//! `sts-relay ui`: the operators' page, for as long as the command runs.

use std::io;
use std::path::Path;

use access::Role;
use admin::api::ui::{UiOpened, ui_path};
use admin::client::Client;
use anyhow::ensure;
use clap::Args;
use settings::RelayPaths;

use super::ending::Ending;
use super::output::Output;

/// Who is to see the page, and where.
#[derive(Args, Debug)]
pub(super) struct UiCommand {
    /// What the page may be used for: viewer reads, operator acts as well.
    #[arg(long, default_value_t = Role::Operator)]
    role: Role,
    /// The port on 127.0.0.1, as for a tunnel by ssh [default: one that is free].
    #[arg(long)]
    port: Option<u16>,
}

/// Prints the link, and waits until the relay stops. Whatever ends this process ends the page as well.
pub(super) async fn run(
    command: &UiCommand,
    paths: &RelayPaths,
    output: &mut Output,
) -> anyhow::Result<Ending> {
    match serve(&paths.admin_socket, command.role, command.port, output).await? {
        Served::Ended => Ok(Ending::Done),
        Served::NoRelay => {
            paths.ensure_certain()?;
            let socket = paths.admin_socket.display();
            output.line(format_args!("no relay answers at {socket}"))?;
            Ok(Ending::Refused)
        }
    }
}

/// What has become of the page.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Served {
    /// The relay has stopped.
    Ended,
    /// None runs.
    NoRelay,
}

/// Has the relay at this socket serve its page to somebody in this role, for as long as this is polled.
pub(super) async fn serve(
    admin_socket: &Path,
    role: Role,
    port: Option<u16>,
    output: &mut Output,
) -> anyhow::Result<Served> {
    let Some(mut client) = Client::connect(admin_socket).await? else {
        return Ok(Served::NoRelay);
    };
    let path = ui_path(role, port);
    let open = client.post_for_bytes(&path, |bytes| tell(bytes, role, output));
    ensure!(Box::pin(open).await?, "the running relay is another version, which has no page");
    Ok(Served::Ended)
}

/// Prints the link, which comes whole; what follows are signs of life.
fn tell(bytes: &[u8], role: Role, output: &mut Output) -> io::Result<()> {
    if bytes.trim_ascii().is_empty() {
        return Ok(());
    }
    let UiOpened { url } = serde_json::from_slice(bytes)?;
    output.line(format_args!("{url}"))?;
    output.line(format_args!(
        "The link logs in once, as {role}, within an hour. The page ends with this command."
    ))
}
