//! What is to happen to which operation: by a script, or by a seed.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;

use crate::wrapper::Operation;

/// Longest delay that a seed makes.
const DELAY_MAX: Duration = Duration::from_millis(50);

/// What happens to one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// It is done after this long. Any operation.
    Delay(Duration),
    /// Not done: `Busy` for a write, `Unavailable` for a read. Any but health and close.
    Refuse,
    /// Not done: `Conflict` that names every key of the batch with its actual version. Commits; one without a key
    /// is `Busy`.
    Conflict,
    /// Neither done nor answered. Any operation.
    Hang,
    /// The answer is lost and it was not done: `Indeterminate`. Commits and truncations.
    LoseBefore,
    /// The answer is lost and it was done: `Indeterminate`. Commits and truncations.
    LoseAfter,
    /// The watch that begins loses every hint but the end. Watches.
    LoseHints,
    /// A read error: the record asked for is `Corrupt`, the first of many; one of a page or an export in its place.
    /// Gets, lists and exports.
    Damage,
}

impl FaultKind {
    /// Whether it can happen to this operation.
    #[must_use]
    pub fn applies_to(self, operation: Operation) -> bool {
        let is_write = matches!(operation, Operation::Commit | Operation::Truncate);
        match self {
            Self::Delay(_) | Self::Hang => true,
            Self::Refuse => !matches!(operation, Operation::Health | Operation::Close),
            Self::Conflict => operation == Operation::Commit,
            Self::LoseBefore | Self::LoseAfter => is_write,
            Self::LoseHints => operation == Operation::Watch,
            Self::Damage => matches!(
                operation,
                Operation::Get
                    | Operation::GetMany
                    | Operation::List
                    | Operation::ListMany
                    | Operation::Export
            ),
        }
    }
}

/// What is scripted, and what comes by chance.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) next: [VecDeque<FaultKind>; Operation::ALL.len()],
    pub(super) always: [Option<FaultKind>; Operation::ALL.len()],
    pub(super) seeded: Option<(StdRng, u32)>,
    pub(super) met: u64,
}

impl Plan {
    fn take(&mut self, operation: Operation) -> Option<FaultKind> {
        let at = operation as usize;
        let fault = self.next[at]
            .pop_front()
            .or(self.always[at])
            .or_else(|| self.by_chance(operation));
        self.met += u64::from(fault.is_some());
        fault
    }

    fn by_chance(&mut self, operation: Operation) -> Option<FaultKind> {
        let (random, per_mille) = self.seeded.as_mut()?;
        if random.random_range(0..1000) >= *per_mille {
            return None;
        }
        let delay = random.random_range(Duration::ZERO..=DELAY_MAX);
        let kinds = [
            FaultKind::Delay(delay),
            FaultKind::Refuse,
            FaultKind::Conflict,
            FaultKind::LoseBefore,
            FaultKind::LoseAfter,
            FaultKind::LoseHints,
        ];
        let mut kinds = kinds.into_iter().filter(|kind| kind.applies_to(operation));
        let count = kinds.clone().count();
        kinds.nth(random.random_range(0..count))
    }
}

/// What happens to this operation, once its delay is over and unless it hangs.
pub(super) async fn meet(plan: &Mutex<Plan>, operation: Operation) -> Option<FaultKind> {
    let fault = plan
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take(operation)?;
    match fault {
        FaultKind::Delay(delay) => {
            tokio::time::sleep(delay).await;
            None
        }
        FaultKind::Hang => pending().await,
        other => Some(other),
    }
}
