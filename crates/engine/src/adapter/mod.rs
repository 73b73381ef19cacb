//! Adapters: what workers of known providers print, read as events of one vocabulary.
//!
//! ```text
//! line ─▶ Stream (claude, codex, gemini, opencode, acp) ─▶ Seen ─┬─▶ session_event: the session's machine
//!                                                                ├─▶ Meter: what was used
//!                                                                └─▶ Stream::last, finish: the outcome
//! ```
//!
//! Pure: lines go in, events come out, and time is an argument. There are no errors: what is not known is counted.
//!
//! ```
//! use dormouse_engine::adapter::{Options, Provider, Stream};
//!
//! let mut stream = Stream::new(Provider::Codex, Options::default());
//! stream.line("2026-11-20T17:20:20Z".parse()?, br#"{"type":"thread.started","thread_id":"t1"}"#);
//! assert_eq!(stream.external_id(), Some("t1"));
//! # Ok::<(), jiff::Error>(())
//! ```

mod acp;
mod app_server;
mod class;
mod claude;
mod codex;
mod command;
pub mod dialogue;
mod event;
mod finish;
mod gemini;
mod opencode;
mod out;
mod provider;
pub mod rollout;
mod session;
mod stream;
mod usage;

pub use acp::{Say, permission};
pub(crate) use app_server::id_of as request_id;
pub use class::RATE_LIMIT_DEFAULT;
pub use command::{Adapted, NoFollowUps, NotResumable, adapt, can_resume, takes_follow_ups};
pub use event::{
    Class, DeniedBy, FileChange, GateChoice, Limit, PlanItem, Reading, Role, Seen, Source, Step,
    TOOL_TEXT_MAX, Tokens, ToolEnd, ToolKind, TurnEnd, TurnFinished, What,
};
pub use finish::finish;
pub use provider::Provider;
pub use session::{SessionEvent, session_event};
pub use stream::{Options, Stream};
pub use usage::{COUNTERS_MAX, Meter};
