//! `gate list|show|approve|reject|answer|discard|grants|revoke`.

mod all;
mod edit;
mod grants;
mod one;
mod request;
mod show;

use std::path::Path;

use serde_json::value::RawValue;

pub(crate) use self::one::One;
pub(crate) use self::request::request;
pub(crate) use self::show::{next, shown};
use super::listing;
use crate::api::GateView;
use crate::args::{Gate, GateList, amount};
use crate::client::{Call, Session};
use crate::context::Context;
use crate::environment::Environment;
use crate::exit::Exit;
use crate::output::Ui;
use crate::problem::{Code, Problem, Result};

/// Longest input that is read from a file or stdin, in bytes: longer ones are refused by their gate anyway.
const INPUT_MAX: u64 = 1024 * 1024;

pub(super) async fn gate(session: &mut Session<'_>, context: &Context, command: Gate) -> Result<Exit> {
    match command {
        Gate::Request(_) => unreachable!("a run asks through its own endpoint"),
        Gate::List(arguments) => list(session, &context.ui, &arguments).await,
        Gate::Show { id } => show::show(session, &context.ui, &id).await,
        Gate::Approve {
            decided,
            edit,
            input,
            limit,
            scope,
        } => {
            let Some(id) = &decided.id else {
                return all::decide(session, context, &decided, "approve").await;
            };
            let gate = one::fetch(session, id).await?;
            let input = match (&input, edit) {
                (Some(input), _) => {
                    let input = json_text(input, &context.environment)?;
                    edit::may_be_edited(&gate)?;
                    Some(input)
                }
                (None, true) => edit::input(session, context, &gate, decided.said.yes).await?,
                (None, false) => None,
            };
            let limit = match &limit {
                Some(limit) => Some(raised(&gate, limit)?),
                None => None,
            };
            let body = One {
                input,
                limit,
                scope: Some(scope),
                ..One::new("approve", &gate, decided.said.comment.as_deref())
            };
            one::decide(session, &context.ui, &gate, &body).await
        }
        Gate::Reject { decided } => {
            let Some(id) = &decided.id else {
                return all::decide(session, context, &decided, "reject").await;
            };
            let gate = one::fetch(session, id).await?;
            let body = One::new("reject", &gate, decided.said.comment.as_deref());
            one::decide(session, &context.ui, &gate, &body).await
        }
        Gate::Answer {
            id,
            text,
            option,
            comment,
        } => {
            let gate = one::fetch(session, &id).await?;
            let body = One {
                text: text.as_deref(),
                chosen: option.iter().map(|number| usize::from(*number) - 1).collect(),
                ..One::new("answer", &gate, comment.as_deref())
            };
            one::answers(&gate, &body)?;
            one::decide(session, &context.ui, &gate, &body).await
        }
        Gate::Discard { id, yes } => {
            if !yes {
                discards(session, &context.ui, &id).await?;
            }
            session.ask(&Call::delete(format!("/v1/gates/{id}"))).await?;
            context.ui.note("discarded; whoever waits for it is told no");
            Ok(Exit::Done)
        }
        Gate::Grants { session: of, page } => grants::list(session, &context.ui, of.as_deref(), &page).await,
        Gate::Revoke { id } => grants::revoke(session, &context.ui, &id).await,
    }
}

/// The limit that is named, in what the gate's account counts.
fn raised(gate: &GateView, limit: &str) -> Result<u64> {
    let Some(ask) = &gate.budget else {
        let problem = Problem::new(
            Code::Usage,
            format!("--limit: gate {} asks about no budget", gate.id),
        );
        return Err(problem.hint("approve it without --limit").into());
    };
    amount(ask.dimension, limit).map_err(|why| {
        Problem::new(Code::Usage, format!("--limit: {why}"))
            .hint(format!("name {} or more", ask.dimension.shown(ask.needed)))
            .into()
    })
}

