//! Where activity is kept: an SQLite database beside the segments, in which each row is chained to the
//! one before.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mail::in_full;
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::activity::Activity;
use crate::chain::{Link, Rule};
use crate::error::HistoryError;
use crate::files::Files;
use crate::ledger::Between;
use crate::span::whole_millis;
use crate::sql::{integer, most, open_if_there, text_of};
use crate::verify::Fault;

/// Its name.
const NAME: &str = "activity.sqlite";

/// So many acts are kept; the oldest go beyond that.
const ACTS_MOST: i64 = 200_000;

/// What is too old or too much goes whenever so many acts have come.
const PRUNE_EVERY: u64 = 1_000;

const TABLE: &str = "CREATE TABLE IF NOT EXISTS activity (
    number INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, text TEXT NOT NULL,
    link BLOB NOT NULL
)";

/// Keeps what operators do. Clones are the same log.
#[derive(Clone, Debug, Default)]
pub struct ActivityLog(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    dir: PathBuf,
    keep: Duration,
    /// None until the first act, and after a failure.
    file: Mutex<Option<File>>,
}

/// The file, to be written.
#[derive(Debug)]
struct File {
    connection: Connection,
    /// The link of the last row.
    link: Link,
    /// How many rows were written.
    written: u64,
}

impl ActivityLog {
    /// One that keeps nothing.
    #[must_use]
    pub fn disabled() -> Self {
        Self::default()
    }

    /// The log in the directory of a history, where acts stay for so long. It is made when there is
    /// something to be kept.
    #[must_use]
    pub fn in_dir(dir: impl Into<PathBuf>, keep: Duration) -> Self {
        Self(Some(Arc::new(Inner { dir: dir.into(), keep, file: Mutex::default() })))
    }

    /// Keeps an act: it survives a power cut when this returns. Where that fails the log says so; the
    /// act has been done.
    pub async fn record(&self, activity: Activity) {
        let Some(inner) = self.0.clone() else { return };
        let kept = tokio::task::spawn_blocking(move || inner.append(&activity)).await;
        if let Err(error) = kept.unwrap_or(Err(HistoryError::Ended)) {
            tracing::error!(error = in_full(&error), "activity not recorded");
        }
    }
}

impl Inner {
    /// Appends an act.
    fn append(&self, activity: &Activity) -> Result<(), HistoryError> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let mut open = match file.take() {
            Some(open) => open,
            None => File::open(&self.dir)?,
        };
        let oldest = activity.at.saturating_sub(whole_millis(self.keep));
        open.append(activity, oldest).map_err(HistoryError::segment(&path_in(&self.dir)))?;
        *file = Some(open);
        Ok(())
    }
}

impl File {
    /// Opens the file, or makes it.
    fn open(dir: &Path) -> Result<Self, HistoryError> {
        Files::new(dir.to_path_buf()).create()?;
        let path = path_in(dir);
        let opened = Connection::open(&path).and_then(|connection| {
            connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
            connection.execute_batch("PRAGMA synchronous = FULL;")?;
            connection.execute_batch(TABLE)?;
            let sql = "SELECT link FROM activity ORDER BY number DESC LIMIT 1";
            let link: Option<Vec<u8>> =
                connection.query_row(sql, [], |row| row.get(0)).optional()?;
            Ok((connection, link))
        });
        let (connection, link) = opened.map_err(HistoryError::segment(&path))?;
        let link = link.and_then(|link| Link::read(&link)).unwrap_or(Link::START);
        Ok(Self { connection, link, written: 0 })
    }

    /// Appends an act, and removes those from before `oldest` once in a while.
    fn append(&mut self, activity: &Activity, oldest: u64) -> rusqlite::Result<()> {
        let text = text_of(activity)?;
        let link = self.link.next(Rule::OfTexts, &text);
        let transaction = self.connection.transaction()?;
        let _row = transaction.execute(
            "INSERT INTO activity (at, text, link) VALUES (?1, ?2, ?3)",
            params![integer(activity.at), text, link.as_bytes()],
        )?;
        if self.written.is_multiple_of(PRUNE_EVERY) {
            // The first that is kept shows how long the chain was.
            let _rows = transaction.execute(
                "DELETE FROM activity WHERE number < \
                 (SELECT min(number) FROM activity WHERE at >= ?1) \
                 OR number <= (SELECT max(number) FROM activity) - ?2",
                params![integer(oldest), ACTS_MOST],
            )?;
        }
        transaction.commit()?;
        (self.link, self.written) = (link, self.written.saturating_add(1));
        Ok(())
    }
}

/// The last `limit` acts within a span of time that are kept in `dir`, the newest first. Blocks: reads
/// the disk.
///
/// # Errors
///
/// [`HistoryError`] where they cannot be read.
pub fn activities(
    dir: &Path,
    within: Between,
    limit: usize,
) -> Result<Vec<Activity>, HistoryError> {
    let Some(connection) = open_if_there(&path_in(dir))? else { return Ok(Vec::new()) };
    let read = || -> rusqlite::Result<Vec<String>> {
        let sql = "SELECT text FROM activity WHERE at >= ?1 AND at < ?2 \
                   ORDER BY number DESC LIMIT ?3";
        let values = params![integer(within.since), integer(within.until), most(limit)];
        connection.prepare(sql)?.query_map(values, |row| row.get(0))?.collect()
    };
    let texts = read().map_err(HistoryError::segment(&path_in(dir)))?;
    let parsed = texts.iter().map(|text| {
        let what = "an act cannot be read";
        serde_json::from_str(text)
            .map_err(|_malformed| HistoryError::Damaged { path: path_in(dir), what })
    });
    parsed.collect()
}

/// The first act that is not as it was written, or does not follow the one before. Blocks: reads the
/// disk.
///
/// # Errors
///
/// [`HistoryError`] where the acts cannot be read.
pub fn verify_activities(dir: &Path) -> Result<Option<Fault>, HistoryError> {
    let path = path_in(dir);
    let Some(connection) = open_if_there(&path)? else { return Ok(None) };
    let read = || -> rusqlite::Result<Option<u64>> {
        let mut select =
            connection.prepare("SELECT number, text, link FROM activity ORDER BY number")?;
        let mut rows = select.query([])?;
        let mut before: Option<(i64, Link)> = None;
        while let Some(row) = rows.next()? {
            let (number, text): (i64, String) = (row.get(0)?, row.get(1)?);
            let link = Link::read(&row.get::<_, Vec<u8>>(2)?);
            let is_right = match (before, link) {
                (_, None) => false,
                (Some((last, before)), Some(link)) => {
                    last.saturating_add(1) == number && before.next(Rule::OfTexts, &text) == link
                }
                // Of the first that is kept only the very first of all can be told.
                (None, Some(link)) => number > 1 || Link::START.next(Rule::OfTexts, &text) == link,
            };
            if !is_right {
                return Ok(u64::try_from(number).ok());
            }
            before = link.map(|link| (number, link));
        }
        Ok(None)
    };
    let fault = read().map_err(HistoryError::segment(&path))?.map(|number| Fault {
        file: path.display().to_string(),
        number: Some(number),
        what: "it is not the act that was written, or one before it is missing".to_owned(),
    });
    Ok(fault)
}

/// Where the log of a history is.
fn path_in(dir: &Path) -> PathBuf {
    dir.join(NAME)
}
