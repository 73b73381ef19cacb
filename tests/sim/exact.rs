//! What the auditor adds up: accounts against the holds that were charged to them, and events against the rows they tell of.

use std::collections::BTreeMap;

use dormouse_engine::Tenant;
use dormouse_engine::budget::{AccountPath, Amounts, Dimension, Hold};
use dormouse_engine::event::EventAt;
use dormouse_filesystem::{Records, Versioned};

use crate::audit::Books;
use crate::world::World;

/// The account of a tenant has used what its holds say, no more and no less; so have its days. What somebody was told to be
/// recorded is.
pub(crate) async fn spending_is_exact(world: &World, tenant: &Tenant, books: &Books) -> Result<(), String> {
    let holds = holds(tenant).await?;
    let account = books.account.as_ref().ok_or("the account is gone")?;
    let days = days(tenant).await?;
    for dimension in Dimension::FLOWS {
        let charged: u64 = holds.iter().map(|hold| hold.metered.get(dimension)).sum();
        let (used, by_day) = (account.used.get(dimension), days.0.get(dimension));
        if (used, by_day) != (charged, charged) {
            return Err(format!(
                "of {} the account has used {used}, its days {by_day}, its holds {charged}",
                dimension.word()
            ));
        }
    }
    if days.1 != holds.len() as u64 {
        return Err(format!(
            "{} holds were closed, its days say {}",
            holds.len(),
            days.1
        ));
    }
    let spent = world.ledger.lock().spent.clone();
    for hold in &holds {
        if hold.is_open() {
            return Err(format!("{} is open, and nobody is at work", hold.id));
        }
        let found = hold.metered.get(Dimension::InputTokens);
        if let Some(told) = spent.get(&hold.id).filter(|told| **told > found) {
            return Err(format!(
                "{} was told to have used {told}, and has {found}",
                hold.id
            ));
        }
    }
    Ok(())
}

async fn holds(tenant: &Tenant) -> Result<Vec<Hold>, String> {
    let rows = Records::<Hold>::new(tenant.space());
    let (mut found, mut after) = (Vec::new(), None);
    // Ends with the last page.
    loop {
        let page = rows.range(&[], after.as_ref(), 1000).await;
        let page = page.map_err(|error| error.to_string())?;
        found.extend(page.rows.into_iter().map(Versioned::into_inner));
        after = page.next;
        if after.is_none() {
            return Ok(found);
        }
    }
}

/// What the days of a tenant's account add up to, and how many holds were closed in them.
async fn days(tenant: &Tenant) -> Result<(Amounts, u64), String> {
    let (mut used, mut closed) = (BTreeMap::<Dimension, u64>::new(), 0);
    let page = tenant.budgets.history(&AccountPath::Tenant, None, 1000).await;
    for day in page.map_err(|error| error.to_string())?.rows {
        for (dimension, amount) in day.used.iter() {
            *used.entry(dimension).or_default() += amount;
        }
        closed += day.closed;
    }
    Ok((used.into_iter().collect(), closed))
}

/// The last that is told of each task is how it stands, and of each run that it began before it ended: whoever read nothing
/// but events knows what the rows say.
pub(crate) fn events_tell_every_state(books: &Books) -> Result<(), String> {
    let mut last: BTreeMap<&str, &str> = BTreeMap::new();
    let mut begun: BTreeMap<&str, u64> = BTreeMap::new();
    for EventAt { event, position } in &books.events {
        let (subject, kind) = (event.subject.as_str(), event.kind.as_str());
        match kind {
            "task.created" | "task.ready" | "task.waiting" | "task.done" | "task.failed"
            | "task.quarantined" | "task.cancelled" | "task.shelved" => {
                last.insert(subject, kind);
            }
            // Whoever is refused is cancelled.
            "task.refused" => {
                last.insert(subject, "task.cancelled");
            }
            "run.started" => *begun.entry(subject).or_default() += 1,
            "run.ended" if !begun.contains_key(subject) => {
                return Err(format!("{position}: {subject} ended, and never began"));
            }
            _ => {}
        }
    }
    for task in &books.tasks {
        let subject = format!("task:{}", task.id);
        let told = last.get(subject.as_str()).copied().unwrap_or("nothing");
        if told != format!("task.{}", task.state.word()) {
            return Err(format!(
                "{} is {:?}, and its last event is {told}",
                task.id, task.state
            ));
        }
    }
    for row in &books.runs {
        let subject = format!("run:{}", row.run.id);
        let times = begun.get(subject.as_str()).copied().unwrap_or(0);
        // It goes on behind each park as another process.
        if times != u64::from(row.run.spawn) {
            return Err(format!(
                "{} had {} processes, and began {times} times by its events",
                row.run.id, row.run.spawn
            ));
        }
    }
    Ok(())
}
