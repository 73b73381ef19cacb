//! Deciding: the checks in their order, then one commit of everything that follows.

use dormouse_filesystem::{Digest, Records, Version, Versioned};
use dormouse_secrets::{Scrubbed, Scrubber};

use super::resolve::{Left, leave};
use super::said::said;
use super::{
    Author, AuthorKind, Canonical, End, Gate, GateCell, GateError, GateEvent, GateIgnored, GateRefused,
    GateStatus, Reply, Said, Scope, StandingGrant, author, decide as table,
};
use crate::core::Core;
use crate::draft::{Draft, Verdict};
use crate::event::Change;
use crate::{CommandError, GateId, Principal, PrincipalKind};

/// A decision on a gate, as it was shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decide {
    /// Which gate.
    pub gate: GateId,
    /// What is decided.
    pub choice: Choice,
    /// The version of its row that the person saw.
    pub shown_version: Version,
    /// The digest that the person saw.
    pub shown_digest: Digest,
    /// How far an approval goes.
    pub scope: Scope,
    /// Why, at most 4 KiB of it.
    pub comment: Option<Scrubbed>,
}

/// What a person decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// The call may be made.
    Approve {
        /// With this input instead.
        edited: Option<EditedInput>,
    },
    /// It may not; the question gets no answer.
    Reject,
    /// An account may use more, until its period ends.
    Raise {
        /// Its limit then: what is needed, or more.
        limit: u64,
    },
    /// An answer, or that it was seen.
    Answer {
        /// In words, at most 64 KiB of them.
        text: Option<Scrubbed>,
        /// The options chosen, from 0.
        chosen: Vec<usize>,
    },
}

impl Choice {
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Approve { .. } | Self::Raise { .. } => "approval",
            Self::Reject => "rejection",
            Self::Answer { .. } => "answer",
        }
    }

    fn event(&self, is_replay: bool) -> GateEvent {
        match self {
            Self::Approve { .. } | Self::Raise { .. } => GateEvent::Approve { is_replay },
            Self::Reject => GateEvent::Reject { is_replay },
            Self::Answer { .. } => GateEvent::Answer { is_replay },
        }
    }
}

/// Another input for a call. It goes back to the worker as it is stored, so it may hold no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EditedInput {
    pub(super) canonical: Canonical,
    pub(super) clean: Scrubbed,
}

impl EditedInput {
    /// Takes this JSON.
    ///
    /// # Errors
    /// `Invalid` when it is no JSON with one meaning, or holds a secret.
    pub fn new(text: &str, scrubber: &Scrubber) -> Result<Self, GateError> {
        let canonical =
            Canonical::parse(text).map_err(|why| GateError::invalid("edited", why.to_string()))?;
        let clean = scrubber.scrub(canonical.as_str());
        if clean.as_str() != canonical.as_str() {
            return Err(GateError::invalid("edited", "it holds a secret"));
        }
        Ok(Self { canonical, clean })
    }
}

type Answered = Verdict<Result<Left, GateError>>;

pub(super) async fn staged(
    core: &Core,
    draft: Draft,
    by: &Principal,
    wanted: &Decide,
) -> Result<Answered, CommandError> {
    match Records::<Gate>::new(&core.space).get(&wanted.gate).await? {
        Some(read) => on(core, draft, by, wanted, &read).await,
        None => {
            let gate = wanted.gate;
            Ok(Verdict::Nothing(Err(GateError::UnknownGate { gate })))
        }
    }
}

/// Decides on the row as it was read. One that has left pending never comes back, so it may be of any age.
pub(super) async fn on(
    core: &Core,
    mut draft: Draft,
    by: &Principal,
    wanted: &Decide,
    read: &Versioned<Gate>,
) -> Result<Answered, CommandError> {
    if !may_decide(core, by, read).await {
        return forbidden(core, draft, read, by);
    }
    if let (false, Reply::Elsewhere { place }) = (read.decidable, &read.reply) {
        let place = place.clone();
        return refused(
            core,
            draft,
            read,
            by,
            "not_decidable",
            GateError::NotDecidable { place },
        );
    }
    let said = match said(core, read, wanted) {
        Ok(said) => said,
        Err(error) => return Ok(Verdict::Nothing(Err(error))),
    };
    if wanted.shown_digest != read.digest {
        return changed(core, draft, read, by);
    }
    let status = match table(
        read.state(),
        wanted.choice.event(is_replay(read, by, &wanted.choice, &said)),
    ) {
        GateCell::End(status) => status,
        GateCell::Ignore(GateIgnored::Replay) => {
            return Ok(Verdict::Nothing(Ok(Left::before(Gate::clone(read)))));
        }
        GateCell::Refuse(why) => return not_now(core, draft, read, by, why),
        cell @ (GateCell::OpenNew | GateCell::Ignore(_)) => unreachable!("no cell of a decision is {cell:?}"),
    };
    if wanted.shown_version != read.version() {
        return changed(core, draft, read, by);
    }
    if read.is_due(draft.now()) {
        return too_late(core, draft, read, by).await;
    }
    let end = End {
        status,
        by: Author::person(by),
        at: draft.now(),
        cause: None,
        said: Some(said),
    };
    let left = leave(core, &mut draft, read, end).await?;
    stage_grant(core, &mut draft, &left.gate, by).await?;
    Ok(Verdict::Commit(draft, Ok(left)))
}

