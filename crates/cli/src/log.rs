//! The program's own log, on stderr: what is wrong always, more with `-v`.

use tracing_subscriber::EnvFilter;

use crate::environment::Environment;
use crate::output::Ui;
use crate::problem::{Code, Problem};

/// Begins to log. `DORMOUSE_LOG` says exactly what, as in `dormouse_engine=debug`; `-v` says how much.
///
/// # Errors
/// When `DORMOUSE_LOG` cannot be understood.
pub(crate) fn begin(verbose: u8, environment: &Environment, ui: &Ui) -> Result<(), Problem> {
    let by_flag = match verbose {
        0 => "warn",
        1 => "warn,dormouse_cli=info,dormouse_engine=info,dormouse_filesystem=info",
        _ => "info,dormouse_cli=debug,dormouse_engine=debug,dormouse_filesystem=debug",
    };
    let said = environment
        .get("DORMOUSE_LOG")
        .map(|value| value.to_string_lossy().into_owned());
    let filter = EnvFilter::try_new(said.as_deref().unwrap_or(by_flag)).map_err(|error| {
        Problem::new(Code::Config, format!("DORMOUSE_LOG: {error}"))
            .hint("write levels, as in warn,dormouse_engine=debug")
    })?;
    // A second one in this process is of no use and does no harm.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(ui.is_coloured)
        .try_init();
    Ok(())
}
