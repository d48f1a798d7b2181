//! What may be published and what may go wrong, drawn from a seed.

use rand::Rng as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use testbed::{Certificate, PolicyBehaviour, PolicyText};

/// The MX hosts that are looked at; the domains share them.
pub(super) const HOSTS: [&str; 3] = ["mx1.hosts.test", "mx2.hosts.test", "a.mx1.hosts.test"];

/// Spans of time, in seconds.
pub(super) mod seconds {
    pub(in super::super) const MINUTE: u64 = 60;
    pub(in super::super) const HOUR: u64 = 60 * MINUTE;
    pub(in super::super) const DAY: u64 = 24 * HOUR;
}

/// What a domain publishes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Published {
    pub(super) txt: Txt,
    pub(super) served: Served,
}

/// What the DNS says at `_mta-sts.`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Txt {
    Absent,
    BesideOthers(u32),
    Garbled,
    Id(u32),
    NotSts,
    ServFail,
    TimedOut,
    Two(u32),
}

/// What the policy host does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Served {
    Closed,
    Html(File),
    Invalid(Flaw),
    Moved,
    NoAddress,
    NoAnswerFromDns,
    OtherAuthority(File),
    Policy(File),
    SelfSigned(File),
    Status(u16),
    Truncated(File),
    Unreachable,
    WrongName(File),
}

/// A policy file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct File {
    pub(super) mode: Mode,
    pub(super) names: Names,
    pub(super) max_age: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Mode {
    Enforce,
    None,
    Testing,
}

/// Which hosts a policy names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Names {
    Elsewhere,
    First,
    Second,
    Wildcard,
}

/// Why a file is no policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Flaw {
    MaxAge,
    Mode,
    NoMx,
    Version,
}

impl Names {
    /// Which of [`HOSTS`] are named (RFC 8461 §4.1): a wildcard stands for one label.
    pub(super) const fn named(self) -> [bool; 3] {
        match self {
            Self::Elsewhere => [false, false, false],
            Self::First => [true, false, false],
            Self::Second => [false, true, false],
            Self::Wildcard => [true, true, false],
        }
    }

    /// What names these.
    pub(super) fn of(named: [bool; 3]) -> Self {
        let all = [Self::Elsewhere, Self::First, Self::Second, Self::Wildcard];
        *all.iter().find(|one| one.named() == named).unwrap()
    }

    const fn pattern(self) -> &'static str {
        match self {
            Self::Elsewhere => "mx.elsewhere.test",
            Self::First => HOSTS[0],
            Self::Second => HOSTS[1],
            Self::Wildcard => "*.hosts.test",
        }
    }
}

impl File {
    pub(super) fn draw(random: &mut StdRng, ages: &[u64]) -> Self {
        let modes = [Mode::Enforce, Mode::Enforce, Mode::Enforce, Mode::Testing, Mode::None];
        let names = [Names::First, Names::Second, Names::Wildcard, Names::Elsewhere];
        let mode = *modes.choose(random).unwrap();
        let names = if mode == Mode::None { Names::First } else { *names.choose(random).unwrap() };
        Self { mode, names, max_age: *ages.choose(random).unwrap() }
    }

    pub(super) fn text(self) -> PolicyText {
        let text = match self.mode {
            Mode::Enforce => PolicyText::enforce([self.names.pattern()]),
            Mode::None => PolicyText::none(),
            Mode::Testing => PolicyText::testing([self.names.pattern()]),
        };
        text.max_age(self.max_age)
    }
}

impl Txt {
    pub(super) fn draw(random: &mut StdRng) -> Self {
        let id = random.random_range(1..4);
        match random.random_range(0..14) {
            0 | 1 => Self::Absent,
            2 => Self::Garbled,
            3 => Self::NotSts,
            4 => Self::ServFail,
            5 => Self::TimedOut,
            6 => Self::Two(id),
            7 => Self::BesideOthers(id),
            _ => Self::Id(id),
        }
    }

