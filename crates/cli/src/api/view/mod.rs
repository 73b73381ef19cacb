//! What the API answers: views of rows, apart from how they are stored.

mod agent;
mod run;
mod task;

pub use agent::AgentView;
pub use run::{ChunkView, RunView};
pub use task::TaskView;
