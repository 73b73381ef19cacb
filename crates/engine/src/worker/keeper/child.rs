//! From the keeper to the worker: fork, the last preparations, exec.

use std::fs::File;
use std::io::{self, Read};
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use rustix::fs::Mode;
use rustix::io::FdFlags;
use rustix::process::{Resource, Rlimit};

use super::handed::Handed;
use super::message::{Order, Report, Stage};
use crate::command::Stdin;
use crate::worker::identity::ProcessId;
use crate::worker::isolation::Built;
use crate::worker::limits::ProcessLimits;
use crate::worker::os::{self, Rights};

/// The descriptor on which a worker reports (`DORMOUSE_REPORT_FD`).
const REPORT_FD: RawFd = 3;

/// A worker that is ready to be started.
#[derive(Debug)]
pub(super) struct Child {
    command: Command,
    limits: ProcessLimits,
    wall: Option<Built>,
    report: Option<OwnedFd>,
}

impl Child {
    /// Enters the working folder, opens the input, builds the wall: what can fail before there is a process.
    pub(super) fn prepare(order: &Order, handed: Handed) -> Result<Self, Report> {
        std::env::set_current_dir(&order.cwd).map_err(|e| failed(Stage::WorkingFolder, &e))?;
        let stdin = match (handed.stdin, &order.stdin) {
            (Some(pipe), _) => Stdio::from(pipe),
            (None, Stdin::Null | Stdin::Stream) => Stdio::null(),
            (None, Stdin::File(path)) => Stdio::from(File::open(path).map_err(|e| failed(Stage::Stdin, &e))?),
        };
        let wall = order
            .wall
            .as_ref()
            .map(Built::new)
            .transpose()
            .map_err(|e| failed(Stage::Wall, &e))?;
        let (name, arguments) = order.argv.split_first().ok_or_else(|| {
            let empty = io::Error::from(io::ErrorKind::InvalidInput);
            failed(Stage::Setup, &empty)
        })?;
        let mut command = Command::new(&order.program);
        command
            .arg0(name)
            .args(arguments)
            .env_clear()
            .envs(&order.environment)
            .stdin(stdin);
        Ok(Self {
            command,
            limits: order.limits,
            wall,
            report: Some(handed.report),
        })
    }

    /// Starts it; `inherited` are the descriptors it must not get. Waits until it is its own program.
    pub(super) fn spawn(&mut self, inherited: Vec<RawFd>) -> Result<ProcessId, Report> {
        let (telltale, writer) = telltale().map_err(|e| failed(Stage::Setup, &e))?;
        self.prepare_child(inherited, writer);
        let child = self.command.spawn().map_err(|e| failed(stage(&telltale), &e))?;
        let pid = i32::try_from(child.id()).expect("the kernel's numbers fit");
        // It is our child and was not waited for, so its number is its own.
        ProcessId::of(pid).ok_or_else(|| failed(Stage::Setup, &io::ErrorKind::NotFound.into()))
    }

    /// What the child does between fork and exec.
    #[expect(
        unsafe_code,
        reason = "fork and exec have no safe form; the one unsafe block of the workspace"
    )]
    fn prepare_child(&mut self, inherited: Vec<RawFd>, telltale: OwnedFd) {
        let limits = self.limits;
        let report = self.report.take();
        let mut wall = self.wall.take();
        let rights = if wall.is_some() {
            Rights::Walled
        } else {
            Rights::Open
        };
        // SAFETY: the closure runs in the forked child of a process with one thread, so no lock can be held by a
        // thread that is not there, and but for its errors it makes system calls only. `borrow_raw` lends numbers that this process
        // had open since before `main`; each is used for one `fcntl` that marks it, and nothing is closed by it. The number
        // that is made an `OwnedFd` is this child's own and is never dropped; what it was before is the keeper's socket or an inherited
        // descriptor, since a number below those that were opened later is taken, and neither is of use to a child.
        unsafe {
            self.command.pre_exec(move || {
                set_up(limits, rights).inspect_err(|_| tell(&telltale, Stage::Setup))?;
                for number in &inherited {
                    // One that is closed by now is as good as marked.
                    let _ = rustix::io::fcntl_setfd(BorrowedFd::borrow_raw(*number), FdFlags::CLOEXEC);
                }
                if let Some(report) = &report {
                    let mut third = ManuallyDrop::new(OwnedFd::from_raw_fd(REPORT_FD));
                    put_at(report, &mut third).inspect_err(|_| tell(&telltale, Stage::Setup))?;
                }
                match wall.take() {
                    Some(wall) => wall.enter().inspect_err(|_| tell(&telltale, Stage::Wall)),
                    None => Ok(()),
                }
            });
        }
    }
}

/// A session of its own, files for its user only, limits, and no more rights than it has.
fn set_up(limits: ProcessLimits, rights: Rights) -> io::Result<()> {
    rustix::process::setsid()?;
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    limit(Resource::Core, limits.core_bytes_max)?;
    limit(Resource::Nofile, limits.open_files_max)?;
    limit(Resource::Fsize, limits.file_bytes_max)?;
    os::new_privileges_off()?;
    os::lower_rights(rights)
}

/// Makes this descriptor that one too, for the program to come.
fn put_at(from: &OwnedFd, to: &mut OwnedFd) -> io::Result<()> {
    if from.as_raw_fd() == to.as_raw_fd() {
        return Ok(rustix::io::fcntl_setfd(from, FdFlags::empty())?);
    }
    Ok(rustix::io::dup2(from, to)?)
}

/// Lowers a limit for good; one that is lower already stays.
fn limit(resource: Resource, most: u64) -> io::Result<()> {
    let allowed = rustix::process::getrlimit(resource)
        .maximum
        .map_or(most, |now| now.min(most));
    rustix::process::setrlimit(
        resource,
        Rlimit {
            current: Some(allowed),
            maximum: Some(allowed),
        },
    )?;
    Ok(())
}

/// Leaves word of where it went wrong: the error alone does not say, and an exec that works closes the pipe.
fn tell(telltale: &OwnedFd, stage: Stage) {
    let _ = rustix::io::write(telltale.as_fd(), &[stage as u8]);
}

/// Two ends by which a child says where it went wrong; the one that reads never waits.
fn telltale() -> io::Result<(UnixStream, OwnedFd)> {
    let (reader, writer) = UnixStream::pair()?;
    reader.set_nonblocking(true)?;
    Ok((reader, writer.into()))
}

fn stage(mut telltale: &UnixStream) -> Stage {
    let mut word = [0];
    match telltale.read(&mut word) {
        Ok(1) if word[0] == Stage::Setup as u8 => Stage::Setup,
        Ok(1) => Stage::Wall,
        Ok(_) | Err(_) => Stage::Exec,
    }
}

fn failed(stage: Stage, error: &io::Error) -> Report {
    Report::Failed {
        stage,
        errno: error.raw_os_error(),
        detail: error.to_string(),
    }
}
