//! `store check`: reads every byte of the store, and mends what can be mended.

use std::path::Path;
use std::time::Duration;

use dormouse_filesystem::{
    Backend, Catalogue, Checked, Deadline, Item, Local, LocalOptions, LogError, LogHead, OpenOptions,
    PAGE_MAX, Page, Position, Prefix, ReadError, RecordStore, Repair, Sled, SledOptions, StoreUrl, Stream,
};
use serde::Serialize;
use serde_json::json;

use super::alone;
use crate::context::Context;
use crate::exit::Exit;
use crate::output::{Format, Ui};
use crate::owner::store::{self, refused};
use crate::problem::{Code, Problem, Result};

/// How long closing, or one commit of a repair, may take.
const CLOSE_MAX: Duration = Duration::from_secs(30);

/// What a look through a whole store found, and what was done.
#[derive(Debug, Default, Serialize)]
struct Report {
    store: String,
    backend: String,
    /// Whether everything that is there can be read.
    sound: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<LogReport>,
    records: u64,
    logs: u64,
    entries: u64,
    /// Keys and logs that cannot be read.
    damaged: Vec<String>,
    repaired: Vec<RepairedView>,
    /// Indexes that are being built or dropped: no damage, the next opening goes on with them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    indexes: Vec<String>,
}

/// Of the commit log.
#[derive(Debug, Serialize)]
struct LogReport {
    bytes: u64,
    commits: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    torn: Option<String>,
    damages: Vec<DamageView>,
    /// Files with the bytes as they were.
    kept: Vec<String>,
}

#[derive(Debug, Serialize)]
struct DamageView {
    place: String,
    bytes: u64,
    what: String,
}

#[derive(Debug, Serialize)]
struct RepairedView {
    key: String,
    repair: String,
}

/// Looks through the store, alone, and repairs it where that is asked for.
pub(super) async fn check(context: &Context, repair: bool) -> Result<Exit> {
    let url = &context.places.url;
    let options = store::options(context)?;
    let found = url.inspect(&options).await.map_err(|error| refused(&error))?;
    if found.format.is_none() {
        return Err(
            Problem::new(Code::NotFound, format!("there is no store at {url}"))
                .hint("the first command that needs a store makes it; store.url and store.path say where")
                .into(),
        );
    }
    let lock = alone(&context.places)?;
    let mut report = Report {
        store: url.to_string(),
        backend: url.backend().to_string(),
        ..Report::default()
    };
    report.log = look_through_log(url, &options, repair)
        .await
        .map_err(|error| refused(&error))?;
    if report.log.as_ref().is_none_or(LogReport::is_whole) {
        read_all(url, &options, repair, &mut report).await?;
    }
    drop(lock);
    report.sound = report.damaged.is_empty() && report.log.as_ref().is_none_or(LogReport::is_whole);
    print(&context.ui, &report, repair)
}

impl LogReport {
    fn of(checked: Checked) -> Self {
        let damages = checked.damages.into_iter();
        Self {
            bytes: checked.bytes,
            commits: checked.commits,
            torn: checked.torn,
            damages: damages
                .map(|damage| DamageView {
                    place: damage.place,
                    bytes: damage.bytes,
                    what: damage.what.to_owned(),
                })
                .collect(),
            kept: checked.kept,
        }
    }

    /// Nothing was damaged, or what was is moved aside.
    fn is_whole(&self) -> bool {
        self.damages.is_empty() || !self.kept.is_empty()
    }
}

/// None where there is no commit log of ours.
async fn look_through_log(
    url: &StoreUrl,
    options: &OpenOptions,
    repair: bool,
) -> std::result::Result<Option<LogReport>, dormouse_filesystem::OpenError> {
    let Some(folder) = url.folder() else {
        return Ok(None);
    };
    let checked = match (url.backend(), repair) {
        (Backend::File, false) => Local::check_log(folder, of_local(options)).await?,
        (Backend::File, true) => Local::repair_log(folder, of_local(options)).await?,
        (Backend::Sled, false) => Sled::check(folder, of_sled(options)).await?,
        (Backend::Sled, true) => Sled::repair(folder, of_sled(options)).await?,
        (Backend::Memory | Backend::Postgres, _) => return Ok(None),
    };
    Ok(Some(LogReport::of(checked)))
}

