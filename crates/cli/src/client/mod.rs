//! Speaking to the API: in process, over the control socket, or to a server. Every command goes this way.

mod call;
mod lines;
mod rounds;
mod route;
mod session;

pub use call::Call;
pub use lines::{Cut, Lines};
pub use rounds::Rounds;
pub use route::{Answer, Client, Connection, SendError, Server};
pub use session::Session;
