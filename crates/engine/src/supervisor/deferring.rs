//! A provider that ended its turn because a call needs a permission: a person is asked, and the run parks for the answer.

use std::sync::Arc;

use dormouse_state::GateKind;

use super::asking::Asking;
use super::attempt::Parts;
use super::hearing::Deferred;
use super::question::Question;
use crate::GateId;
use crate::gate::{Asked, Canonical};

/// The gate that is to be waited for. None where nobody is asked, or was and has answered: then the provider has what it is
/// to know, and defers all the same.
pub(super) async fn gate(parts: &Arc<Parts>, call: &Deferred) -> Option<GateId> {
    let question = Question {
        input: call
            .input
            .as_deref()
            .and_then(|input| Canonical::parse(input).ok()),
        default_no: true,
        ..Question::new(GateKind::Approval, call.name.clone())
    };
    match Asking::new(parts).ask(&question).await {
        Ok(Asked::Person(opened)) if opened.gate.is_pending() => Some(opened.gate.id),
        Ok(Asked::Person(_) | Asked::Allowed | Asked::Denied { .. }) => None,
        Err(error) => {
            tracing::warn!(run = %parts.claimed.run.id, %error, "what a call waits for was not asked");
            None
        }
    }
}
