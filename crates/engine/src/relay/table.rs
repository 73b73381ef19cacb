//! The states of a sink (program.md, webhooks out; stores.md, section 10): a pure table.

use super::{OnRefused, SinkState};
use crate::{Decision, Reason};

/// What happens to a sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SinkEvent {
    /// It acknowledged what it was sent.
    Taken,
    /// It is there no more, and said so.
    Gone,
    /// It did not acknowledge, for now.
    Failed,
    /// It did not, as often as it may.
    UsedUp(OnRefused),
    /// It refused an event for good.
    Refused(OnRefused),
    /// It is further behind than it may be.
    Behind,
    /// Somebody lets it wait.
    Pause,
    /// Somebody lets it go on.
    Resume,
}

impl SinkEvent {
    /// Every event, in the order of the table.
    pub const ALL: [Self; 10] = [
        Self::Taken,
        Self::Gone,
        Self::Failed,
        Self::UsedUp(OnRefused::Disable),
        Self::UsedUp(OnRefused::DeadLetter),
        Self::Refused(OnRefused::Disable),
        Self::Refused(OnRefused::DeadLetter),
        Self::Behind,
        Self::Pause,
        Self::Resume,
    ];

    /// The event's word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::Gone => "gone",
            Self::Failed => "failed",
            Self::UsedUp(OnRefused::Disable) => "used_up_disable",
            Self::UsedUp(OnRefused::DeadLetter) => "used_up_dead_letter",
            Self::Refused(OnRefused::Disable) => "refused_disable",
            Self::Refused(OnRefused::DeadLetter) => "refused_dead_letter",
            Self::Behind => "behind",
            Self::Pause => "pause",
            Self::Resume => "resume",
        }
    }
}

/// What becomes of a sink. Whether the cursor moves is not said here: what was acknowledged moves it in every state.
#[must_use]
pub fn decide(state: SinkState, event: SinkEvent) -> Decision<SinkState> {
    use Decision::{Apply, Ignore, Reject, Same};
    use OnRefused::{DeadLetter, Disable};
    use SinkEvent as E;
    use SinkState as S;
    match (state, event) {
        (S::BackingOff, E::Taken) => Apply(S::Active),
        (S::Active | S::Paused | S::Disabled | S::Detached, E::Taken) => Same,
        (S::Active | S::BackingOff | S::Paused, E::Gone) => Apply(S::Disabled),
        (S::Active, E::Failed) => Apply(S::BackingOff),
        (S::BackingOff, E::Failed) => Same,
        (S::Active, E::UsedUp(_)) => Reject(Reason::State),
        (S::BackingOff, E::UsedUp(Disable)) => Apply(S::Disabled),
        (S::BackingOff, E::UsedUp(DeadLetter)) => Apply(S::Active),
        (S::Active | S::BackingOff, E::Refused(Disable)) => Apply(S::Disabled),
        (S::Active, E::Refused(DeadLetter)) => Same,
        (S::BackingOff, E::Refused(DeadLetter)) => Apply(S::Active),
        (S::Active | S::BackingOff | S::Paused | S::Disabled, E::Behind) => Apply(S::Detached),
        (S::Active | S::BackingOff, E::Pause) => Apply(S::Paused),
        (S::Active, E::Resume) | (S::Paused, E::Pause) | (S::Detached, E::Behind) => Ignore(Reason::Same),
        (S::BackingOff | S::Paused | S::Disabled | S::Detached, E::Resume) => Apply(S::Active),
        (S::Disabled | S::Detached, E::Gone | E::Failed | E::UsedUp(_) | E::Refused(_) | E::Pause)
        | (S::Paused, E::Failed | E::UsedUp(_) | E::Refused(_)) => Ignore(Reason::State),
    }
}
