//! The endpoint of a run: a socket in the run's own folder, through which its worker asks people, does its durable steps, and nothing else.
//!
//! It dies with the run. Who speaks to it holds the run's token, so it is that run, whatever it says; it can ask, give
//! tasks to agents that its own may give to, and wait, and no route of it decides. The control socket stays closed to workers.

mod detect;
mod place;
mod serve;
mod steps;
mod usage;
mod wire;

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use dormouse_engine::detect::Rules;
use dormouse_engine::supervisor::{Asking, Endpoint, Endpoints};
use tokio::net::UnixListener;
use tokio_util::task::AbortOnDropHandle;

pub(crate) use place::{Connectable, TOKEN, connectable};
pub(crate) use steps::{EndStep, NewStep, StepAnswer};
pub use wire::Expires;
pub(crate) use wire::{GiftView, NewGift, NewRequest, ResultView};

use crate::owner::socket::bind_narrow;
use crate::owner::token::ControlToken;
use crate::problem::Problem;

/// Below a run's folder, the folder whose programs its worker finds first.
const PROGRAMS: &str = "bin";
/// What the program is called there.
const PROGRAM: &str = "dormouse";

/// Opens the endpoints of the runs of this owner.
#[derive(Debug)]
pub(crate) struct RunEndpoints {
    /// Where this program was when the owner began. An upgrade puts another build there, which asks as well.
    program: Option<PathBuf>,
    /// By what pages are judged.
    rules: Rules,
}

impl RunEndpoints {
    /// For the runs of this process.
    pub(crate) fn new(rules: Rules) -> Self {
        Self {
            rules,
            program: std::env::current_exe().ok(),
        }
    }
}

#[async_trait]
impl Endpoints for RunEndpoints {
    async fn open(&self, folder: &Path, asking: Asking) -> std::io::Result<Endpoint> {
        let (folder, program) = (folder.to_owned(), self.program.clone());
        let made = tokio::task::spawn_blocking(move || made(&folder, program)).await;
        let made = made.expect("making files does not panic")?;
        let listener = UnixListener::from_std(made.listener)?;
        let router = serve::router(asking.clone(), made.token, self.rules.clone());
        Ok(Endpoint {
            serving: AbortOnDropHandle::new(tokio::spawn(serve::serve(listener, router, asking))),
            programs: made.programs,
            readable: made.program.into_iter().collect(),
        })
    }
}

/// The files of an endpoint.
struct Made {
    listener: std::os::unix::net::UnixListener,
    token: ControlToken,
    programs: Option<PathBuf>,
    program: Option<PathBuf>,
}

fn made(folder: &Path, program: Option<PathBuf>) -> std::io::Result<Made> {
    let other = |problem: Problem| std::io::Error::other(problem.detail.clone());
    let token = ControlToken::ensure(&folder.join(TOKEN)).map_err(other)?;
    let short = connectable(folder)?;
    let listener = bind_narrow(&short.path)?;
    // What was removed cannot be run any more; the worker does without.
    let program = program.filter(|program| program.is_file());
    let programs = match &program {
        Some(program) => Some(linked(folder, program)?),
        None => None,
    };
    Ok(Made {
        listener,
        token,
        programs,
        program,
    })
}

/// The folder with the link to this program.
fn linked(folder: &Path, program: &Path) -> std::io::Result<PathBuf> {
    let programs = folder.join(PROGRAMS);
    // The run's folder is new: what stands there already is nobody's but a worker's.
    std::fs::create_dir(&programs)?;
    symlink(program, programs.join(PROGRAM))?;
    Ok(programs)
}
