//! The chart of how a session stands.

use statig::{
    Outcome::{self, Handled, Super, Transition},
    blocking::{IntoStateMachine, State},
};

use super::step::{Binding, Input, Resolution, RunEnding, Step};
use crate::{
    Ignored,
    Lifecycle::{self, Active, Completed, Ended, Error, Initializing, Paused, WaitingHuman},
    Rejected,
    hear::after,
};

/// The chart; it has no storage of its own.
pub(crate) struct LifecycleChart;

impl IntoStateMachine for LifecycleChart {
    type Event<'evt> = Input;
    type Context<'ctx> = Step;
    type State = Lifecycle;
    type Superstate<'sub> = ();

    fn initial() -> Lifecycle {
        Initializing
    }
}

impl State<LifecycleChart> for Lifecycle {
    fn call_handler(&mut self, _: &mut LifecycleChart, input: &Input, step: &mut Step) -> Outcome<Lifecycle> {
        match self {
            Initializing => initializing(*input, step),
            Active => active(*input, step),
            WaitingHuman => waiting_human(*input, step),
            Paused => paused(*input, step),
            Completed { .. } => completed(*input, step),
            Error => error(*input, step),
            Ended => ended(*input, step),
        }
    }
}

/// Row I.
fn initializing(input: Input, step: &mut Step) -> Outcome<Lifecycle> {
    match input {
        Input::SessionStarted => step.allot(Active),
        Input::Thinking | Input::Working => step.begin(Active),
        Input::CompactionStarted => Transition(Active),
        Input::CompactionFinished => step.ignore(Ignored::Same),
        Input::AwaitingHuman => step.begin(WaitingHuman),
        Input::TurnCompleted | Input::RunEnded(RunEnding::Ok) => step.begin(step.completed()),
        Input::Errored | Input::RunEnded(RunEnding::Failed) => Transition(Error),
        Input::Stalled => step.stall(),
        Input::Ended => Transition(Ended),
        Input::BeginTurn => step.begin_by_command(Active),
        Input::BindRun => step.bind(),
        Input::RunEnded(RunEnding::Cancelled) => Transition(Active),
        Input::RunParked => step.ignore(Ignored::Over),
        Input::Pause => Transition(Paused),
        Input::Resume => step.reject(Rejected::NotPaused),
        Input::AutoIdle => step.ignore(Ignored::NoDeadline),
        Input::GateResolved(_) => step.ignore(Ignored::NotPending),
    }
}

/// What leads out of rows A, Q, T, W, K, O; within them, execution decides.
fn active(input: Input, step: &mut Step) -> Outcome<Lifecycle> {
    let in_turn = step.facts.is_turn_running;
    let is_busy = in_turn || step.facts.is_compacting;
    match input {
        Input::AwaitingHuman if in_turn => Transition(WaitingHuman),
        Input::AwaitingHuman => step.begin(WaitingHuman),
        Input::TurnCompleted | Input::RunEnded(RunEnding::Ok) if in_turn => Transition(step.completed()),
        Input::TurnCompleted if step.is_end_of_an_unseen_turn() => step.begin(step.completed()),
        Input::TurnCompleted => step.ignore(Ignored::Over),
        Input::RunEnded(RunEnding::Failed) if is_busy => Transition(Error),
        Input::RunEnded(RunEnding::Failed) => step.ignore(Ignored::Over),
        Input::Errored => Transition(Error),
        Input::Ended => Transition(Ended),
        Input::Pause if is_busy => step.pause_later(),
        Input::Pause => Transition(Paused),
        Input::Resume => step.resume_before_pause(),
        Input::AutoIdle => step.ignore(Ignored::NoDeadline),
        Input::GateResolved(_) => step.ignore(Ignored::NotPending),
        Input::SessionStarted
        | Input::Thinking
        | Input::Working
        | Input::CompactionStarted
        | Input::CompactionFinished
        | Input::Stalled
        | Input::BeginTurn
        | Input::BindRun
        | Input::RunParked
        | Input::RunEnded(RunEnding::Ok | RunEnding::Cancelled) => Super,
    }
}

