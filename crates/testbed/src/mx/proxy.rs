//! The man in the middle who takes STARTTLS away.
//!
//! What the client says he passes on untouched. In what the host says he looks for the line that
//! offers STARTTLS, and drops or overwrites it; the host's session then answers a STARTTLS that
//! comes all the same as he would, with a refusal.

use tokio::io::{
    AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader, DuplexStream, copy, split,
};

use super::behaviour::Strip;
use crate::tls::Stream;

/// How many bytes may be under way inside.
const UNDER_WAY: usize = 1 << 16;

/// Stands between `client` and a host's session, which runs on the stream that `session` is given.
pub(super) async fn strip<F>(
    client: impl Stream,
    how: Strip,
    session: impl FnOnce(DuplexStream) -> F,
) where
    F: Future<Output = ()>,
{
    let (near, far) = tokio::io::duplex(UNDER_WAY);
    let (from_client, to_client) = split(client);
    let (from_host, to_host) = split(near);
    let replies = async {
        tokio::join!(session(far), stripping(from_host, to_client, how));
    };
    tokio::select! {
        () = replies => {}
        never = passing(from_client, to_host) => never
    }
}

/// Passes on what the client says, and its end; does not come back.
async fn passing(mut client: impl AsyncRead + Unpin, mut host: impl AsyncWrite + Unpin) -> ! {
    drop(copy(&mut client, &mut host).await);
    drop(host.shutdown().await);
    std::future::pending().await
}

/// Passes on what the host says, but for one line.
async fn stripping(host: impl AsyncRead + Unpin, mut client: impl AsyncWrite + Unpin, how: Strip) {
    let mut host = BufReader::new(host);
    let mut line = Vec::new();
    while matches!(host.read_until(b'\n', &mut line).await, Ok(1..)) {
        let told = stripped(&line, how);
        if client.write_all(&told).await.is_err() || client.flush().await.is_err() {
            return;
        }
        line.clear();
    }
    drop(client.shutdown().await);
}

/// The line that the client sees. The host offers STARTTLS first, so that it is never the last
/// line of its reply and may be left out.
fn stripped(line: &[u8], how: Strip) -> Vec<u8> {
    if !line.eq_ignore_ascii_case(b"250-STARTTLS\r\n") {
        return line.to_vec();
    }
    match how {
        Strip::Overwrite => b"250-XXXXXXXX\r\n".to_vec(),
        Strip::Remove => Vec::new(),
    }
}
