//! What a lost run leaves to the next attempt at its task: the session of its provider, and the calls that it did not see end.

use std::collections::BTreeMap;

use dormouse_filesystem::{Records, WriteOnce};
use dormouse_secrets::Scrubbed;

use super::start::is_opaque;
use super::{CallFate, Checkpoint, OpenCall, OutcomeRow, Run, UsedBefore};
use crate::adapter::Tokens;
use crate::command::Effects;
use crate::core::Core;
use crate::outcome::{CancelledBy, Outcome};
use crate::task::Task;
use crate::{CommandError, RunId};

/// What goes on in a new run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Continued {
    pub(super) run: RunId,
    pub(super) session: Scrubbed,
    /// Each is cut by now: nobody hears its result any more.
    pub(super) calls: Vec<OpenCall>,
    pub(super) shown: BTreeMap<String, Tokens>,
}

impl Continued {
    /// What its provider's threads had shown, as a later process has to know it.
    pub(super) fn used_before(&self) -> Option<UsedBefore> {
        (!self.shown.is_empty()).then(|| UsedBefore {
            counters: self.shown.clone(),
            ..UsedBefore::default()
        })
    }
}

/// What the next run of a task, as it is claimed, goes on with; none where it begins at the beginning.
pub(super) async fn continued(
    core: &Core,
    task: &Task,
    last_run: Option<RunId>,
) -> Result<Option<Continued>, CommandError> {
    let effects = task.command.as_ref().and_then(|command| command.effects);
    let (Some(last), Some(effects)) = (last_run, effects) else {
        return Ok(None);
    };
    let Some(former) = Records::<Run>::new(&core.space).get(&last).await? else {
        return Ok(None);
    };
    if former.provider_session.is_none() {
        return Ok(None);
    }
    let outcome = WriteOnce::<OutcomeRow>::new(&core.space).get(&last).await?;
    let is_fresh = former.step_epoch != task.step_epoch;
    Ok(outcome.and_then(|row| of(&former, &row.outcome, effects, is_fresh)))
}

/// The decision: `effects` is what is known of the next run's, `is_fresh` whether a person wants it from the beginning.
fn of(former: &Run, outcome: &Outcome, effects: Effects, is_fresh: bool) -> Option<Continued> {
    let session = former.provider_session.clone()?;
    // It did nothing of its own: what it was to go on with is as it was.
    let never_began = former.continues.is_some() && matches!(former.checkpoint, Checkpoint::None);
    let was_cut_off = match outcome {
        Outcome::Lost { .. } => true,
        Outcome::Cancelled { by, .. } => match by {
            CancelledBy::Shutdown | CancelledBy::AgentPause => true,
            CancelledBy::Principal => false,
        },
        Outcome::Success { .. }
        | Outcome::Partial { .. }
        | Outcome::Blocked { .. }
        | Outcome::Timeout { .. } => false,
        Outcome::Failed { .. } => never_began,
    };
    // With a call open only a person tries it again, and they are told of it; of one whose calls nobody saw there is nothing
    // to tell.
    let was_seen = match &former.checkpoint {
        Checkpoint::None => never_began,
        Checkpoint::Safe { .. } => true,
        open @ Checkpoint::SideEffect { .. } => !is_opaque(open),
    };
    let goes_on = match effects {
        Effects::Opaque | Effects::Repeatable => false,
        Effects::Resumable => true,
    };
    (was_cut_off && was_seen && goes_on && !is_fresh).then(|| Continued {
        run: former.id,
        session,
        calls: former.calls.iter().map(cut).collect(),
        shown: shown(former),
    })
}

fn cut(call: &OpenCall) -> OpenCall {
    OpenCall {
        fate: CallFate::Cut,
        ..call.clone()
    }
}

