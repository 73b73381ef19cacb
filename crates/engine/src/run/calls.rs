//! The calls of a run's provider that have an effect: one begins only when it is stored that it does, and when it has ended
//! what it did is known.

use std::collections::BTreeMap;

use dormouse_secrets::Scrubbed;
use serde::{Deserialize, Serialize};

use super::checkpoint::held;
use super::service::stage_run;
use super::start::is_opaque;
use super::{Checkpoint, Claimed, Run, Runs};
use crate::adapter::{Tokens, ToolKind};
use crate::core::Core;
use crate::draft::{Draft, Verdict};
use crate::{CommandError, Principal};

/// Where a run stands while no call of it is open.
const BETWEEN_CALLS: &str = "between two calls";

/// A call with an effect of which it is not known that it was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenCall {
    /// Its id in the provider's session, at most 128 bytes.
    pub id: Scrubbed,
    /// What kind of thing it does.
    pub kind: ToolKind,
    /// As shown to people, at most 256 bytes.
    pub title: Scrubbed,
    /// What is known of it.
    pub fate: CallFate,
}

/// What is known of such a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallFate {
    /// It was allowed, or began by itself, and has not ended.
    Open,
    /// It ended without its result: called off, or for no known reason.
    Cut,
}

/// What is noted of the calls of a run that is at work.
pub(crate) struct Noted<'a> {
    /// All that are open, and those that were cut.
    pub(crate) calls: &'a [OpenCall],
    /// The session of its provider, where that is known by now: without it nobody could go on from here.
    pub(crate) session: Option<&'a Scrubbed>,
    /// What the threads of its provider show by now.
    pub(crate) shown: &'a BTreeMap<String, Tokens>,
    /// Whether an external step of the run is in the middle of its effect: asked once the run is read.
    pub(crate) step_is_open: &'a (dyn Fn() -> bool + Send + Sync),
}

impl Runs {
    /// Notes which calls of a run's provider are open, in one commit with what that makes of its effects.
    ///
    /// # Errors
    /// `Fenced` and `LeaseExpired`: stop at once. `Rejected` when it has ended.
    pub(crate) async fn note_calls(&self, claimed: &Claimed, noted: &Noted<'_>) -> Result<(), CommandError> {
        let by = Principal::engine();
        let done = self
            .core
            .command(&by, |draft| note(&self.core, draft, claimed, noted));
        done.await.map(|done| done.answer)
    }
}

async fn note(
    core: &Core,
    mut draft: Draft,
    claimed: &Claimed,
    noted: &Noted<'_>,
) -> Result<Verdict<()>, CommandError> {
    let read = held(core, &mut draft, claimed).await?;
    let facts = Facts {
        at_claim: &claimed.run.checkpoint,
        stored: &read.checkpoint,
        calls: noted.calls,
        step_is_open: (noted.step_is_open)(),
    };
    let run = Run {
        checkpoint: checkpoint(&facts),
        calls: noted.calls.to_vec(),
        provider_session: noted.session.cloned().or_else(|| read.provider_session.clone()),
        shown: noted.shown.clone(),
        updated_at: draft.now(),
        op: draft.op(),
        ..Run::clone(&read)
    };
    if (&run.checkpoint, &run.calls) == (&read.checkpoint, &read.calls) {
        return Ok(Verdict::Nothing(()));
    }
    stage_run(core, &mut draft, Some(&read), &run, None).await?;
    Ok(Verdict::Commit(draft, ()))
}

/// A run as its provider leaves it: with the calls that could not be noted before, if there are any.
pub(super) fn left(claimed: &Claimed, read: &Run) -> Run {
    match claimed.unnoted.get() {
        Some(calls) => Run {
            checkpoint: at_end(&read.checkpoint, calls),
            calls: calls.clone(),
            ..read.clone()
        },
        None => read.clone(),
    }
}

/// What was stored as open stays so: that it ended could not be stored.
fn at_end(stored: &Checkpoint, calls: &[OpenCall]) -> Checkpoint {
    match stored {
        open @ Checkpoint::SideEffect { .. } => open.clone(),
        Checkpoint::None | Checkpoint::Safe { .. } => open(calls).unwrap_or_else(|| stored.clone()),
    }
}