    /// The id that is published.
    pub(super) const fn id(self) -> Option<u32> {
        match self {
            Self::BesideOthers(id) | Self::Id(id) => Some(id),
            Self::Absent
            | Self::Garbled
            | Self::NotSts
            | Self::ServFail
            | Self::TimedOut
            | Self::Two(_) => None,
        }
    }

    /// The records, where the DNS can tell.
    pub(super) fn records(self) -> Vec<String> {
        let good = |id: u32| format!("v=STSv1; id={id};");
        match self {
            Self::Absent | Self::ServFail | Self::TimedOut => Vec::new(),
            Self::BesideOthers(id) => {
                vec!["v=spf1 -all".to_owned(), good(id), "v=STSv1".to_owned()]
            }
            Self::Garbled => vec!["v=STSv1; id=not-an-id;".to_owned()],
            Self::Id(id) => vec![good(id)],
            Self::NotSts => vec!["v=STSv2; id=1;".to_owned()],
            Self::Two(id) => vec![good(id), good(id + 1)],
        }
    }
}

impl Served {
    pub(super) fn draw(random: &mut StdRng, ages: &[u64]) -> Self {
        let file = File::draw(random, ages);
        match random.random_range(0..30) {
            0 => Self::Closed,
            1 => Self::Html(file),
            2 => Self::Invalid(Flaw::MaxAge),
            3 => Self::Invalid(Flaw::Mode),
            4 => Self::Invalid(Flaw::NoMx),
            5 => Self::Invalid(Flaw::Version),
            6 => Self::Moved,
            7 => Self::NoAddress,
            8 => Self::NoAnswerFromDns,
            9 => Self::OtherAuthority(file),
            10 => Self::SelfSigned(file),
            11 => Self::Status(404),
            12 => Self::Status(500),
            13 => Self::Truncated(file),
            14 => Self::Unreachable,
            15 => Self::WrongName(file),
            _ => Self::Policy(file),
        }
    }

    /// What a host does that serves this; none where there is no host. `names` are what its
    /// certificate proves.
    pub(super) fn behaviour(self, names: &[String]) -> Option<PolicyBehaviour> {
        let good = |file: File| PolicyBehaviour::from(file.text());
        let behaviour = match self {
            Self::NoAddress | Self::NoAnswerFromDns | Self::Unreachable => return None,
            Self::Closed => PolicyBehaviour::closing(),
            Self::Html(file) => good(file).media_type("text/html"),
            Self::Invalid(flaw) => PolicyBehaviour::serve(flaw.text()),
            Self::Moved => {
                let there = "https://mta-sts.example.test/.well-known/mta-sts.txt";
                PolicyBehaviour::redirect(301, there)
            }
            Self::OtherAuthority(file) => {
                return Some(good(file).with_certificate(Certificate::OtherAuthority));
            }
            Self::Policy(file) => good(file),
            Self::SelfSigned(file) => {
                return Some(good(file).with_certificate(Certificate::SelfSigned));
            }
            Self::Status(code) => PolicyBehaviour::status(code),
            Self::Truncated(file) => good(file).truncated(),
            Self::WrongName(file) => {
                return Some(good(file).with_certificate(Certificate::WrongName));
            }
        };
        Some(behaviour.with_certificate(Certificate::Names(names.to_vec())))
    }
}

impl Flaw {
    const fn text(self) -> &'static str {
        match self {
            Self::MaxAge => "version: STSv1\nmode: enforce\nmx: mx1.hosts.test\nmax_age: week\n",
            Self::Mode => "version: STSv1\nmode: Enforce\nmx: mx1.hosts.test\nmax_age: 86400\n",
            Self::NoMx => "version: STSv1\nmode: enforce\nmax_age: 86400\n",
            Self::Version => "version: STSv2\nmode: enforce\nmx: mx1.hosts.test\nmax_age: 86400\n",
        }
    }
}
