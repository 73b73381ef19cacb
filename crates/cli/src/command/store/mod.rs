//! `store check|export|import`: the store itself, whatever is in it.

mod check;

use dormouse_filesystem::StoreUrl;

use crate::args::Store;
use crate::context::Context;
use crate::exit::Exit;
use crate::owner::lock::{Attempt, OwnerLock};
use crate::place::StorePlaces;
use crate::problem::{Code, Problem, Result};

/// Does it. None of it goes through the API's rows: it is about their bytes.
pub(crate) async fn store(command: &Store, context: &Context) -> Result<Exit> {
    match command {
        Store::Check { repair } => check::check(context, *repair).await,
    }
}

/// Keeps this machine's other processes from a store as long as the lock is held.
///
/// # Errors
/// `Unavailable`, with who has it.
fn alone(places: &StorePlaces) -> std::result::Result<OwnerLock, Problem> {
    places.ensure()?;
    let note = format!("process {} (dormouse store)\n", std::process::id());
    match OwnerLock::attempt(&places.lock, &note)? {
        Attempt::Held(lock) => Ok(lock),
        Attempt::Busy(holder) => Err(held_by(&places.url, holder.as_deref())),
    }
}

fn held_by(url: &StoreUrl, holder: Option<&str>) -> Problem {
    let holder = holder.map_or("another process", str::trim);
    Problem::new(Code::Unavailable, format!("{url} is held by {holder}"))
        .hint("wait for it or stop it: this needs the store alone")
}
