//! The program's own log, on stderr: what is wrong always, more with `-v`. No value of a secret that is open in this
//! process is in it, nor in a panic.

use std::sync::LazyLock;

use dormouse_engine::step::WORKER_THREAD;
use dormouse_secrets::{LogForm, OpenValues, PanicText, install_panic_hook, scrub_layer};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::environment::Environment;
use crate::output::Ui;
use crate::problem::{Code, Problem};

/// The values that are open in this process. Its log and its panics are the process's too.
static OPEN: LazyLock<OpenValues> = LazyLock::new(OpenValues::default);

/// What keeps values out of what this process says: whoever opens one tells it first.
pub(crate) fn open_values() -> OpenValues {
    OPEN.clone()
}

/// Begins to log. `DORMOUSE_LOG` says exactly what, as in `dormouse_engine=debug`; `-v` says how much.
///
/// # Errors
/// When `DORMOUSE_LOG` cannot be understood.
pub(crate) fn begin(verbose: u8, environment: &Environment, ui: &Ui) -> Result<(), Problem> {
    let by_flag = match verbose {
        0 => "warn",
        1 => "warn,dormouse_cli=info,dormouse_engine=info,dormouse_filesystem=info,dormouse_secrets=info",
        _ => "info,dormouse_cli=debug,dormouse_engine=debug,dormouse_filesystem=debug,dormouse_secrets=debug",
    };
    let said = environment
        .get("DORMOUSE_LOG")
        .map(|value| value.to_string_lossy().into_owned());
    let filter = EnvFilter::try_new(said.as_deref().unwrap_or(by_flag)).map_err(|error| {
        Problem::new(Code::Config, format!("DORMOUSE_LOG: {error}"))
            .hint("write levels, as in warn,dormouse_engine=debug")
    })?;
    let values = open_values();
    install_panic_hook(&values, |thread| match thread {
        // What a worker's future says is told by its outcome.
        Some(WORKER_THREAD) => PanicText::PlaceOnly,
        Some(_) | None => PanicText::Whole,
    });
    // A second one in this process is of no use and does no harm.
    let _ = tracing_subscriber::registry()
        .with(filter)
        .with(
            scrub_layer(&values, LogForm::Text)
                .with_writer(std::io::stderr)
                .with_ansi(ui.is_coloured),
        )
        .try_init();
    Ok(())
}
