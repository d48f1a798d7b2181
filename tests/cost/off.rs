//! What is asked of parts that are off, for each message: nothing is allocated for the answers.
//!
//! The budget of one message holds the rest of it, for it is counted with all of them off.

use std::hint::black_box;
use std::time::{Duration, SystemTime};

use settings::{Settings, Source};
use smtp::{Mailbox, ReversePath};
use stats_alloc::Region;
use submission::Staged;

use crate::ALLOCATOR;

/// How many messages are asked about.
const MESSAGES: usize = 1000;

/// What is allocated though `[[rewrite]]`, `[[dkim]]`, `[[limit]]` and `[staging]` are not set.
pub(crate) fn faults() -> Vec<String> {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_900_000_000);
    let source = Source::read(None, []).unwrap();
    let settings = Settings::check(&source, now).unwrap();
    let sender = ReversePath::Mailbox(Mailbox::parse("ann@sender.test").unwrap());
    let recipients = ["bob@one.test", "eve@two.test"].map(|text| Mailbox::parse(text).unwrap());
    let listener = &settings.listener;
    let rewriting = || {
        let rewriting = listener.rewriting.for_sender(&sender);
        assert!(rewriting.is_empty() && rewriting.reverse_path(&sender).is_none());
    };
    let staging = || {
        assert!(recipients.iter().all(|recipient| listener.staging.takes(recipient)));
        assert_eq!(listener.staging.of(&recipients), Staged::Sent);
    };
    let signing = || assert!(listener.signing.is_empty());
    let limits = || assert!(settings.delivery.limits.all().next().is_none());
    let parts: [(&str, &dyn Fn()); 4] = [
        ("[[rewrite]]", &rewriting),
        ("[staging]", &staging),
        ("[[dkim]]", &signing),
        ("[[limit]]", &limits),
    ];
    parts.iter().filter_map(|(part, ask)| fault(part, ask)).collect()
}

/// What is wrong if asking a part that is off allocates.
fn fault(part: &str, ask: &dyn Fn()) -> Option<String> {
    let region = Region::new(ALLOCATOR);
    for _ in 0..MESSAGES {
        black_box(ask)();
    }
    let allocations = region.change().allocations;
    println!("{part} is off: {allocations} allocations for {MESSAGES} messages");
    (allocations > 0).then(|| format!("{part} is off, and costs {allocations} allocations"))
}
