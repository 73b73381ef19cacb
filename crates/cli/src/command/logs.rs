//! `runs logs`, and the following of a run that `run` does too.

use bytes::Bytes;
use serde::Deserialize;

use super::listing;
use crate::api::ChunkView;
use crate::args::Logs;
use crate::client::{Call, Lines, Rounds, Session};
use crate::context::Context;
use crate::exit::Exit;
use crate::output::visible::Cleaner;
use crate::output::{Format, Held, Ui};
use crate::problem::{Code, Problem, Result};

/// A line of a log, or why there are no more.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Line {
    Chunk(ChunkView),
    Problem {
        problem: Problem,
    },
    Bye {
        #[expect(dead_code, reason = "only its presence says something")]
        bye: String,
    },
}

/// Takes the pieces of a log, in order and each once.
pub(super) trait Sink {
    /// One piece; `line` is its JSON.
    fn take(&mut self, chunk: &ChunkView, line: &Bytes) -> Result<()>;
}

/// Gives a sink every piece from an offset on. With `follow` it goes on until the run ends, over owners that leave.
pub(super) async fn feed(
    session: &mut Session<'_>,
    ui: &Ui,
    run: &str,
    from: u64,
    follow: bool,
    sink: &mut impl Sink,
) -> Result<()> {
    let mut offset = from;
    let mut rounds = Rounds::default();
    // Ends with the log, or with an owner that can neither be found nor become.
    loop {
        let call = Call::get(format!("/v1/runs/{run}/log"))
            .query("from", Some(offset))
            .query("follow", Some(follow));
        let mut lines = Lines::new(session.open(&call).await?.body);
        // Ends with the body, or when so much is to be printed that a reader may take its time. What is cut is asked for
        // again, from behind the last whole piece.
        let is_full = loop {
            let line = match lines.next().await {
                Ok(Some(line)) => line,
                Ok(None) => return Ok(()),
                Err(_) => break false,
            };
            match listing::read(&line)? {
                Line::Chunk(chunk) => {
                    sink.take(&chunk, &line)?;
                    offset = chunk.end();
                    rounds.went_on();
                    if session.owner().is_none() {
                        session.deliver(ui, None).await?;
                    } else if ui.held.as_ref().is_some_and(Held::is_full) {
                        break true;
                    }
                }
                Line::Problem { problem } => return Err(problem.into()),
                Line::Bye { .. } => break false,
            }
        };
        // It reads from the store, which an owner may leave now.
        drop(lines);
        session.deliver(ui, None).await?;
        if is_full {
            continue;
        }
        session.look_again();
        rounds.next().await?;
    }
}

pub(super) async fn logs(session: &mut Session<'_>, context: &Context, arguments: &Logs) -> Result<Exit> {
    let ui = &context.ui;
    if arguments.raw && ui.is_terminal {
        return Err(Problem::new(
            Code::Usage,
            "--raw: output of workers is never sent to a terminal as it is",
        )
        .hint("send it to a file or a pipe, or leave --raw out")
        .into());
    }
    if ui.format == Format::Json {
        return whole(session, ui, arguments).await;
    }
    let mut printer = Printer {
        ui,
        is_raw: arguments.raw,
        out: Cleaner::default(),
        err: Cleaner::default(),
        end: arguments.from,
    };
    feed(
        session,
        ui,
        &arguments.id,
        arguments.from,
        arguments.follow,
        &mut printer,
    )
    .await?;
    printer.finish()?;
    Ok(Exit::Done)
}

/// The whole log as one document: a list without a next page.
async fn whole(session: &mut Session<'_>, ui: &Ui, arguments: &Logs) -> Result<Exit> {
    struct Collected(Vec<Bytes>);
    impl Sink for Collected {
        fn take(&mut self, _: &ChunkView, line: &Bytes) -> Result<()> {
            self.0.push(line.clone());
            Ok(())
        }
    }
    let mut collected = Collected(Vec::new());
    feed(
        session,
        ui,
        &arguments.id,
        arguments.from,
        arguments.follow,
        &mut collected,
    )
    .await?;
    let mut body = b"{\"items\":[".to_vec();
    for (at, line) in collected.0.iter().enumerate() {
        if at > 0 {
            body.push(b',');
        }
        body.extend_from_slice(line);
    }
    body.extend_from_slice(b"],\"next_cursor\":null}");
    ui.line(&body)?;
    Ok(Exit::Done)
}

/// Prints both channels on stdout, in the order in which they were written.
struct Printer<'a> {
    ui: &'a Ui,
    is_raw: bool,
    out: Cleaner,
    err: Cleaner,
    end: u64,
}

impl Sink for Printer<'_> {
    fn take(&mut self, chunk: &ChunkView, line: &Bytes) -> Result<()> {
        if self.ui.format == Format::Jsonl {
            return self.ui.line(line);
        }
        let bytes = chunk.bytes();
        if chunk.offset > self.end {
            self.ui.warning(&format!(
                "{} bytes of the middle were not kept",
                chunk.offset - self.end
            ));
        }
        self.end = chunk.end();
        if self.is_raw {
            return self.ui.bytes(&bytes);
        }
        let cleaner = if chunk.channel == "stderr" {
            &mut self.err
        } else {
            &mut self.out
        };
        self.ui.bytes(cleaner.clean(&bytes).as_bytes())
    }
}

impl Printer<'_> {
    fn finish(mut self) -> Result<()> {
        let rest = self.out.finish() + &self.err.finish();
        self.ui.bytes(rest.as_bytes())
    }
}