/// Whether the same person decided the same before: what was said about it may differ.
fn is_replay(gate: &Gate, by: &Principal, choice: &Choice, said: &Said) -> bool {
    let Some(end) = &gate.end else { return false };
    let status = match choice {
        Choice::Approve { .. } | Choice::Raise { .. } => GateStatus::Approved,
        Choice::Reject => GateStatus::Rejected,
        Choice::Answer { .. } => GateStatus::Answered,
    };
    let is_same = |before: &Said| {
        let digest = |said: &Said| said.edited.as_ref().map(|edited| edited.digest);
        digest(before) == digest(said)
            && before.scope == said.scope
            && before.raised_to == said.raised_to
            && before.answer == said.answer
            && before.chosen == said.chosen
    };
    end.by.kind == AuthorKind::Person
        && end.status == status
        && author::is_same(&end.by.principal, by)
        && end.said.as_ref().is_none_or(is_same)
}

fn not_now(
    core: &Core,
    draft: Draft,
    gate: &Versioned<Gate>,
    by: &Principal,
    why: GateRefused,
) -> Result<Answered, CommandError> {
    let end = gate
        .end
        .as_ref()
        .expect("a pending gate of this type takes the decision");
    match why {
        GateRefused::TooLate => {
            let expired_at = gate.expires_at.unwrap_or(end.at);
            refused(
                core,
                draft,
                gate,
                by,
                "too_late",
                GateError::TooLate { expired_at },
            )
        }
        GateRefused::NotPending | GateRefused::Type => Ok(Verdict::Nothing(Err(not_pending(end)))),
    }
}

pub(super) fn not_pending(end: &End) -> GateError {
    GateError::NotPending {
        status: end.status.word(),
        by: Box::new(end.by.clone()),
        at: end.at,
    }
}

fn changed(
    core: &Core,
    draft: Draft,
    gate: &Versioned<Gate>,
    by: &Principal,
) -> Result<Answered, CommandError> {
    let current = gate.version();
    refused(core, draft, gate, by, "changed", GateError::Changed { current })
}

/// The commit is the expiry, and the decision is told to have come after it.
async fn too_late(
    core: &Core,
    mut draft: Draft,
    read: &Versioned<Gate>,
    by: &Principal,
) -> Result<Answered, CommandError> {
    let expired_at = read.expires_at.expect("what is due has a deadline");
    let end = expired(&draft);
    // The run, where the policy stops one, hears of it at its next heartbeat.
    let Left { .. } = leave(core, &mut draft, read, end).await?;
    tell_refused(core, &mut draft, read, by, "too_late")?;
    draft.refuse();
    Ok(Verdict::Commit(draft, Err(GateError::TooLate { expired_at })))
}

pub(super) fn expired(draft: &Draft) -> End {
    End {
        status: GateStatus::Expired,
        by: Author::engine(AuthorKind::Timeout),
        at: draft.now(),
        cause: None,
        said: None,
    }
}

/// Whether this principal may end this gate: a run never, of persons those who may decide for its agent.
pub(super) async fn may_decide(core: &Core, by: &Principal, gate: &Gate) -> bool {
    by.kind != PrincipalKind::Run && core.gates.approvers.may_decide(by, &gate.agent).await
}

/// The answer to who may not, told as every refusal is.
pub(super) fn forbidden(
    core: &Core,
    draft: Draft,
    gate: &Gate,
    by: &Principal,
) -> Result<Answered, CommandError> {
    let principal = by.name.clone();
    let error = GateError::Forbidden { principal };
    refused(core, draft, gate, by, "forbidden", error)
}

fn refused(
    core: &Core,
    mut draft: Draft,
    gate: &Gate,
    by: &Principal,
    reason: &'static str,
    error: GateError,
) -> Result<Answered, CommandError> {
    if tell_refused(core, &mut draft, gate, by, reason)? {
        draft.refuse();
        Ok(Verdict::Commit(draft, Err(error)))
    } else {
        Ok(Verdict::Nothing(Err(error)))
    }
}

/// Tells of a refusal, unless as many were told in this minute as are.
fn tell_refused(
    core: &Core,
    draft: &mut Draft,
    gate: &Gate,
    by: &Principal,
    reason: &'static str,
) -> Result<bool, CommandError> {
    let may = core.gates.may_tell(draft.now());
    if may {
        let change = Change::GateRefused {
            principal: by.name.clone(),
            reason: reason.to_owned(),
        };
        draft.tell(&gate.about(), &change)?;
    }
    Ok(may)
}

/// An approval for the session is a grant as well. One that stands for the same calls stays.
async fn stage_grant(
    core: &Core,
    draft: &mut Draft,
    gate: &Gate,
    by: &Principal,
) -> Result<(), CommandError> {
    let end = gate.end.as_ref().expect("it was decided");
    let scope = end.said.as_ref().map_or(Scope::Once, |said| said.scope);
    let (Some(turn), GateStatus::Approved, Scope::Session) = (&gate.session, end.status, scope) else {
        return Ok(());
    };
    let digest = gate.granted_digest();
    let grant = StandingGrant {
        key: StandingGrant::key_of(turn, &digest),
        gate: gate.id,
        agent: gate.agent.clone(),
        agent_incarnation: gate.agent_incarnation,
        session: turn.session,
        incarnation: turn.incarnation,
        digest,
        by: Author::person(by),
        created_at: draft.now(),
        op: draft.op(),
    };
    let grants = Records::<StandingGrant>::new(&core.space);
    if let Some(read) = grants.get(&grant.key).await? {
        grants.stage_check(draft.batch(), &read);
        return Ok(());
    }
    grants.stage_create(draft.batch(), &grant)?;
    draft.tell(&gate.about(), &Change::GateGranted { grant: gate.id })
}
