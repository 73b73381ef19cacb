//! Stopping: this run, when its process is asked to; and not leaving while others' runs are at work.

use std::time::Duration;

use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::api::House;
use crate::client::{Call, Client, Session};
use crate::command::signals::{Asked, Signals};
use crate::output::Ui;

/// How long one request to cancel may take.
const CANCEL_MAX: Duration = Duration::from_secs(5);
/// How long an ended run may take to leave the books of its supervisor.
const BOOKS: Duration = Duration::from_millis(200);

/// Stops the run when this process is asked to stop: once by asking the worker, twice by killing it.
pub(super) struct Stopper {
    pub(super) run: String,
    pub(super) clients: watch::Receiver<Option<Client>>,
    pub(super) house: Option<House>,
}

impl Stopper {
    /// Answers what asks the process to stop; `asked` says how often it was asked before. Ends when it is asked a
    /// third time: who asks so often does not want to wait.
    pub(super) async fn work(self, mut signals: Signals, mut asked: u32) {
        if asked > 0 {
            self.cancel(asked > 1).await;
        }
        let mut leaving = JoinSet::new();
        // Ends with the third signal, or with the run: it is aborted then.
        loop {
            let signal = signals.next().await;
            asked += 1;
            match (asked, signal, &self.house) {
                (1, Asked::Terminate, Some(house)) => {
                    let house = house.clone();
                    leaving.spawn(async move { house.stop().await });
                }
                (2, Asked::Terminate, Some(house)) => house.kill_all(),
                (1 | 2, Asked::Interrupt | Asked::Terminate, _) => self.cancel(asked > 1).await,
                _ => return,
            }
        }
    }

    async fn cancel(&self, force: bool) {
        let client = self.clients.borrow().clone();
        let Some(client) = client else { return };
        let call = Call::post(
            format!("/v1/runs/{}/cancel", self.run),
            &json!({ "force": force }),
        );
        // It may have ended meanwhile; then there is nothing to stop. Who does not answer is not waited for: the next
        // signal has to be heard.
        let _ = tokio::time::timeout(CANCEL_MAX, client.send(&call)).await;
    }
}

/// The owner of the store does not leave while runs are at work in it.
pub(super) async fn stay_for_guests(session: &Session<'_>, ui: &Ui) {
    let Some(owner) = session.owner() else { return };
    let house = owner.house();
    // Its own run has ended and takes a moment to leave the books.
    let _ = tokio::time::timeout(BOOKS, house.idle()).await;
    match house.live_count() {
        0 => {}
        1 => ui.note("1 run is at work here: staying until it ends; Ctrl-C stops it"),
        live => ui.note(&format!(
            "{live} runs are at work here: staying until they end; Ctrl-C stops them"
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
