//! From a launch to a keeper that waits, and from there to a worker that runs.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as Pair;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::buffer::Buffer;
use super::error::Told;
use super::pump::{Pump, Wire};
use super::{Feed, Launch, Live, SpawnError, find_program};
use crate::command::Stdin;
use crate::worker::identity::{Boot, ProcessRow, RUN_VARIABLE};
use crate::worker::isolation::{self, Level, Wall, WallSpec};
use crate::worker::keeper::MARKER;
use crate::worker::keeper::handed::Handed;
use crate::worker::keeper::message::{Instruction, Order, Report};

/// How long a keeper has to become ready, on a machine under any load.
pub const READY_MAX: Duration = Duration::from_secs(30);

/// A keeper that waits for `go`. Dropped, nothing ran.
#[derive(Debug)]
pub struct Prepared {
    keeper: Child,
    wire: Wire,
    row: ProcessRow,
    level: Level,
    told: Told,
    feed: Option<pipe::Sender>,
}

/// Finds the program, starts a keeper and tells it everything but to begin.
///
/// # Errors
/// [`SpawnError`]; nothing runs.
pub async fn prepare(launch: &Launch) -> Result<Prepared, SpawnError> {
    let (order, level) = check(launch.clone()).await?;
    let told = Told {
        keeper: launch.keeper.clone(),
        program: order.program.clone(),
        cwd: order.cwd.clone(),
        stdin: match &launch.stdin {
            Stdin::Null | Stdin::Stream => None,
            Stdin::File(file) => Some(file.clone()),
        },
    };
    let failed = |source| SpawnError::Keeper {
        keeper: launch.keeper.clone(),
        source,
    };
    let boot = Boot::current().map_err(failed)?;
    let (keeper, mut wire, feed) = start_keeper(&launch.keeper, launch.feed).map_err(failed)?;
    let keeper = Unready(Some(keeper));
    let answer = timeout(READY_MAX, hand_over(&mut wire, order))
        .await
        .unwrap_or(Ok(None));
    if let Ok(Some(Report::Ready { keeper: id })) = answer {
        let row = ProcessRow {
            boot,
            keeper: id,
            worker: None,
            run: launch.run.clone(),
        };
        return Ok(Prepared {
            keeper: keeper.ready(),
            wire,
            row,
            level,
            told,
            feed,
        });
    }
    drop(keeper);
    match answer {
        Ok(report) => Err(told.error(report)),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Err(told.error(None)),
        Err(error) => Err(failed(error)),
    }
}

/// A keeper that has not said that it is ready. It was not told to go, so nothing runs below it: it is killed with this, also
/// where nobody waits for it any more.
struct Unready(Option<Child>);

impl Unready {
    fn ready(mut self) -> Child {
        self.0.take().expect("it is taken once")
    }
}

impl Drop for Unready {
    fn drop(&mut self) {
        if let Some(keeper) = &mut self.0 {
            // One that has left by itself cannot be killed.
            let _ = keeper.start_kill();
        }
    }
}

async fn hand_over(wire: &mut Wire, order: Order) -> std::io::Result<Option<Report>> {
    wire.send(&Instruction::Launch(Box::new(order))).await?;
    wire.report().await
}

impl Prepared {
    /// What must be known to end the run's processes: make it durable, then [`Prepared::go`].
    #[must_use]
    pub fn row(&self) -> &ProcessRow {
        &self.row
    }

    /// How the worker will be walled in.
    #[must_use]
    pub fn isolation(&self) -> Level {
        self.level
    }

    /// Starts the worker. It runs when this returns; if the future is dropped before, it is killed.
    ///
    /// A program on a file system that hangs keeps this waiting: the caller's clock ends it, and
    /// [`orphans::end`](crate::worker::orphans::end) what the kernel then still holds.
    ///
    /// # Errors
    /// [`SpawnError`]; nothing runs.
    pub async fn go(mut self) -> Result<Live, SpawnError> {
        let keeper_lost = || SpawnError::KeeperLost {
            keeper: self.told.keeper.clone(),
        };
        self.wire
            .send(&Instruction::Go)
            .await
            .map_err(|_| keeper_lost())?;
        match self.wire.report().await.map_err(|_| keeper_lost())? {
            Some(Report::Started { worker }) => self.row.worker = Some(worker),
            other => return Err(self.told.error(other)),
        }
        let buffer = Arc::new(Buffer::default());
        let (instructions, inbox) = mpsc::unbounded_channel();
        let pump = Pump::new(self.wire, self.keeper, inbox, buffer.clone(), self.row.clone());
        let pump = AbortOnDropHandle::new(tokio::spawn(pump.run()));
        Ok(Live {
            row: self.row,
            level: self.level,
            buffer,
            instructions,
            feed: self.feed,
            _pump: pump,
        })
    }
}

