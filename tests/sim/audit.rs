//! The auditor: what must be true of any history, however it went.

use std::collections::{BTreeMap, BTreeSet};

use dormouse_engine::budget::{Account, AccountPath};
use dormouse_engine::event::{Event, EventAt};
use dormouse_engine::run::{RunFilter, RunRow, RunState};
use dormouse_engine::task::{Task, TaskFilter, TaskState};
use dormouse_engine::{CommandError, Tenant};
use dormouse_filesystem::{Digest, Entry, Item, Page, Position, Prefix, RecordStore};
use tokio::time::{Duration, sleep};

use crate::exact::{events_tell_every_state, spending_is_exact};
use crate::process::tenant_id;
use crate::world::{AT_ONCE, TENANTS, World};

/// Everything of one tenant.
pub(crate) struct Books {
    pub(crate) number: usize,
    pub(crate) tasks: Vec<Task>,
    pub(crate) runs: Vec<RunRow>,
    pub(crate) events: Vec<EventAt>,
    pub(crate) account: Option<Account>,
}

/// Waits until every task has ended.
pub(crate) async fn nothing_left(world: &World) {
    // Ends when nothing is left to do.
    loop {
        sleep(Duration::from_secs(30)).await;
        if open_tasks(world).await.is_empty() {
            return;
        }
    }
}

/// Which tasks are stuck, and where.
pub(crate) async fn stuck(world: &World) -> String {
    let open = open_tasks(world).await;
    let told: Vec<String> = open
        .iter()
        .map(|task| format!("{} is {:?} after {} attempts", task.id, task.state, task.attempts))
        .collect();
    format!("stuck: {}", told.join("; "))
}

async fn open_tasks(world: &World) -> Vec<Task> {
    let mut open = Vec::new();
    for number in 0..TENANTS {
        let tenant = world.processes[0].tenant(number).await;
        let tasks = tasks(&tenant).await.unwrap_or_default();
        open.extend(tasks.into_iter().filter(|task| !has_ended(task)));
    }
    open
}

fn has_ended(task: &Task) -> bool {
    match task.state {
        TaskState::Done { .. } | TaskState::Failed { .. } | TaskState::Quarantined | TaskState::Cancelled => {
            true
        }
        TaskState::PendingApproval
        | TaskState::Backlog
        | TaskState::Ready
        | TaskState::Running
        | TaskState::Waiting { .. } => false,
    }
}

/// Looks at everything. The digest of all that is stored, or the first thing that is wrong.
pub(crate) async fn audit(world: &World) -> Result<Digest, String> {
    let said = |error: CommandError| format!("the books cannot be read: {error}");
    let mut books = Vec::new();
    for number in 0..TENANTS {
        let tenant = world.processes[0].tenant(number).await;
        books.push(Books {
            number,
            tasks: tasks(&tenant).await.map_err(said)?,
            runs: runs(&tenant).await.map_err(said)?,
            events: events(&tenant).await.map_err(said)?,
            account: tenant.budgets.get(&AccountPath::Tenant).await.map_err(said)?,
        });
    }
    for books in &books {
        one_outcome_per_run(books)?;
        one_run_at_a_time(books)?;
        events_are_whole(books)?;
        tasks_are_whole(books)?;
        slots_are_exact(books)?;
        events_tell_every_state(books)?;
        let tenant = world.processes[0].tenant(books.number).await;
        spending_is_exact(world, &tenant, books).await?;
    }
    what_was_acknowledged_is_there(world, &books)?;
    effects_happened_once(world, &books)?;
    nobody_sees_anothers(world, &books).await?;
    let entries = entries(world).await?;
    no_row_names_anothers(&entries, &books)?;
    nothing_is_held(&entries)?;
    if let Some(wrong) = world.ledger.lock().wrong.first() {
        return Err(wrong.clone());
    }
    Ok(digest(&entries, &books))
}

