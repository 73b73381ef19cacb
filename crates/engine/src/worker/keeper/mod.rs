//! The keeper: the small process that owns a worker's process tree.
//!
//! ```text
//! supervisor ──spawn without fork──▶ keeper ──fork, exec──▶ worker ──▶ its own children, however they hide
//!     │  Launch, Go, Stop, Kill        ▲ │                                   │
//!     └──────── one socket ────────────┘ └── every orphan of the tree becomes the keeper's child
//! ```
//!
//! Why a process between: forking a supervisor costs in proportion to its memory, and only the adoptive parent of
//! all orphans of exactly one run knows for certain when that run's tree is empty. It has one thread, is told what
//! to do over its standard input, so nothing secret is in an argument, and dies with its task: when the supervisor
//! goes, it reads end of file and ends the tree.

mod child;
pub(crate) mod handed;
mod link;
pub(crate) mod message;
mod tree;

use std::ffi::OsStr;
use std::io;

use self::child::Child;
use self::handed::Handed;
use self::link::{Heard, Link};
use self::message::{Instruction, Report};
use self::tree::Tree;
use super::identity::ProcessId;
use super::os;

/// The first argument by which an executable is told to be a keeper.
pub const MARKER: &str = "__keeper";

/// Becomes a keeper, and never returns, if this process was started as one. The first line of `main`: before any
/// thread, any descriptor, any setting.
pub fn enter() {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().as_deref() == Some(OsStr::new(MARKER)) && arguments.next().is_none() {
        // A keeper has nobody to tell but its supervisor, which sees the socket close.
        std::process::exit(i32::from(keep().is_err()));
    }
}

fn keep() -> io::Result<()> {
    let inherited = os::open_descriptors()?;
    os::become_subreaper()?;
    os::hide_memory()?;
    let (mut link, handed) = Link::open()?;
    let Some(mut child) = prepare(&mut link, handed)? else {
        return Ok(());
    };
    // Anything but `go` ends it here, and nothing ran.
    let Heard::Instruction(Instruction::Go) = link.hear()? else {
        return Ok(());
    };
    let oom_kills = os::oom_kills();
    let worker = match child.spawn(inherited) {
        Ok(worker) => worker,
        Err(failed) => return link.report(&failed),
    };
    // The ends of the worker's pipes: from here on only the tree itself holds them open.
    link::close_outputs()?;
    drop(child);
    // A supervisor that is gone already is noticed below, by the end of its instructions.
    let _ = link.report(&Report::Started { worker });
    Tree::new(link, worker, oom_kills).keep()
}

/// Reads the order and gets everything ready that can fail before a process exists.
fn prepare(link: &mut Link, handed: Handed) -> io::Result<Option<Child>> {
    let Heard::Instruction(Instruction::Launch(order)) = link.hear()? else {
        return Ok(None);
    };
    match Child::prepare(&order, handed) {
        Ok(child) => {
            let me = rustix::process::getpid().as_raw_nonzero().get();
            let keeper = ProcessId::of(me).ok_or(io::ErrorKind::NotFound)?;
            link.report(&Report::Ready { keeper })?;
            Ok(Some(child))
        }
        Err(failed) => {
            link.report(&failed)?;
            Ok(None)
        }
    }
}