fn of_local(options: &OpenOptions) -> LocalOptions {
    LocalOptions {
        program: options.program.clone(),
        ..LocalOptions::new(options.now)
    }
}

fn of_sled(options: &OpenOptions) -> SledOptions {
    SledOptions {
        program: options.program.clone(),
        ..SledOptions::new(options.now)
    }
}

/// Opens the store and reads every record and every entry of every log.
async fn read_all(url: &StoreUrl, options: &OpenOptions, repair: bool, report: &mut Report) -> Result<()> {
    if let (Backend::File, true, Some(folder)) = (url.backend(), repair, url.folder()) {
        report.repaired = repair_files(folder, options).await?;
    }
    let store = url.open(options).await.map_err(|error| refused(&error))?;
    let read = match read_records(&*store, report).await {
        Ok(()) => read_logs(&*store, report)
            .await
            .and(read_indexes(&*store, report).await),
        Err(error) => Err(error),
    };
    // What was read is told whether or not the last flush of an index was in time: nothing was written.
    let _ = store.close(Deadline::after(CLOSE_MAX)).await;
    Ok(read?)
}

async fn repair_files(folder: &Path, options: &OpenOptions) -> Result<Vec<RepairedView>> {
    let local = Local::open(folder, of_local(options))
        .await
        .map_err(|error| refused(&error))?;
    let repaired = local.repair(Deadline::after(CLOSE_MAX)).await;
    let closed = local.close(Deadline::after(CLOSE_MAX)).await;
    let repaired = repaired.map_err(|error| unread(&error))?;
    closed.map_err(|error| {
        Problem::new(
            Code::Unknown,
            format!("the repaired store was not closed in time: {error}"),
        )
    })?;
    let repaired = repaired.into_iter();
    Ok(repaired
        .map(|repaired| RepairedView {
            key: repaired.key.to_string(),
            repair: match repaired.repair {
                Repair::Taken { version } => format!("taken from its file as version {version}"),
                Repair::Removed => "its file was gone, and so is the record now".to_owned(),
                Repair::Unreadable => "left: the first line of its file says no kind".to_owned(),
                Repair::Refused(error) => format!("left: {error}"),
            },
        })
        .collect())
}

async fn read_records(store: &dyn RecordStore, report: &mut Report) -> std::result::Result<(), Problem> {
    let mut page = Page::of(Prefix::root());
    // Ends with the last page.
    loop {
        let listed = store.list(&page).await.map_err(|error| unread(&error))?;
        for item in listed.items {
            match item {
                Item::Entry(_) | Item::Key { .. } => report.records += 1,
                Item::Corrupt { key } => report.damaged.push(key.to_string()),
            }
        }
        page.after = listed.next;
        if page.after.is_none() {
            return Ok(());
        }
    }
}

async fn read_indexes(store: &dyn RecordStore, report: &mut Report) -> std::result::Result<(), Problem> {
    let unready = Catalogue::unready_in(store)
        .await
        .map_err(|error| unread(&error))?;
    report.indexes = unready.iter().map(ToString::to_string).collect();
    Ok(())
}

async fn read_logs(store: &dyn RecordStore, report: &mut Report) -> std::result::Result<(), Problem> {
    let mut after = None;
    // Ends with the last page.
    loop {
        let heads = store
            .heads(&Prefix::root(), after.as_ref(), PAGE_MAX)
            .await
            .map_err(|error| unread_log(&error))?;
        let Some((last, _)) = heads.last() else {
            return Ok(());
        };
        after = Some(last.clone());
        for (log, head) in heads {
            report.logs += 1;
            read_log(store, &log, head, report).await?;
        }
    }
}

