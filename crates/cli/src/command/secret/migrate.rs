//! `secret migrate|quarantined|place`: secrets of an older layout.

use data_encoding::BASE64;
use dormouse_engine::AgentName;
use dormouse_secrets::{QuarantineId, Secret as Value, destroy_source};
use serde::Serialize;
use serde_json::json;

use super::carry::unread;
use super::{Meant, listing, record};
use crate::api::{EXPORT_BYTES_MAX, MigratedView, QuarantinedView};
use crate::args::{SecretMigrate, Which};
use crate::client::{Call, Session};
use crate::context::Context;
use crate::exit::Exit;
use crate::output::{Format, Ui};
use crate::place;
use crate::problem::Result;

/// How many rows are named that keep a file.
const MISSING_TOLD_MAX: usize = 20;

const PATH: &str = "/v1/secrets/quarantined";

/// The body of a migration.
#[derive(Serialize)]
struct Migrate<'a> {
    rows: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent: Option<&'a AgentName>,
    shared: bool,
    dry_run: bool,
}

/// Ends with 1 where not every row has its place: scripts look at the rest then.
pub(super) async fn migrate(
    session: &mut Session<'_>,
    context: &Context,
    migrate: &SecretMigrate,
) -> Result<Exit> {
    let (ui, file) = (&context.ui, context.environment.absolute(&migrate.file));
    let read = place::read_bounded(&file, EXPORT_BYTES_MAX as u64, |_, _| Ok(())).map_err(unread)?;
    // It is in clear.
    let read = Value::new(read);
    if migrate.destroy && !migrate.yes {
        let meant = Meant {
            what: "secret migrate --destroy destroys its file",
            question: &format!(
                "{} is overwritten and removed once each of its rows has its place; type destroy: ",
                file.display()
            ),
            word: "destroy",
            not_done: "nothing was migrated",
        };
        meant.confirm(session, ui).await?;
    }
    let wanted = Migrate {
        rows: BASE64.encode(read.expose()),
        agent: migrate.agent.as_ref(),
        shared: migrate.shared,
        dry_run: migrate.dry_run,
    };
    let body = session.ask(&Call::post("/v1/secrets/migrate", &wanted)).await?;
    let migrated: MigratedView = listing::read(&body)?;
    match ui.format {
        Format::Text => ui.record(&told(&migrated, ui))?,
        Format::Json | Format::Jsonl => ui.line(&body)?,
    }
    session.deliver(ui, None).await?;
    if !migrated.quarantined.is_empty() && !migrated.dry_run {
        ui.warning(
            "what could not be placed is sealed and served to nobody; dormouse secret place makes a secret of it within 7 days",
        );
    }
    // What was set aside before has one when somebody placed it since.
    let is_lost = |key: &String| {
        let missing = migrated.missing.as_ref();
        missing.is_none_or(|missing| missing.contains(key))
    };
    let has_place = migrated.quarantined.is_empty()
        && migrated.unreadable.is_empty()
        && !migrated.gone.iter().any(is_lost);
    let is_as_wanted = !migrate.destroy || is_destroyed(&migrated, ui, &file, read).await;
    Ok(if has_place && is_as_wanted {
        Exit::Done
    } else {
        Exit::Failed
    })
}

fn told(migrated: &MigratedView, ui: &Ui) -> Vec<(&'static str, String)> {
    let written = if migrated.dry_run { "to write" } else { "written" };
    let mut pairs = vec![
        (written, migrated.written.len().to_string()),
        ("there", migrated.there.len().to_string()),
    ];
    let set_aside = |aside: &QuarantinedView| {
        let until = aside.until.map(|until| format!(", until {}", ui.instant(until)));
        let line = format!(
            "{}: {}{}",
            legible(&aside.key),
            why(aside),
            until.unwrap_or_default()
        );
        ("quarantined", line)
    };
    pairs.extend(migrated.quarantined.iter().map(set_aside));
    let gone = |key: &String| {
        let line = format!(
            "{}: set aside before, and not in quarantine any more",
            legible(key)
        );
        ("gone", line)
    };
    pairs.extend(migrated.gone.iter().map(gone));
    pairs.extend(migrated.unreadable.iter().map(|key| ("unreadable", legible(key))));
    pairs
}

/// A key for people: where it is printed a backslash is written twice.
fn legible(key: &str) -> String {
    key.replace("\\0", " NUL ")
}

/// The reason in words.
fn why(aside: &QuarantinedView) -> &str {
    match aside.reason.as_str() {
        "invalid_key" => "its key names no secret",
        "reserved" => "nobody may set a variable of its name",
        "shadowed" => "a row with a scope has its name",
        "no_agent" => "its agent does not live here",
        "foreign_agent" => "it is of another agent than its store",
        "exists" => "there is one, with another value",
        "full" => "its scope is full",
        "invalid" => "its value or what is known of it breaks a rule",
        other => other,
    }
}

/// Destroys the file, not before all of it has its place here. What was migrated is, whatever becomes of the file.
async fn is_destroyed(migrated: &MigratedView, ui: &Ui, file: &std::path::Path, read: Value) -> bool {
    let Some(missing) = &migrated.missing else {
        ui.warning(&format!("{} stays: nothing of it was read back", file.display()));
        return false;
    };
    if !missing.is_empty() || !migrated.quarantined.is_empty() {
        ui.warning(&kept(missing, migrated.quarantined.is_empty(), file));
        return false;
    }
    if let Err(error) = destroy_source(file.to_owned(), read).await {
        ui.warning(&format!("{} stays: {error}", file.display()));
        return false;
    }
    ui.note(&format!(
        "{} was overwritten and is removed; snapshots, backups and the file system's journal may still hold it",
        file.display()
    ));
    true
}

/// Why the file stays: the rows that have no lasting place here, and what is to be done.
fn kept(missing: &[String], is_all_placed: bool, file: &std::path::Path) -> String {
    let keys: Vec<String> = missing
        .iter()
        .take(MISSING_TOLD_MAX)
        .map(|key| legible(key))
        .collect();
    let more = match missing.len().saturating_sub(MISSING_TOLD_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let advice = if is_all_placed {
        ""
    } else {
        "; give what is in quarantine a place with dormouse secret place, then the same again"
    };
    format!(
        "{} stays: {} of its rows have no lasting place here: {}{more}{advice}",
        file.display(),
        missing.len(),
        keys.join(", ")
    )
}

pub(super) async fn quarantined(session: &mut Session<'_>, ui: &Ui) -> Result<Exit> {
    let columns = ["id", "key", "reason", "until"];
    listing::whole(
        session,
        ui,
        Call::get(PATH),
        &columns,
        |aside: &QuarantinedView| {
            vec![
                aside.id.clone().unwrap_or_default(),
                legible(&aside.key),
                aside.reason.clone(),
                aside.until.map_or_else(String::new, |until| ui.instant(until)),
            ]
        },
    )
    .await
}

pub(super) async fn place(
    session: &mut Session<'_>,
    ui: &Ui,
    id: &QuarantineId,
    which: &Which,
) -> Result<Exit> {
    let call = Call::post(format!("{PATH}/{id}/place"), &json!({ "ref": which.at() }));
    let body = session.ask(&call).await?;
    listing::item(ui, &body, |secret| record(secret, ui))
}