/// Everything that can be found wrong without a process.
async fn check(launch: Launch) -> Result<(Order, Level), SpawnError> {
    let checked = tokio::task::spawn_blocking(move || check_blocking(launch)).await;
    checked.expect("looking at files does not panic")
}

fn check_blocking(launch: Launch) -> Result<(Order, Level), SpawnError> {
    let workspace = resolve(&launch.workspace)?;
    let cwd = launch
        .cwd
        .as_deref()
        .map_or_else(|| Ok(workspace.clone()), resolve)?;
    if !cwd.starts_with(&workspace) {
        return Err(SpawnError::OutsideWorkspace { cwd, workspace });
    }
    if let Stdin::File(file) = &launch.stdin {
        check_stdin(file)?;
    }
    let name = launch.argv.first().map_or("", String::as_str);
    let path = launch.environment.get("PATH").map_or("", String::as_str);
    let program = find_program(name, path, &cwd).map_err(|error| without_own(error, &launch.wall.write))?;
    let level = isolation::decide(
        launch.isolation,
        launch.offered.unwrap_or_else(isolation::offered),
    )?;
    let mut spec: WallSpec = launch.wall;
    spec.write.push(workspace);
    spec.check()?;
    if let Stdin::File(file) = &launch.stdin {
        // The worker gets it open; programs open `/dev/stdin` again by its name.
        spec.read.push(file.clone());
    }
    let wall = matches!(level, Level::Landlock { .. }).then(|| Wall::round(&program, &spec));
    let mut environment = launch.environment;
    // By this name the run's processes are found when everybody who knew them is gone.
    environment.insert(RUN_VARIABLE.to_owned(), launch.run);
    let order = Order {
        program,
        argv: launch.argv,
        cwd,
        environment,
        stdin: launch.stdin,
        limits: launch.limits,
        wall,
    };
    Ok((order, level))
}

/// The folders that are the run's own say nothing to whoever looks for a program.
fn without_own(error: SpawnError, own: &[PathBuf]) -> SpawnError {
    let SpawnError::NotFound { program, path } = error else {
        return error;
    };
    let is_own = |folder: &&str| own.iter().any(|own| Path::new(folder).starts_with(own));
    let others: Vec<&str> = path.split(':').filter(|folder| !is_own(folder)).collect();
    SpawnError::NotFound {
        program,
        path: others.join(":"),
    }
}

/// A pipe or a device would keep the keeper waiting for its other end.
fn check_stdin(file: &Path) -> Result<(), SpawnError> {
    let failed = |source| SpawnError::Stdin {
        file: file.to_owned(),
        source,
    };
    let found = file.metadata().map_err(failed)?;
    let refused = || {
        failed(std::io::Error::new(
            std::io::ErrorKind::InvalidInput,
            "it is not a regular file",
        ))
    };
    if found.is_file() { Ok(()) } else { Err(refused()) }
}

fn resolve(folder: &Path) -> Result<PathBuf, SpawnError> {
    let failed = |source| SpawnError::Folder {
        folder: folder.to_owned(),
        source,
    };
    let resolved = folder.canonicalize().map_err(failed)?;
    if resolved.is_dir() {
        Ok(resolved)
    } else {
        Err(failed(std::io::ErrorKind::NotADirectory.into()))
    }
}

/// Starts a keeper. There is no preparation in the child, so no fork: the cost does not grow with this process.
fn start_keeper(executable: &Path, feed: Feed) -> std::io::Result<(Child, Wire, Option<pipe::Sender>)> {
    let (ours, theirs) = Pair::pair()?;
    let (third, feed) = hand_pipes(&ours, feed)?;
    ours.set_nonblocking(true)?;
    let mut keeper = Command::new(executable)
        .arg(MARKER)
        .env_clear()
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Out of the terminal's group: Ctrl-C reaches the supervisor only.
        .process_group(0)
        .spawn()?;
    let stdout = keeper.stdout.take().expect("it is a pipe");
    let stderr = keeper.stderr.take().expect("it is a pipe");
    let wire = Wire::new(UnixStream::from_std(ours)?, stdout, stderr, third);
    Ok((keeper, wire, feed))
}

/// Makes the worker's pipes beside those of its output, hands over its ends, and keeps ours.
fn hand_pipes(socket: &Pair, feed: Feed) -> std::io::Result<(pipe::Receiver, Option<pipe::Sender>)> {
    let (third, report) = std::io::pipe()?;
    let (stdin, ours) = match feed {
        Feed::Given => (None, None),
        Feed::Piped => {
            let (theirs, ours) = std::io::pipe()?;
            (
                Some(theirs.into()),
                Some(pipe::Sender::from_owned_fd(ours.into())?),
            )
        }
    };
    let handed = Handed {
        report: report.into(),
        stdin,
    };
    handed.send(socket)?;
    Ok((pipe::Receiver::from_owned_fd(third.into())?, ours))
}
