//! The program `dormouse`.

use std::process::ExitCode;

use dormouse_cli::environment::Environment;

fn main() -> ExitCode {
    // A keeper is this executable too: it must become one before anything else happens.
    dormouse_engine::worker::keeper::enter();
    // Keys, values and tokens will be in here. A system that has no such thing isolates in a degraded way, as `doctor` says.
    let _ = dormouse_engine::worker::hide_this_process();
    // What we or a library make without saying a mode is ours alone.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    dormouse_cli::run(
        &std::env::args_os().collect::<Vec<_>>(),
        Environment::of_process(),
    )
    .into()
}
