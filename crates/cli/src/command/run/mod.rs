//! `run`: a task, its run, what it prints as it comes, and one line at the end.

mod conclude;
mod start;
mod stop;
mod streams;

use std::time::Duration;

use bytes::Bytes;

use self::conclude::conclude;
use self::start::begin;
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
use crate::problem::Result;

pub(super) async fn run(session: &mut Session<'_>, context: &Context, arguments: &Run) -> Result<Exit> {
    let mut signals = Signals::listen();
    let Some((run, was_stopped)) = begin(session, context, arguments, &mut signals).await? else {
        return Ok(Exit::Cancelled);
    };
    let stopper = Stopper {
        run: run.id.to_string(),
        clients: session.clients(),
        house: session.owner().map(|o| o.house().clone()),
    };
    let stopping = stopper.spawn(signals, was_stopped);
    let followed = follow(session, &context.ui, &run).await;
    let ended = match followed {
        Ok(()) => ended(session, &run).await,
        Err(failure) => Err(failure),
    };
    stopping.abort();
    let exit = conclude(context, arguments, &ended?)?;
    stay_for_guests(session, &context.ui).await;
    Ok(exit)
}

async fn follow(session: &mut Session<'_>, ui: &Ui, run: &RunView) -> Result<()> {
    let mut streams = Streams::new(ui);
    logs::feed(session, &run.id.to_string(), 0, true, &mut streams).await?;
    streams.finish();
    Ok(())
}

/// The run with its outcome.
async fn ended(session: &mut Session<'_>, run: &RunView) -> Result<(Bytes, RunView)> {
    // Ends with the run: each request waits for it, and its clocks bound it.
    loop {
        let body = session
            .ask(&Call::get(format!("/v1/runs/{}", run.id)).query("wait", Some(true)))
            .await?;
        let run: RunView = listing::read(&body)?;
        if run.outcome.is_some() {
            return Ok((body, run));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
