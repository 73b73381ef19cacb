//! The states of a spawn, as a table: what each event does in each state.
//!
//! The supervisor asks [`Spawn::apply`] and does what the step says; nothing else decides it.

use Event::{Answered, Ask, Go, GraceOver, KeeperGone, StopBegun, SupervisorGone, TreeEmpty};
use State::{Asking, Gone, Live, Prepared, Stopping};

/// Where a spawn is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// A keeper is up, nothing runs.
    Prepared,
    /// The worker runs.
    Live,
    /// It runs and waits for answers of others; its clocks stand still.
    Asking,
    /// It was asked to leave.
    Stopping,
    /// No process is left.
    Gone,
}

/// What happens to a spawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The process row is durable.
    Go,
    /// A gate or an input is asked for.
    Ask,
    /// One of those was answered.
    Answered,
    /// A stop of any cause.
    StopBegun,
    /// The time between stop and kill is over.
    GraceOver,
    /// The keeper has no child left.
    TreeEmpty,
    /// The keeper is no more.
    KeeperGone,
    /// The supervisor is no more; the keeper does what the step says.
    SupervisorGone,
}

/// What an event does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Another state, and what is to be done on the way.
    To(State, Action),
    /// Done, in the same state.
    Stay(Action),
    /// Nothing: why not.
    Ignored(&'static str),
    /// An error of the caller: why.
    Refused(&'static str),
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The worker is started.
    Start,
    /// The keeper is let go; nothing ran.
    LeaveUnrun,
    /// Wall and idle clock stop.
    StopClocks,
    /// One more answer is awaited.
    Count,
    /// Wall and idle clock run again, once no answer is awaited.
    RunClocks,
    /// The first signal, and the grace begins.
    Signal,
    /// KILL to every descendant.
    Kill,
    /// The tree is killed by its row.
    KillByRow,
    /// The outcome is Failed{spawn}.
    FailSpawn,
    /// The outcome is Failed{keeper_lost}.
    FailKeeperLost,
    /// The outcome is decided by what was observed.
    Classify,
}

/// Every state, in the table's order.
pub const STATES: [State; 5] = [Prepared, Live, Asking, Stopping, Gone];
/// Every event, in the table's order.
pub const EVENTS: [Event; 8] = [
    Go,
    Ask,
    Answered,
    StopBegun,
    GraceOver,
    TreeEmpty,
    KeeperGone,
    SupervisorGone,
];

/// The table. `Answered` in `Asking` is the cell of the last answer.
#[must_use]
pub fn step(state: State, event: Event) -> Step {
    use Step::{Ignored, Refused, Stay, To};
    match (state, event) {
        (Prepared, Go) => To(Live, Action::Start),
        (Prepared, Ask) => Refused("not_live"),
        (Prepared, Answered) => Refused("not_asked"),
        (Prepared, StopBegun | SupervisorGone) => To(Gone, Action::LeaveUnrun),
        (Prepared, TreeEmpty) => To(Gone, Action::FailSpawn),
        (Prepared, KeeperGone) => To(Gone, Action::FailKeeperLost),

        (Live | Asking, Go) => Ignored("same"),
        (Live, Ask) => To(Asking, Action::StopClocks),
        (Live, Answered) => Ignored("not_asked"),
        (Asking, Ask) => Stay(Action::Count),
        (Asking, Answered) => To(Live, Action::RunClocks),
        (Live | Asking, StopBegun) => To(Stopping, Action::Signal),
        (Prepared | Live | Asking, GraceOver) => Ignored("no_grace"),

        (Stopping, Go | Answered) => Ignored("stopping"),
        (Stopping, Ask) => Refused("stopping"),
        (Stopping, StopBegun) => Ignored("first_stands"),
        (Stopping, GraceOver) => Stay(Action::Kill),

        (Live | Asking | Stopping, TreeEmpty) => To(Gone, Action::Classify),
        (Live | Asking | Stopping, KeeperGone) => To(Gone, Action::KillByRow),
        (Live | Asking | Stopping, SupervisorGone) => To(Gone, Action::Kill),

        (Gone, Ask) => Refused("gone"),
        (Gone, StopBegun) => Refused("ended"),
        (Gone, Go | Answered | GraceOver | TreeEmpty | KeeperGone | SupervisorGone) => Ignored("gone"),
    }
}

/// One spawn: its state, and how many answers it waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spawn {
    state: State,
    awaited: u32,
}

impl Default for Spawn {
    fn default() -> Self {
        Self {
            state: Prepared,
            awaited: 0,
        }
    }
}

impl Spawn {
    /// Where it is.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// Takes an event, and says what is to be done.
    pub fn apply(&mut self, event: Event) -> Step {
        if (self.state, event) == (Asking, Answered) && self.awaited > 1 {
            self.awaited -= 1;
            return Step::Stay(Action::Count);
        }
        let step = step(self.state, event);
        match step {
            Step::To(state, _) => {
                self.awaited = u32::from(state == Asking);
                self.state = state;
            }
            Step::Stay(Action::Count) => self.awaited += 1,
            Step::Stay(_) | Step::Ignored(_) | Step::Refused(_) => {}
        }
        step
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    #[test]
    fn every_state_and_event_is_as_the_golden_file_says() {
        let mut found = String::new();
        for state in STATES {
            for event in EVENTS {
                let cell = match step(state, event) {
                    Step::To(to, action) => format!("{to:?}, {action:?}"),
                    Step::Stay(action) => format!("·, {action:?}"),
                    Step::Ignored(why) => format!("i:{why}"),
                    Step::Refused(why) => format!("x:{why}"),
                };
                writeln!(
                    found,
                    "{:<9} {:<15} {cell}",
                    format!("{state:?}"),
                    format!("{event:?}")
                )
                .unwrap();
            }
        }
        assert_eq!(
            found,
            include_str!("../../tests/golden/spawn.txt"),
            "the table is now:\n{found}"
        );
    }

    #[test]
    fn it_is_live_again_with_the_last_answer_only() {
        let mut spawn = Spawn::default();
        for event in [Go, Ask, Ask, Answered] {
            spawn.apply(event);
        }
        assert_eq!(spawn.state(), Asking);
        assert_eq!(spawn.apply(Answered), Step::To(Live, Action::RunClocks));
    }
}
