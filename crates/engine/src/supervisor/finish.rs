//! The end of a run: what was seen becomes one outcome, and the outcome one commit.

use std::collections::BTreeMap;
use std::time::Duration;

use dormouse_secrets::Scrubbed;

use super::RunEnd;
use super::attempt::Parts;
use super::hearing::Heard;
use super::heart::insist;
use super::reports::Said;
use crate::command::CommandSpec;
use crate::credentials::Unlent;
use crate::outcome::{Facts, Outcome, PartialCause, ResourceUsage};
use crate::run::{Leaving, RunWait, StopReason, UsedBefore, give_up};
use crate::transcript::TranscriptEnd;
use crate::worker::classify::{self, Codes, Finish, NotStarted, Observed, Verdict, classify};
use crate::worker::clocks::Expired;
use crate::worker::environment::EnvError;
use crate::worker::{Ended, Gone, SpawnError};
use crate::{CommandError, GateId};

/// Everything that was seen of a run's end.
#[derive(Debug)]
pub(super) struct End {
    pub(super) seen: Seen,
    pub(super) stop: Option<Cause>,
    pub(super) clock: Duration,
    pub(super) spawns: u32,
    pub(super) isolation: String,
    /// Credentials that nobody registered, by kind.
    pub(super) formats: BTreeMap<String, u64>,
    /// What was heard of a known provider's stream.
    pub(super) heard: Option<Heard>,
    /// What it and its former processes used, as a later one has to know it.
    pub(super) used: Option<UsedBefore>,
    /// What was said on the report channel.
    pub(super) said: Said,
}

impl Seen {
    /// How many of its processes the kernel had not let go of.
    pub(super) fn alive(&self) -> u32 {
        match self {
            Self::Gone(gone) => gone.map_or(0, |gone| gone.left),
            Self::Unstarted(_) | Self::Abandoned | Self::Panicked(_) => 0,
        }
    }
}

impl End {
    /// How many of its processes the kernel had not let go of.
    pub(super) fn alive(&self) -> u32 {
        self.seen.alive()
    }

    /// Whether its worker left before any signal to leave was sent: then that is its end, whatever was about to be done.
    pub(super) fn left_by_itself(&self) -> bool {
        let Seen::Gone(Some(gone)) = &self.seen else {
            return false;
        };
        matches!(gone.ended, Ended::Exited { signalled: false, .. })
    }
}

/// How the work ended.
#[derive(Debug)]
pub(super) enum Seen {
    /// The tree is empty; none when even that was not told.
    Gone(Option<Gone>),
    /// It never ran.
    Unstarted(Unstarted),
    /// It was let go of.
    Abandoned,
    /// The supervision of it panicked.
    Panicked(Scrubbed),
}

/// Why it never ran.
#[derive(Debug)]
pub(super) enum Unstarted {
    Environment(EnvError),
    Spawn(SpawnError),
    /// Its secrets could not be had.
    Secrets(Unlent),
    /// There is nothing to say to a provider that is spoken to.
    Wordless(Scrubbed),
    /// Its agent says that it is resumable, and it is not.
    Unresumable(Scrubbed),
    /// A stop came first.
    Stopped,
}

/// Why it was stopped.
#[derive(Debug, Clone)]
pub(super) enum Cause {
    /// Somebody recorded that it is to stop.
    Told(StopReason),
    /// A clock ran out.
    Clock(Expired),
    /// The lease could not be renewed for too long.
    SelfStop,
    /// It met a block.
    Blocked,
    /// What its stream says is used is over a limit of its budgets.
    OverBudget,
}

/// What is seen of a panic: that it was one. Its text goes to the log of the panic hook, not into a record.
pub(super) fn observed_panic(error: &tokio::task::JoinError) -> End {
    let seen = if error.is_panic() {
        Seen::Panicked(Scrubbed::constant("the supervision of the run panicked"))
    } else {
        Seen::Abandoned
    };
    End {
        seen,
        stop: None,
        clock: Duration::ZERO,
        spawns: 0,
        isolation: "unknown".to_owned(),
        formats: BTreeMap::new(),
        heard: None,
        used: None,
        said: Said::default(),
    }
}

