//! What the API answers: views of rows, apart from how they are stored.

mod agent;
mod gate;
mod run;
mod session;
mod task;

pub use agent::AgentView;
pub use gate::{DecisionView, GateView};
pub use run::{ChunkView, RunView};
pub use session::SessionView;
pub use task::TaskView;
