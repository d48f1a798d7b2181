//! How many signatures this machine makes in a second, on all its processors and with nothing else to do.
//!
//! ```text
//! cargo run --release -p dkim --example signatures
//! ```
//!
//! prints one line of JSON. That is what signing alone allows; `tests/benches/compare` sets the speed of signed
//! mail beside it.

#![expect(clippy::print_stdout, reason = "an example prints what it found")]

use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{available_parallelism, scope};
use std::time::{Duration, SystemTime};

use dkim::{Algorithm, MessageHash, MessageHasher, Selector, SignedFields, Signer, SigningKey};
use smtp::Domain;

/// How long each algorithm is given.
const TIME: Duration = Duration::from_secs(3);

/// The header of the message that is signed.
const HEADER: &[u8] = b"Date: Tue, 1 Dec 2026 00:00:00 +0000\r\nFrom: Ann <ann@sender.test>\r\n\
    To: Bob <bob@example.test>\r\nSubject: A message\r\nMessage-ID: <1@sender.test>\r\n\
    MIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\n";

fn main() -> Result<(), Box<dyn Error>> {
    let threads = available_parallelism()?.get();
    let rsa = in_a_second(Algorithm::RsaSha256, threads)?;
    let ed25519 = in_a_second(Algorithm::Ed25519Sha256, threads)?;
    println!("{{\"processors\": {threads}, \"rsa2048\": {rsa}, \"ed25519\": {ed25519}}}");
    Ok(())
}

/// How many signatures so many threads make in a second.
fn in_a_second(algorithm: Algorithm, threads: usize) -> Result<u64, Box<dyn Error>> {
    let (domain, selector) = (Domain::parse("sender.test")?, Selector::parse("s")?);
    let key = SigningKey::generate(algorithm)?;
    let signer = Signer::new(domain, selector, key, SignedFields::of_mail())?;
    let (made, now) = (AtomicU64::new(0), SystemTime::UNIX_EPOCH);
    let message = message(&signer);
    // The clock of this machine is what is asked here; nothing is to be decided by it.
    let until = tick() + TIME;
    scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while tick() < until && signer.sign(&message, now).is_ok() {
                    made.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    Ok(made.into_inner() / TIME.as_secs())
}

/// The hash of a message of 4 KiB.
fn message(signer: &Signer) -> MessageHash {
    let mut hasher = MessageHasher::keeping(signer.fields().names().cloned());
    hasher.feed(HEADER);
    hasher.feed(&b"A line of text.\r\n".repeat(240));
    hasher.finish()
}

#[expect(clippy::disallowed_methods, reason = "a measurement goes by the machine's own clock")]
fn tick() -> std::time::Instant {
    std::time::Instant::now()
}