/// Records the end. Congestion is waited out as long as the lease lives.
pub(super) async fn finish(parts: &Parts, end: End, printed: TranscriptEnd) -> RunEnd {
    let command = parts.claimed.task.command.as_ref();
    let Verdict { outcome, after_stop } = verdict(parts, &end, command);
    let facts = facts(&end, printed, &outcome, after_stop);
    // The same end again is answered as the first time, so an unknown answer is simply asked for again.
    let runs = &parts.tenant.runs;
    let finished = insist(parts, "the outcome", || {
        runs.finish(&parts.claimed, &outcome, &facts)
    });
    match finished.await {
        Ok(finished) => RunEnd::Recorded(Box::new(finished)),
        // It came too late, also where the run was to have stopped by then: its lapse says how it ended.
        Err(CommandError::LeaseExpired { .. }) => lost(parts, end.alive()).await,
        Err(error) => {
            let run = parts.claimed.run.id;
            tracing::error!(%run, %error, outcome = outcome.name(), "the outcome was not written");
            RunEnd::Unrecorded
        }
    }
}

/// Records that the run waits for a person. A run that cannot be parked ends by what was seen of it, and by the stop it
/// was told meanwhile: somebody called it off.
pub(super) async fn park(parts: &Parts, gate: GateId, mut end: End, printed: TranscriptEnd) -> RunEnd {
    let runs = &parts.tenant.runs;
    let leaving = Leaving {
        clock: end.clock,
        used: end.used.clone(),
        alive: end.alive(),
    };
    let parked = insist(parts, "that the run waits", || {
        runs.leave(&parts.claimed, RunWait::Gate { gate }, &leaving)
    });
    match parked.await {
        Ok(parked) => RunEnd::Parked(Box::new(parked)),
        Err(error) => {
            let run = parts.claimed.run.id;
            tracing::warn!(%run, %error, "the run could not be parked");
            end.stop = end.stop.or_else(|| parts.claimed.stop.reason().map(Cause::Told));
            finish(parts, end, printed).await
        }
    }
}

/// Records that whether a step of the run happened is not known. Where so many of its processes live still, nothing is: its
/// task would begin anew beside them. Whoever finds its lease over ends them first.
pub(super) async fn lost(parts: &Parts, alive: u32) -> RunEnd {
    if alive > 0 {
        let run = parts.claimed.run.id;
        tracing::error!(%run, alive, "processes of the run live still; it ends when they do");
        return RunEnd::Unrecorded;
    }
    let core = &parts.tenant.core;
    // Where it is not written, recovery does the same.
    match insist(parts, "that a step is lost", || give_up(core, &parts.claimed)).await {
        Ok(Some(finished)) => RunEnd::Recorded(Box::new(finished)),
        Ok(None) => RunEnd::Unrecorded,
        Err(error) => {
            let run = parts.claimed.run.id;
            tracing::error!(%run, %error, "that a step is lost was not written");
            RunEnd::Unrecorded
        }
    }
}

fn verdict(parts: &Parts, end: &End, command: Option<&CommandSpec>) -> Verdict {
    let observed = Observed {
        block: parts
            .block
            .get()
            .cloned()
            .map(|met| (met.reason, Some(met.evidence))),
        stop: end.stop.as_ref().and_then(Cause::stopped),
        end: observed(end, command),
        text: text(end),
        codes: command.map_or_else(Codes::default, |command| Codes {
            partial: &command.partial_codes,
            permanent: &command.permanent_codes,
        }),
    };
    classify(&observed, parts.scrubber())
}

/// What it said: on its provider's stream, else on its report channel.
fn text(end: &End) -> Option<Scrubbed> {
    let heard = end.heard.as_ref().and_then(|heard| heard.text.as_ref());
    heard.or(end.said.text()).cloned()
}