/// On what it depends what is known of a run's effects.
struct Facts<'a> {
    /// What was known when it was claimed: an effect that was open when it parked stays open until it ends.
    at_claim: &'a Checkpoint,
    stored: &'a Checkpoint,
    calls: &'a [OpenCall],
    step_is_open: bool,
}

fn checkpoint(facts: &Facts<'_>) -> Checkpoint {
    if is_opaque(facts.stored) {
        return facts.stored.clone();
    }
    if let Some(open) = open(facts.calls) {
        return open;
    }
    match (facts.at_claim, facts.stored) {
        (open @ Checkpoint::SideEffect { .. }, _) => open.clone(),
        // Its own end makes it safe.
        (_, open @ Checkpoint::SideEffect { .. }) if facts.step_is_open => open.clone(),
        _ => between_calls(),
    }
}

/// That nothing is open, as a run of which each call is seen begins.
pub(super) fn between_calls() -> Checkpoint {
    Checkpoint::Safe {
        label: Some(Scrubbed::constant(BETWEEN_CALLS)),
    }
}

/// What the calls of a run that are open make of its effects: the latest of them is told; none where none is.
pub(super) fn open(calls: &[OpenCall]) -> Option<Checkpoint> {
    let mut open = calls.iter().filter(|call| call.fate == CallFate::Open);
    let last = open.next_back()?;
    Some(Checkpoint::SideEffect {
        what: Some(last.title.clone()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(title: &'static str, fate: CallFate) -> OpenCall {
        OpenCall {
            id: Scrubbed::constant("c0"),
            kind: ToolKind::Execute,
            title: Scrubbed::constant(title),
            fate,
        }
    }

    fn effect(what: &'static str) -> Checkpoint {
        Checkpoint::SideEffect {
            what: Some(Scrubbed::constant(what)),
        }
    }

    #[test]
    fn what_could_not_be_noted_is_open_at_the_end() {
        use CallFate::{Cut, Open};
        let (safe, stored) = (between_calls(), effect("rm x"));
        assert_eq!(at_end(&safe, &[call("rm y", Open)]), effect("rm y"));
        assert_eq!(at_end(&safe, &[call("rm y", Cut)]), safe);
        assert_eq!(at_end(&stored, &[]), stored, "nobody stored that it ended");
    }

    #[test]
    fn what_is_known_of_the_effects_follows_from_all_that_may_be_open() {
        use CallFate::{Cut, Open};
        let (safe, process) = (between_calls(), effect(crate::run::start::PROCESS));
        let step = effect("the step post");
        for (name, at_claim, stored, calls, step_is_open, expected) in [
            ("nothing", &Checkpoint::None, &safe, vec![], false, &safe),
            (
                "a call",
                &Checkpoint::None,
                &safe,
                vec![call("rm x", Open)],
                false,
                &effect("rm x"),
            ),
            (
                "two calls",
                &Checkpoint::None,
                &effect("rm x"),
                vec![call("rm x", Open), call("rm y", Open)],
                false,
                &effect("rm y"),
            ),
            (
                "its end, and one that was cut",
                &Checkpoint::None,
                &effect("rm x"),
                vec![call("rm y", Cut)],
                false,
                &safe,
            ),
            ("a step is open", &Checkpoint::None, &step, vec![], true, &step),
            ("a step was open", &Checkpoint::None, &step, vec![], false, &safe),
            (
                "a step has ended meanwhile",
                &Checkpoint::None,
                &safe,
                vec![],
                true,
                &safe,
            ),
            (
                "both",
                &Checkpoint::None,
                &step,
                vec![call("rm x", Open)],
                true,
                &effect("rm x"),
            ),
            // What was open when it parked is never known again.
            (
                "parked with one open",
                &effect("rm z"),
                &effect("rm x"),
                vec![],
                false,
                &effect("rm z"),
            ),
            (
                "nobody sees its calls",
                &process,
                &process,
                vec![],
                false,
                &process,
            ),
        ] {
            let facts = Facts {
                at_claim,
                stored,
                calls: &calls,
                step_is_open,
            };
            assert_eq!(&checkpoint(&facts), expected, "{name}");
        }
    }
}
