//! What is said with a decision, and whether such a gate takes it.

use dormouse_secrets::Scrubbed;
use dormouse_state::GateKind;

use super::{Asker, Call, Choice, Content, Decide, Edited, EditedInput, Gate, GateError, Input, Said, Scope};
use crate::core::Core;
use crate::limits::{GATE_COMMENT_MAX, GATE_DETAIL_MAX};

/// What is said, if such a gate takes it.
pub(super) fn said(core: &Core, gate: &Gate, wanted: &Decide) -> Result<Said, GateError> {
    let takes = match (&wanted.choice, gate.kind) {
        (Choice::Approve { .. }, GateKind::Approval) => true,
        (Choice::Raise { .. }, GateKind::Approval) => gate.budget.is_some(),
        (Choice::Raise { .. }, GateKind::Question | GateKind::Notification) => false,
        (Choice::Reject, GateKind::Approval | GateKind::Question)
        | (Choice::Answer { .. }, GateKind::Question | GateKind::Notification) => true,
        (Choice::Approve { .. }, GateKind::Question | GateKind::Notification)
        | (Choice::Reject, GateKind::Notification)
        | (Choice::Answer { .. }, GateKind::Approval) => false,
    };
    if !takes {
        return Err(GateError::WrongType {
            gate: gate.id,
            kind: gate.kind,
            decision: wanted.choice.word(),
        });
    }
    let mut said = Said {
        comment: wanted
            .comment
            .clone()
            .map(|comment| comment.truncate_to(GATE_COMMENT_MAX)),
        ..Said::default()
    };
    said.raised_to = raised(gate, &wanted.choice)?;
    // What is gone cannot be edited, nor its options be chosen: the state refuses the decision anyway.
    let Some(content) = &gate.content else {
        return Ok(said);
    };
    match &wanted.choice {
        Choice::Approve { edited } => {
            said.scope = scope(content, wanted.scope)?;
            said.edited = match edited {
                Some(edited) => Some(fits(core, gate, content, edited)?),
                None => None,
            };
        }
        Choice::Reject | Choice::Raise { .. } => {}
        Choice::Answer { text, chosen } => {
            if gate.kind == GateKind::Question {
                answers(content, text.as_ref(), chosen)?;
            }
            said.answer = text.clone().map(|text| text.truncate_to(GATE_DETAIL_MAX));
            said.chosen = choose(content, chosen)?;
        }
    }
    Ok(said)
}

/// The limit that is said: an account's gate is approved with one, that is enough.
fn raised(gate: &Gate, choice: &Choice) -> Result<Option<u64>, GateError> {
    let Some(ask) = &gate.budget else { return Ok(None) };
    let enough = || format!("name one of {} or more", ask.dimension.shown(ask.needed));
    match choice {
        Choice::Raise { limit } if *limit >= ask.needed => Ok(Some(*limit)),
        Choice::Raise { .. } | Choice::Approve { .. } => Err(GateError::invalid("limit", enough())),
        Choice::Reject | Choice::Answer { .. } => Ok(None),
    }
}

fn scope(content: &Content, scope: Scope) -> Result<Scope, GateError> {
    if scope == Scope::Session && !content.offers_session {
        return Err(GateError::invalid("scope", "it is not offered for the session"));
    }
    Ok(scope)
}

/// A question with options is answered by them, another one in words.
fn answers(content: &Content, text: Option<&Scrubbed>, chosen: &[usize]) -> Result<(), GateError> {
    let is_said = text.is_some_and(|text| !text.as_str().trim().is_empty());
    match (content.options.is_empty(), is_said) {
        (true, false) => Err(GateError::invalid("text", "the question asks for words")),
        (false, _) if text.is_some() => Err(GateError::invalid(
            "text",
            "the question has options: choose one by its number",
        )),
        (false, _) if chosen.is_empty() => Err(GateError::invalid(
            "chosen",
            "the question has options: choose one by its number",
        )),
        (true | false, _) => Ok(()),
    }
}

fn choose(content: &Content, chosen: &[usize]) -> Result<Vec<usize>, GateError> {
    if chosen.len() > 1 && !content.several {
        return Err(GateError::invalid("chosen", "one option can be chosen"));
    }
    let mut once = chosen.to_vec();
    once.sort_unstable();
    once.dedup();
    if once.len() != chosen.len() || once.last().is_some_and(|last| *last >= content.options.len()) {
        return Err(GateError::invalid(
            "chosen",
            "names an option that is not there, or one twice",
        ));
    }
    Ok(once)
}

/// The digest of the call with another input.
fn fits(core: &Core, gate: &Gate, content: &Content, edited: &EditedInput) -> Result<Edited, GateError> {
    if !gate.reply.takes_edits() {
        return Err(GateError::invalid(
            "edited",
            "the way back carries no other input",
        ));
    }
    let call = Call {
        tool: content.tool.as_str().to_owned(),
        input: Input::Given(edited.canonical.clone()),
        cwd: content.cwd.as_ref().map(|cwd| cwd.as_str().to_owned()),
        secrets: content.secrets.iter().cloned().collect(),
        estimate: content.estimate.clone(),
    };
    let digest = call.digest(Asker {
        tenant: &core.tenant,
        agent: &gate.agent,
        kind: gate.kind,
    });
    Ok(Edited {
        input: edited.clean.clone(),
        digest,
    })
}
