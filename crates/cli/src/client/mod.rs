//! Speaking to the API: in process, over the control socket, or to a server. Every command goes this way.

mod call;
mod lines;
mod route;
mod session;

pub use call::Call;
pub use lines::Lines;
pub use route::{Answer, Client, SendError, Server};
pub use session::Session;
