//! Finding gates: in pages, the pending ones first.

use dormouse_filesystem::{Cursor, Found, IndexValue, Issue, Order, Query, Records, Versioned};

use super::{Gate, GateIndex, GateStatus};
use crate::core::Core;
use crate::{AgentName, CommandError, Incarnation, SessionId};

/// Which gates are wanted; all of them by default. A discarded one never is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GateFilter {
    /// Only those of this agent; those of a former agent of that name are not among them.
    pub agent: Option<AgentName>,
    /// Only those of this session; then the agent is not asked for.
    pub session: Option<SessionId>,
    /// Only the pending ones.
    pub is_pending: bool,
}

/// One page of gates.
#[derive(Debug, Clone)]
pub struct GatePage {
    /// The pending ones, the longest waiting first; then the ended ones, the latest end first, but in a session the
    /// earliest end first.
    pub rows: Vec<Versioned<Gate>>,
    /// For the next page; none only at the end.
    pub next: Option<GateCursor>,
    /// Rows that cannot be believed, left out.
    pub issues: Vec<Issue>,
}

/// Where a page of gates goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GateCursor {
    /// Among the pending ones.
    Pending(Cursor),
    /// Among the ended ones, at their beginning or after this.
    Ended(Option<Cursor>),
}

impl GateCursor {
    /// The text for a client.
    #[must_use]
    pub fn to_text(&self) -> String {
        match self {
            Self::Pending(cursor) => format!("p{cursor}"),
            Self::Ended(Some(cursor)) => format!("e{cursor}"),
            Self::Ended(None) => "e".to_owned(),
        }
    }

    /// Takes the text as a client gave it back.
    ///
    /// # Errors
    /// `CursorScope` when it is none.
    pub fn from_text(text: &str) -> Result<Self, CommandError> {
        match (text.split_at_checked(1), text) {
            (_, "e") => Ok(Self::Ended(None)),
            (Some(("e", rest)), _) => Ok(Self::Ended(Some(Cursor::from_text(rest)))),
            (Some(("p", rest)), _) => Ok(Self::Pending(Cursor::from_text(rest))),
            _ => Err(CommandError::CursorScope),
        }
    }
}

pub(super) async fn list(
    core: &Core,
    filter: &GateFilter,
    after: Option<GateCursor>,
    limit: usize,
) -> Result<GatePage, CommandError> {
    let rows = Records::<Gate>::new(&core.space);
    let is_first = !matches!(after, Some(GateCursor::Ended(_)));
    let cursor = match after {
        None => None,
        Some(GateCursor::Pending(cursor)) => Some(cursor),
        Some(GateCursor::Ended(cursor)) => cursor,
    };
    let query = if is_first { pending(filter) } else { ended(filter) };
    let found = rows.find(&query.after(cursor).limit(limit)).await?;
    let next = match &found.next {
        Some(cursor) if is_first => Some(GateCursor::Pending(cursor.clone())),
        Some(cursor) => Some(GateCursor::Ended(Some(cursor.clone()))),
        None if is_first && !filter.is_pending => Some(GateCursor::Ended(None)),
        None => None,
    };
    let living = living(core, filter).await?;
    let page = page(found, next.clone(), living);
    let room = limit - page.rows.len();
    // A page that the pending ones do not fill goes on with the ended ones.
    if next != Some(GateCursor::Ended(None)) || room == 0 {
        return Ok(page);
    }
    let found = rows.find(&ended(filter).limit(room)).await?;
    let next = found.next.clone().map(|cursor| GateCursor::Ended(Some(cursor)));
    let more = self::page(found, next, living);
    Ok(GatePage {
        rows: page.rows.into_iter().chain(more.rows).collect(),
        next: more.next,
        issues: page.issues.into_iter().chain(more.issues).collect(),
    })
}

/// Whose gates are wanted, where those of one agent are: nobody's, when there is none of that name.
async fn living(core: &Core, filter: &GateFilter) -> Result<Option<Option<Incarnation>>, CommandError> {
    match (&filter.agent, filter.session) {
        (Some(agent), None) => Ok(Some(core.living(agent).await?)),
        (None, _) | (Some(_), Some(_)) => Ok(None),
    }
}

fn page(found: Found<Gate>, next: Option<GateCursor>, living: Option<Option<Incarnation>>) -> GatePage {
    let mut rows = found.rows;
    rows.retain(|gate| {
        let is_whose = living.is_none_or(|living| living == Some(gate.agent_incarnation));
        let is_discarded = gate
            .end
            .as_ref()
            .is_some_and(|end| end.status == GateStatus::Discarded);
        is_whose && !is_discarded
    });
    GatePage {
        rows,
        next,
        issues: found.issues,
    }
}

fn pending(filter: &GateFilter) -> Query<GateIndex> {
    match (filter.session, &filter.agent) {
        (Some(session), _) => in_session(session, 0),
        (None, Some(agent)) => Query::of(GateIndex::Pending).equals([IndexValue::segment(agent.segment())]),
        (None, None) => Query::of(GateIndex::PendingSince),
    }
}

fn ended(filter: &GateFilter) -> Query<GateIndex> {
    match (filter.session, &filter.agent) {
        (Some(session), _) => in_session(session, 1),
        (None, Some(agent)) => Query::of(GateIndex::AgentDecided)
            .equals([IndexValue::segment(agent.segment())])
            .order(Order::Down),
        (None, None) => Query::of(GateIndex::Decided).order(Order::Down),
    }
}

pub(super) fn in_session(session: SessionId, ended: u64) -> Query<GateIndex> {
    let values = [IndexValue::name(&session.to_string()), IndexValue::number(ended)];
    Query::of(GateIndex::Session).equals(values)
}
