//! The program `dormouse`.

use std::process::ExitCode;

use dormouse_cli::environment::Environment;

fn main() -> ExitCode {
    // A keeper is this executable too: it must become one before anything else happens.
    dormouse_engine::worker::keeper::enter();
    dormouse_cli::run(std::env::args_os().collect(), Environment::of_process()).into()
}
