//! What became of a group whose COMMIT has had no reply.

use crate::connect::{Connector, Session};
use crate::error::QueryError;
use crate::group::{GroupKey, count};
use crate::rows::signed;
use crate::tally::Tally;
use crate::work::Work;

/// What became of a group in doubt.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fate {
    /// It is committed, and as durable as this answer.
    Committed,
    /// It never was and never can be.
    Never,
}

/// Messages of a group in doubt that nobody is told of any more.
#[derive(Debug, Default)]
pub(crate) struct Void {
    ids: Vec<i64>,
    /// By how much the totals change when they go.
    pub(crate) tally: Tally,
}

impl Void {
    /// Those of a group.
    pub(crate) fn of(group: &[Work]) -> Self {
        let mut void = Self::default();
        let abandoned = group.iter().filter(|work| work.is_abandoned());
        for message in abandoned.filter_map(Work::prepared) {
            void.ids.push(signed(message.id));
            void.tally.add_whole(message, -1);
        }
        void
    }
}

/// Asks a server that takes writes, on a new connection, which goes on to be used. Should the group be
/// committed, `void` is removed by the transaction that finds that out.
pub(crate) async fn fate(
    connector: &Connector,
    key: GroupKey,
    void: &Void,
) -> Result<(Session, Fate), QueryError> {
    let session = connector.connect().await?;
    session.batch("BEGIN").await?;
    // Waits for the group's transaction if that is still running, and keeps it from ever beginning again.
    let sql = "INSERT INTO commit_group (node, number) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    let inserted = session.execute(sql, &[&key.node, &key.number]).await?;
    // A conflict alone writes nothing, and its commit would wait for no disk and no standby.
    let sql = "UPDATE commit_group SET at = clock_timestamp() WHERE node = $1 AND number = $2";
    session.execute(sql, &[&key.node, &key.number]).await?;
    let fate = if inserted == 0 { Fate::Committed } else { Fate::Never };
    if fate == Fate::Committed && !void.ids.is_empty() {
        for sql in [
            "DELETE FROM entry WHERE id = ANY($1::bigint[])",
            "DELETE FROM message WHERE id = ANY($1::bigint[])",
            "DELETE FROM body WHERE id = ANY($1::bigint[])",
        ] {
            session.execute(sql, &[&void.ids]).await?;
        }
        count(&session, key, &void.tally, 0).await?;
    }
    session.batch("COMMIT").await?;
    Ok((session, fate))
}
