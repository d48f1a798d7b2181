//! This node among those that share the store: its token, its slot, and the note of both.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clock::Clock;
use store::{ID_SLOTS, IdSource};
use tokio_postgres::Row;

use crate::connect::Session;
use crate::error::{OpenError, QueryError};
use crate::rows::{big, id, signed, whole};
use crate::settings::StoreSettings;
use crate::tally::Tally;

/// Who this node is.
#[derive(Debug)]
pub(crate) struct Identity {
    /// Every token that this process has had; the last one is its own now.
    pub(crate) tokens: Vec<i64>,
    /// Which slot of ids and totals is its own.
    pub(crate) slot: i16,
    /// Whose the records are of what this node settles: the first token that was ever noted in its directory,
    /// where its history is too. It outlives slots and tokens.
    pub(crate) home: i64,
    /// Gives ids of the slot.
    pub(crate) ids: IdSource,
}

/// What a node has when it has entered.
#[derive(Debug)]
pub(crate) struct Entered {
    pub(crate) identity: Identity,
    /// What its slot counts.
    pub(crate) tally: Tally,
    /// No record has had a greater number so far that this node or one before it in its directory has kept.
    pub(crate) last_record: u64,
}

impl Identity {
    /// The token that new entries and claims carry.
    pub(crate) fn token(&self) -> i64 {
        self.tokens.last().copied().unwrap_or(crate::plan::NOBODY)
    }
}

/// So many tokens are noted, of starts that were all broken off.
const NOTED_MOST: usize = 64;

/// A lease as the database counts it.
fn seconds(lease: Duration) -> f64 {
    lease.as_secs_f64()
}

/// Enters this node among those that share the store: with a token that nobody has had, and the smallest slot
/// without a living node. Who was here before, by the note in the node's own directory, is dead: only one
/// process has that directory.
pub(crate) async fn register(
    session: &Session,
    settings: &StoreSettings,
    store: i64,
    clock: &dyn Clock,
    before: &[i64],
) -> Result<Entered, OpenError> {
    let file = NoteFile::of(settings, store);
    let token = new_token(session).await?;
    let mut note = file.read()?.unwrap_or(Note { home: token, tokens: Vec::new() });
    note.tokens.extend(before);
    note.tokens.drain(..note.tokens.len().saturating_sub(NOTED_MOST));
    let dead = note.tokens.clone();
    // Before it is in the database: should this process end in between, the next one knows that it is dead.
    note.tokens.push(token);
    file.write(&note)?;
    session.batch("BEGIN").await?;
    let mut tokens = before.to_vec();
    tokens.push(token);
    let entered = enter(session, settings, clock, (note.home, tokens), &dead).await;
    let (entered, reserved) = match entered {
        Ok(entered) => entered,
        Err(error) => {
            session.batch("ROLLBACK").await?;
            return Err(error);
        }
    };
    session.batch("COMMIT").await?;
    entered.identity.ids.reserve(id(reserved));
    file.write(&Note { home: note.home, tokens: vec![token] })?;
    Ok(entered)
}

/// A token that nobody has had.
async fn new_token(session: &Session) -> Result<i64, OpenError> {
    let tokens: Vec<i64> = column(&session.query("SELECT nextval('token')", &[]).await?)?;
    tokens.first().copied().ok_or_else(|| OpenError::Refused("no token was given".to_owned()))
}