/// Rows H1 and Hn.
fn waiting_human(input: Input, step: &mut Step) -> Outcome<Lifecycle> {
    let others_wait = step.facts.remaining > 0;
    match input {
        Input::SessionStarted => step.ignore(Ignored::Started),
        Input::Thinking | Input::Working | Input::CompactionStarted if step.facts.settled == 0 => {
            step.ignore(Ignored::NoEvidence)
        }
        Input::Thinking | Input::Working | Input::CompactionStarted if others_wait => Handled,
        Input::Thinking | Input::Working | Input::CompactionStarted => Transition(Active),
        Input::CompactionFinished => step.ignore(Ignored::Same),
        Input::AwaitingHuman => Handled,
        Input::TurnCompleted | Input::RunEnded(RunEnding::Ok) => Transition(step.completed()),
        Input::Errored => Transition(Error),
        Input::Stalled => step.ignore(Ignored::Human),
        Input::Ended => Transition(Ended),
        Input::BeginTurn => step.begin_by_command(Active),
        Input::BindRun => step.bind(),
        Input::RunEnded(RunEnding::Cancelled) => step.end_turn(Active),
        Input::RunEnded(RunEnding::Failed) if step.facts.keeps_gates => Handled,
        Input::RunEnded(RunEnding::Failed) => Transition(Error),
        Input::RunParked => step.ignore(Ignored::Human),
        Input::Pause => step.pause_later(),
        Input::Resume => step.resume_before_pause(),
        Input::AutoIdle => step.ignore(Ignored::NoDeadline),
        Input::GateResolved(Resolution::Pauses) if others_wait => {
            step.pause_pending = true;
            Handled
        }
        Input::GateResolved(_) if others_wait => Handled,
        Input::GateResolved(Resolution::Pauses) => Transition(Paused),
        Input::GateResolved(Resolution::CallGoesOn | Resolution::ModelGoesOn | Resolution::Queued) => {
            Transition(Active)
        }
    }
}

/// Row P: Dormouse starts no turn, and shows what a provider is seen doing all the same.
fn paused(input: Input, step: &mut Step) -> Outcome<Lifecycle> {
    match input {
        Input::SessionStarted | Input::Stalled => step.ignore(Ignored::Paused),
        Input::Thinking | Input::Working => {
            step.pause_pending = true;
            step.begin(Active)
        }
        Input::CompactionStarted => {
            step.pause_pending = true;
            Transition(Active)
        }
        Input::CompactionFinished | Input::Pause => step.ignore(Ignored::Same),
        Input::AwaitingHuman => {
            step.pause_pending = true;
            step.begin(WaitingHuman)
        }
        Input::TurnCompleted | Input::RunEnded(_) | Input::RunParked => step.ignore(Ignored::Over),
        // The error is noted, the pause stands.
        Input::Errored => Handled,
        Input::Ended => Transition(Ended),
        Input::BeginTurn | Input::BindRun => step.reject(Rejected::Paused),
        Input::Resume => Transition(Active),
        Input::AutoIdle => step.ignore(Ignored::NoDeadline),
        Input::GateResolved(_) => step.ignore(Ignored::NotPending),
    }
}

/// Row C.
fn completed(input: Input, step: &mut Step) -> Outcome<Lifecycle> {
    match input {
        Input::Errored => Transition(Error),
        Input::AutoIdle if step.facts.is_idle_due => Transition(Active),
        Input::AutoIdle => step.ignore(Ignored::NotDue),
        other => at_rest(other, step),
    }
}

/// Row E.
fn error(input: Input, step: &mut Step) -> Outcome<Lifecycle> {
    match input {
        Input::Errored => step.ignore(Ignored::Same),
        Input::AutoIdle => step.ignore(Ignored::NoDeadline),
        other => at_rest(other, step),
    }
}

