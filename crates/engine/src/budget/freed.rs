//! The hint that something was given back: whoever waits for a slot or an amount looks again.

use tokio::sync::watch;

/// Rings when an account has more to give than before: a run ended, a limit was raised, a hold was closed.
///
/// It is a hint: the accounts are the truth, and a ring may be for nothing.
#[derive(Debug, Clone)]
pub struct Freed(watch::Sender<u64>);

impl Default for Freed {
    fn default() -> Self {
        Self(watch::Sender::new(0))
    }
}

impl Freed {
    /// Hears each ring from now on; several at once are one.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.0.subscribe()
    }

    pub(crate) fn ring(&self) {
        self.0.send_modify(|rings| *rings = rings.wrapping_add(1));
    }
}