async fn list(session: &mut Session<'_>, ui: &Ui, arguments: &GateList) -> Result<Exit> {
    let call = Call::get("/v1/gates")
        .query("agent", arguments.agent.as_ref())
        .query("session", arguments.session.as_ref())
        .query("state", Some(&arguments.state));
    listing::pages(session, ui, call, &arguments.page, &show::COLUMNS, |gate| {
        show::row(gate, ui)
    })
    .await
}

/// The JSON that an argument gives: itself, `@FILE`, or `-` for stdin. Only its form is looked at here.
pub(super) fn json_text(argument: &str, environment: &Environment) -> Result<Box<RawValue>> {
    let text = match argument.strip_prefix('@') {
        Some(file) => read_text(Path::new(file), environment)?,
        None if argument == "-" => read_text(Path::new("-"), environment)?,
        None => argument.to_owned(),
    };
    serde_json::from_str(text.trim()).map_err(|error| {
        Problem::new(Code::Invalid, format!("it is no JSON: {error}"))
            .hint("pass JSON in quotes, as in '{\"file\":\"report.md\"}', or @FILE")
            .into()
    })
}

/// A file, or stdin for `-`, as text.
pub(super) fn read_text(file: &Path, environment: &Environment) -> Result<String> {
    use std::io::Read;
    let refuse = |why: String| {
        Problem::new(Code::Invalid, format!("{}: {why}", file.display()))
            .hint("name a file that can be read, or - for what comes on stdin")
    };
    let reader: Box<dyn Read> = if file == Path::new("-") {
        Box::new(std::io::stdin().lock())
    } else {
        let opened = std::fs::File::open(environment.absolute(file));
        Box::new(opened.map_err(|error| refuse(error.to_string()))?)
    };
    let mut text = String::new();
    let read = reader.take(INPUT_MAX + 1).read_to_string(&mut text);
    read.map_err(|error| refuse(error.to_string()))?;
    if text.len() as u64 > INPUT_MAX {
        return Err(refuse(format!("it has more than {INPUT_MAX} bytes")).into());
    }
    Ok(text)
}

/// Asks whether it is meant: what is erased does not come back.
async fn discards(session: &mut Session<'_>, ui: &Ui, id: &str) -> Result<()> {
    if !has_person(ui) {
        let problem = Problem::new(
            Code::Usage,
            "gate discard erases, and there is no terminal to ask at",
        );
        return Err(problem.hint("pass --yes if it is meant").into());
    }
    // The person may think for long: nobody else waits for the store meanwhile.
    session.make_room().await?;
    let question = format!("the content of gate {id} is erased for good; type {id} to discard it: ");
    if typed(&question, ui).await.as_deref() != Some(id) {
        return Err(Problem::new(Code::Usage, "nothing was discarded")
            .hint("type the id as it was given, or pass --yes")
            .into());
    }
    Ok(())
}

/// Whether there is a person to be asked: stdin is a terminal, and so is stderr.
pub(crate) fn has_person(ui: &Ui) -> bool {
    use std::io::IsTerminal;
    std::io::stdin().is_terminal() && ui.is_stderr_terminal
}

/// One line from the terminal, none at its end.
pub(crate) async fn typed(prompt: &str, ui: &Ui) -> Option<String> {
    ui.stderr_bytes(prompt.as_bytes());
    let line = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        let read = std::io::stdin().read_line(&mut line);
        read.ok().filter(|bytes| *bytes > 0).map(|_| line)
    });
    line.await.ok().flatten().map(|line| line.trim().to_owned())
}

/// What is pending, in pages, as it is shown.
async fn pending(session: &mut Session<'_>) -> Result<Vec<GateView>> {
    let (mut gates, mut cursor) = (Vec::new(), None);
    // Ends with the last page.
    loop {
        let call = Call::get("/v1/gates")
            .query("state", Some("pending"))
            .query("limit", Some(1000))
            .query("cursor", cursor.take());
        let page: crate::api::List<GateView> = listing::read(&session.ask(&call).await?)?;
        gates.extend(page.items);
        cursor = page.next_cursor;
        if cursor.is_none() {
            return Ok(gates);
        }
    }
}
