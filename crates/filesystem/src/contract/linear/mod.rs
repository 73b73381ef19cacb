//! Linearizability: what 8 tasks did to a few records fits one order that also is the order of time.
//!
//! The tasks [`record`] what they read, committed and updated; [`check()`] looks for the order. A commit that was
//! answered `Indeterminate`, or was dropped, may be anywhere in it behind its beginning, or nowhere; one that was
//! answered `Busy` nowhere. Batches over several records and reads of several are one operation, so it is the whole
//! store that is checked, not one record after the other.

mod check;
mod drive;
mod history;
mod known;
mod register;

use std::sync::Arc;

pub use self::check::check;
pub use self::drive::{RECORDS, record};
pub use self::history::{Answer, Event, Held, Makes, Needs, Recorder, Step};
pub use self::register::Refusals;
use super::Harness;
use super::kit::fresh_seed;
use crate::RecordStore;
use crate::wrapper::Fault;

/// How many operations of a thousand something happens to.
const FAULTS_PER_MILLE: u32 = 200;

/// What eight tasks see of the same records is linearizable.
pub async fn histories_of_eight_tasks_are_linearizable<H: Harness>(harness: H) {
    let store = harness.open().await;
    let seed = fresh_seed();
    let events = record(&store, seed).await;
    assert_linearizable(events, seed, Refusals::Exact);
}

/// So it is when answers are lost before and after the commit, and operations are refused and delayed.
pub async fn histories_under_faults_are_linearizable<H: Harness>(harness: H) {
    let seed = fresh_seed();
    let faulty = Arc::new(Fault::seeded(harness.open().await, seed, FAULTS_PER_MILLE));
    let store: Arc<dyn RecordStore> = Arc::clone(&faulty) as Arc<dyn RecordStore>;
    let events = record(&store, seed).await;
    assert!(faulty.met() > 0, "seed {seed}: nothing happened");
    let is_unknown = |event: &&Event| event.answer == Answer::Unknown;
    assert!(
        events.iter().filter(is_unknown).count() > 0,
        "seed {seed}: no answer was lost"
    );
    assert_linearizable(events, seed, Refusals::MadeUp);
}

fn assert_linearizable(events: Vec<Event>, seed: u64, refusals: Refusals) {
    let has_made = |event: &&Event| {
        matches!(event.answer, Answer::Done(_)) && event.steps.iter().any(|step| step.makes != Makes::Nothing)
    };
    let made = events.iter().filter(has_made).count();
    assert!(made >= 8, "seed {seed}: only {made} writes were done");
    if let Err(why) = check(events, RECORDS, refusals) {
        panic!("seed {seed}: {why}");
    }
}
