//! What a policy is worth: every state of a policy against every kind of MX host, named by the
//! policy and not named, with a tap on the wire.
//!
//! Each test is one state of a policy. Its world has a domain for every kind of MX host, named and
//! not; [`expected`] says what has to become of a message to it, by a few lines that share nothing
//! with the code they judge.

use std::time::Duration;

use queue::QueueId;
use testbed::{
    Certificate, Channel, Connection, Handshake, MxBehaviour, MxHost, PolicyBehaviour, PolicyText,
    Sender, Strip,
};

use crate::world::{MESSAGE, PATIENCE, RelayInWorld, SENDER, submit};

/// The host that every policy names and that takes the mail by which a policy comes to be cached.
const SPARE: &str = "spare.test";

/// A host that no domain uses.
const ELSEWHERE: &str = "mx.elsewhere.test";

/// How long a policy that is to expire is good for, in seconds.
const MAX_AGE: u64 = 86_400;

/// The state of a domain's policy when the message comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    NonePublished,
    ModeNone,
    Testing,
    Enforce,
    CachedThenRecordRemoved,
    CachedThenRecordFails,
    CachedThenFetchFails,
    RenewedToEnforce,
    RenewedToTesting,
    RenewedToNone,
    RenewedNamingAnother,
    ExpiredAndRemoved,
    ExpiredAndFetchFails,
    ExpiredAndPublished,
}

/// What a domain's only MX host does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mx {
    Valid,
    StarttlsNotOffered,
    StarttlsRefusedForNow,
    StarttlsRefusedForGood,
    StarttlsStripped,
    StarttlsOverwritten,
    SelfSigned,
    Expired,
    NotYetValid,
    WrongName,
    CommonNameOnly,
    OtherAuthority,
    HandshakeGarbage,
    HandshakeClosed,
    PlaintextInjected,
}

/// Whether the policy names the MX host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Naming {
    Named,
    NotNamed,
}

/// What has to become of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    /// It is at the MX host, and came over a session that proved the host's name.
    Proved,
    /// It is at the MX host, however it came.
    Taken,
    /// It is in the queue, with the reason.
    Held,
}

/// One combination, with a domain of its own.
#[derive(Debug)]
struct Cell {
    mx: Mx,
    naming: Naming,
    domain: String,
    host: MxHost,
}

const MX: [Mx; 15] = [
    Mx::Valid,
    Mx::StarttlsNotOffered,
    Mx::StarttlsRefusedForNow,
    Mx::StarttlsRefusedForGood,
    Mx::StarttlsStripped,
    Mx::StarttlsOverwritten,
    Mx::SelfSigned,
    Mx::Expired,
    Mx::NotYetValid,
    Mx::WrongName,
    Mx::CommonNameOnly,
    Mx::OtherAuthority,
    Mx::HandshakeGarbage,
    Mx::HandshakeClosed,
    Mx::PlaintextInjected,
];

/// RFC 8461 in a few lines.
fn expected(state: State, mx: Mx, naming: Naming) -> Expected {
    let proves = mx == Mx::Valid && naming == Naming::Named;
    // Somebody speaks in the host's place; no mail is given to them, policy or not.
    let is_attacked = mx == Mx::PlaintextInjected;
    match is_enforced(state) {
        true if proves => Expected::Proved,
        false if !is_attacked => Expected::Taken,
        true | false => Expected::Held,
    }
}

/// Whether the policy that applies when the message comes is enforced.
fn is_enforced(state: State) -> bool {
    match state {
        State::Enforce
        | State::CachedThenRecordRemoved
        | State::CachedThenRecordFails
        | State::CachedThenFetchFails
        | State::RenewedToEnforce
        | State::RenewedNamingAnother
        | State::ExpiredAndPublished => true,
        State::NonePublished
        | State::ModeNone
        | State::Testing
        | State::RenewedToTesting
        | State::RenewedToNone
        | State::ExpiredAndRemoved
        | State::ExpiredAndFetchFails => false,
    }
}

