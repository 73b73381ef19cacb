//! The operations of a store, and the classes of their outcomes: what is counted and traced, without a key.

use crate::{CloseError, CommitError, LogError, ReadError};

macro_rules! classes {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $text:literal: $vdoc:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $(#[doc = $vdoc] $variant),* }
        impl $name {
            /// Each, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Its name in traces and figures.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }
        }
    };
}

classes! {
    /// What a store is asked for. Capabilities are not among them: they are known without asking.
    Operation {
        Get = "get": "[`get`](crate::RecordStore::get).",
        GetMany = "get_many": "[`get_many`](crate::RecordStore::get_many).",
        List = "list": "[`list`](crate::RecordStore::list).",
        ListMany = "list_many": "[`list_many`](crate::RecordStore::list_many).",
        Commit = "commit": "[`commit`](crate::RecordStore::commit).",
        Tail = "tail": "[`tail`](crate::RecordStore::tail).",
        Head = "head": "[`head`](crate::RecordStore::head).",
        Heads = "heads": "[`heads`](crate::RecordStore::heads).",
        Truncate = "truncate": "[`truncate`](crate::RecordStore::truncate).",
        Watch = "watch": "[`watch`](crate::RecordStore::watch).",
        Export = "export": "[`export`](crate::RecordStore::export), from its first poll to its end.",
        Health = "health": "[`health`](crate::RecordStore::health).",
        Close = "close": "[`close`](crate::RecordStore::close).",
    }
}

classes! {
    /// How an operation ended.
    Outcome {
        Done = "done": "It was done.",
        Conflict = "conflict": "A precondition did not hold.",
        Busy = "busy": "Congestion; nothing was done.",
        Unavailable = "unavailable": "No answer in time; nothing was done.",
        Indeterminate = "indeterminate": "The answer was lost.",
        Refused = "refused": "Invalid or too large.",
        Unsupported = "unsupported": "The store cannot, or none is mounted there.",
        Corrupt = "corrupt": "A record is damaged.",
        TooNew = "too_new": "A newer build wrote it.",
        Gap = "gap": "No such position, or another log.",
        Closed = "closed": "The store is closed.",
        Dropped = "dropped": "Nobody waited for the answer.",
    }
}

impl From<&ReadError> for Outcome {
    fn from(error: &ReadError) -> Self {
        match error {
            ReadError::Unavailable { .. } | ReadError::ExportIdle { .. } => Self::Unavailable,
            ReadError::Corrupt { .. } => Self::Corrupt,
            ReadError::TooNew { .. } => Self::TooNew,
            ReadError::Invalid { .. } => Self::Refused,
            ReadError::Unsupported { .. } | ReadError::Unrouted { .. } => Self::Unsupported,
            ReadError::Closed { .. } => Self::Closed,
        }
    }
}

impl From<&CommitError> for Outcome {
    fn from(error: &CommitError) -> Self {
        match error {
            CommitError::Conflict { .. } => Self::Conflict,
            CommitError::Busy { .. } => Self::Busy,
            CommitError::Unavailable { .. } => Self::Unavailable,
            CommitError::Indeterminate { .. } => Self::Indeterminate,
            CommitError::TooLarge { .. } | CommitError::Invalid { .. } => Self::Refused,
            CommitError::Unsupported { .. }
            | CommitError::Unrouted { .. }
            | CommitError::IndexUnknown { .. } => Self::Unsupported,
            CommitError::Corrupt { .. } => Self::Corrupt,
            CommitError::Closed { .. } => Self::Closed,
        }
    }
}

impl From<&LogError> for Outcome {
    fn from(error: &LogError) -> Self {
        match error {
            LogError::ReplayGap { .. } | LogError::Incarnation { .. } => Self::Gap,
            LogError::Read(error) => error.into(),
            LogError::Commit(error) => error.into(),
        }
    }
}

impl From<&CloseError> for Outcome {
    fn from(error: &CloseError) -> Self {
        match error {
            CloseError::Deadline { .. } => Self::Indeterminate,
        }
    }
}

impl Outcome {
    /// How an answer is classed.
    pub(super) fn of<T, E>(answer: &Result<T, E>) -> Self
    where
        for<'a> Self: From<&'a E>,
    {
        match answer {
            Ok(_) => Self::Done,
            Err(error) => error.into(),
        }
    }
}