/// The rows of a node that enters, within a transaction.
async fn enter(
    session: &Session,
    settings: &StoreSettings,
    clock: &dyn Clock,
    (home, tokens): (i64, Vec<i64>),
    dead: &[i64],
) -> Result<(Entered, i64), OpenError> {
    // One node enters at a time.
    session.query("SELECT number FROM store FOR UPDATE", &[]).await?;
    let sql = "UPDATE node SET dead = true WHERE token = ANY($1::bigint[])";
    session.execute(sql, &[&dead]).await?;
    let taken = session.query("SELECT slot FROM node WHERE NOT dead", &[]).await?;
    let taken: Vec<i16> = column(&taken)?;
    let slot = (0..i16::try_from(ID_SLOTS).unwrap_or(i16::MAX)).find(|slot| !taken.contains(slot));
    let slot = slot.ok_or(OpenError::Slots)?;
    let sql = "INSERT INTO slot (slot, id_ceiling) VALUES ($1, 0) \
               ON CONFLICT (slot) DO UPDATE SET slot = excluded.slot RETURNING id_ceiling";
    let ceilings: Vec<i64> = column(&session.query(sql, &[&slot]).await?)?;
    let ceiling = ceilings.first().copied().unwrap_or(0);
    let ids = IdSource::in_slot(u16::try_from(slot).unwrap_or(0), id(ceiling));
    let reserved = ids.wants(clock.now()).map_or(ceiling, signed);
    reserve(session, slot, reserved).await?;
    let sql = "INSERT INTO node (token, name, slot, home, program, started_at, expires_at) \
               VALUES ($1, $2, $3, $4, $5, clock_timestamp(), \
               clock_timestamp() + make_interval(secs => $6))";
    let (program, lease) = (env!("CARGO_PKG_VERSION"), seconds(settings.lease));
    let token = tokens.last();
    session.execute(sql, &[&token, &settings.node, &slot, &home, &program, &lease]).await?;
    let tally = tallies(session, slot).await?.own;
    // Of all slots: those before this one in its directory may have had others.
    let sql = "SELECT coalesce(max(last_record), 0) FROM total";
    let last: Vec<i64> = column(&session.query(sql, &[]).await?)?;
    let last_record = whole(last.first().copied().unwrap_or(0));
    let identity = Identity { tokens, slot, home, ids };
    Ok((Entered { identity, tally, last_record }, reserved))
}

