//! What an operator does to a store without being a node of it: make it, look at it, see who shares it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clock::Clock;

use crate::connect::{Connector, Session};
use crate::error::{OpenError, QueryError};
use crate::node::column;
use crate::schema::{self, Found};
use crate::settings::{Migrate, StoreSettings};

/// The oldest version that the statements are written for.
const OLDEST: i32 = 140_000;

/// So far the clocks may be apart before mail is tried at times that surprise.
const APART: Duration = Duration::from_secs(1);

/// Owned entries are counted by reading all of them.
const NODES: &str = "SELECT node.name, node.token, node.dead, node.program, \
    extract(epoch FROM node.started_at)::float8, \
    extract(epoch FROM node.expires_at - clock_timestamp())::float8, \
    coalesce(owned.entries, 0) FROM node LEFT JOIN \
    (SELECT owner, count(*) AS entries FROM entry GROUP BY owner) AS owned \
    ON owned.owner = node.token ORDER BY node.name, node.token";

const SERVER: &str = "SELECT current_setting('server_version_num')::integer, \
    current_setting('fsync') = 'on', current_setting('full_page_writes') = 'on', \
    current_setting('synchronous_standby_names') <> '', \
    extract(epoch FROM clock_timestamp())::float8";

/// What the role may not do of what a node does with the tables.
const RIGHTS: &str = "SELECT tables.name || ': ' || lower(rights.name) FROM unnest($1::text[]) \
    AS tables (name) CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) \
    AS rights (name) WHERE NOT has_table_privilege($2 || '.' || tables.name, rights.name)";

/// A relay that shares a store, or did.
#[derive(Clone, Debug, PartialEq)]
pub struct SharingNode {
    /// What it is called; two may be called the same.
    pub name: String,
    /// Its token, which no other has had.
    pub token: i64,
    /// Whether it lives.
    pub state: NodeState,
    /// The version of its program.
    pub program: String,
    /// When it entered.
    pub started_at: SystemTime,
    /// How many entries of the queue it owns.
    pub entries: u64,
}

/// Whether a node lives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum NodeState {
    /// Its lease goes on for so long.
    Alive(Duration),
    /// It was declared dead: what it owns is anybody's.
    Dead,
    /// Its lease ended so long ago, and nobody has declared it dead yet.
    Overdue(Duration),
}

/// Whether a store was made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Made {
    /// It was there.
    Before,
    /// Just now.
    Now,
}

/// What speaks against keeping mail in a database as it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum StoreProblem {
    /// The clocks of the server and of this machine are so far apart.
    ClocksApart(Duration),
    /// The server does not wait for its disk: `fsync` is off.
    NoFsync,
    /// The server cannot mend a page that was written in part: `full_page_writes` is off.
    NoFullPageWrites,
    /// No standby confirms commits.
    NoStandby,
    /// There are no tables.
    NoTables,
    /// The tables are of a format that this program does not know.
    OtherFormat(i32),
    /// The server is older than the oldest that is supported; its version as it numbers itself.
    OldServer(i32),
    /// The role may not do this: a table, and what.
    Right(String),
}

/// Makes the store's tables, unless they are there.
///
/// # Errors
///
/// [`OpenError`].
pub async fn init(settings: &StoreSettings) -> Result<Made, OpenError> {
    let session = Connector::new(settings).connect().await?;
    let made = match schema::found(&session, &settings.schema).await? {
        Found::Nothing => Made::Now,
        Found::Store { .. } => Made::Before,
    };
    schema::open(&session, &settings.schema, Migrate::Auto).await?;
    Ok(made)
}

