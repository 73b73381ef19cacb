//! Finding runs: in pages, newest first, with their outcomes.

use std::sync::Arc;

use dormouse_filesystem::{Cursor, IndexValue, Issue, Order, Query, Records, Versioned, WriteOnce};

use super::outcome::shown;
use super::{OutcomeIndex, OutcomeKind, OutcomeRow, Run, RunIndex};
use crate::core::Core;
use crate::{AgentName, CommandError, RunId, TaskId};

/// Which runs are wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum RunFilter {
    /// All of them, the latest first.
    #[default]
    All,
    /// Those of an agent, the latest first; those of a former agent of that name are not among them.
    Agent(AgentName),
    /// Those of a task, the latest attempt first.
    Task(TaskId),
    /// Those that ended so, the latest end first.
    Outcome(OutcomeKind),
}

/// A run with its outcome, if it has ended.
#[derive(Debug, Clone)]
pub struct RunRow {
    /// The run.
    pub run: Versioned<Run>,
    /// How it ended.
    pub outcome: Option<Versioned<OutcomeRow>>,
}

/// One page of runs.
#[derive(Debug, Clone)]
pub struct RunPage {
    /// In the order of the filter.
    pub rows: Vec<RunRow>,
    /// For the next page; none only at the end.
    pub next: Option<Cursor>,
    /// Rows that cannot be believed, left out.
    pub issues: Vec<Issue>,
}

/// A run with its outcome as it is shown.
pub(super) fn row(core: &Core, run: Versioned<Run>, outcome: Option<Versioned<OutcomeRow>>) -> RunRow {
    let outcome = outcome.map(|outcome| shown(outcome, &core.scrubber));
    RunRow { run, outcome }
}

pub(super) async fn list(
    core: &Arc<Core>,
    filter: &RunFilter,
    after: Option<Cursor>,
    limit: usize,
) -> Result<RunPage, CommandError> {
    let query = match filter {
        RunFilter::All => Query::of(RunIndex::Id),
        RunFilter::Agent(agent) => Query::of(RunIndex::Agent).equals([IndexValue::segment(agent.segment())]),
        RunFilter::Task(task) => Query::of(RunIndex::Task).equals([IndexValue::name(&task.to_string())]),
        RunFilter::Outcome(kind) => return ended(core, *kind, after, limit).await,
    };
    let query = query.order(Order::Down).after(after).limit(limit);
    let mut found = Records::<Run>::new(&core.space).find(&query).await?;
    if let RunFilter::Agent(agent) = filter {
        let living = core.living(agent).await?;
        found.rows.retain(|run| Some(run.agent_incarnation) == living);
    }
    let ids: Vec<RunId> = found.rows.iter().map(|run| run.id).collect();
    let outcomes = WriteOnce::<OutcomeRow>::new(&core.space).get_many(&ids).await?;
    let rows = found.rows.into_iter().zip(outcomes);
    Ok(RunPage {
        rows: rows.map(|(run, outcome)| row(core, run, outcome)).collect(),
        next: found.next,
        issues: found.issues,
    })
}

async fn ended(
    core: &Arc<Core>,
    kind: OutcomeKind,
    after: Option<Cursor>,
    limit: usize,
) -> Result<RunPage, CommandError> {
    let query = Query::of(OutcomeIndex::Kind).equals([IndexValue::name(kind.word())]);
    let query = query.order(Order::Down).after(after).limit(limit);
    let found = WriteOnce::<OutcomeRow>::new(&core.space).find(&query).await?;
    let ids: Vec<RunId> = found.rows.iter().map(|outcome| outcome.run).collect();
    let runs = Records::<Run>::new(&core.space).get_many(&ids).await?;
    let rows = runs.into_iter().zip(found.rows);
    Ok(RunPage {
        rows: rows
            .filter_map(|(run, outcome)| run.map(|run| row(core, run, Some(outcome))))
            .collect(),
        next: found.next,
        issues: found.issues,
    })
}
