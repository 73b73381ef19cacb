//! The commands. Each asks the API and prints the answer.

mod agent;
mod budget;
mod config;
mod delegate;
mod detect;
mod doctor;
mod doctor_clis;
mod doctor_keys;
mod events;
mod gate;
mod inside;
mod listing;
mod local;
mod logs;
mod run;
mod runs;
mod secret;
mod serve;
mod session;
mod signals;
mod step;
mod store;
mod task;
mod thread;
mod usage;
mod wake;

pub(crate) use config::config;
pub(crate) use delegate::delegate;
pub(crate) use detect::{detect, detect_inside};
pub(crate) use doctor::doctor;
pub(crate) use gate::request;
pub(crate) use local::{completions, help, man};
pub(crate) use secret::{Given, given};
pub(crate) use step::step;
pub(crate) use store::store;
pub(crate) use usage::usage;

use dormouse_secrets::Secret;

use crate::args::Command;
use crate::client::Session;
use crate::context::Context;
use crate::exit::Exit;
use crate::owner::Role;
use crate::problem::Result;

/// A command that needs the store. Whatever it ends with, an owner leaves properly.
pub(crate) async fn with_store(command: Command, given: Option<Secret>, context: &Context) -> Result<Exit> {
    match command {
        Command::Run(arguments) => {
            let mut session = Session::new(context, Role::Supervisor);
            let done = run::run(&mut session, context, &arguments).await;
            leave(session, done).await
        }
        Command::Serve(arguments) => {
            let mut session = Session::new(context, Role::Supervisor);
            let done = serve::serve(&mut session, context, &arguments).await;
            leave(session, done).await
        }
        other => {
            let context = Context {
                ui: context.ui.clone().holding(),
                ..context.clone()
            };
            let mut session = Session::new(&context, Role::Visitor);
            let done = tokio::select! {
                done = visit(&mut session, &context, other, given) => done,
                exit = signals::first() => Ok(exit),
            };
            let left = leave(session, done).await;
            print(&context, left).await
        }
    }
}

async fn leave(session: Session<'_>, done: Result<Exit>) -> Result<Exit> {
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

/// What was held back while the store was needed.
async fn print(context: &Context, done: Result<Exit>) -> Result<Exit> {
    let Some(held) = context.ui.held.as_ref().filter(|held| !held.is_empty()) else {
        return done;
    };
    let written = tokio::select! {
        written = held.written() => written,
        exit = signals::first() => return Ok(exit),
    };
    done.and_then(|exit| written.map(|()| exit))
}

async fn visit(
    session: &mut Session<'_>,
    context: &Context,
    command: Command,
    given: Option<Secret>,
) -> Result<Exit> {
    match command {
        Command::Task(task) => task::task(session, context, task).await,
        Command::Runs(runs) => runs::runs(session, context, runs).await,
        Command::Agent(agent) => agent::agent(session, context, agent).await,
        Command::Secret(secret) => secret::secret(session, context, secret, given).await,
        Command::Gate(gate) => gate::gate(session, context, gate).await,
        Command::Thread(command) => thread::thread(session, context, command).await,
        Command::Session(command) => session::session(session, context, command).await,
        Command::Wake(command) => wake::wake(session, context, command).await,
        Command::Budget(command) => budget::budget(session, context, command).await,
        Command::Events(events) => events::events(session, context, events).await,
        Command::Run(_)
        | Command::Usage(_)
        | Command::Step(_)
        | Command::Serve(_)
        | Command::Delegate(_)
        | Command::Detect(_)
        | Command::Config(_)
        | Command::Store(_)
        | Command::Doctor
        | Command::Completions { .. }
        | Command::Man
        | Command::Help { .. } => unreachable!("these do not visit a store"),
    }
}