/// What the threads showed last: at its last call, else before.
fn shown(former: &Run) -> BTreeMap<String, Tokens> {
    let before = former.used_before.as_ref().map(|before| before.counters.clone());
    let mut shown = before.unwrap_or_default();
    shown.extend(former.shown.clone());
    shown
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::adapter::ToolKind;
    use crate::outcome::{ClockKind, FailReason};
    use crate::run::RunState;
    use crate::{Incarnation, OpId, PrefixedId as _, Random};

    fn call(fate: CallFate) -> OpenCall {
        OpenCall {
            id: Scrubbed::constant("c0"),
            kind: ToolKind::Execute,
            title: Scrubbed::constant("rm x"),
            fate,
        }
    }

    fn former(checkpoint: Checkpoint, session: Option<&'static str>) -> Run {
        let now = Timestamp::UNIX_EPOCH;
        let random = Random::seeded(7);
        Run {
            id: RunId::make(now, &random),
            task: None,
            agent: "alice".parse().unwrap(),
            agent_incarnation: Incarnation::make(now, &random),
            attempt: 1,
            session: None,
            thread: None,
            state: RunState::Ended,
            checkpoint,
            stop_reason: None,
            stop_deadline: None,
            grace_ms: None,
            wait: None,
            spawn: 1,
            clock_ms: 0,
            provider_session: session.map(Scrubbed::constant),
            continues: None,
            calls: vec![call(CallFate::Open)],
            shown: BTreeMap::new(),
            step_epoch: 0,
            used_before: None,
            saved: None,
            started_at: now,
            ended_at: Some(now),
            created_at: now,
            updated_at: now,
            op: OpId::make(now, &random),
        }
    }

    fn lost() -> Outcome {
        Outcome::Lost {
            last_heartbeat_at: None,
        }
    }

    fn cancelled(by: CancelledBy) -> Outcome {
        Outcome::Cancelled { by, reason: None }
    }

    fn effect(what: &'static str) -> Checkpoint {
        Checkpoint::SideEffect {
            what: Some(Scrubbed::constant(what)),
        }
    }

    #[test]
    fn what_was_cut_off_while_its_calls_were_seen_goes_on_and_nothing_else() {
        use Effects::{Opaque, Repeatable, Resumable};
        let (safe, open, process) = (
            super::super::calls::between_calls(),
            effect("rm x"),
            effect(super::super::start::PROCESS),
        );
        for (name, checkpoint, session, outcome, effects, is_fresh, goes_on) in [
            (
                "lost between two calls",
                &safe,
                Some("t1"),
                lost(),
                Resumable,
                false,
                true,
            ),
            (
                "lost in a call, and retried",
                &open,
                Some("t1"),
                lost(),
                Resumable,
                false,
                true,
            ),
            (
                "the engine left",
                &safe,
                Some("t1"),
                cancelled(CancelledBy::Shutdown),
                Resumable,
                false,
                true,
            ),
            (
                "its agent was paused",
                &safe,
                Some("t1"),
                cancelled(CancelledBy::AgentPause),
                Resumable,
                false,
                true,
            ),
            (
                "called off",
                &safe,
                Some("t1"),
                cancelled(CancelledBy::Principal),
                Resumable,
                false,
                false,
            ),
            (
                "retried afresh",
                &safe,
                Some("t1"),
                lost(),
                Resumable,
                true,
                false,
            ),
            ("no session", &safe, None, lost(), Resumable, false, false),
            (
                "never begun",
                &Checkpoint::None,
                Some("t1"),
                lost(),
                Resumable,
                false,
                false,
            ),
            (
                "nobody saw its calls",
                &process,
                Some("t1"),
                lost(),
                Resumable,
                false,
                false,
            ),
            (
                "it may be run again",
                &safe,
                Some("t1"),
                lost(),
                Repeatable,
                false,
                false,
            ),
            (
                "nobody will see its calls",
                &safe,
                Some("t1"),
                lost(),
                Opaque,
                false,
                false,
            ),
            (
                "done",
                &safe,
                Some("t1"),
                Outcome::Success { text: None },
                Resumable,
                false,
                false,
            ),
            (
                "timed out",
                &safe,
                Some("t1"),
                Outcome::Timeout {
                    clock: ClockKind::Wall,
                    limit_ms: 1,
                },
                Resumable,
                false,
                false,
            ),
            (
                "failed",
                &safe,
                Some("t1"),
                Outcome::Failed {
                    reason: FailReason::StreamEnded,
                    permanent: false,
                    retry_at: None,
                    message: Scrubbed::constant("cut"),
                    hint: None,
                },
                Resumable,
                false,
                false,
            ),
        ] {
            let former = former(checkpoint.clone(), session);
            let found = of(&former, &outcome, effects, is_fresh);
            assert_eq!(found, goes_on.then(|| cut_off(&former)), "{name}");
        }
    }

    /// What it leaves, with its one call.
    fn cut_off(former: &Run) -> Continued {
        Continued {
            run: former.id,
            session: Scrubbed::constant("t1"),
            calls: vec![call(CallFate::Cut)],
            shown: BTreeMap::new(),
        }
    }

    #[test]
    fn one_that_goes_on_and_never_begins_hands_on_what_it_was_given() {
        let failed = Outcome::Failed {
            reason: FailReason::Abandoned,
            permanent: false,
            retry_at: None,
            message: Scrubbed::constant("it could not be started"),
            hint: None,
        };
        let safe = super::super::calls::between_calls();
        for (name, checkpoint, outcome, is_fresh, goes_on) in [
            ("lost", &Checkpoint::None, lost(), false, true),
            (
                "the engine left",
                &Checkpoint::None,
                cancelled(CancelledBy::Shutdown),
                false,
                true,
            ),
            ("not started", &Checkpoint::None, failed.clone(), false, true),
            (
                "called off",
                &Checkpoint::None,
                cancelled(CancelledBy::Principal),
                false,
                false,
            ),
            ("retried afresh", &Checkpoint::None, lost(), true, false),
            ("it had begun, and failed", &safe, failed, false, false),
        ] {
            let before = RunId::make(Timestamp::UNIX_EPOCH, &Random::seeded(8));
            let former = Run {
                continues: Some(before),
                calls: vec![call(CallFate::Cut)],
                ..former(checkpoint.clone(), Some("t1"))
            };
            let found = of(&former, &outcome, Effects::Resumable, is_fresh);
            assert_eq!(found, goes_on.then(|| cut_off(&former)), "{name}");
        }
    }
}
