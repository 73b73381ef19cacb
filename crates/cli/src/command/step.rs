//! `step`: runs a command once in the life of a task, from inside a run, and prints what was kept of it.

use std::process::Stdio;

use dormouse_engine::limits::STEP_RESULT_MAX;
use serde_json::json;
use serde_json::value::RawValue;
use tokio::io::AsyncReadExt;
use tokio::process::{ChildStdout, Command};

use super::gate::json_text;
use super::inside::{Inside, gone};
use super::listing::read;
use crate::args::Step;
use crate::client::Call;
use crate::endpoint::{EndStep, NewStep, StepAnswer};
use crate::environment::Environment;
use crate::exit::Exit;
use crate::output::{Format, Ui, visible};
use crate::problem::{Code, Problem, Result};

/// The variable that has the key of the step.
const KEY: &str = "DORMOUSE_STEP_KEY";

/// Does a step of the run that this is inside of, unless that was done before.
pub(crate) async fn step(arguments: &Step, environment: &Environment, ui: &Ui) -> Result<Exit> {
    let run = Inside::of(
        environment,
        "step",
        "dormouse run --agent alice -- sh -c 'dormouse step fetch -- ./fetch > list && ./work list'",
    )?;
    let wanted = NewStep {
        name: arguments.name.to_string(),
        key: arguments.key.clone(),
        input: input(arguments, environment)?,
        effect: arguments.effect.effect(),
    };
    // Held while the command goes on: if this is killed, the step is nobody's, and can be called again.
    let mut connection = run.connect().await?;
    let begin = Call::post("/v1/steps", &wanted);
    let answer = read(&run.ask_over(&mut connection, &begin).await?)?;
    let StepAnswer::Do { ticket, key } = answer else {
        return conclude(arguments, answer, ui);
    };
    let end = done(arguments, &key).await;
    let end = Call::post(format!("/v1/steps/{ticket}/end"), &end);
    let answer = read(&run.ask_over(&mut connection, &end).await?)?;
    conclude(arguments, answer, ui)
}

/// What the step is done with: what is said, else its command.
fn input(arguments: &Step, environment: &Environment) -> Result<Box<RawValue>> {
    match &arguments.input {
        Some(input) => json_text(input, environment),
        None => Ok(
            serde_json::value::to_raw_value(&json!({ "command": arguments.command }))
                .expect("words are plain JSON"),
        ),
    }
}

/// Runs the command, and says how it ended.
async fn done(arguments: &Step, key: &str) -> EndStep {
    let [program, rest @ ..] = arguments.command.as_slice() else {
        unreachable!("the arguments have a command")
    };
    let child = Command::new(program)
        .args(rest)
        .env(KEY, key)
        .stdout(Stdio::piped())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => return EndStep::NotDone(format!("{program}: {error}")),
    };
    let stdout = child.stdout.take().expect("it was asked for");
    let (printed, ended) = tokio::join!(printed(stdout), child.wait());
    match ended {
        Ok(status) if status.success() => printed,
        Ok(status) => failed(arguments, status),
        Err(error) => EndStep::Unknown(error.to_string()),
    }
}

/// What the exit code says of the effect; a code of which nothing was said, and a signal, say nothing.
fn failed(arguments: &Step, status: std::process::ExitStatus) -> EndStep {
    let is_one = |codes: &[u8]| {
        let code = status.code().and_then(|code| u8::try_from(code).ok());
        code.is_some_and(|code| codes.contains(&code))
    };
    let text = status.to_string();
    if is_one(&arguments.permanent_code) {
        EndStep::Permanent(text)
    } else if is_one(&arguments.not_done_code) {
        EndStep::NotDone(text)
    } else {
        EndStep::Unknown(text)
    }
}

/// All that is printed, to its end; more than is kept is only counted.
async fn printed(mut stdout: ChildStdout) -> EndStep {
    let (mut kept, mut bytes) = (Vec::new(), 0_u64);
    let mut chunk = vec![0; 64 * 1024];
    // Ends with the output, or when it cannot be read any more.
    while let Ok(read @ 1..) = stdout.read(&mut chunk).await {
        bytes += read as u64;
        if kept.len() <= STEP_RESULT_MAX {
            kept.extend_from_slice(&chunk[..read]);
        }
    }
    if bytes > STEP_RESULT_MAX as u64 {
        return EndStep::TooLarge(bytes);
    }
    EndStep::Printed(String::from_utf8_lossy(&kept).into_owned())
}

/// What is kept goes to stdout as it is; what was not done, or failed, says so.
fn conclude(arguments: &Step, answer: StepAnswer, ui: &Ui) -> Result<Exit> {
    let name = &arguments.name;
    let (problem, exit) = match answer {
        StepAnswer::Result(result) => {
            print(&result, ui)?;
            return Ok(Exit::Done);
        }
        StepAnswer::Do { .. } => return Err(gone("it answered the end of a step with its beginning").into()),
        StepAnswer::NotDone(message) => (
            Problem::new(Code::Internal, format!("step {name} was not done: {message}"))
                .hint("nothing of it is remembered: the next call, or the next attempt, does it"),
            Exit::Failed,
        ),
        StepAnswer::Permanent(message) => (
            Problem::new(Code::Internal, format!("step {name} failed for good: {message}"))
                .hint("every attempt is told so; dormouse task retry --fresh does it anew"),
            Exit::Failed,
        ),
        StepAnswer::TooLarge { bytes } => (
            Problem::new(
                Code::Limit,
                format!("step {name} was done and printed {bytes} bytes, more than the {STEP_RESULT_MAX} that are kept"),
            )
            .hint("let it write a file and print its name"),
            Exit::Limit,
        ),
    };
    ui.problem(&problem);
    Ok(exit)
}

fn print(result: &RawValue, ui: &Ui) -> Result<()> {
    if ui.format != Format::Text {
        return ui.line(json!({ "result": result }).to_string());
    }
    match serde_json::from_str::<String>(result.get()) {
        Ok(text) if ui.is_terminal => ui.bytes(visible::visible(&text).as_bytes()),
        Ok(text) => ui.bytes(text.as_bytes()),
        Err(_) => ui.line(result.get()),
    }
}
