//! RFC 8461 for one domain, as seen by a sender: what is kept, and what a delivery may do.
//!
//! Where the RFC leaves a choice, the choice of this product is written down: a sender that cannot
//! tell waits, for a grace; the id is compared at each attempt; a failed fetch is not repeated for
//! five minutes; a clock that went back does not make a policy live longer.

use super::scenario::{File, Mode, Published, Served, Txt, seconds};

/// For how long a failed fetch is not repeated (RFC 8461 §3.3).
const BACK_OFF: u64 = 5 * 60;

/// How many ids may fail within that time before the domain rests.
const IDS_MAX: usize = 4;

/// How often the policy is fetched for messages within an hour, whatever the ids are.
const RATION: usize = 12;

/// For how long a message waits for the DNS to say whether there is a policy.
const GRACE: u64 = 30 * 60;

/// How long an expired policy is remembered after its last use.
const UNUSED: u64 = 90 * seconds::DAY;

/// A sender's view of one domain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sender {
    pub(super) kept: Kept,
    failures: Vec<Failure>,
    /// When fetches have succeeded.
    successes: Vec<u64>,
    /// How often the policy host was asked.
    pub(super) fetches: usize,
}

/// What is kept of the domain's policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Kept {
    /// Something that cannot be read.
    Damaged,
    #[default]
    Nothing,
    Policy(Cached),
}

/// A policy that was fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cached {
    pub(super) file: File,
    pub(super) id: u32,
    pub(super) fetched: u64,
    /// How many refreshes have failed since.
    pub(super) failures: u32,
    used: u64,
    doubted: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Failure {
    id: u32,
    at: u64,
}

/// What comes of the wish for a new policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fetched {
    /// There is none.
    Failed,
    /// It was fetched too often; what was fetched last goes on to apply.
    Last,
    New,
}

/// Whose wish it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Message,
    LastLook,
    Refresh,
}

