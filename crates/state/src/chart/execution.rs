//! The chart of what an active session is doing.

use statig::{
    Outcome::{self, Handled, Transition},
    blocking::{IntoStateMachine, State},
};

use super::step::{Binding, Input, Resolution, RunEnding, Step};
use crate::{Execution, Ignored, Rejected};

/// What is done; `Off` while the session is not active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doing {
    Off,
    Idle,
    Thinking,
    Working,
    Compacting,
}

impl From<Option<Execution>> for Doing {
    fn from(execution: Option<Execution>) -> Doing {
        match execution {
            None => Doing::Off,
            Some(Execution::Idle) => Doing::Idle,
            Some(Execution::Thinking) => Doing::Thinking,
            Some(Execution::Working) => Doing::Working,
            Some(Execution::Compacting) => Doing::Compacting,
        }
    }
}

impl From<Doing> for Option<Execution> {
    fn from(doing: Doing) -> Option<Execution> {
        match doing {
            Doing::Off => None,
            Doing::Idle => Some(Execution::Idle),
            Doing::Thinking => Some(Execution::Thinking),
            Doing::Working => Some(Execution::Working),
            Doing::Compacting => Some(Execution::Compacting),
        }
    }
}

/// The chart; it has no storage of its own.
pub(crate) struct ExecutionChart;

impl IntoStateMachine for ExecutionChart {
    type Event<'evt> = Input;
    type Context<'ctx> = Step;
    type State = Doing;
    type Superstate<'sub> = ();

    fn initial() -> Doing {
        Doing::Off
    }
}

impl State<ExecutionChart> for Doing {
    fn call_handler(&mut self, _: &mut ExecutionChart, input: &Input, step: &mut Step) -> Outcome<Doing> {
        match self {
            Doing::Off => off(*input),
            Doing::Idle => idle(*input, step),
            Doing::Thinking => thinking(*input, step),
            Doing::Working => working(*input, step),
            Doing::Compacting => compacting(*input, step),
        }
    }
}

/// The session has just become active: with what?
fn off(input: Input) -> Outcome<Doing> {
    Transition(match input {
        Input::Thinking | Input::GateResolved(Resolution::ModelGoesOn) => Doing::Thinking,
        Input::Working | Input::GateResolved(Resolution::CallGoesOn) => Doing::Working,
        Input::CompactionStarted => Doing::Compacting,
        Input::SessionStarted
        | Input::CompactionFinished
        | Input::AwaitingHuman
        | Input::TurnCompleted
        | Input::Errored
        | Input::Stalled
        | Input::Ended
        | Input::BeginTurn
        | Input::BindRun
        | Input::RunEnded(_)
        | Input::RunParked
        | Input::Pause
        | Input::Resume
        | Input::AutoIdle
        | Input::GateResolved(Resolution::Queued | Resolution::Pauses) => Doing::Idle,
    })
}

/// Rows A and Q.
fn idle(input: Input, step: &mut Step) -> Outcome<Doing> {
    let in_turn = step.facts.is_turn_running;
    match input {
        Input::Thinking if in_turn => Transition(Doing::Thinking),
        Input::Thinking => step.begin(Doing::Thinking),
        Input::Working if in_turn => Transition(Doing::Working),
        Input::Working => step.begin(Doing::Working),
        Input::CompactionStarted => Transition(Doing::Compacting),
        Input::Stalled => step.ignore(Ignored::Idle),
        Input::BindRun => step.bind(),
        Input::RunParked if in_turn => step.ignore(Ignored::Same),
        Input::RunParked => step.ignore(Ignored::Over),
        Input::RunEnded(RunEnding::Cancelled) if in_turn => step.end_turn(Doing::Idle),
        Input::RunEnded(_) => step.ignore(Ignored::Over),
        other => any(other, step),
    }
}

/// Row T.
fn thinking(input: Input, step: &mut Step) -> Outcome<Doing> {
    match input {
        Input::Thinking => step.ignore(Ignored::Same),
        Input::Working => Transition(Doing::Working),
        Input::CompactionStarted => Transition(Doing::Compacting),
        other => at_work(other, step),
    }
}

/// Row W.
fn working(input: Input, step: &mut Step) -> Outcome<Doing> {
    match input {
        Input::Thinking => Transition(Doing::Thinking),
        Input::Working => step.ignore(Ignored::Same),
        Input::CompactionStarted => Transition(Doing::Compacting),
        other => at_work(other, step),
    }
}

/// Rows K and O.
fn compacting(input: Input, step: &mut Step) -> Outcome<Doing> {
    let in_turn = step.facts.is_turn_running;
    match input {
        Input::Thinking if in_turn => Transition(Doing::Thinking),
        Input::Thinking => step.begin(Doing::Thinking),
        Input::Working if in_turn => Transition(Doing::Working),
        Input::Working => step.begin(Doing::Working),
        Input::CompactionStarted => step.ignore(Ignored::Same),
        Input::CompactionFinished if in_turn => Transition(Doing::Thinking),
        Input::CompactionFinished => Transition(Doing::Idle),
        Input::BeginTurn if !in_turn => step.begin_by_command(Doing::Compacting),
        Input::RunEnded(_) if !in_turn => Transition(Doing::Idle),
        Input::RunParked if !in_turn => step.ignore(Ignored::Over),
        other => at_work(other, step),
    }
}

/// What rows T, W, K and O have in common.
fn at_work(input: Input, step: &mut Step) -> Outcome<Doing> {
    match input {
        Input::Stalled => step.stall(),
        Input::BindRun if step.facts.binding == Binding::None => step.reject(Rejected::Turn),
        Input::BindRun => step.bind(),
        Input::RunParked => Transition(Doing::Idle),
        Input::RunEnded(_) => step.end_turn(Doing::Idle),
        other => any(other, step),
    }
}

/// What all rows of an active session have in common.
fn any(input: Input, step: &mut Step) -> Outcome<Doing> {
    match input {
        Input::SessionStarted => step.ignore(Ignored::Started),
        Input::CompactionFinished => step.ignore(Ignored::Same),
        Input::BeginTurn => step.begin_by_command(Doing::Idle),
        // Answered by the lifecycle, or by the rows that come here: nothing of execution changes.
        Input::Thinking
        | Input::Working
        | Input::CompactionStarted
        | Input::AwaitingHuman
        | Input::TurnCompleted
        | Input::Errored
        | Input::Stalled
        | Input::Ended
        | Input::BindRun
        | Input::RunEnded(_)
        | Input::RunParked
        | Input::Pause
        | Input::Resume
        | Input::AutoIdle
        | Input::GateResolved(_) => Handled,
    }
}
