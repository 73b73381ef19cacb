//! Time and randomness, handed in: no code below the edge asks the machine for either.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};

/// Says what time it is. Asked once per command, so that all rows of a command agree.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The time now, UTC.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is where the machine's time enters"
    )]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// How long it is until then; nothing where that is now or over.
pub(crate) fn until(at: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(at.duration_since(now)).unwrap_or_default()
}

/// A generator that many tasks share. Its lock is held for a few instructions and never across an await.
pub struct Random(Mutex<StdRng>);

impl Random {
    /// A generator whose numbers follow from the seed.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self(Mutex::new(StdRng::seed_from_u64(seed)))
    }

    /// A generator seeded by the operating system.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn from_system() -> Result<Self, rand::rngs::SysError> {
        StdRng::try_from_rng(&mut rand::rngs::SysRng).map(|rng| Self(Mutex::new(rng)))
    }

    /// Random bytes.
    #[must_use]
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.with(|rng| rng.fill_bytes(&mut bytes));
        bytes
    }

    /// A random number.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.with(Rng::next_u64)
    }

    /// A random number from 0 up to and with `max`.
    #[must_use]
    pub fn up_to(&self, max: u64) -> u64 {
        self.with(|rng| rng.random_range(0..=max))
    }

    fn with<T>(&self, f: impl FnOnce(&mut StdRng) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The keys and nonces of secrets come from the same source.
impl dormouse_secrets::Random for Random {
    fn fill(&self, bytes: &mut [u8]) {
        self.with(|rng| rng.fill_bytes(bytes));
    }
}

impl fmt::Debug for Random {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Random")
    }
}
