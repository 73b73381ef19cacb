//! What is due, in the order in which it is served: tenants in turn, and in a tenant its kinds, one row each. So whoever has
//! much that is due keeps nobody waiting for longer than a row of every other.

use std::collections::{HashMap, VecDeque};

use jiff::Timestamp;

use crate::capability::{Capability, CapabilityIndex};
use crate::engine::Engine;
use crate::gate::{Gate, GateIndex};
use crate::session::{SessionIndex, SessionRow};
use crate::task::{Task, TaskIndex};
use crate::wake::{TimedWake, TimedWakeIndex, Turns};
use crate::{CommandError, GateId, SessionId, TaskId, TenantId, WakeId};

/// A row whose time is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    Gate(GateId),
    Capability(GateId),
    Task(TaskId),
    Session(SessionId),
    Wake(WakeId),
}

/// What kind a row is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Gate,
    Capability,
    Task,
    Session,
    Wake,
}

impl Due {
    fn kind(self) -> Kind {
        match self {
            Self::Gate(_) => Kind::Gate,
            Self::Capability(_) => Kind::Capability,
            Self::Task(_) => Kind::Task,
            Self::Session(_) => Kind::Session,
            Self::Wake(_) => Kind::Wake,
        }
    }
}

/// The rows of one pass.
#[derive(Debug, Default)]
pub(crate) struct DueRows {
    turns: Turns<TenantId, Kind>,
    rows: HashMap<(TenantId, Kind), VecDeque<Due>>,
    /// The first error of the store, as they were looked for.
    trouble: Option<CommandError>,
}

impl DueRows {
    /// Adds what was found, the first first. What could not be looked for keeps nothing else from its time.
    fn add<Id>(&mut self, found: Result<Vec<(TenantId, Id)>, CommandError>, of: impl Fn(Id) -> Due) {
        match found {
            Ok(found) => {
                for (tenant, id) in found {
                    self.push(tenant, of(id));
                }
            }
            Err(error) => drop(self.trouble.get_or_insert(error)),
        }
    }

    fn push(&mut self, tenant: TenantId, due: Due) {
        self.turns.push(&tenant, due.kind());
        self.rows.entry((tenant, due.kind())).or_default().push_back(due);
    }

    /// The next row, and whose it is.
    pub(crate) fn next(&mut self) -> Option<(TenantId, Due)> {
        let (tenant, kind) = self.turns.next(|_| 1)?;
        let key = (tenant, kind);
        let rows = self.rows.get_mut(&key).expect("whoever has a turn has rows");
        let due = rows.pop_front().expect("whoever has a turn has a row");
        if rows.is_empty() {
            self.rows.remove(&key);
        } else {
            self.turns.push(&key.0, kind);
        }
        Some((key.0, due))
    }

    /// Whether all that is due was found.
    pub(crate) fn told(self) -> Result<(), CommandError> {
        self.trouble.map_or(Ok(()), Err)
    }
}

impl Engine {
    /// All that is due.
    pub(crate) async fn due_rows(&self, now: Timestamp) -> DueRows {
        let mut rows = self.due_gates(now).await;
        rows.add(self.found::<Task>(TaskIndex::Due, Some(now)).await, Due::Task);
        let sessions = self.found::<SessionRow>(SessionIndex::Due, Some(now)).await;
        rows.add(sessions, Due::Session);
        let wakes = self.found::<TimedWake>(TimedWakeIndex::Due, Some(now)).await;
        rows.add(wakes, Due::Wake);
        rows
    }

    /// Gates and capabilities alone.
    pub(crate) async fn due_gates(&self, now: Timestamp) -> DueRows {
        let mut rows = DueRows::default();
        rows.add(self.found::<Gate>(GateIndex::Due, Some(now)).await, Due::Gate);
        let capabilities = self.found::<Capability>(CapabilityIndex::Due, Some(now)).await;
        rows.add(capabilities, Due::Capability);
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PrefixedId, Random};

    #[test]
    fn who_has_much_that_is_due_keeps_nobody_waiting() {
        let (random, now) = (Random::seeded(7), Timestamp::UNIX_EPOCH);
        let tenant = |name: &str| -> TenantId { name.parse().unwrap() };
        let mut rows = DueRows::default();
        for _ in 0..100 {
            rows.push(tenant("hot"), Due::Task(TaskId::make(now, &random)));
        }
        rows.push(tenant("hot"), Due::Gate(GateId::make(now, &random)));
        rows.push(tenant("quiet"), Due::Task(TaskId::make(now, &random)));
        let mut order = String::new();
        while let Some((tenant, due)) = rows.next() {
            order.push(match (tenant.as_str(), due.kind()) {
                ("quiet", _) => 'q',
                (_, Kind::Gate) => 'g',
                (_, _) => 't',
            });
        }
        assert_eq!(order.len(), 102);
        assert!(order.starts_with("tqgt"), "{order}");
    }
}
