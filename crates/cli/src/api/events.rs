//! `/v1/events`: a page, or a stream.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use dormouse_engine::event::{EventAt, EventCursor, EventFilter, Events, Glob};
use dormouse_engine::{AgentName, CommandError};
use dormouse_filesystem::{LogHead, Position};
use futures::StreamExt;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Paging;
use super::body::{self, Parameters};
use super::house::{Asker, House};
use super::refusal::Answered;
use super::stream;
use crate::problem::{Code, Problem};

/// Events that a tail begins with when nobody says where.
const TAIL: u64 = 20;
/// After so many events that were left out, a stream says where it is.
const LEFT_OUT_MAX: u64 = 1000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// The first position; 0 and 1 are the beginning.
    from: Option<u64>,
    /// The last position.
    to: Option<u64>,
    #[serde(default)]
    follow: bool,
    /// Goes on where positions are no longer kept, and says which, instead of refusing them.
    #[serde(default)]
    gaps: bool,
    /// The installation's, instead of the tenant's.
    #[serde(default)]
    system: bool,
    #[serde(rename = "type")]
    kind: Option<String>,
    agent: Option<AgentName>,
    limit: Option<usize>,
    cursor: Option<String>,
}

/// A page of events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventList<T> {
    /// The events.
    pub items: Vec<T>,
    /// Where the next page begins; none after the last.
    pub next_cursor: Option<String>,
    /// The position of the newest event there was; 0 where there was none.
    pub last: u64,
    /// Positions that were asked for and are no longer kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gap: Option<Gap>,
}

/// Positions that are no longer kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The first of them that was asked for.
    pub from: u64,
    /// The last of them.
    pub to: u64,
}

impl Gap {
    /// What is not kept behind a position.
    fn behind(after: Position, head: &LogHead) -> Option<Self> {
        (after.next() < head.first).then(|| Self {
            from: after.next().get(),
            to: head.first.get() - 1,
        })
    }
}

pub(super) async fn list(
    State(house): State<House>,
    asker: Asker,
    Parameters(wanted): Parameters<Wanted>,
) -> Answered {
    let events = if wanted.system {
        house.engine().events()
    } else {
        asker.tenant.events.clone()
    };
    if let (Some(from), Some(to)) = (wanted.from, wanted.to)
        && to < from
    {
        return Err(Problem::new(
            Code::BadRequest,
            format!("to: {to} is before {from}"),
        ));
    }
    if wanted.follow {
        return follow(&house, events, &wanted).await;
    }
    page(&events, &wanted).await
}

impl Wanted {
    fn filter(&self) -> EventFilter {
        EventFilter {
            kind: self.kind.as_deref().map(Glob::new),
            agent: self.agent.clone(),
        }
    }

    /// The position after which to read, where no cursor says it.
    fn after(&self, head: &LogHead) -> Position {
        if let Some(from) = self.from {
            return Position::new(from.saturating_sub(1));
        }
        let first = head.next.get().saturating_sub(TAIL).max(head.first.get());
        Position::new(first - 1)
    }
}

async fn page(events: &Events, wanted: &Wanted) -> Answered {
    let limit = Paging {
        limit: wanted.limit,
        cursor: None,
    }
    .limit()?;
    let (filter, head) = (wanted.filter(), events.head().await?);
    let (cursor, gap) = match &wanted.cursor {
        Some(cursor) => (cursor.parse::<EventCursor>()?, None),
        None => {
            let after = wanted.after(&head);
            let gap = Gap::behind(after, &head).filter(|_| wanted.gaps);
            let after = gap.map_or(after, |gap| Position::new(gap.to));
            (events.cursor(&filter, after).await?, gap)
        }
    };
    let read = events.read(&filter, cursor, limit).await?;
    let to = wanted.to.unwrap_or(u64::MAX);
    let has_ended = read.is_end || read.next.after().get() >= to;
    let mut items = read.events;
    items.retain(|event| event.position.get() <= to);
    let list = EventList {
        items,
        next_cursor: (!has_ended).then(|| read.next.to_string()),
        last: head.next.get() - 1,
        gap,
    };
    Ok(body::json(StatusCode::OK, &list))
}

async fn follow(house: &House, events: Events, wanted: &Wanted) -> Result<Response, Problem> {
    let after = wanted.after(&events.head().await?);
    let following = Following {
        events,
        filter: wanted.filter(),
        to: wanted.to.unwrap_or(u64::MAX),
        after,
        entries: None,
        left_out: 0,
    };
    let lines = futures::stream::unfold(Some(following), async |following| {
        let mut following = following?;
        match following.next().await? {
            Ok(line) => Some((Ok(line), Some(following))),
            Err(problem) => Some((Err(problem), None)),
        }
    });
    // Where it begins, so that a reader that is cut before the first event that fits goes on from here.
    let begin = stream::line(&json!({ "from": after.get() + 1 }));
    let lines = futures::stream::iter([Ok(begin)]).chain(lines);
    Ok(body::lines(stream::until_draining(lines, house.phase())))
}

/// A reader of the log that keeps a position and no queue.
struct Following {
    events: Events,
    filter: EventFilter,
    to: u64,
    after: Position,
    entries: Option<BoxStream<'static, Result<EventAt, CommandError>>>,
    left_out: u64,
}

impl Following {
    /// The next line: an event, positions that are no longer kept, or how far it is where nothing fits for long.
    async fn next(&mut self) -> Option<Result<Bytes, Problem>> {
        // Ends with a line, or with the last position that is wanted.
        while self.after.get() < self.to {
            let (events, after) = (&self.events, self.after);
            let entries = self.entries.get_or_insert_with(|| events.follow(after).boxed());
            match entries.next().await? {
                Ok(event) => {
                    if let Some(line) = self.passed(&event) {
                        return Some(Ok(line));
                    }
                }
                Err(CommandError::ReplayGap { first, .. }) if self.after.next() < first => {
                    let gap = Gap {
                        from: self.after.next().get(),
                        to: first.get() - 1,
                    };
                    (self.after, self.entries) = (Position::new(gap.to), None);
                    return Some(Ok(stream::line(&json!({ "gap": gap }))));
                }
                Err(error) => return Some(Err(error.into())),
            }
        }
        None
    }

    fn passed(&mut self, event: &EventAt) -> Option<Bytes> {
        self.after = event.position;
        if event.position.get() > self.to {
            return None;
        }
        if self.filter.fits(&event.event) {
            self.left_out = 0;
            return Some(stream::line(event));
        }
        self.left_out += 1;
        self.left_out
            .is_multiple_of(LEFT_OUT_MAX)
            .then(|| stream::line(&json!({ "from": event.position.get() + 1 })))
    }
}
