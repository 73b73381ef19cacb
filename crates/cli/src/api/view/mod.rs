//! What the API answers: views of rows, apart from how they are stored.

mod agent;
mod gate;
mod grant;
mod run;
mod session;
mod task;

pub use agent::AgentView;
pub use gate::{DecisionView, GateView, ShownView};
pub use grant::GrantView;
pub use run::{ChunkView, RunView};
pub use session::SessionView;
pub use task::TaskView;
