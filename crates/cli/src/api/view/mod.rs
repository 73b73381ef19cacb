//! What the API answers: views of rows, apart from how they are stored.

mod agent;
mod budget;
mod formats;
mod gate;
mod grant;
mod quarantined;
mod run;
mod secret;
mod session;
mod sink;
mod task;
mod thread;
mod timer;
mod wake;

pub use agent::AgentView;
pub use budget::{BudgetView, UsageView};
pub use formats::FormatsView;
pub use gate::{DecisionView, GateView, ShownView};
pub use grant::GrantView;
pub use quarantined::QuarantinedView;
pub use run::{ChunkView, RunView};
pub use secret::{EffectiveView, SecretView, SlotView, VaultView};
pub use session::SessionView;
pub use sink::SinkView;
pub use task::TaskView;
pub use thread::{AttachmentView, MessageView, ThreadView};
pub use timer::{Off, TimerView};
pub use wake::{WakeView, WokenView};