/// Every entry of a log; those that cannot be read are told as one range.
async fn read_log(
    store: &dyn RecordStore,
    log: &Stream,
    head: LogHead,
    report: &mut Report,
) -> std::result::Result<(), Problem> {
    let mut at = head.first.get().saturating_sub(1);
    let mut lost: Option<(u64, u64)> = None;
    // Ends behind the last entry.
    while at + 1 < head.next.get() {
        match store.tail(log, Position::new(at), PAGE_MAX).await {
            Ok(entries) => {
                report.entries += entries.len() as u64;
                let Some(last) = entries.last() else { break };
                at = last.position.get();
            }
            Err(LogError::Read(ReadError::Corrupt { .. })) => {
                at += 1;
                match &mut lost {
                    Some((_, last)) if *last + 1 == at => *last = at,
                    _ => {
                        report.damaged.extend(lost.take().map(|range| named(log, range)));
                        lost = Some((at, at));
                    }
                }
            }
            Err(error) => return Err(unread_log(&error)),
        }
    }
    report.damaged.extend(lost.map(|range| named(log, range)));
    Ok(())
}

fn named(log: &Stream, (first, last): (u64, u64)) -> String {
    if first == last {
        return format!("{}, entry {first}", log.key());
    }
    format!("{}, entries {first} to {last}", log.key())
}

fn unread(error: &ReadError) -> Problem {
    let code = match error {
        ReadError::Unavailable { .. } | ReadError::ExportIdle { .. } => Code::Unavailable,
        ReadError::Corrupt { .. } => Code::Corrupt,
        ReadError::TooNew { .. } => Code::TooNew,
        ReadError::Invalid { .. }
        | ReadError::Unsupported { .. }
        | ReadError::Unrouted { .. }
        | ReadError::Closed { .. } => Code::Internal,
    };
    Problem::new(code, error.to_string()).hint("what was not read is not known to be sound; try again")
}

fn unread_log(error: &LogError) -> Problem {
    match error {
        LogError::Read(error) => unread(error),
        LogError::ReplayGap { .. } | LogError::Incarnation { .. } | LogError::Commit(_) => {
            Problem::new(Code::Internal, error.to_string()).hint("try again")
        }
    }
}

fn print(ui: &Ui, report: &Report, repair: bool) -> Result<Exit> {
    match ui.format {
        Format::Json | Format::Jsonl => ui.line(json!(report).to_string())?,
        Format::Text => ui.record(&pairs(report))?,
    }
    if report.sound {
        return Ok(Exit::Done);
    }
    let what = match (report.log.as_ref().is_none_or(LogReport::is_whole), repair) {
        (_, false) => {
            "something is damaged: dormouse store check --repair keeps the bytes and mends what it can"
        }
        (false, true) => "the log could not be repaired",
        (true, true) => "what is left damaged is lost: only an export from before has it",
    };
    ui.warning(what);
    Ok(Exit::Failed)
}

fn pairs(report: &Report) -> Vec<(&'static str, String)> {
    let mut pairs = vec![("store", report.store.clone())];
    if let Some(log) = &report.log {
        pairs.push(("log", format!("{} bytes, {} commits", log.bytes, log.commits)));
        pairs.extend(log.torn.clone().map(|place| {
            (
                "torn",
                format!("{place}: nobody was told of it; the next opening cuts it"),
            )
        }));
        let damages = log.damages.iter();
        pairs.extend(damages.map(|damage| {
            (
                "damage",
                format!("{}, {} bytes: {}", damage.place, damage.bytes, damage.what),
            )
        }));
        pairs.extend(log.kept.iter().map(|file| ("kept", file.clone())));
    }
    pairs.push(("records", report.records.to_string()));
    pairs.push(("logs", format!("{}, {} entries", report.logs, report.entries)));
    pairs.extend(report.damaged.iter().map(|key| ("damaged", key.clone())));
    let repaired = report.repaired.iter();
    pairs.extend(repaired.map(|repaired| ("repaired", format!("{}: {}", repaired.key, repaired.repair))));
    pairs.extend(report.indexes.iter().map(|index| ("index", index.clone())));
    pairs.push(("sound", if report.sound { "yes" } else { "no" }.to_owned()));
    pairs
}