/// What comes of what was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// An enforced policy, and which of the hosts of [`super::scenario::HOSTS`] it names.
    Require {
        id: u32,
        named: [bool; 3],
    },
    /// Mail may go unverified, for this reason.
    Permit(&'static str),
    /// Mail waits, for this reason.
    Undecided(&'static str),
    /// The last look before mail is returned has found the same policy.
    Confirmed,
    /// The last look has found something else.
    Changed,
    Refreshed(&'static str),
}

impl Cached {
    /// The time since the fetch does not exceed `max_age` (RFC 8461 §5.1).
    fn applies(&self, now: u64) -> bool {
        let longest = self.file.max_age.min(31_557_600);
        let doubted = self.doubted.filter(|_| self.is_ahead(now));
        now <= self.fetched + longest && doubted.is_none_or(|since| now <= since + longest)
    }

    /// It was fetched in the future, so the clock was wrong then or is wrong now.
    fn is_ahead(&self, now: u64) -> bool {
        self.fetched > now + seconds::HOUR
    }

    /// Mail makes use of it.
    fn touch(&mut self, now: u64) {
        let doubt = self.is_ahead(now) && self.doubted.is_none_or(|since| now < since);
        if doubt {
            self.doubted = Some(now);
        }
        if doubt || self.used + seconds::DAY <= now {
            self.used = self.used.max(now);
        }
    }
}

impl Sender {
    /// Mail is to be sent that came in `age` ago; an exception of the
    /// operator's holds until `exception`.
    pub(super) fn decide(
        &mut self,
        published: &Published,
        now: u64,
        age: u64,
        exception: Option<u64>,
    ) -> Verdict {
        let live = match &self.kept {
            Kept::Damaged => return Verdict::Undecided("cache-unreadable"),
            Kept::Policy(cached) if cached.applies(now) => Some(cached.clone()),
            Kept::Policy(_) | Kept::Nothing => None,
        };
        match (live, published.txt) {
            // A new id is a reason to fetch; that the fetch fails weakens nothing (§3.3, §5.1).
            (Some(live), Txt::Id(id) | Txt::BesideOthers(id)) if live.id != id => {
                if self.fetch(published.served, id, now, Wish::Message) != Fetched::New {
                    self.touch(now);
                }
            }
            // Neither is an absent record a reason to forget the policy, nor an equal id one to
            // let it live longer (§5.1).
            (Some(_), _) => self.touch(now),
            // Nothing is kept: the policy is fetched before the mail goes.
            (None, Txt::Id(id) | Txt::BesideOthers(id)) => {
                if self.fetch(published.served, id, now, Wish::Message) == Fetched::Failed {
                    return Verdict::Permit("no-policy");
                }
            }
            (None, Txt::ServFail | Txt::TimedOut) if age > GRACE => {
                return Verdict::Permit("undecided-too-long");
            }
            (None, Txt::ServFail | Txt::TimedOut) => return Verdict::Undecided("names-failed"),
            // No record, several, or none that is valid: no policy is published (§3.1).
            (None, Txt::Absent | Txt::Garbled | Txt::NotSts | Txt::Two(_)) => {
                return Verdict::Permit("no-policy");
            }
        }
        self.obey(exception.filter(|until| now < *until))
    }

    /// What the policy that applies asks for (RFC 8461 §5).
    fn obey(&self, exception: Option<u64>) -> Verdict {
        let Kept::Policy(Cached { file, id, .. }) = &self.kept else {
            unreachable!("only a policy is obeyed")
        };
        match file.mode {
            Mode::None => Verdict::Permit("mode-none"),
            Mode::Testing => Verdict::Permit("mode-testing"),
            Mode::Enforce if exception.is_some() => Verdict::Permit("exception"),
            Mode::Enforce => Verdict::Require { id: *id, named: file.names.named() },
        }
    }

    /// The policy is refreshed, due or not (RFC 8461 §3.3 and §10.2).
    pub(super) fn refresh(&mut self, published: &Published, now: u64) -> Verdict {
        let cached = match &self.kept {
            Kept::Damaged => return Verdict::Undecided("cache-unreadable"),
            Kept::Nothing => return Verdict::Refreshed("not cached"),
            Kept::Policy(cached) => cached.clone(),
        };
        let withdrawn = cached.file.mode == Mode::None || cached.used + UNUSED < now;
        let unpublished =
            matches!(published.txt, Txt::Absent | Txt::Garbled | Txt::NotSts | Txt::Two(_));
        if !cached.applies(now) && (withdrawn || unpublished) {
            self.kept = Kept::Nothing;
            return Verdict::Refreshed("forgotten");
        }
        // Whoever can suppress DNS answers cannot keep a policy from being refreshed.
        let id = published.txt.id().unwrap_or(cached.id);
        match self.fetch(published.served, id, now, Wish::Refresh) {
            Fetched::New => Verdict::Refreshed("renewed"),
            Fetched::Failed | Fetched::Last => Verdict::Refreshed("failed"),
        }
    }

    /// The last look before mail that `file` kept back is returned (RFC 8461 §5.1).
    pub(super) fn recheck(&mut self, published: &Published, now: u64, file: File) -> Verdict {
        let live = match &self.kept {
            Kept::Damaged => return Verdict::Undecided("cache-unreadable"),
            Kept::Policy(cached) if cached.applies(now) => Some(cached.clone()),
            Kept::Policy(_) | Kept::Nothing => None,
        };
        let id = published.txt.id().or_else(|| Some(live.as_ref()?.id));
        let renewed = id.is_some_and(|id| {
            self.fetch(published.served, id, now, Wish::LastLook) != Fetched::Failed
        });
        let found = match &self.kept {
            Kept::Policy(cached) if renewed || live.is_some() => Some(cached.file),
            Kept::Policy(_) | Kept::Nothing | Kept::Damaged => None,
        };
        match found {
            Some(found) if (found.mode, found.names) == (file.mode, file.names) => {
                Verdict::Confirmed
            }
            Some(_) | None => Verdict::Changed,
        }
    }

    /// The sender is stopped and started; only what is kept remains.
    pub(super) fn restart(&mut self) {
        self.failures.clear();
        self.successes.clear();
    }

    fn touch(&mut self, now: u64) {
        if let Kept::Policy(cached) = &mut self.kept {
            cached.touch(now);
        }
    }

    /// Whether the policy host has a policy now; only that puts another in the place of what is
    /// kept. It counts as used now by a message, otherwise when the one before it was.
    fn fetch(&mut self, served: Served, id: u32, now: u64, wish: Wish) -> Fetched {
        let holds = |failure: &Failure| now < failure.at + BACK_OFF && failure.at < now + BACK_OFF;
        self.failures.retain(holds);
        if self.failures.len() >= IDS_MAX || self.failures.iter().any(|one| one.id == id) {
            return Fetched::Failed;
        }
        self.successes.retain(|at| now < at + seconds::HOUR && *at < now + seconds::HOUR);
        let has_last = match &self.kept {
            Kept::Policy(cached) => {
                let of_the_hour = now < cached.fetched + seconds::HOUR && !cached.is_ahead(now);
                cached.applies(now) || of_the_hour
            }
            Kept::Nothing | Kept::Damaged => false,
        };
        if wish != Wish::Refresh && self.successes.len() >= RATION && has_last {
            return Fetched::Last;
        }
        self.fetches += 1;
        let before = match &mut self.kept {
            Kept::Policy(cached) => Some(cached),
            Kept::Nothing | Kept::Damaged => None,
        };
        let Served::Policy(file) = served else {
            if let Some(cached) = before {
                cached.failures += 1;
            }
            self.failures.push(Failure { id, at: now });
            return Fetched::Failed;
        };
        let used = match (wish, before) {
            (Wish::LastLook | Wish::Refresh, Some(before)) => before.used.min(now),
            (Wish::Message, _) | (_, None) => now,
        };
        let cached = Cached { file, id, fetched: now, failures: 0, used, doubted: None };
        self.kept = Kept::Policy(cached);
        self.failures.clear();
        self.successes.push(now);
        Fetched::New
    }
}
