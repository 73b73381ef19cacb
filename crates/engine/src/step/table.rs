//! What a call of a step does, by what is stored of it, and what its end writes: two pure tables.

use super::Effect;

/// What is stored of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StepRow {
    /// Nothing.
    Free,
    /// An external one was begun, and nobody was asked whether it may be done again.
    Begun,
    /// The same, and since then a person said `retry`.
    BegunAsked,
    /// Its result.
    Done,
    /// That it failed for good.
    Permanent,
    /// That its result was too large.
    TooLarge,
}

impl StepRow {
    /// Every row, in the order of the table.
    pub const ALL: [Self; 6] = [
        Self::Free,
        Self::Begun,
        Self::BegunAsked,
        Self::Done,
        Self::Permanent,
        Self::TooLarge,
    ];

    /// The row's word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Begun => "begun",
            Self::BegunAsked => "begun, retried",
            Self::Done => "done",
            Self::Permanent => "permanent",
            Self::TooLarge => "too_large",
        }
    }
}

/// What a call does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallCell {
    /// The closure is called; nothing is written before.
    Call,
    /// That it begins is written, with checkpoint `side_effect`; then the closure is called.
    Begin,
    /// What is stored is returned.
    Return,
    /// Whether it happened is not known: the attempt ends as a lapse would end it.
    Lose,
    /// `StepChanged`.
    Changed,
}

impl CallCell {
    /// The cell's word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Begin => "begin, call",
            Self::Return => "return",
            Self::Lose => "lose",
            Self::Changed => "x:changed",
        }
    }
}

/// `CALLS[row][column]`: the effects, then any effect with another input than is stored.
#[rustfmt::skip]
const CALLS: [[CallCell; 4]; 6] = {
    use CallCell::*;
    [
        // pure    idempotent  external  changed
        [Call,     Call,       Begin,    Call],
        [Lose,     Lose,       Lose,     Changed],
        [Begin,    Begin,      Begin,    Changed],
        [Return,   Return,     Return,   Changed],
        [Return,   Return,     Return,   Changed],
        [Return,   Return,     Return,   Changed],
    ]
};

/// What a call does. Where nothing is stored no input is another.
#[must_use]
pub fn decide_call(row: StepRow, effect: Effect, is_changed: bool) -> CallCell {
    let column = if is_changed && row != StepRow::Free {
        3
    } else {
        effect as usize
    };
    CALLS[row as usize][column]
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StepEnd {
    /// With a result.
    Result,
    /// With a result over the limit.
    TooLarge,
    /// It failed, and would again.
    Permanent,
    /// It was not done.
    NotDone,
    /// Whether it was done is not known.
    Unknown,
}

impl StepEnd {
    /// Every end, in the order of the table.
    pub const ALL: [Self; 5] = [
        Self::Result,
        Self::TooLarge,
        Self::Permanent,
        Self::NotDone,
        Self::Unknown,
    ];

    /// The end's word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Result => "result",
            Self::TooLarge => "too_large",
            Self::Permanent => "permanent",
            Self::NotDone => "not_done",
            Self::Unknown => "unknown",
        }
    }
}

/// What an end does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndCell {
    /// It is written, and what is written is returned.
    Keep,
    /// It is written, with checkpoint `safe`.
    KeepSafe,
    /// Nothing is written: the step is free.
    Free,
    /// That it began is taken back, with checkpoint `safe`: the step is free.
    FreeSafe,
    /// The attempt ends as a lapse would end it.
    Lose,
}

impl EndCell {
    /// The cell's word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::KeepSafe => "keep, safe",
            Self::Free => "free",
            Self::FreeSafe => "free, safe",
            Self::Lose => "lose",
        }
    }
}

/// `ENDS[row][column]`: the effects by how the call ended.
#[rustfmt::skip]
const ENDS: [[EndCell; 5]; 3] = {
    use EndCell::*;
    [
        // result   too large  permanent  not done   unknown
        [Keep,      Keep,      Keep,      Free,      Free],
        [Keep,      Keep,      Keep,      Free,      Free],
        [KeepSafe,  KeepSafe,  KeepSafe,  FreeSafe,  Lose],
    ]
};

/// What the end of a call does.
#[must_use]
pub fn decide_end(effect: Effect, end: StepEnd) -> EndCell {
    ENDS[effect as usize][end as usize]
}
