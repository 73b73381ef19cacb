//! Stopping: this run, when its process is asked to; and not leaving while others' runs are at work.

use std::time::Duration;

use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::api::House;
use crate::client::{Call, Client, Session};
use crate::command::signals::{Asked, Signals};
use crate::output::Ui;

/// How long an ended run may take to leave the books of its supervisor.
const BOOKS: Duration = Duration::from_millis(200);

/// Stops the run when this process is asked to stop: once by asking the worker, twice by killing it.
pub(super) struct Stopper {
    pub(super) run: String,
    pub(super) clients: watch::Receiver<Option<Client>>,
    pub(super) house: Option<House>,
}

impl Stopper {
    pub(super) fn spawn(self, mut signals: Signals, was_stopped: bool) -> JoinHandle<()> {
        tokio::spawn(async move {
            if was_stopped {
                self.cancel(false).await;
            }
            let mut asked = u32::from(was_stopped);
            // Ends with the run: it is aborted then.
            loop {
                let signal = signals.next().await;
                asked += 1;
                match (signal, &self.house) {
                    (Asked::Terminate, Some(house)) if asked == 1 => drop(tokio::spawn({
                        let house = house.clone();
                        async move { house.stop().await }
                    })),
                    (Asked::Terminate, Some(house)) => house.kill_all(),
                    (Asked::Interrupt | Asked::Terminate, _) => self.cancel(asked > 1).await,
                }
            }
        })
    }

    async fn cancel(&self, force: bool) {
        let client = self.clients.borrow().clone();
        let Some(client) = client else { return };
        // It may have ended meanwhile; then there is nothing to stop.
        let _ = client
            .send(&Call::post(
                format!("/v1/runs/{}/cancel", self.run),
                &json!({ "force": force }),
            ))
            .await;
    }
}

/// The owner of the store does not leave while others' runs are at work in it.
pub(super) async fn stay_for_guests(session: &Session<'_>, ui: &Ui) {
    let Some(owner) = session.owner() else { return };
    let house = owner.house();
    // Its own run has ended and takes a moment to leave the books.
    let _ = tokio::time::timeout(BOOKS, house.idle()).await;
    match house.live_count() {
        0 => {}
        1 => ui.note("1 run of another command is at work here: staying until it ends; Ctrl-C stops it"),
        live => ui.note(&format!(
            "{live} runs of other commands are at work here: staying until they end; Ctrl-C stops them"
        )),
    }
    let mut signals = Signals::listen();
    tokio::select! {
        () = house.leave_when_idle() => return,
        _ = signals.next() => {}
    }
    tokio::select! {
        () = house.stop() => {}
        _ = signals.next() => house.kill_all(),
    }
}
