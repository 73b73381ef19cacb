//! `/v1/events`: a page, or a stream.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use dormouse_engine::event::{EventAt, Events};
use dormouse_filesystem::Position;
use futures::StreamExt;
use serde::Deserialize;

use super::Paging;
use super::body::{self, List, Parameters};
use super::house::{Asker, House};
use super::refusal::Answered;
use super::stream;
use crate::glob::Glob;
use crate::problem::{Code, Problem};

/// Events that a tail begins with when nobody says where.
const TAIL: u64 = 20;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// The first position; 0 and 1 are the beginning.
    from: Option<u64>,
    #[serde(default)]
    follow: bool,
    /// The installation's, instead of the tenant's.
    #[serde(default)]
    system: bool,
    #[serde(rename = "type")]
    kind: Option<String>,
    limit: Option<usize>,
    cursor: Option<String>,
}

pub(super) async fn list(
    State(house): State<House>,
    asker: Asker,
    Parameters(wanted): Parameters<Wanted>,
) -> Answered {
    let kind = Glob::new(wanted.kind.as_deref().unwrap_or("*"));
    let events = if wanted.system {
        house.engine().events()
    } else {
        asker.tenant.events.clone()
    };
    let after = after(&events, &wanted).await?;
    if wanted.follow {
        return Ok(follow(&house, &events, after, kind));
    }
    let limit = Paging {
        limit: wanted.limit,
        cursor: None,
    }
    .limit()?;
    let page = events.read_after(after, limit).await?;
    let is_last = page.events.len() < limit;
    let items: Vec<EventAt> = page
        .events
        .into_iter()
        .filter(|event| kind.fits(&event.event.kind))
        .collect();
    let next_cursor = (!is_last).then(|| page.next.get().to_string());
    Ok(body::json(StatusCode::OK, &List { items, next_cursor }))
}

/// The position after which to read.
async fn after(events: &Events, wanted: &Wanted) -> Result<Position, Problem> {
    if let Some(cursor) = &wanted.cursor {
        let position = cursor
            .parse()
            .map_err(|_| Problem::new(Code::BadRequest, "cursor: is of another list"))?;
        return Ok(Position::new(position));
    }
    if let Some(from) = wanted.from {
        return Ok(Position::new(from.saturating_sub(1)));
    }
    let head = events.head().await?;
    let first = head.next.get().saturating_sub(TAIL).max(head.first.get());
    Ok(Position::new(first - 1))
}

fn follow(house: &House, events: &Events, after: Position, kind: Glob) -> Response {
    let events = events.follow(after);
    let lines = events.filter_map(move |event| {
        let line = match event {
            Ok(event) => kind.fits(&event.event.kind).then(|| Ok(stream::line(&event))),
            Err(error) => Some(Err(Problem::from(error))),
        };
        std::future::ready(line)
    });
    // Where it begins, so that a reader that is cut before the first event that fits goes on from here.
    let begin = stream::line(&serde_json::json!({ "from": after.get() + 1 }));
    let lines = futures::stream::iter([Ok(begin)]).chain(lines);
    body::lines(stream::until_draining(lines, house.phase()))
}
