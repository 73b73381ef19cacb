//! `serve`: owns the store, claims what is ready, supervises it, and leaves when it is told to.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use super::reload;
use super::signals::{Heard, Signals};
use crate::api::{House, ReloadedView, by_itself};
use crate::args::Serve;
use crate::client::Session;
use crate::context::Context;
use crate::duration;
use crate::exit::Exit;
use crate::problem::Result;

/// Serves until it is told to leave. The first signal stops claims and lets runs end for a while, the second stops them, the
/// third kills them.
pub(super) async fn serve(session: &mut Session<'_>, context: &Context, arguments: &Serve) -> Result<Exit> {
    let mut signals = Signals::listen();
    let owner = tokio::select! {
        owner = session.own_or_refuse() => owner?,
        () = signals.stop_of_server() => return Ok(Exit::Done),
    };
    let house = owner.house().clone();
    let is_leaving = tokio::select! {
        kept = keep_agents(&house, context) => {
            kept?;
            false
        }
        () = signals.stop_of_server() => true,
    };
    if is_leaving {
        // It answers already, and may have been asked to run something.
        drain(&house, context, arguments.drain, &mut signals).await;
        return Ok(Exit::Done);
    }
    let places = &context.places;
    context.ui.note(&format!(
        "serving {} on {}; Ctrl-C lets runs end for {}",
        places.url,
        places.socket.display(),
        duration::show(arguments.drain)
    ));
    let runs_max = arguments
        .runs
        .map_or_else(|| context.config.number("runs.instance_max"), u64::from);
    let (leaving, left) = watch::channel(false);
    let claiming = {
        let house = house.clone();
        let most = usize::try_from(runs_max).unwrap_or(usize::MAX);
        tokio::spawn(async move {
            house.claim_until(most, left).await;
        })
    };
    let by = by_itself("signal");
    // Ends with the signal to leave. A reload that was asked for before this is done now: the settings were read earlier.
    while signals.of_server().await == Heard::Reload {
        let reloaded = tokio::select! {
            reloaded = house.reload(&by) => reloaded,
            // A store that does not answer holds up no leaving.
            () = signals.stop_of_server() => break,
        };
        match reloaded {
            Ok(reloaded) => reload::tell(&context.ui, &reloaded),
            Err(problem) => context.ui.problem(&problem.scrubbed()),
        }
    }
    leaving.send_replace(true);
    // A panic of its was printed.
    let _ = claiming.await;
    drain(&house, context, arguments.drain, &mut signals).await;
    Ok(Exit::Done)
}

/// Makes and sets the agents of the file. One that cannot be kept is told, and is in nobody else's way.
async fn keep_agents(house: &House, context: &Context) -> Result<()> {
    let mut view = ReloadedView::default();
    view.keep(house.keep_agents(&context.config).await?);
    if view != ReloadedView::default() {
        reload::tell(&context.ui, &view);
    }
    Ok(())
}

async fn drain(house: &House, context: &Context, longest: Duration, signals: &mut Signals) {
    match house.live_count() {
        0 => return context.ui.note("leaving: nothing is at work"),
        live => context.ui.note(&format!(
            "leaving: {live} at work; stopped after {} or at the next signal",
            duration::show(longest)
        )),
    }
    tokio::select! {
        () = house.leave_when_idle() => return,
        () = sleep(longest) => {}
        () = signals.stop_of_server() => {}
    }
    let mut stopping = std::pin::pin!(house.stop());
    tokio::select! {
        () = &mut stopping => return,
        () = signals.stop_of_server() => house.kill_all(),
    }
    stopping.await;
}
