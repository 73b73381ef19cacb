//! The end of a run: its document, what went wrong, the status line, the exit code.

use bytes::Bytes;
use dormouse_engine::outcome::{FailReason, Outcome};
use dormouse_engine::run::RunWait;

use crate::api::RunView;
use crate::args::{ExitBy, Run};
use crate::command::runs::said;
use crate::context::Context;
use crate::duration::took;
use crate::exit::Exit;
use crate::output::Format;
use crate::problem::{Code, Failure, Problem, Result};

/// The document, what went wrong, the status line, the exit code.
pub(super) fn conclude(context: &Context, arguments: &Run, (body, run): &(Bytes, RunView)) -> Result<Exit> {
    let ui = &context.ui;
    let Some(outcome) = &run.outcome else {
        return parked(context, body, run);
    };
    if ui.format != Format::Text {
        match ui.line(body) {
            Err(Failure::StdoutClosed) | Ok(()) => {}
            failed => failed?,
        }
    } else if let Some(problem) = trouble(outcome, run) {
        ui.problem(&problem);
    }
    let time = run
        .facts
        .as_ref()
        .map(|facts| format!(" in {}", took(facts.clock_ms)))
        .unwrap_or_default();
    ui.note(&format!(
        "{} {}{time}   more: dormouse runs show {}",
        run.id,
        said(outcome, run),
        run.id
    ));
    Ok(match arguments.exit {
        ExitBy::Outcome => Exit::of_outcome(outcome),
        ExitBy::Worker => Exit::of_worker(run.facts.as_ref().and_then(|facts| facts.exit.as_ref())),
    })
}

/// A run that waits for a person: its document, what to do, exit 5.
fn parked(context: &Context, body: &Bytes, run: &RunView) -> Result<Exit> {
    let ui = &context.ui;
    if ui.format != Format::Text {
        match ui.line(body) {
            Err(Failure::StdoutClosed) | Ok(()) => {}
            failed => failed?,
        }
    }
    ui.note(&format!(
        "{} is parked: it holds nothing, and waits for a person",
        run.id
    ));
    if let Some(RunWait::Gate { gate }) = run.wait {
        ui.note(&format!("   look:   dormouse gate show {gate}"));
        ui.note(&format!(
            "   decide: dormouse gate approve {gate}   or: dormouse gate reject {gate}"
        ));
    }
    if let Some(task) = run.task {
        ui.note(&format!("   then:   dormouse run {task}"));
    }
    Ok(Exit::Waiting)
}

/// What went wrong, where it was not the worker itself that said so.
fn trouble(outcome: &Outcome, run: &RunView) -> Option<Problem> {
    match outcome {
        Outcome::Failed {
            reason: FailReason::Exit | FailReason::Signal,
            ..
        } => None,
        Outcome::Failed {
            reason: FailReason::Spawn,
            ..
        } => {
            let general =
                "dormouse run --help says where programs are looked for and which folders are taken";
            let (what, hint) = outcome.failure()?;
            Some(Problem::new(Code::Invalid, what).hint(hint.unwrap_or(general)))
        }
        Outcome::Failed {
            reason: FailReason::SecretUnavailable,
            message,
            ..
        } => {
            Some(Problem::new(Code::State, message.as_str()).hint(
                "the worker was not started; dormouse secret doctor says which secret, and what mends it",
            ))
        }
        Outcome::Failed { .. } => {
            let (what, hint) = outcome.failure()?;
            let shown = format!("see dormouse runs show {}", run.id);
            Some(Problem::new(Code::Internal, what).hint(hint.map_or(shown, str::to_owned)))
        }
        Outcome::Timeout { .. } => {
            let detail = format!("the worker was stopped: {}", said(outcome, run));
            Some(
                Problem::new(Code::State, detail)
                    .hint("--timeout and --idle-timeout say how long a run may take"),
            )
        }
        Outcome::Lost { .. } => {
            let again = run
                .task
                .map(|task| format!("if it may be done again: dormouse task retry {task}"));
            Some(
                Problem::new(
                    Code::State,
                    "the owner of the run vanished; what the worker did is not known",
                )
                .hint(again.unwrap_or_else(|| format!("see dormouse runs show {}", run.id))),
            )
        }
        Outcome::Blocked { evidence, .. } => {
            let url = evidence.as_ref().and_then(|evidence| evidence.url.as_ref());
            let at = url.map(|url| format!(" at {url}")).unwrap_or_default();
            let detail = format!("the worker met an outside defence{at}: {}", said(outcome, run));
            let hint = format!(
                "it was not fought, and is not tried again; see dormouse runs show {}",
                run.id
            );
            Some(Problem::new(Code::State, detail).hint(hint))
        }
        Outcome::Success { .. } | Outcome::Partial { .. } | Outcome::Cancelled { .. } => None,
    }
}
