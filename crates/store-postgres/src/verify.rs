//! Comparing what is kept with itself.

use mail::QueueId;
use store::{Findings, Problem, StoreError};

use crate::connect::Session;
use crate::error::QueryError;
use crate::rows::{id, signed};
use crate::shared::Shared;

const MESSAGES: &str = "SELECT message.id, body_sum, pieces, open_entries, open_recipients, \
    (SELECT count(*) FROM entry WHERE entry.id = message.id)::integer AS entries \
    FROM message WHERE message.id > $1 ORDER BY message.id LIMIT 512";

const PIECE: &str = "SELECT bytes FROM body WHERE id = $1 AND piece = $2";

const ORPHANS: &str = "SELECT DISTINCT id FROM entry \
    WHERE NOT EXISTS (SELECT 1 FROM message WHERE message.id = entry.id) LIMIT 512";

/// Reads every message and its body.
pub(crate) async fn verify(shared: &Shared) -> Result<Findings, StoreError> {
    let read = async {
        let session = shared.reader.session().await?;
        let (mut findings, mut from) = (Findings::default(), -1_i64);
        loop {
            let rows = session.query(MESSAGES, &[&from]).await?;
            for row in &rows {
                from = row.try_get("id")?;
                findings.messages = findings.messages.saturating_add(1);
                let why = fault(&session, row).await?;
                match why {
                    None => findings.records = findings.records.saturating_add(1),
                    Some(why) => findings.problems.push(Problem::Record { id: id(from), why }),
                }
            }
            if rows.is_empty() {
                break;
            }
        }
        for row in &session.query(ORPHANS, &[]).await? {
            let of: QueueId = id(row.try_get(0)?);
            let why = format!("{of} has entries and no message");
            findings.problems.push(Problem::Index { why });
        }
        Ok::<_, QueryError>(findings)
    };
    Ok(read.await?)
}

/// What is wrong with a message.
async fn fault(session: &Session, row: &tokio_postgres::Row) -> Result<Option<String>, QueryError> {
    let (counted, entries): (i32, i32) = (row.try_get("open_entries")?, row.try_get("entries")?);
    if counted != entries {
        return Ok(Some(format!("it counts {counted} entries and has {entries}")));
    }
    let (of, pieces): (i64, i32) = (row.try_get("id")?, row.try_get("pieces")?);
    let mut sum = 0;
    for number in 0..pieces {
        let rows = session.query(PIECE, &[&signed(id(of)), &number]).await?;
        let Some(piece) = rows.first() else {
            return Ok(Some(format!("piece {number} of {pieces} is missing")));
        };
        sum = crc32c::crc32c_append(sum, piece.try_get(0)?);
    }
    let expected: i64 = row.try_get("body_sum")?;
    let is_whole = i64::from(sum) == expected;
    Ok((!is_whole).then(|| "the checksum of its body differs".to_owned()))
}
