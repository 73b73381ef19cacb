//! The commonest commit, one record and nothing else: one statement judges, numbers and writes it.

use tokio_postgres::types::ToSql;

use super::arrays::{at, checksum};
use super::failure::NotDone;
use super::queue::Answer;
use super::session::Session;
use super::sql::{BEGIN, COMMIT, Sql};
use super::transaction::{Ended, Steps, number};
use crate::judge::judge;
use crate::{Batch, Committed, Expected, Put};

/// The statement stands in a transaction all the same: its number is learnt before the answer to the `COMMIT`.
pub(super) async fn put(session: &mut Session, sql: &Sql, batch: &Batch, put: &Put) -> Ended {
    let (text, version) = match put.expected {
        Expected::Absent => (&sql.create, 0),
        Expected::At(version) => (&sql.replace, at(version)),
    };
    let write = match session.statement(text).await {
        Ok(write) => write,
        Err(error) => return Ended::NotDone(NotDone::of(error)),
    };
    if session.client.is_closed() {
        return Ended::NotDone(NotDone::Unavailable(None));
    }
    let (key, kind, value) = (put.key.stored(), put.kind.as_str(), &*put.value);
    let crc = checksum(key, kind, value);
    let mut parameters: Vec<&(dyn ToSql + Sync)> = vec![&key, &kind, &value, &crc];
    if put.expected != Expected::Absent {
        parameters.push(&version);
    }
    let (begun, written, committed) = futures::join!(
        session.client.batch_execute(BEGIN),
        session.client.query(&write, &parameters),
        session.client.batch_execute(COMMIT),
    );
    let mut steps = Steps::default();
    steps.pass(begun);
    let written = steps.pass(written);
    let is_refused = written.as_ref().is_some_and(Vec::is_empty);
    if is_refused && steps.is_sound() {
        // Nothing was written, so how the transaction ended does not matter.
        return refused(session, sql, batch, key).await;
    }
    let version = written.as_ref().and_then(|rows| rows.first()?.try_get(0).ok());
    let answers = version.map(|version| vec![done(version)]);
    steps.end(committed, written.as_deref(), answers)
}

fn done(version: i64) -> Answer {
    Ok(Committed {
        version: Some(number(version)),
        positions: Vec::new(),
    })
}

/// What stands in the way is read behind it. A version that was past stays so; a record that was there and is gone
/// again is looked at anew.
async fn refused(session: &mut Session, sql: &Sql, batch: &Batch, key: &str) -> Ended {
    let read = async {
        let versions = session.statement(&sql.versions).await?;
        session.client.query(&versions, &[&[key].as_slice()]).await
    };
    let actual = match read.await {
        Ok(rows) => rows.first().and_then(|row| row.try_get(1).ok()).map(number),
        Err(error) => return Ended::NotDone(NotDone::of(error)),
    };
    match judge(batch, |_| actual, |_| None) {
        Err(conflict) => Ended::Answered(vec![Err(conflict)]),
        Ok(()) => Ended::NotDone(NotDone::Congestion),
    }
}
