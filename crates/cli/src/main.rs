//! The program `dormouse`.

use std::process::ExitCode;

use dormouse_cli::environment::Environment;

fn main() -> ExitCode {
    // A keeper is this executable too: it must become one before anything else happens.
    dormouse_engine::worker::keeper::enter();
    // What we or a library make without saying a mode is ours alone.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    dormouse_cli::run(
        &std::env::args_os().collect::<Vec<_>>(),
        Environment::of_process(),
    )
    .into()
}
