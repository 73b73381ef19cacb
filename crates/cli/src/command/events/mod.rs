//! `events tail|replay|sink`.

mod sink;

use dormouse_engine::event::{EventAt, Glob, catalogue};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::listing;
use crate::api::{EventList, Gap};
use crate::args::{Events, WhichEvents};
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
    /// Where the next event comes from.
    At {
        from: u64,
    },
    Gap {
        gap: Gap,
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
    let ui = &context.ui;
    match command {
        Events::Tail {
            follow,
            from,
            system,
            which,
        } => {
            let all = wanted(ui, system, which);
            if follow {
                go_on(session, ui, &all, from).await
            } else {
                range(session, ui, &all, from, End::Open).await
            }
        }
        Events::Replay {
            from,
            to,
            system,
            which,
        } => {
            let all = wanted(ui, system, which);
            range(session, ui, &all, Some(from), to.map_or(End::Newest, End::At)).await
        }
        Events::Sink(command) => sink::sink(session, ui, command).await,
    }
}

fn wanted(ui: &Ui, system: bool, which: WhichEvents) -> Call {
    if let Some(kind) = &which.kind {
        let glob = Glob::new(kind);
        if !catalogue().into_iter().any(|known| glob.fits(known)) {
            ui.warning(&format!("no event has a type like {kind:?} in this build"));
        }
    }
    Call::get("/v1/events")
        .query("type", which.kind)
        .query("agent", which.agent)
        .query("system", system.then_some(true))
}

/// Where a range of events ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// With what there is when it is reached.
    Open,
    /// With this position.
    At(u64),
    /// With the newest event that there is when it is begun.
    Newest,
}

/// Every event from there on, then the end.
async fn range(session: &mut Session<'_>, ui: &Ui, all: &Call, from: Option<u64>, end: End) -> Result<Exit> {
    let (mut cursor, mut first) = (None, from);
    let mut to = match end {
        End::At(to) => Some(to),
        End::Open | End::Newest => None,
    };
    let mut everything: EventList<Box<RawValue>> = EventList {
        items: Vec::new(),
        next_cursor: None,
        last: 0,
        gap: None,
    };
    // Ends with the last page.
    loop {
        let call = all
            .clone()
            .query("from", first.take())
            .query("to", to)
            .query("gaps", Some(true))
            .query("limit", Some(PAGE))
            .query("cursor", cursor.take());
        let body = session.ask(&call).await?;
        let page: EventList<Box<RawValue>> = listing::read(&body)?;
        cursor = page.next_cursor;
        everything.last = page.last;
        if end == End::Newest {
            to.get_or_insert(page.last);
        }
        if ui.format == Format::Json {
            everything.gap = everything.gap.or(page.gap);
            everything.items.extend(page.items);
        } else {
            page.gap.iter().try_for_each(|gap| print_gap(ui, *gap))?;
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
    if let Some(to) = to.filter(|to| *to > everything.last) {
        ui.note(&format!(
            "position {to} is not there yet; the last is {}",
            everything.last
        ));
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
                Line::At { from } => next = Some(next.map_or(from, |next| next.max(from))),
                Line::Gap { gap } => {
                    print_gap(ui, gap)?;
                    next = Some(gap.to + 1);
                    session.deliver(ui, Some(&mut lines)).await?;
                }
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
    ui.line(cells.join(separator(ui)))
}

/// A line that is no event: what a reader misses is said where it is missed.
fn print_gap(ui: &Ui, gap: Gap) -> Result<()> {
    if ui.format != Format::Text {
        return ui.line(json!({ "gap": gap }).to_string());
    }
    let missing = format!("positions {} to {} are no longer kept", gap.from, gap.to);
    ui.line(["gap", &missing].join(separator(ui)))
}

fn separator(ui: &Ui) -> &'static str {
    if ui.is_terminal { "  " } else { "\t" }
}
