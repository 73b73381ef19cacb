//! The program's own logs and panics: no value that is open in the process is in them, nor what a key says is one.

#[cfg(feature = "tracing")]
mod fields;
mod held;
#[cfg(feature = "tracing")]
mod layer;
mod mask;
mod open_values;
mod panics;
#[cfg(test)]
mod tests;
mod text;
mod values;

#[cfg(feature = "tracing")]
pub use self::layer::{LogForm, ScrubFormat, ScrubLayer, scrub_layer};
pub use self::mask::{LOG_DEPTH, MASK, MaskKeys};
pub use self::open_values::{OPEN_MAX, OpenValues};
pub use self::panics::{PanicText, install_panic_hook};

/// The most errors of a chain that a log line tells.
pub const CHAIN_MAX: usize = 16;

/// An error and what caused it, `: ` between; at most [`CHAIN_MAX`] of them.
#[must_use]
pub fn error_chain(error: &(dyn std::error::Error + 'static)) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    let texts: Vec<String> = chain.take(CHAIN_MAX).map(ToString::to_string).collect();
    texts.join(": ")
}
