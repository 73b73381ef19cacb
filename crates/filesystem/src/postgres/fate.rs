//! What became of a transaction whose end was sent and whose answer was lost.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_postgres::Error;

use super::queue::{Answer, Waiting};
use super::shared::Shared;
use super::sql::STATUS;
use super::traces::Traces;
use super::transaction::Lost;
use crate::Source;

/// Between two questions while the server still works on it, or is not there.
const ASK_EVERY: Duration = Duration::from_millis(20);

/// What is known now.
pub(super) enum Fate {
    /// It was done, and what it answered was learnt before.
    Done(Vec<Answer>),
    /// It was not done, and never will be.
    NotDone,
    /// Nobody can tell.
    Unknown(Option<Source>),
}

/// Asks the server until an instant. It must be the same one, in the same of its histories: after a failover a number
/// may be another transaction's.
///
/// In the same history too: a number that was not durable when the server fell is given out again. So that it was
/// committed is believed only of a transaction whose rows are there.
pub(super) async fn fate(
    shared: &Shared,
    commits: &[Waiting],
    lost: Lost,
    identity: Option<String>,
    until: Instant,
) -> Fate {
    let source = lost.source.map(|error| Box::new(error) as Source);
    let (Some(transaction), Some(identity)) = (lost.transaction, identity) else {
        return Fate::Unknown(source);
    };
    // Of what was done at which version, and where in the logs, nothing can be found when the answer is lost too.
    let answers = lost.answers.unwrap_or_default();
    let batches = commits.iter().map(|waiting| &waiting.batch);
    let traces = Traces::of(batches.zip(&answers));
    // Ends with an answer, or at the instant.
    while Instant::now() < until {
        match ask(shared, &transaction, &identity, &traces).await {
            Asked::Committed => return Fate::Done(answers),
            Asked::Aborted => return Fate::NotDone,
            Asked::NotYet => sleep(ASK_EVERY).await,
            Asked::NeverKnown => return Fate::Unknown(source),
        }
    }
    Fate::Unknown(source)
}

enum Asked {
    /// And its rows are there.
    Committed,
    Aborted,
    /// The server still works on it, or did not answer.
    NotYet,
    NeverKnown,
}

async fn ask(shared: &Shared, transaction: &str, identity: &str, traces: &Traces<'_>) -> Asked {
    let Ok(mut session) = shared.pool.get().await else {
        return Asked::NotYet;
    };
    if session.identity.as_deref() != Some(identity) {
        return Asked::NeverKnown;
    }
    let Ok(statement) = session.statement(STATUS).await else {
        return Asked::NotYet;
    };
    match session.client.query_one(&statement, &[&transaction]).await {
        Ok(row) => match row.try_get::<_, Option<String>>(0).ok().flatten().as_deref() {
            Some("committed") => match traces.are_left(&mut session, &shared.sql, transaction).await {
                Ok(true) => Asked::Committed,
                Ok(false) => Asked::NeverKnown,
                Err(error) => unanswered(&error),
            },
            Some("aborted") => Asked::Aborted,
            Some("in progress") => Asked::NotYet,
            Some(_) | None => Asked::NeverKnown,
        },
        Err(error) => unanswered(&error),
    }
}

fn unanswered(error: &Error) -> Asked {
    if error.code().is_some() {
        Asked::NeverKnown
    } else {
        Asked::NotYet
    }
}
