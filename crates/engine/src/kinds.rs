//! Every kind of record the engine stores.

use dormouse_filesystem::Kind;

use crate::TenantRow;
use crate::agent::Agent;
use crate::budget::{Account, Hold, Usage};
use crate::capability::Capability;
use crate::gate::{Gate, GateDisplay, GateKey, StandingGrant};
use crate::idempotency::IdempotencyRow;
use crate::lease::{Heartbeat, Lease};
use crate::relay::{DeadLetter, RelayCursor};
use crate::run::{OutcomeRow, Process, Run};
use crate::session::{SessionKey, SessionLive, SessionRow};
use crate::step::Step;
use crate::task::{Delegation, Settlement, Task, TaskNumbers, TaskTombstone, Tree};
use crate::thread::{Message, Thread};
use crate::wake::Wake;

/// Every kind of record the engine stores, those of its secrets included, for a catalogue of the store. The engine itself
/// enlists none of them yet.
#[must_use]
pub fn kinds() -> Vec<Kind> {
    let own = [
        Kind::of::<Account>(),
        Kind::of::<Agent>(),
        Kind::of::<Capability>(),
        Kind::of::<DeadLetter>(),
        Kind::of::<Delegation>(),
        Kind::of::<Gate>(),
        Kind::of::<GateDisplay>(),
        Kind::of::<GateKey>(),
        Kind::of::<Heartbeat>(),
        Kind::of::<Hold>(),
        Kind::of::<IdempotencyRow>(),
        Kind::of::<Lease>(),
        Kind::of::<Message>(),
        Kind::of::<OutcomeRow>(),
        Kind::of::<Process>(),
        Kind::of::<RelayCursor>(),
        Kind::of::<Run>(),
        Kind::of::<SessionKey>(),
        Kind::of::<SessionLive>(),
        Kind::of::<SessionRow>(),
        Kind::of::<Settlement>(),
        Kind::of::<StandingGrant>(),
        Kind::of::<Step>(),
        Kind::of::<Task>(),
        Kind::of::<TaskNumbers>(),
        Kind::of::<TaskTombstone>(),
        Kind::of::<TenantRow>(),
        Kind::of::<Thread>(),
        Kind::of::<Tree>(),
        Kind::of::<Usage>(),
        Kind::of::<Wake>(),
    ];
    own.into_iter().chain(dormouse_secrets::kinds()).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::kinds;

    /// The kinds that files of a folder declare as records.
    fn declared(folder: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                declared(&path, found);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let kinds = text.split("const KIND: RecordKind = RecordKind::of(\"").skip(1);
                found.extend(kinds.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
            }
        }
    }

    #[test]
    fn every_kind_that_is_stored_is_enlisted() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut found = BTreeSet::new();
        declared(&here.join("src"), &mut found);
        declared(&here.join("../secrets/src"), &mut found);
        found.retain(|kind| kind.as_bytes()[0].is_ascii_lowercase());
        let enlisted: BTreeSet<String> = kinds().iter().map(|kind| kind.name().to_string()).collect();
        assert_eq!(enlisted, found);
        assert_eq!(enlisted.len(), kinds().len(), "each is there once");
    }
}