impl Mx {
    fn behaviour(self) -> MxBehaviour {
        match self {
            Self::Valid => MxBehaviour::valid(),
            Self::StarttlsNotOffered => MxBehaviour::starttls_not_offered(),
            Self::StarttlsRefusedForNow => MxBehaviour::starttls_refused("454 4.7.0 not now"),
            Self::StarttlsRefusedForGood => MxBehaviour::starttls_refused("554 5.7.0 never"),
            Self::StarttlsStripped => MxBehaviour::stripped_by(Strip::Remove),
            Self::StarttlsOverwritten => MxBehaviour::stripped_by(Strip::Overwrite),
            Self::SelfSigned => MxBehaviour::presenting(Certificate::SelfSigned),
            Self::Expired => MxBehaviour::presenting(Certificate::Expired),
            Self::NotYetValid => MxBehaviour::presenting(Certificate::NotYetValid),
            Self::WrongName => MxBehaviour::presenting(Certificate::WrongName),
            Self::CommonNameOnly => MxBehaviour::presenting(Certificate::CommonNameOnly),
            Self::OtherAuthority => MxBehaviour::presenting(Certificate::OtherAuthority),
            Self::HandshakeGarbage => MxBehaviour::handshake_garbage(),
            Self::HandshakeClosed => MxBehaviour::handshake_closed(),
            Self::PlaintextInjected => {
                MxBehaviour::injected(b"250-spare.test\r\n250 PIPELINING\r\n250 2.1.0 go on\r\n")
            }
        }
    }
}

impl Cell {
    async fn new(relay: &RelayInWorld, mx: Mx, naming: Naming) -> Self {
        let domain = format!("{mx:?}-{naming:?}.test").to_lowercase();
        let host = relay.world.mx(&format!("mx.{domain}"), mx.behaviour()).await;
        Self { mx, naming, domain, host }
    }

    /// The hosts that the cell's policy names.
    fn names(&self, naming: Naming) -> [&str; 2] {
        [SPARE, if naming == Naming::Named { self.host.name() } else { ELSEWHERE }]
    }

    /// What is published and cached before anything changes.
    fn earlier_policy(&self, state: State) -> Option<PolicyText> {
        match state {
            State::NonePublished | State::ModeNone | State::Testing | State::Enforce => None,
            State::CachedThenRecordRemoved
            | State::CachedThenRecordFails
            | State::CachedThenFetchFails
            | State::RenewedToTesting
            | State::RenewedToNone => Some(PolicyText::enforce(self.names(self.naming))),
            State::ExpiredAndRemoved | State::ExpiredAndFetchFails | State::ExpiredAndPublished => {
                Some(PolicyText::enforce(self.names(self.naming)).max_age(MAX_AGE))
            }
            State::RenewedToEnforce => Some(PolicyText::testing([SPARE])),
            State::RenewedNamingAnother => {
                let other = match self.naming {
                    Naming::Named => Naming::NotNamed,
                    Naming::NotNamed => Naming::Named,
                };
                Some(PolicyText::enforce(self.names(other)))
            }
        }
    }

    /// Publishes the state that the message meets.
    async fn publish(&self, relay: &RelayInWorld, state: State) {
        let world = &relay.world;
        let domain = || world.domain(&self.domain);
        let fails = || PolicyBehaviour::status(500);
        match state {
            State::NonePublished | State::ExpiredAndPublished => {}
            State::ModeNone => drop(domain().sts("1").policy(PolicyText::none()).await),
            State::Testing => {
                drop(domain().sts("1").policy(PolicyText::testing(self.names(self.naming))).await);
            }
            State::Enforce => {
                drop(domain().sts("1").policy(PolicyText::enforce(self.names(self.naming))).await);
            }
            State::CachedThenRecordRemoved => drop(domain().without_sts_record()),
            State::CachedThenRecordFails => {
                world.names().fail(&format!("_mta-sts.{}", self.domain), testbed::Fault::ServFail);
            }
            State::CachedThenFetchFails => drop(domain().sts("2").policy(fails()).await),
            State::RenewedToEnforce | State::RenewedNamingAnother => {
                drop(domain().sts("2").policy(PolicyText::enforce(self.names(self.naming))).await);
            }
            State::RenewedToTesting => {
                drop(domain().sts("2").policy(PolicyText::testing(self.names(self.naming))).await);
            }
            State::RenewedToNone => drop(domain().sts("2").policy(PolicyText::none()).await),
            State::ExpiredAndRemoved => drop(domain().without_sts_record().policy(fails()).await),
            State::ExpiredAndFetchFails => drop(domain().policy(fails()).await),
        }
        drop(domain().without_mx().mx(10, &self.host));
    }
}