fn observed<'a>(end: &'a End, command: Option<&CommandSpec>) -> classify::End<'a> {
    let is_reported = end.said.result.is_some() && !declares_part(end, command);
    // Stopped by us, and what it said by then is a part of the work.
    let is_cut_short = matches!(end.stop, Some(Cause::OverBudget));
    match (&end.heard, &end.seen) {
        (
            Some(Heard {
                finish: Some(finish), ..
            }),
            Seen::Gone(_),
        ) if !is_cut_short || matches!(finish, Finish::Whole | Finish::Part(_)) => {
            return classify::End::Finished(finish.clone());
        }
        (Some(_), Seen::Gone(_)) if is_cut_short => {
            return classify::End::Finished(Finish::Part(PartialCause::MaxBudget));
        }
        // A result that was reported is as good as the end of a stream; a code that declares a part says what it is.
        (_, Seen::Gone(_)) if is_reported => return classify::End::Finished(Finish::Whole),
        (
            Some(_),
            Seen::Gone(Some(Gone {
                ended: Ended::Exited { .. },
                ..
            })),
        ) => return classify::End::StreamEnded,
        (_, Seen::Gone(_) | Seen::Unstarted(_) | Seen::Abandoned | Seen::Panicked(_)) => {}
    }
    match &end.seen {
        Seen::Gone(Some(Gone {
            ended: Ended::Exited { exit, signalled },
            ..
        })) => classify::End::Exited {
            exit: *exit,
            signalled: *signalled,
        },
        Seen::Gone(
            Some(Gone {
                ended: Ended::KeeperLost,
                ..
            })
            | None,
        ) => classify::End::KeeperLost,
        Seen::Unstarted(Unstarted::Environment(error)) => {
            classify::End::NotStarted(NotStarted::Environment(error))
        }
        Seen::Unstarted(Unstarted::Spawn(error)) => classify::End::NotStarted(NotStarted::Spawn(error)),
        Seen::Unstarted(Unstarted::Secrets(why)) => classify::End::NotStarted(NotStarted::Secret {
            locked: why.may_pass,
            message: why.message.clone(),
        }),
        Seen::Unstarted(Unstarted::Wordless(why)) => {
            classify::End::NotStarted(NotStarted::Wordless(why.clone()))
        }
        Seen::Unstarted(Unstarted::Unresumable(why)) => {
            classify::End::NotStarted(NotStarted::Unresumable(why.clone()))
        }
        Seen::Unstarted(Unstarted::Stopped) | Seen::Abandoned => classify::End::Abandoned,
        Seen::Panicked(message) => classify::End::Panicked(message.clone()),
    }
}

/// Whether it left with a code by which it declares that this is a part.
fn declares_part(end: &End, command: Option<&CommandSpec>) -> bool {
    let Seen::Gone(Some(Gone {
        ended: Ended::Exited { exit, .. },
        ..
    })) = &end.seen
    else {
        return false;
    };
    let partial = command.map_or(&[][..], |command| &command.partial_codes);
    exit.code.is_some_and(|code| partial.contains(&code))
}

fn facts(end: &End, printed: TranscriptEnd, outcome: &Outcome, after_stop: bool) -> Facts {
    let gone = match &end.seen {
        Seen::Gone(gone) => gone.as_ref(),
        Seen::Unstarted(_) | Seen::Abandoned | Seen::Panicked(_) => None,
    };
    let exit = gone.and_then(|gone| match gone.ended {
        Ended::Exited { exit, .. } => Some(exit),
        Ended::KeeperLost => None,
    });
    let calls = end.heard.as_ref().map_or(0, |heard| heard.calls);
    let has_text = matches!(
        outcome,
        Outcome::Success { text: Some(_) } | Outcome::Partial { text: Some(_), .. }
    );
    Facts {
        exit,
        usage: gone.map_or_else(ResourceUsage::default, |gone| gone.usage),
        clock_ms: u64::try_from(end.clock.as_millis()).unwrap_or(u64::MAX),
        spawns: end.spawns,
        segments_completed: end.said.completed.unwrap_or(calls),
        segment_current: end.said.current.clone(),
        elided_bytes: printed.elided_bytes,
        after_stop,
        strays: gone.map_or(0, |gone| gone.strays),
        alive: gone.map_or(0, |gone| gone.left),
        isolation: end.isolation.clone(),
        formats: end.formats.clone(),
        stream: end.heard.as_ref().map(|heard| heard.facts.clone()),
        reports: end.said.facts(exit.and_then(|exit| exit.code), has_text),
    }
}
