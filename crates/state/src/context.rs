//! What a session carries along and no row of the table depends on.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::CallId;

/// The most items of a plan that are kept.
pub const TODO_MAX: usize = 100;
/// The most bytes of one item.
pub const TODO_ITEM_BYTES_MAX: usize = 1024;
/// The most refused calls that are kept.
pub const DENIALS_MAX: usize = 5;
/// The most bytes of an error's text.
pub const ERROR_TEXT_BYTES_MAX: usize = 2 * 1024;

/// The end of a text that was cut.
const CUT: &str = "…";

/// The provider's plan, as it last told it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Todo {
    /// The first [`TODO_MAX`] items.
    pub items: Vec<TodoItem>,
    /// Whether there were more.
    #[serde(default)]
    pub is_cut: bool,
}

impl Todo {
    /// Whether these items would be kept as they are kept now.
    pub(crate) fn is(&self, items: &[TodoItem]) -> bool {
        self.items.len() == items.len().min(TODO_MAX) && *self == Todo::of(items)
    }

    pub(crate) fn of(items: &[TodoItem]) -> Todo {
        let bounded = |item: &TodoItem| TodoItem {
            text: bounded(&item.text, TODO_ITEM_BYTES_MAX),
            ..item.clone()
        };
        Todo {
            items: items.iter().take(TODO_MAX).map(bounded).collect(),
            is_cut: items.len() > TODO_MAX,
        }
    }
}

/// One item of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TodoItem {
    /// What is to be done; at most [`TODO_ITEM_BYTES_MAX`] bytes are kept.
    pub text: String,
    /// How far it is.
    pub status: TodoStatus,
}

/// How far an item of a plan is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TodoStatus {
    /// Not begun.
    Pending,
    /// Being done.
    InProgress,
    /// Done.
    Completed,
}

/// A call that was refused without asking anybody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Denial {
    /// The tool that was called.
    pub tool: String,
    /// The call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<CallId>,
    /// When.
    pub at: Timestamp,
}

/// The newest failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LastError {
    /// A word for the kind of failure.
    pub reason: String,
    /// What was said; at most [`ERROR_TEXT_BYTES_MAX`] bytes are kept.
    pub text: String,
    /// When.
    pub at: Timestamp,
}

impl LastError {
    pub(crate) fn of(reason: &str, text: &str, at: Timestamp) -> LastError {
        let cut = |text| bounded(text, ERROR_TEXT_BYTES_MAX);
        LastError {
            reason: cut(reason),
            text: cut(text),
            at,
        }
    }
}

/// Under which rule a worker's calls are made, strictest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// None is made.
    Deny,
    /// A person is asked.
    #[default]
    Ask,
    /// Rules decide, and may ask.
    Rules,
    /// All are made.
    Open,
}

impl Mode {
    /// How a snapshot without a mode is read.
    pub(crate) fn strictest() -> Mode {
        Mode::Deny
    }
}

/// At most `bytes_max` bytes of `text`, with a mark if it was cut.
fn bounded(text: &str, bytes_max: usize) -> String {
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    let cut = text.floor_char_boundary(bytes_max - CUT.len());
    format!("{}{CUT}", &text[..cut])
}