/// Has every cell's earlier policy cached, if there is one, by a message to the spare host.
async fn cache(relay: &RelayInWorld, state: State, cells: &[Cell], client: &mut Sender) {
    let spare = relay.world.mx(SPARE, MxBehaviour::valid()).await;
    let mut sent = Vec::new();
    for cell in cells {
        let Some(policy) = cell.earlier_policy(state) else { return };
        relay.world.domain(&cell.domain).mx(10, &spare).sts("1").policy(policy).await;
        let recipient = format!("<before@{}>", cell.domain);
        sent.push(submit(client, SENDER, &[&recipient], MESSAGE).await);
    }
    spare.wait_for_messages(cells.len(), PATIENCE).await.unwrap();
    for id in sent {
        relay.gone(id).await;
    }
    relay.world.forget_messages();
    relay.world.tap().forget();
}

/// Sends a message to each cell, and holds what becomes of it against [`expected`].
async fn judge(state: State) {
    let relay = RelayInWorld::start().await;
    let mut cells = Vec::new();
    for mx in MX {
        for naming in [Naming::Named, Naming::NotNamed] {
            cells.push(Cell::new(&relay, mx, naming).await);
        }
    }
    let mut client = Sender::connect(relay.listener()).await.unwrap();
    client.ehlo("client.test").await.unwrap();
    cache(&relay, state, &cells, &mut client).await;

    for cell in &cells {
        cell.publish(&relay, state).await;
    }
    if matches!(
        state,
        State::ExpiredAndRemoved | State::ExpiredAndFetchFails | State::ExpiredAndPublished
    ) {
        relay.clock.advance(Duration::from_secs(MAX_AGE + 1));
    }
    let mut sent = Vec::new();
    for cell in &cells {
        let recipient = format!("<now@{}>", cell.domain);
        sent.push(submit(&mut client, SENDER, &[&recipient], MESSAGE).await);
    }

    for (cell, id) in cells.iter().zip(sent) {
        match expected(state, cell.mx, cell.naming) {
            Expected::Proved => proved(&relay, cell, id).await,
            Expected::Taken => taken(&relay, cell, id).await,
            Expected::Held => held(&relay, state, cell, id).await,
        }
        if is_enforced(state) {
            nothing_went_unproved(cell);
        }
    }
    relay.is_well_behaved();
}

async fn taken(relay: &RelayInWorld, cell: &Cell, id: QueueId) {
    relay.gone(id).await;
    let messages = cell.host.messages();
    assert_eq!(messages.len(), 1, "{cell:?}\n{}", relay.story());
    assert_eq!(messages[0].recipients, [format!("now@{}", cell.domain)]);
    assert!(messages[0].data.ends_with(MESSAGE), "{cell:?}: {}", messages[0].text());
}

async fn proved(relay: &RelayInWorld, cell: &Cell, id: QueueId) {
    taken(relay, cell, id).await;
    let session = cell.host.messages()[0].tls.clone();
    assert_eq!(session.and_then(|tls| tls.sni).as_deref(), Some(cell.host.name()), "{cell:?}");
}