/// The relays that share the store, and the dead who still own something.
///
/// # Errors
///
/// [`OpenError`].
pub async fn nodes(settings: &StoreSettings) -> Result<Vec<SharingNode>, OpenError> {
    let session = Connector::new(settings).connect().await?;
    schema::open(&session, &settings.schema, Migrate::Manual).await?;
    let rows = session.query(NODES, &[]).await?;
    let nodes = rows.iter().map(|row| {
        let (dead, left): (bool, f64) = (row.try_get(2)?, row.try_get(5)?);
        let entries: i64 = row.try_get(6)?;
        Ok::<_, QueryError>(SharingNode {
            name: row.try_get(0)?,
            token: row.try_get(1)?,
            state: if dead { NodeState::Dead } else { living(left) },
            program: row.try_get(3)?,
            started_at: UNIX_EPOCH.checked_add(seconds(row.try_get(4)?)).unwrap_or(UNIX_EPOCH),
            entries: u64::try_from(entries).unwrap_or(0),
        })
    });
    Ok(nodes.collect::<Result<_, _>>()?)
}

/// A node that nobody has declared dead, whose lease goes on for so many seconds.
fn living(left: f64) -> NodeState {
    if left >= 0.0 { NodeState::Alive(seconds(left)) } else { NodeState::Overdue(seconds(-left)) }
}

/// Seconds as the database counts them.
fn seconds(count: f64) -> Duration {
    Duration::try_from_secs_f64(count).unwrap_or_default()
}

/// What speaks against keeping mail in the database as it is; nothing is changed.
///
/// # Errors
///
/// [`OpenError`].
pub async fn examine(
    settings: &StoreSettings,
    clock: &dyn Clock,
) -> Result<Vec<StoreProblem>, OpenError> {
    let session = Connector::new(settings).connect().await?;
    let mut problems = server_problems(&session, clock).await?;
    match schema::found(&session, &settings.schema).await? {
        Found::Nothing => problems.push(StoreProblem::NoTables),
        Found::Store { format, .. } if format != schema::FORMAT => {
            problems.push(StoreProblem::OtherFormat(format));
        }
        Found::Store { .. } => {
            let tables: Vec<&str> = schema::TABLE_NAMES.to_vec();
            let schema = settings.schema.as_str();
            let missing = session.query(RIGHTS, &[&tables, &schema]).await?;
            let missing: Vec<String> = column(&missing)?;
            problems.extend(missing.into_iter().map(StoreProblem::Right));
        }
    }
    Ok(problems)
}

/// What speaks against the server.
async fn server_problems(
    session: &Session,
    clock: &dyn Clock,
) -> Result<Vec<StoreProblem>, QueryError> {
    let mut problems = Vec::new();
    let before = clock.now();
    let rows = session.query(SERVER, &[]).await?;
    let after = clock.now();
    let Some(row) = rows.first() else { return Ok(problems) };
    let version: i32 = row.try_get(0)?;
    let (fsync, full_pages, standby): (bool, bool, bool) =
        (row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
    let there = UNIX_EPOCH.checked_add(seconds(row.try_get(4)?)).unwrap_or(UNIX_EPOCH);
    let apart = apart(before, there, after);
    problems.extend((version < OLDEST).then_some(StoreProblem::OldServer(version)));
    problems.extend((!fsync).then_some(StoreProblem::NoFsync));
    problems.extend((!full_pages).then_some(StoreProblem::NoFullPageWrites));
    problems.extend((!standby).then_some(StoreProblem::NoStandby));
    problems.extend((apart > APART).then_some(StoreProblem::ClocksApart(apart)));
    Ok(problems)
}

/// How far a time is from the span in which it was read.
fn apart(before: SystemTime, there: SystemTime, after: SystemTime) -> Duration {
    let early = before.duration_since(there).unwrap_or_default();
    let late = there.duration_since(after).unwrap_or_default();
    early.max(late)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_are_apart_by_what_the_question_cannot_have_taken() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(apart(at(10), at(12), at(15)), Duration::ZERO);
        assert_eq!(apart(at(10), at(7), at(15)), Duration::from_secs(3));
        assert_eq!(apart(at(10), at(19), at(15)), Duration::from_secs(4));
    }
}
