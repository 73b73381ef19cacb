//! The commands. Each asks the API and prints the answer.

mod agent;
mod config;
mod doctor;
mod events;
mod listing;
mod local;
mod logs;
mod run;
mod runs;
mod signals;
mod task;

pub(crate) use config::config;
pub(crate) use doctor::doctor;
pub(crate) use local::{completions, help, man};

use crate::args::Command;
use crate::client::Session;
use crate::context::Context;
use crate::exit::Exit;
use crate::owner::Role;
use crate::problem::Result;

/// A command that needs the store. Whatever it ends with, an owner leaves properly.
pub(crate) async fn with_store(command: Command, context: &Context) -> Result<Exit> {
    let role = if matches!(command, Command::Run(_)) {
        Role::Supervisor
    } else {
        Role::Visitor
    };
    let mut session = Session::new(context, role);
    let done = match command {
        Command::Run(arguments) => run::run(&mut session, context, &arguments).await,
        other => {
            tokio::select! {
                done = visit(&mut session, context, other) => done,
                exit = signals::first() => Ok(exit),
            }
        }
    };
    let closed = tokio::select! {
        closed = session.close() => closed,
        // Who asks again while we leave does not want to wait: what was acknowledged is durable.
        exit = signals::first() => return Ok(exit),
    };
    match (done, closed) {
        (Ok(exit), Ok(())) => Ok(exit),
        (Ok(_), Err(failure)) => Err(failure),
        (Err(failure), _) => Err(failure),
    }
}

async fn visit(session: &mut Session<'_>, context: &Context, command: Command) -> Result<Exit> {
    match command {
        Command::Task(task) => task::task(session, context, task).await,
        Command::Runs(runs) => runs::runs(session, context, runs).await,
        Command::Agent(agent) => agent::agent(session, context, agent).await,
        Command::Events(events) => events::events(session, context, events).await,
        Command::Run(_)
        | Command::Config(_)
        | Command::Doctor
        | Command::Completions { .. }
        | Command::Man
        | Command::Help { .. } => unreachable!("these do not visit a store"),
    }
}