async fn held(relay: &RelayInWorld, state: State, cell: &Cell, id: QueueId) {
    let reasons = relay.deferred(id, 1).await;
    assert_eq!(cell.host.messages(), [], "{cell:?}");
    let [reason] = &reasons[..] else { panic!("{cell:?}: {reasons:?}") };
    assert!(reason.text.contains(&cell.domain), "the domain is not named: {reason:?}");
    assert!(reason.text.contains(cell.host.name()), "the host is not named: {reason:?}");
    assert_eq!(reason.policy.is_some(), is_enforced(state), "{reason:?}");
    assert_eq!(reason.enhanced.to_string(), status(state, cell), "{reason:?}");
}

/// The status of mail that is held, in the numbers of RFC 3463 and its registry (RFC 5248).
fn status(state: State, cell: &Cell) -> &'static str {
    if is_enforced(state) && cell.naming == Naming::NotNamed {
        return "4.4.8";
    }
    match cell.mx {
        Mx::StarttlsNotOffered
        | Mx::StarttlsRefusedForNow
        | Mx::StarttlsRefusedForGood
        | Mx::StarttlsStripped
        | Mx::StarttlsOverwritten => "4.7.10",
        Mx::PlaintextInjected => "4.7.0",
        Mx::Valid
        | Mx::SelfSigned
        | Mx::Expired
        | Mx::NotYetValid
        | Mx::WrongName
        | Mx::CommonNameOnly
        | Mx::OtherAuthority
        | Mx::HandshakeGarbage
        | Mx::HandshakeClosed => "4.7.5",
    }
}

/// No MAIL, RCPT or DATA was sent in clear, to a host that is not named, or to one that has not
/// proved its name.
fn nothing_went_unproved(cell: &Cell) {
    let may_send = cell.mx == Mx::Valid && cell.naming == Naming::Named;
    for connection in cell.host.connections() {
        assert_eq!(connection.envelope_in_clear(), Vec::<String>::new(), "{cell:?}");
        let envelope = connection.envelope();
        assert!(envelope.iter().all(|command| command.channel == Channel::Tls), "{connection}");
        assert!(may_send || envelope.is_empty(), "{cell:?}: {connection}");
        assert!(envelope.is_empty() || has_proved_its_name(&connection), "{connection}");
        assert_eq!(cell.naming, Naming::Named, "a host that is not named was called: {connection}");
    }
}

fn has_proved_its_name(connection: &Connection) -> bool {
    match &connection.handshake {
        Handshake::Completed(tls) => {
            tls.sni.as_deref() == Some(connection.host.as_str()) && !tls.resumed
        }
        Handshake::NotTried | Handshake::Begun | Handshake::Failed { .. } => false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_policy_mail_goes_to_whatever_host_there_is() {
    judge(State::NonePublished).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mode_none_lets_mail_go_to_whatever_host_there_is() {
    judge(State::ModeNone).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mode_testing_lets_mail_go_to_whatever_host_there_is() {
    judge(State::Testing).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mode_enforce_lets_mail_go_to_named_hosts_that_prove_their_name_alone() {
    judge(State::Enforce).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cached_policy_is_enforced_when_the_record_is_gone() {
    judge(State::CachedThenRecordRemoved).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cached_policy_is_enforced_when_the_record_cannot_be_looked_up() {
    judge(State::CachedThenRecordFails).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cached_policy_is_enforced_when_the_new_one_cannot_be_fetched() {
    judge(State::CachedThenFetchFails).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_id_brings_a_policy_that_is_enforced_at_once() {
    judge(State::RenewedToEnforce).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_id_brings_a_policy_that_is_only_tested_at_once() {
    judge(State::RenewedToTesting).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_id_brings_the_end_of_a_policy_at_once() {
    judge(State::RenewedToNone).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_id_brings_a_policy_that_names_other_hosts_at_once() {
    judge(State::RenewedNamingAnother).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_policy_that_is_no_longer_published_holds_nothing_up() {
    judge(State::ExpiredAndRemoved).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_policy_that_cannot_be_fetched_holds_nothing_up() {
    judge(State::ExpiredAndFetchFails).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_policy_that_is_still_published_is_fetched_and_enforced() {
    judge(State::ExpiredAndPublished).await;
}
