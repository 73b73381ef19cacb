//! Gates: durable questions to a person, whose answers authorise exactly one thing each.
//!
//! A gate is a row: it is written when it is opened, when it leaves pending, and when its content goes. Everything that
//! follows from a decision (the capability, the session, the task) is in the commit of the decision.

mod adopt;
mod asked;
mod author;
mod call;
mod canonical;
mod decide;
mod display;
mod error;
mod follow;
mod grant;
mod key;
mod link;
mod list;
mod mode;
mod new;
mod open;
mod options;
mod pending;
mod recover;
mod resolve;
mod retain;
mod row;
mod said;
mod service;
mod shared;
mod show;
mod table;
mod turns;
mod wait;
mod wake;

pub(crate) use adopt::ahead_of_end;
pub use author::{Author, AuthorKind, Reply, Scope, Timeout};
pub use call::{Asker, Call, Input, kind_word};
pub use canonical::{Canonical, InvalidInput};
pub use decide::{Choice, Decide, EditedInput};
pub use display::{DisplayId, GateDisplay, InvalidSurface, Surface};
pub use error::GateError;
pub(crate) use follow::{end_asked_by, follow_run};
pub use grant::{GrantIndex, StandingGrant};
pub use key::{GateKey, GateKeyIndex, InvalidKey, KeyId};
pub use list::{GateCursor, GateFilter, GatePage};
pub use mode::{Enforcement, Modes, Rule, RuleEffect, mode_of, mode_word};
pub use new::{NewGate, SeenIn};
pub(crate) use open::budget_key;
pub use open::{Opened, OpenedHow};
pub use options::GateOptions;
pub use recover::{DueEnded, GatesRecovered, Restart};
pub(crate) use resolve::{follow_session, stage_invalidated};
pub(crate) use retain::{Scan, clear_ended, erase_beyond, erase_ended};
pub use row::{Caller, Content, Edited, End, Gate, GateIndex, GateStatus, InTurn, Said};
pub use service::{Asked, Gates};
pub use shared::{Approvers, EveryOperator};
pub(crate) use shared::{Registered, Shared};
pub use show::{Lines, deceives, escaped};
pub use table::{GateCell, GateEvent, GateIgnored, GateRefused, GateState, decide};
pub(crate) use wake::wake_left;
