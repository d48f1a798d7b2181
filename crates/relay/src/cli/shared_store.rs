//! `sts-relay node` and `sts-relay store`: the database that several relays share. It is asked directly, whether
//! a relay runs here or not.

use std::io;
use std::time::Duration;

use clap::Subcommand;
use clock::{SystemClock, Timestamp};
use serde::Serialize;
use settings::{ChosenStore, Settings};
use store_postgres::{Made, NodeState, SharingNode, Standby, StoreProblem, StoreSettings};

use super::ending::Ending;
use super::output::{Format, Output};
use super::runtime::runtime;
use super::table::{Room, Table};
use super::words::span;

/// What can be asked about the relays that share a store.
#[derive(Debug, Subcommand)]
pub(super) enum NodeCommand {
    /// List the relays that share the store, and what each has of the queue.
    List {
        #[command(flatten)]
        format: Format,
    },
}

/// What can be done to a store in a database.
#[derive(Debug, Subcommand)]
pub(super) enum StoreCommand {
    /// Check whether the database keeps what it confirms, and whether the role may do all it has to.
    Check {
        #[command(flatten)]
        format: Format,
    },
    /// Make the tables, unless they are there.
    Init {
        #[command(flatten)]
        format: Format,
    },
}

/// Answers `node`.
pub(super) fn node(
    command: &NodeCommand,
    settings: &Settings,
    output: &mut Output,
) -> anyhow::Result<Ending> {
    let NodeCommand::List { format } = command;
    let nodes = runtime()?.block_on(store_postgres::nodes(database(settings)?))?;
    let nodes: Vec<_> = nodes.iter().map(ListedNode::of).collect();
    format.write(&nodes, output, |nodes, output| print_nodes(nodes, output))?;
    Ok(Ending::Done)
}

/// Answers `store`.
pub(super) fn store(
    command: &StoreCommand,
    settings: &Settings,
    output: &mut Output,
) -> anyhow::Result<Ending> {
    let database = database(settings)?;
    match command {
        StoreCommand::Check { format } => {
            let examined = store_postgres::examine(database, &SystemClock);
            let problems = runtime()?.block_on(examined)?;
            let examined = Examined { problems: problems.iter().map(in_words).collect() };
            format.write(&examined, output, |examined, output| {
                for problem in &examined.problems {
                    output.line(problem)?;
                }
                if examined.problems.is_empty() { output.line("nothing found") } else { Ok(()) }
            })?;
            // That there is no standby is worth a word, and no fault where none is asked for.
            let is_fine = |one: &StoreProblem| {
                *one == StoreProblem::NoStandby && database.standby == Standby::Any
            };
            Ok(if problems.iter().all(is_fine) { Ending::Done } else { Ending::Refused })
        }
        StoreCommand::Init { format } => {
            let made = runtime()?.block_on(store_postgres::init(database))? == Made::Now;
            format.write(&Initialised { made }, output, |_, output| {
                output.line(if made { "tables made" } else { "the tables are there already" })
            })?;
            Ok(Ending::Done)
        }
    }
}

/// The database of these settings.
fn database(settings: &Settings) -> anyhow::Result<&StoreSettings> {
    match &settings.store {
        ChosenStore::Postgres(shared) => Ok(&shared.settings),
        ChosenStore::Embedded(_) => anyhow::bail!(
            "store.kind is \"embedded\": the queue is in data_dir, and no other relay shares it"
        ),
    }
}

/// `store init` for scripts.
#[derive(Debug, Serialize)]
struct Initialised {
    /// Whether the tables were made just now.
    made: bool,
}

/// `store check` for scripts.
#[derive(Debug, Serialize)]
struct Examined {
    problems: Vec<String>,
}

/// A relay that shares the store.
#[derive(Debug, Serialize)]
struct ListedNode {
    name: String,
    token: i64,
    state: ListedState,
    /// For how many seconds its lease goes on; of a relay that did not renew it, since when it has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    lease_left: Option<i64>,
    program: String,
    started_at: Timestamp,
    /// How many entries of the queue it owns.
    entries: u64,
}

/// Whether it lives.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
enum ListedState {
    Alive,
    Dead,
    /// It has not renewed its lease in time, and nobody has declared it dead yet.
    Overdue,
}

impl ListedState {
    const fn word(self) -> &'static str {
        match self {
            Self::Alive => "alive",
            Self::Dead => "dead",
            Self::Overdue => "overdue",
        }
    }
}

impl ListedNode {
    fn of(node: &SharingNode) -> Self {
        let whole = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        let (state, lease_left) = match node.state {
            NodeState::Alive(left) => (ListedState::Alive, Some(whole(left))),
            NodeState::Dead => (ListedState::Dead, None),
            NodeState::Overdue(since) => {
                (ListedState::Overdue, Some(whole(since).saturating_neg()))
            }
        };
        Self {
            name: node.name.clone(),
            token: node.token,
            state,
            lease_left,
            program: node.program.clone(),
            started_at: Timestamp::of(node.started_at),
            entries: node.entries,
        }
    }

    /// The lease in words.
    fn lease(&self) -> String {
        match self.lease_left {
            Some(left) if left < 0 => format!("ended {} ago", span(left.unsigned_abs())),
            Some(left) => span(left.unsigned_abs()),
            None => "ended".to_owned(),
        }
    }
}

/// The list as a table.
fn print_nodes(nodes: &[ListedNode], output: &mut Output) -> io::Result<()> {
    if nodes.is_empty() {
        return output.line("no relay shares the store");
    }
    let mut table = Table::new([
        ("NODE", Room::AtLeast(16)),
        ("STATE", Room::Whole),
        ("LEASE", Room::Whole),
        ("ENTRIES", Room::Whole),
        ("STARTED", Room::IfThereIs),
        ("PROGRAM", Room::IfThereIs),
        ("TOKEN", Room::IfThereIs),
    ]);
    for node in nodes {
        table.row([
            node.name.clone(),
            node.state.word().to_owned(),
            node.lease(),
            node.entries.to_string(),
            node.started_at.to_string(),
            node.program.clone(),
            node.token.to_string(),
        ]);
    }
    table.print(output.width(), output)
}

/// A problem, and what to do about it.
fn in_words(problem: &StoreProblem) -> String {
    match problem {
        StoreProblem::ClocksApart(apart) => format!(
            "clocks: the server's and this machine's are {}s apart: synchronise both",
            apart.as_secs()
        ),
        StoreProblem::NoFsync => {
            "fsync is off: the server confirms what a power cut takes away: set it to on".to_owned()
        }
        StoreProblem::NoFullPageWrites => {
            "full_page_writes is off: a power cut can damage tables: set it to on".to_owned()
        }
        StoreProblem::NoStandby => "synchronous_standby_names is empty: what is confirmed is on \
                                    one disk alone, and lost with it"
            .to_owned(),
        StoreProblem::NoTables => {
            "there are no tables: make them with `sts-relay store init`".to_owned()
        }
        StoreProblem::OldServer(version) => {
            format!("the server is version {}: 14 is the oldest that works", version / 10_000)
        }
        StoreProblem::OtherFormat(format) => {
            format!("the tables are of format {format}, which this program does not know")
        }
        StoreProblem::Right(right) => format!("the role lacks a right: {right}"),
    }
}
