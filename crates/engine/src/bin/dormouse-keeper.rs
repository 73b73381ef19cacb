//! The keeper as a program of its own, for those whose own executable cannot call
//! [`enter`](dormouse_engine::worker::keeper::enter) on the first line of its `main`.

use std::process::ExitCode;

use dormouse_engine::worker::keeper;

fn main() -> ExitCode {
    keeper::enter();
    // Reached only by hand: a keeper is told what to do by a supervisor, over its standard input.
    ExitCode::from(2)
}
