//! `run`: a task, its run, what it prints as it comes, and one line at the end.

mod conclude;
mod gates;
mod start;
mod stop;
mod streams;

use std::time::Duration;

use bytes::Bytes;
use dormouse_engine::run::RunState;
use tokio_util::task::AbortOnDropHandle;

use self::conclude::conclude;
use self::start::begin;
pub(super) use self::start::ensure_agent;
use self::stop::{Stopper, stay_for_guests};
use self::streams::Streams;
use super::signals::Signals;
use super::{listing, logs};
use crate::api::RunView;
use crate::args::Run;
use crate::client::{Call, Session};
use crate::context::Context;
use crate::exit::Exit;
use crate::output::Ui;
use crate::problem::{Problem, Result};

/// An owner of the store stays for its guests whatever its own run came to.
pub(super) async fn run(session: &mut Session<'_>, context: &Context, arguments: &Run) -> Result<Exit> {
    let done = attempt(session, context, arguments).await;
    stay_for_guests(session, &context.ui).await;
    done
}

async fn attempt(session: &mut Session<'_>, context: &Context, arguments: &Run) -> Result<Exit> {
    let mode = gates::mode(arguments.on_gate, &context.ui)?;
    let mut signals = Signals::listen();
    let on_gate = gates::of_worker(mode);
    let Some((run, asked)) = begin(session, context, arguments, on_gate, &mut signals).await? else {
        return Ok(Exit::Cancelled);
    };
    let stopper = Stopper {
        run: run.id.to_string(),
        clients: session.clients(),
        house: session.owner().map(|o| o.house().clone()),
    };
    let mut stopping = AbortOnDropHandle::new(tokio::spawn(stopper.work(signals, asked)));
    let watch = gates::Watch::new(&run, mode, context.ui.clone(), session.clients());
    let _watching = AbortOnDropHandle::new(tokio::spawn(watch.work()));
    let watched = async {
        let unprinted = follow(session, &context.ui, &run).await?;
        Result::Ok((ended(session, &run).await?, unprinted))
    };
    let (ended, unprinted) = tokio::select! {
        watched = watched => watched?,
        _ = &mut stopping => return Ok(Exit::Cancelled),
    };
    let exit = conclude(context, arguments, &ended)?;
    match unprinted {
        None => Ok(exit),
        Some(problem) => Err(problem.into()),
    }
}

/// Prints what the run prints. Gives what kept it from being printed.
async fn follow(session: &mut Session<'_>, ui: &Ui, run: &RunView) -> Result<Option<Problem>> {
    let mut streams = Streams::new(ui);
    logs::feed(session, ui, &run.id.to_string(), 0, true, &mut streams).await?;
    Ok(streams.finish())
}

/// The run with its outcome.
async fn ended(session: &mut Session<'_>, run: &RunView) -> Result<(Bytes, RunView)> {
    // Ends with the run: each request waits for it, its clocks bound it, and one that ended unrecorded is refused.
    loop {
        let body = session
            .ask(&Call::get(format!("/v1/runs/{}", run.id)).query("wait", Some(true)))
            .await?;
        let run: RunView = listing::read(&body)?;
        if run.outcome.is_some() || run.state == RunState::Waiting {
            return Ok((body, run));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
