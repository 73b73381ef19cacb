//! Asking again for a stream that was cut.

use std::time::Duration;

use crate::problem::{Code, Problem, Result};

/// Rounds that may bring nothing, one after the other.
const EMPTY_MAX: u32 = 100;
/// The wait between two rounds.
const WAIT: Duration = Duration::from_millis(50);

/// Counts the rounds of a stream that is asked for again from where it was cut, so that one that is cut at once each time
/// ends.
#[derive(Debug, Default)]
pub struct Rounds {
    empty: u32,
}

impl Rounds {
    /// This round brought something.
    pub fn went_on(&mut self) {
        self.empty = 0;
    }

    /// Waits before the next round.
    ///
    /// # Errors
    /// After 100 rounds that brought nothing.
    pub async fn next(&mut self) -> Result<()> {
        self.empty += 1;
        if self.empty > EMPTY_MAX {
            let detail = format!("the stream was cut {EMPTY_MAX} times before anything came");
            return Err(Problem::new(Code::Unavailable, detail)
                .hint("see dormouse doctor")
                .into());
        }
        tokio::time::sleep(WAIT).await;
        Ok(())
    }
}