/// The first column of rows.
pub(crate) fn column<'r, T>(rows: &'r [Row]) -> Result<Vec<T>, QueryError>
where
    T: tokio_postgres::types::FromSql<'r>,
{
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Lets ids of a slot be given up to this one.
pub(crate) async fn reserve(session: &Session, slot: i16, id: i64) -> Result<(), QueryError> {
    let sql = "UPDATE slot SET id_ceiling = greatest(id_ceiling, $2) WHERE slot = $1";
    session.execute(sql, &[&slot, &id]).await.map(drop)
}

/// Renews a node's lease; whether it was still alive.
pub(crate) async fn renew(
    session: &Session,
    token: i64,
    lease: Duration,
) -> Result<bool, QueryError> {
    let sql = "UPDATE node SET expires_at = clock_timestamp() + make_interval(secs => $2) \
               WHERE token = $1 AND NOT dead";
    Ok(session.execute(sql, &[&token, &seconds(lease)]).await? > 0)
}

/// Declares those dead whose lease has ended; their tokens.
pub(crate) async fn declare_dead(session: &Session) -> Result<Vec<(i64, String)>, QueryError> {
    let sql = "UPDATE node SET dead = true WHERE NOT dead AND expires_at < clock_timestamp() \
               RETURNING token, name";
    let rows = session.query(sql, &[]).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// The tokens of the dead.
pub(crate) async fn dead(session: &Session) -> Result<Vec<i64>, QueryError> {
    column(&session.query("SELECT token FROM node WHERE dead", &[]).await?)
}

/// The token of the living node that entered first.
pub(crate) async fn eldest(session: &Session) -> Result<Option<i64>, QueryError> {
    let rows = session.query("SELECT min(token) FROM node WHERE NOT dead", &[]).await?;
    Ok(column::<Option<i64>>(&rows)?.into_iter().flatten().next())
}

/// Forgets the dead who own nothing any more.
pub(crate) async fn forget_dead(session: &Session) -> Result<(), QueryError> {
    let sql = "DELETE FROM node WHERE dead \
               AND NOT EXISTS (SELECT 1 FROM entry WHERE owner = token)";
    session.execute(sql, &[]).await.map(drop)
}

/// Takes a node out in order: what it owns is anybody's, and its slot goes on where it was.
pub(crate) async fn leave(session: &Session, identity: &Identity) -> Result<(), QueryError> {
    session.batch("BEGIN").await?;
    let sql = "UPDATE entry SET owner = 0 WHERE owner = ANY($1::bigint[])";
    session.execute(sql, &[&identity.tokens]).await?;
    let sql = "UPDATE slot SET id_ceiling = $2 WHERE slot = $1";
    let last = big(identity.ids.last().number());
    session.execute(sql, &[&identity.slot, &last]).await?;
    let sql = "DELETE FROM node WHERE token = ANY($1::bigint[])";
    session.execute(sql, &[&identity.tokens]).await?;
    session.batch("COMMIT").await
}

/// What this node's slot counts, and what all others do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tallies {
    /// This node's slot.
    pub(crate) own: Tally,
    /// The others together.
    pub(crate) others: Tally,
}

/// Reads the totals.
pub(crate) async fn tallies(session: &Session, slot: i16) -> Result<Tallies, QueryError> {
    let sql = "SELECT slot, messages, recipients, bytes, waiting FROM total";
    let rows = session.query(sql, &[]).await?;
    let mut tallies = Tallies { own: Tally::default(), others: Tally::default() };
    for row in &rows {
        let mut one = Tally {
            messages: row.try_get(1)?,
            recipients: row.try_get(2)?,
            bytes: row.try_get(3)?,
            ..Tally::default()
        };
        let waiting: Vec<i64> = row.try_get(4)?;
        for (count, counted) in one.waiting.iter_mut().zip(waiting) {
            *count = counted;
        }
        let of: i16 = row.try_get(0)?;
        let sum = if of == slot { &mut tallies.own } else { &mut tallies.others };
        *sum = sum.plus(&one);
    }
    Ok(tallies)
}

/// What is noted in a node's own directory.
#[derive(Debug)]
struct Note {
    /// Whose the records are.
    home: i64,
    /// The tokens under which a node may have been here.
    tokens: Vec<i64>,
}

/// The file of the note.
#[derive(Debug)]
struct NoteFile {
    path: PathBuf,
    /// Tokens of another store mean nothing.
    store: i64,
}

impl NoteFile {
    fn of(settings: &StoreSettings, store: i64) -> Self {
        Self { path: settings.dir.join("node-token"), store }
    }

    /// What was noted last; none where nothing was, or what is there is no note: the entries of whoever was
    /// here are free when its lease has ended.
    fn read(&self) -> Result<Option<Note>, OpenError> {
        match std::fs::read_to_string(&self.path) {
            Ok(text) => Ok(self.parse(&text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.failed(error)),
        }
    }

    fn parse(&self, text: &str) -> Option<Note> {
        let mut numbers = text.split_ascii_whitespace().map(|number| number.parse().ok());
        let is_ours = numbers.next().flatten() == Some(self.store);
        let home = numbers.next().flatten();
        let tokens = numbers.collect::<Option<_>>()?;
        is_ours.then_some(Note { home: home?, tokens })
    }

    fn write(&self, note: &Note) -> Result<(), OpenError> {
        let mut text = format!("{} {}", self.store, note.home);
        for token in &note.tokens {
            text.push_str(&format!(" {token}"));
        }
        text.push('\n');
        write_whole(&self.path, &text).map_err(|error| self.failed(error))
    }

    fn failed(&self, error: io::Error) -> OpenError {
        OpenError::Note { path: self.path.clone(), error }
    }
}

/// Writes a file so that it is the old or the new one, whole.
fn write_whole(path: &Path, text: &str) -> io::Result<()> {
    let new = path.with_extension("new");
    std::fs::write(&new, text)?;
    std::fs::File::open(&new)?.sync_all()?;
    std::fs::rename(&new, path)
}