/// What rows C and E have in common: no turn runs, and any sign of life is the next one.
fn at_rest(input: Input, step: &mut Step) -> Outcome<Lifecycle> {
    match input {
        Input::SessionStarted | Input::CompactionStarted => Transition(Active),
        Input::Thinking | Input::Working => step.begin(Active),
        Input::CompactionFinished | Input::Errored => step.ignore(Ignored::Same),
        Input::AwaitingHuman => step.begin(WaitingHuman),
        Input::TurnCompleted | Input::Stalled | Input::RunEnded(_) | Input::RunParked => {
            step.ignore(Ignored::Over)
        }
        Input::Ended => Transition(Ended),
        Input::BeginTurn => step.begin_by_command(Active),
        Input::BindRun => step.bind(),
        Input::Pause => Transition(Paused),
        Input::Resume => step.reject(Rejected::NotPaused),
        Input::AutoIdle => step.ignore(Ignored::NoDeadline),
        Input::GateResolved(_) => step.ignore(Ignored::NotPending),
    }
}

/// Row X.
fn ended(input: Input, step: &mut Step) -> Outcome<Lifecycle> {
    match input {
        Input::Ended => step.ignore(Ignored::Same),
        Input::RunEnded(_) | Input::RunParked => step.ignore(Ignored::Ended),
        Input::AutoIdle => step.ignore(Ignored::NoDeadline),
        Input::SessionStarted
        | Input::Thinking
        | Input::Working
        | Input::CompactionStarted
        | Input::CompactionFinished
        | Input::AwaitingHuman
        | Input::TurnCompleted
        | Input::Errored
        | Input::Stalled
        | Input::BeginTurn
        | Input::BindRun
        | Input::Pause
        | Input::Resume
        | Input::GateResolved(_) => step.reject(Rejected::Ended),
    }
}

/// The words of the handlers of both charts.
impl Step {
    pub(super) fn ignore<S>(&mut self, why: Ignored) -> Outcome<S> {
        self.refusal = Some(super::Refusal::Ignored(why));
        Handled
    }

    pub(super) fn reject<S>(&mut self, why: Rejected) -> Outcome<S> {
        self.refusal = Some(super::Refusal::Rejected(why));
        Handled
    }

    fn allot<S>(&mut self, to: S) -> Outcome<S> {
        self.allots = true;
        Transition(to)
    }

    pub(super) fn begin<S>(&mut self, to: S) -> Outcome<S> {
        self.begins = true;
        Transition(to)
    }

    pub(super) fn begin_by_command<S>(&mut self, to: S) -> Outcome<S> {
        if self.facts.is_pause_pending {
            return self.reject(Rejected::Paused);
        }
        if !self.facts.is_expected_turn {
            return self.reject(Rejected::Turn);
        }
        self.begin(to)
    }

    /// The turn ends on the way, though the row says "active".
    pub(super) fn end_turn<S>(&mut self, to: S) -> Outcome<S> {
        self.ends = true;
        Transition(to)
    }

    pub(super) fn stall<S>(&mut self) -> Outcome<S> {
        if self.facts.is_stalled {
            return self.ignore(Ignored::Same);
        }
        self.stalls = true;
        Handled
    }

    pub(super) fn bind<S>(&mut self) -> Outcome<S> {
        match self.facts.binding {
            Binding::None => Handled,
            Binding::Same => self.ignore(Ignored::Same),
            Binding::Other => self.reject(Rejected::Run),
        }
    }

    fn pause_later<S>(&mut self) -> Outcome<S> {
        if self.facts.is_pause_pending {
            return self.ignore(Ignored::Same);
        }
        self.pause_pending = true;
        Handled
    }

    fn resume_before_pause<S>(&mut self) -> Outcome<S> {
        if !self.facts.is_pause_pending {
            return self.reject(Rejected::NotPaused);
        }
        self.pause_pending = false;
        Handled
    }

    fn completed(&self) -> Lifecycle {
        Completed {
            idle_at: after(self.facts.now, self.facts.auto_idle),
        }
    }

    /// Of a turn nothing but its end was seen: one that was allotted, or the next of the same source.
    fn is_end_of_an_unseen_turn(&self) -> bool {
        !self.facts.is_compacting && (self.facts.is_turn_allotted || self.facts.is_from_ender)
    }
}
