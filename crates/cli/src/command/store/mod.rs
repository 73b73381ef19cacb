//! `store check|export|import`: the store itself, whatever is in it.

mod check;
mod export;
mod import;
mod records;

use std::path::Path;

use dormouse_filesystem::StoreUrl;
use dormouse_filesystem::portable::Summary;
use serde_json::{Map, Value};

use crate::args::Store;
use crate::context::Context;
use crate::exit::Exit;
use crate::output::{Format, Ui};
use crate::owner::lock::{Attempt, OwnerLock};
use crate::place::StorePlaces;
use crate::problem::{Code, Problem, Result};

/// Does it. None of it goes through the API's rows: it is about their bytes.
pub(crate) async fn store(command: &Store, context: &Context) -> Result<Exit> {
    match command {
        Store::Check { repair } => check::check(context, *repair).await,
        Store::DeadLetters { what } => records::dead_letters(context, what.as_ref()).await,
        Store::Export { file } => export::export(context, file).await,
        Store::Import { file, into } => import::import(context, file, into.as_ref()).await,
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

fn file_refused(path: &Path, error: &std::io::Error) -> Problem {
    let code = match error.kind() {
        std::io::ErrorKind::NotFound => Code::NotFound,
        _ => Code::Config,
    };
    Problem::new(code, format!("{}: {error}", path.display())).hint("look at the file and its folder")
}

/// What a file holds.
fn summary(file: &Path, found: &Summary) -> Vec<(&'static str, String)> {
    vec![
        ("file", file.display().to_string()),
        ("bytes", found.file_bytes.to_string()),
        ("records", found.counts.records.to_string()),
        ("logs", found.counts.logs.to_string()),
        ("entries", found.counts.entries.to_string()),
        ("written", found.at.to_string()),
        ("sha256", found.digest.to_string()),
    ]
}

fn print(ui: &Ui, pairs: &[(&'static str, String)]) -> Result<Exit> {
    match ui.format {
        Format::Text => ui.record(pairs)?,
        Format::Json | Format::Jsonl => {
            let value = |text: &String| match text.parse::<u64>() {
                Ok(number) => Value::from(number),
                Err(_) => Value::from(text.as_str()),
            };
            let object: Map<String, Value> = pairs
                .iter()
                .map(|(name, text)| ((*name).to_owned(), value(text)))
                .collect();
            ui.line(Value::Object(object).to_string())?;
        }
    }
    Ok(Exit::Done)
}
