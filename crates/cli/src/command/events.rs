//! `events tail`.

use dormouse_engine::event::EventAt;
use serde::Deserialize;

use super::listing;
use crate::api::List;
use crate::args::Events;
use crate::client::{Call, Lines, Rounds, Session};
use crate::context::Context;
use crate::exit::Exit;
use crate::output::visible;
use crate::output::{Format, Ui};
use crate::problem::{Problem, Result};

/// Events that are asked for at once.
const PAGE: u16 = 1000;

/// A line of the stream, or why there are no more.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Line {
    Event(Box<EventAt>),
    Begin {
        from: u64,
    },
    Problem {
        problem: Problem,
    },
    Bye {
        #[expect(dead_code, reason = "only its presence says something")]
        bye: String,
    },
}

pub(super) async fn events(session: &mut Session<'_>, context: &Context, command: Events) -> Result<Exit> {
    let Events::Tail {
        follow,
        from,
        system,
        kind,
    } = command;
    let all = Call::get("/v1/events")
        .query("type", kind)
        .query("system", system.then_some(true));
    if follow {
        go_on(session, &context.ui, &all, from).await
    } else {
        up_to_now(session, &context.ui, &all, from).await
    }
}

/// Every event there is, then the end.
async fn up_to_now(session: &mut Session<'_>, ui: &Ui, all: &Call, from: Option<u64>) -> Result<Exit> {
    let (mut cursor, mut first) = (None, from);
    let mut everything: List<Box<serde_json::value::RawValue>> = List {
        items: Vec::new(),
        next_cursor: None,
    };
    // Ends with the last page.
    loop {
        let call = all
            .clone()
            .query("from", first.take())
            .query("limit", Some(PAGE))
            .query("cursor", cursor.take());
        let body = session.ask(&call).await?;
        let page: List<Box<serde_json::value::RawValue>> = listing::read(&body)?;
        cursor = page.next_cursor;
        if ui.format == Format::Json {
            everything.items.extend(page.items);
        } else {
            page.items
                .iter()
                .try_for_each(|item| print(ui, item.get().as_bytes()))?;
            session.deliver(ui, None).await?;
        }
        if cursor.is_none() {
            break;
        }
    }
    if ui.format == Format::Json {
        ui.line(serde_json::to_vec(&everything).expect("it was JSON"))?;
    }
    Ok(Exit::Done)
}

/// Every event from there on, over owners that leave: none twice, none left out.
async fn go_on(session: &mut Session<'_>, ui: &Ui, all: &Call, from: Option<u64>) -> Result<Exit> {
    let mut next = from;
    let mut rounds = Rounds::default();
    // Runs until somebody stops it.
    loop {
        let call = all.clone().query("follow", Some(true)).query("from", next);
        let mut lines = Lines::new(session.open(&call).await?.body);
        // Ends with the body, which is asked for again from behind the last event, or when somebody wants room.
        let is_in_the_way = loop {
            let line = tokio::select! {
                line = lines.next() => line,
                () = session.is_in_the_way() => break true,
            };
            let Ok(Some(line)) = line else { break false };
            match listing::read(&line)? {
                Line::Event(event) => {
                    print(ui, &line)?;
                    next = Some(event.position.get() + 1);
                    rounds.went_on();
                    session.deliver(ui, Some(&mut lines)).await?;
                }
                Line::Begin { from } => next = Some(next.unwrap_or(from)),
                Line::Problem { problem } => return Err(problem.into()),
                Line::Bye { .. } => break false,
            }
        };
        // It reads from the store, which is not closed before it is gone.
        drop(lines);
        if is_in_the_way {
            session.make_room().await?;
        }
        session.look_again();
        rounds.next().await?;
    }
}

fn print(ui: &Ui, line: &[u8]) -> Result<()> {
    if ui.format != Format::Text {
        return ui.line(line);
    }
    let EventAt { position, event } = listing::read(line)?;
    let data = serde_json::to_string(&event.data).expect("it was JSON");
    let cells = [
        position.to_string(),
        ui.instant(event.at),
        event.kind,
        event.subject,
        event.actor.to_string(),
        data,
    ];
    let cells = cells.map(|cell| visible::cell(&cell));
    ui.line(cells.join(if ui.is_terminal { "  " } else { "\t" }))
}
