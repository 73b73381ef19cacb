//! The tables of gates and capabilities, printed whole.

use dormouse_engine::capability::{self, CapabilityEvent, CapabilityPhase};
use dormouse_engine::gate::{self, GateEvent, GateState, kind_word};

use super::golden::{aligned, check};

#[test]
fn gates_move_as_the_table_says() {
    let head = std::iter::once(String::new()).chain(GateEvent::ALL.map(|event| event.word().to_owned()));
    let mut rows = vec![head.collect::<Vec<_>>()];
    for state in GateState::ALL {
        let word = match state {
            GateState::Pending(kind) => format!("pending {}", kind_word(kind)),
            GateState::Ended(status) => status.word().to_owned(),
        };
        let cells = GateEvent::ALL.map(|event| gate::decide(state, event).word().to_owned());
        rows.push(std::iter::once(word).chain(cells).collect());
    }
    check("gates.txt", &aligned(&rows));
}

#[test]
fn capabilities_move_as_the_table_says() {
    let words = CapabilityEvent::ALL.map(|event| event.word().to_owned());
    let mut rows = vec![std::iter::once(String::new()).chain(words).collect::<Vec<_>>()];
    for phase in CapabilityPhase::ALL {
        let cells = CapabilityEvent::ALL.map(|event| capability::decide(phase, event).word());
        rows.push(std::iter::once(phase.word().to_owned()).chain(cells).collect());
    }
    check("capabilities.txt", &aligned(&rows));
}