/// Every run has ended, once, by the outcome that its row and its event tell alike.
fn one_outcome_per_run(books: &Books) -> Result<(), String> {
    let mut ended: BTreeMap<String, Vec<&Event>> = BTreeMap::new();
    for at in &books.events {
        if at.event.kind == "run.ended" {
            ended.entry(at.event.subject.clone()).or_default().push(&at.event);
        }
    }
    for RunRow { run, outcome } in &books.runs {
        let Some(outcome) = outcome.as_ref().filter(|_| run.state == RunState::Ended) else {
            return Err(format!("{} is {:?} for ever", run.id, run.state));
        };
        match ended.remove(&run.subject().to_string()).as_deref() {
            Some([event]) if event.data["outcome"] == outcome.outcome.name() => {}
            other => {
                return Err(format!(
                    "{} ended {:?}, and its events are {other:?}",
                    run.id, outcome.outcome
                ));
            }
        }
    }
    match ended.keys().next() {
        None => Ok(()),
        Some(subject) => Err(format!("{subject} ended and is not there")),
    }
}

/// Between two claims of a task its run ended, or it parked: in the order in which they were committed.
fn one_run_at_a_time(books: &Books) -> Result<(), String> {
    let mut at_work: BTreeMap<String, String> = BTreeMap::new();
    for EventAt { event, position } in &books.events {
        let task = event.data.get("task").and_then(|task| task.as_str());
        match (event.kind.as_str(), task) {
            ("run.started", Some(task)) => {
                if let Some(former) = at_work.insert(task.to_owned(), event.subject.clone()) {
                    let subject = &event.subject;
                    return Err(format!(
                        "{position}: {subject} began while {former} was at {task}"
                    ));
                }
            }
            ("run.ended", Some(task)) => {
                at_work.remove(task);
            }
            // Its run is parked.
            ("task.waiting", _) if event.data["cause"] == "park" => {
                at_work.retain(|task, _| event.subject != format!("task:{task}"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// No more ran at once than the account has slots, in the order of the log, and in the end it has all of them back.
fn slots_are_exact(books: &Books) -> Result<(), String> {
    let mut held = 0_u64;
    for EventAt { event, position } in &books.events {
        match event.kind.as_str() {
            "run.started" => held += 1,
            "run.ended" => held = left(held, *position)?,
            // Its run is parked, and holds nothing.
            "task.waiting" if event.data["cause"] == "park" => held = left(held, *position)?,
            _ => {}
        }
        if held > AT_ONCE {
            return Err(format!(
                "{held} runs are held at {position}, and {AT_ONCE} may be"
            ));
        }
    }
    let account = books.account.as_ref().ok_or("the account is gone")?;
    if !account.reserved.is_zero() {
        return Err(format!(
            "nobody runs, and the account keeps {:?}",
            account.reserved
        ));
    }
    Ok(())
}

fn left(held: u64, position: Position) -> Result<u64, String> {
    held.checked_sub(1)
        .ok_or_else(|| format!("a run ends at {position} that did not begin"))
}

/// Positions follow each other, every event is its tenant's, and none has another's id.
fn events_are_whole(books: &Books) -> Result<(), String> {
    let mut ids = BTreeSet::new();
    for (nth, EventAt { event, position }) in books.events.iter().enumerate() {
        if position.get() != nth as u64 + 1 {
            return Err(format!("event {} is at position {position}", nth + 1));
        }
        if event.tenant != tenant_id(books.number) {
            return Err(format!("{position} is of tenant {}", event.tenant));
        }
        if !ids.insert(event.id) {
            return Err(format!("{} is there twice", event.id));
        }
    }
    Ok(())
}

/// Tasks have each their number, rising as they were told, and as many runs as attempts.
fn tasks_are_whole(books: &Books) -> Result<(), String> {
    let mut numbers = Vec::new();
    for EventAt { event, .. } in &books.events {
        if event.kind == "task.created" {
            numbers.push(event.data["number"].as_u64().ok_or("a task without number")?);
        }
    }
    if !numbers.is_sorted_by(|a, b| a < b) {
        return Err(format!("numbers do not rise: {numbers:?}"));
    }
    let mut found: Vec<u64> = books.tasks.iter().map(|task| task.number).collect();
    found.sort_unstable();
    if found != numbers {
        return Err(format!("tasks {found:?} are there, {numbers:?} were told"));
    }
    for task in &books.tasks {
        let runs = books.runs.iter().filter(|row| row.run.task == Some(task.id));
        let attempts: BTreeSet<u32> = runs.map(|row| row.run.attempt).collect();
        if !attempts.iter().copied().eq(1..=task.attempts) {
            return Err(format!(
                "{} had {} attempts, its runs are {attempts:?}",
                task.id, task.attempts
            ));
        }
    }
    Ok(())
}

/// What somebody was told is so.
fn what_was_acknowledged_is_there(world: &World, books: &[Books]) -> Result<(), String> {
    let entries = world.ledger.lock();
    for (task, number) in &entries.created {
        if !books[*number].tasks.iter().any(|found| found.id == *task) {
            return Err(format!("{task} was made, and is not there"));
        }
    }
    for (run, (number, task)) in &entries.claimed {
        let found = books[*number].runs.iter().find(|row| row.run.id == *run);
        let found = found.ok_or_else(|| format!("{run} was claimed, and is not there"))?;
        if found.run.task != Some(*task) {
            return Err(format!("{run} was claimed for {task}"));
        }
        let stored = found.outcome.as_ref().map(|row| row.outcome.name());
        let told = entries.finished.get(run).map(|kind| kind.word());
        if told.is_some() && told != stored {
            return Err(format!(
                "{run} was told to have ended {told:?}, and did {stored:?}"
            ));
        }
    }
    Ok(())
}

/// An external effect happens once, and once more for each time a person said so.
fn effects_happened_once(world: &World, books: &[Books]) -> Result<(), String> {
    let entries = world.ledger.lock();
    for ((task, step), times) in &entries.effects {
        let retried = entries.retried.get(task).copied().unwrap_or(0);
        if step == EXTERNAL && *times > 1 + retried {
            let of = books
                .iter()
                .flat_map(|books| &books.tasks)
                .find(|found| found.id == *task);
            return Err(format!(
                "{step} of {task} happened {times} times, retried {retried}: {of:?}"
            ));
        }
    }
    Ok(())
}

/// The step of the workers' future whose effect is external.
const EXTERNAL: &str = "step-2";

/// What is of one tenant is nothing to another: no row, no event, no word of it.
async fn nobody_sees_anothers(world: &World, books: &[Books]) -> Result<(), String> {
    for books in books {
        let other = (books.number + 1) % TENANTS;
        let tenant = world.processes[0].tenant(other).await;
        for task in &books.tasks {
            match tenant.tasks.get(task.id).await {
                Err(CommandError::NotFound { .. }) => {}
                seen => return Err(format!("{} is seen by another tenant: {seen:?}", task.id)),
            }
        }
        for RunRow { run, .. } in &books.runs {
            match tenant.runs.get(run.id).await {
                Err(CommandError::NotFound { .. }) => {}
                seen => return Err(format!("{} is seen by another tenant: {seen:?}", run.id)),
            }
        }
    }
    let own: Vec<BTreeSet<String>> = books.iter().map(ids).collect();
    for books in books {
        for at in &books.events {
            let text = serde_json::to_string(&at.event).map_err(|error| error.to_string())?;
            let foreign = &own[(books.number + 1) % TENANTS];
            let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
            if let Some(id) = words.into_iter().find(|word| foreign.contains(*word)) {
                return Err(format!(
                    "an event of tenant {} names {id} of the other",
                    books.number
                ));
            }
        }
    }
    Ok(())
}

/// No row of one tenant, nor an entry of an index, has an id of the other.
fn no_row_names_anothers(entries: &[Entry], books: &[Books]) -> Result<(), String> {
    let own: Vec<BTreeSet<String>> = books.iter().map(ids).collect();
    for books in books {
        let place = format!("t/{}/", tenant_id(books.number));
        let foreign = &own[(books.number + 1) % TENANTS];
        for entry in entries {
            let key = entry.key.to_string();
            if !key.starts_with(&place) {
                continue;
            }
            let text = format!("{key} {}", String::from_utf8_lossy(&entry.value));
            let mut words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
            if let Some(id) = words.find(|word| foreign.contains(*word)) {
                return Err(format!("{key} names {id} of the other tenant"));
            }
        }
    }
    Ok(())
}

fn ids(books: &Books) -> BTreeSet<String> {
    let tasks = books.tasks.iter().map(|task| task.id.to_string());
    let runs = books.runs.iter().map(|row| row.run.id.to_string());
    tasks.chain(runs).collect()
}

/// Nobody holds anything any more.
fn nothing_is_held(entries: &[Entry]) -> Result<(), String> {
    for entry in entries {
        let kind = entry.kind.as_str();
        // Closed holds are kept for a month.
        let is_held = match kind {
            "lease" | "heartbeat" | "process" => true,
            "hold" => is_open(entry),
            _ => false,
        };
        if is_held {
            return Err(format!("{} is left", entry.key));
        }
    }
    Ok(())
}

fn is_open(hold: &Entry) -> bool {
    let row: serde_json::Value = serde_json::from_slice(&hold.value).unwrap_or_default();
    row["value"]["closed_at"].is_null()
}

fn digest(entries: &[Entry], books: &[Books]) -> Digest {
    let mut bytes = Vec::new();
    for entry in entries {
        bytes.extend_from_slice(entry.key.to_string().as_bytes());
        bytes.extend_from_slice(&entry.value);
    }
    for books in books {
        bytes.extend(serde_json::to_vec(&books.events).expect("events are plain data"));
    }
    Digest::of(&bytes)
}

async fn entries(world: &World) -> Result<Vec<Entry>, String> {
    let mut page = Page::of(Prefix::root());
    let mut entries = Vec::new();
    // Ends with the last page.
    loop {
        let listed = world.store.list(&page).await.map_err(|error| error.to_string())?;
        for item in listed.items {
            match item {
                Item::Entry(entry) => entries.push(entry),
                other => return Err(format!("a record is {other:?}")),
            }
        }
        page.after = listed.next;
        if page.after.is_none() {
            return Ok(entries);
        }
    }
}

async fn tasks(tenant: &Tenant) -> Result<Vec<Task>, CommandError> {
    let (mut found, mut after) = (Vec::new(), None);
    // Ends with the last page.
    loop {
        let page = tenant.tasks.list(&TaskFilter::default(), after, 1000).await?;
        found.extend(
            page.rows
                .into_iter()
                .map(dormouse_filesystem::Versioned::into_inner),
        );
        after = page.next;
        if after.is_none() {
            return Ok(found);
        }
    }
}

async fn runs(tenant: &Tenant) -> Result<Vec<RunRow>, CommandError> {
    let (mut found, mut after) = (Vec::new(), None);
    // Ends with the last page. Outcomes are read 256 at a time.
    loop {
        let page = tenant.runs.list(&RunFilter::All, after, 256).await?;
        found.extend(page.rows);
        after = page.next;
        if after.is_none() {
            return Ok(found);
        }
    }
}

async fn events(tenant: &Tenant) -> Result<Vec<EventAt>, CommandError> {
    let (mut found, mut after) = (Vec::new(), Position::START);
    // Ends with the head: nobody writes any more.
    loop {
        let page = tenant.events.read_after(after, 1000).await?;
        if page.events.is_empty() {
            return Ok(found);
        }
        after = page.next;
        found.extend(page.events);
    }
}
