//! `sendmail -bs`: the relay's own SMTP at standard input and output.

use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;

use smtp::NewlineRepair;

use super::client::reach;
use super::failure::Failure;

/// How many bytes are passed on at once.
const PIECE: usize = 64 << 10;

/// Passes on what both sides say, until the relay has closed.
///
/// # Errors
///
/// [`Failure`] where no relay is there, or nobody reads what it says.
pub(super) fn bridge(path: &Path) -> Result<(), Failure> {
    let mut relay = reach(path)?;
    let (mut said, mut piece) = (false, vec![0; PIECE]);
    loop {
        let read = relay.read(&mut piece).map_err(Failure::Lost)?;
        let Some(bytes @ [_, ..]) = piece.get(..read) else { return Ok(()) };
        let mut stdout = io::stdout().lock();
        stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(Failure::Write)?;
        if !said {
            // A client that speaks before the greeting is refused, and a program may have written all
            // it has to say by now.
            said = true;
            let there = relay.try_clone().map_err(Failure::Lost)?;
            // It ends with the process: nothing it may still read is of use then.
            drop(thread::spawn(move || pass_on(there)));
        }
    }
}

/// Passes on what the program says, with whole line ends.
fn pass_on(mut relay: UnixStream) {
    let (mut repair, mut whole) = (NewlineRepair::of_chunks(), Vec::new());
    let (mut stdin, mut piece) = (io::stdin().lock(), vec![0; PIECE]);
    while let Ok(read) = stdin.read(&mut piece) {
        let Some(bytes @ [_, ..]) = piece.get(..read) else { break };
        repair.feed(bytes, &mut whole);
        if relay.write_all(&whole).is_err() {
            return;
        }
        whole.clear();
    }
    // Where the relay has gone, its side says so.
    let _gone = relay.shutdown(Shutdown::Write).is_err();
}
