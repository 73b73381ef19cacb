//! Closing sessions that showed no life for long.

use std::sync::Arc;
use std::time::Duration;

use dormouse_filesystem::{Cursor, IndexValue, Issue, Query, RecordError, Records};
use dormouse_state::EndReason;
use jiff::{SignedDuration, Timestamp};

use super::end::{self, Ended};
use super::live::{Newest, SessionLive};
use super::{SessionIndex, SessionRow};
use crate::core::Core;
use crate::draft::{Draft, Verdict};
use crate::limits::SESSIONS_STALE_PAGE;
use crate::{CommandError, Principal, SessionId};

/// What a page of closing did.
#[derive(Debug, Default)]
pub struct StaleClosed {
    /// Those that were ended.
    pub ended: Vec<SessionId>,
    /// Those that could not be; the others were all the same.
    pub left: Vec<StaleLeft>,
    /// For the next page; none only at the end.
    pub next: Option<Cursor>,
}

/// A session that could not be closed.
#[derive(Debug)]
pub struct StaleLeft {
    /// Which.
    pub session: SessionId,
    /// Why.
    pub error: CommandError,
}

/// Ends those of a page that showed no life for so long; zero is off.
pub(super) async fn close(
    core: &Arc<Core>,
    silent: Duration,
    after: Option<Cursor>,
) -> Result<StaleClosed, CommandError> {
    let Some(until) = latest(core.environment.clock.now(), silent) else {
        return Ok(StaleClosed::default());
    };
    let query = Query::of(SessionIndex::Stale)
        .range(None, Some(IndexValue::instant(until)))
        .after(after)
        .limit(SESSIONS_STALE_PAGE);
    let page = Records::<SessionRow>::new(&core.space).find(&query).await?;
    let mut closed = StaleClosed {
        ended: Vec::new(),
        left: page.issues.into_iter().filter_map(damaged).collect(),
        next: page.next,
    };
    for row in page.rows {
        match close_one(core, row.id, silent).await {
            Ok(true) => closed.ended.push(row.id),
            Ok(false) => {}
            Err(error) => closed.left.push(StaleLeft {
                session: row.id,
                error,
            }),
        }
    }
    Ok(closed)
}

/// A session whose row cannot be believed.
fn damaged(issue: Issue) -> Option<StaleLeft> {
    let session = issue.id.parse().ok()?;
    let error = RecordError::Invalid(issue).into();
    Some(StaleLeft { session, error })
}

/// The instant after the last sign of life that is too old; none when it is off.
fn latest(now: Timestamp, silent: Duration) -> Option<Timestamp> {
    let silent = SignedDuration::try_from(silent)
        .ok()
        .filter(|silent| !silent.is_zero())?;
    let until = now.checked_sub(silent).ok()?;
    until.checked_add(SignedDuration::from_nanos(1)).ok()
}

/// Whether it was ended. One with a driver in this process is not silent: the driver may have heard what is in no row yet.
async fn close_one(core: &Arc<Core>, id: SessionId, silent: Duration) -> Result<bool, CommandError> {
    if core.drivers.get(id).is_some() {
        return Ok(false);
    }
    let by = Principal::engine();
    let done = core.command(&by, |draft| staged(core, draft, id, silent)).await?;
    Ok(match done.answer {
        Some(ended) => end::told(core, id, ended).applied().is_some(),
        None => false,
    })
}

/// Activity in between wins: it is looked for again here, and both rows are to be as they were read.
async fn staged(
    core: &Arc<Core>,
    mut draft: Draft,
    id: SessionId,
    silent: Duration,
) -> Result<Verdict<Option<Ended>>, CommandError> {
    let Some(read) = Newest::read(&core.space, id).await? else {
        return Ok(Verdict::Nothing(None));
    };
    let is_silent = latest(draft.now(), silent).is_some_and(|until| read.activity_at() < until);
    if !read.row.may_go_stale() || !is_silent {
        return Ok(Verdict::Nothing(None));
    }
    let lives = Records::<SessionLive>::new(&core.space);
    match &read.live {
        Some(live) => lives.stage_check(draft.batch(), live),
        None => lives.stage_absent(draft.batch(), &id)?,
    }
    Ok(match end::staged(core, draft, id, EndReason::Stale).await? {
        // Asked last: one that began meanwhile may have heard what is in no row yet.
        Verdict::Commit(..) if core.drivers.get(id).is_some() => Verdict::Nothing(None),
        Verdict::Commit(draft, ended) => Verdict::Commit(draft, Some(ended)),
        Verdict::Nothing(ended) => Verdict::Nothing(Some(ended)),
    })
}
