//! `secret status|unlock|lock|rotate|rekey`.

use std::path::PathBuf;

use bytes::Bytes;
use dormouse_secrets::Secret as Value;
use serde_json::json;

use super::listing;
use crate::api::{FailedView, RekeyView, SlotView, VaultView};
use crate::client::{Call, Session};
use crate::context::Context;
use crate::exit::Exit;
use crate::output::{Format, Ui};
use crate::problem::{Code, Problem, Result};

pub(super) async fn status(session: &mut Session<'_>, ui: &Ui) -> Result<Exit> {
    let body = session.ask(&Call::get("/v1/secrets/status")).await?;
    print(ui, &body)
}

pub(super) async fn unlock(
    session: &mut Session<'_>,
    ui: &Ui,
    mut key: serde_json::Value,
    restores: bool,
) -> Result<Exit> {
    // Such a key opens the vault in each process that starts.
    let is_of_settings =
        key.as_object().is_some_and(serde_json::Map::is_empty) || key.get("keyring").is_some();
    if restores {
        key["restore_key_file"] = true.into();
    }
    let body = session.ask(&Call::post("/v1/secrets/unlock", &key)).await?;
    let exit = print(ui, &body)?;
    session.deliver(ui, None).await?;
    if restores {
        ui.note("the key file was made anew, and opens the vault from now on");
    } else if session.owner().is_some() && !is_of_settings {
        ui.warning(
            "this key opened the vault for this process, which ends now: unlock while a run goes on, and it is open there; \
             --restore-key-file makes the key file anew where it is gone",
        );
    }
    Ok(exit)
}

/// The body that names a key: a file, a passphrase, that of the system's key store, or the file of the settings.
pub(super) fn key(
    context: &Context,
    (key_file, keyring): (Option<PathBuf>, bool),
    passphrase: Option<&Value>,
) -> Result<serde_json::Value> {
    Ok(match (key_file, passphrase) {
        _ if keyring => json!({ "keyring": true }),
        (Some(file), _) => json!({ "key_file": context.environment.absolute(&file) }),
        (None, Some(passphrase)) => json!({ "passphrase": text(passphrase)? }),
        (None, None) => json!({}),
    })
}

pub(super) async fn lock(session: &mut Session<'_>, ui: &Ui) -> Result<Exit> {
    let body = session.ask(&Call::post("/v1/secrets/lock", &json!({}))).await?;
    print(ui, &body)
}

pub(super) async fn rotate(session: &mut Session<'_>, ui: &Ui) -> Result<Exit> {
    let body = session.ask(&Call::post("/v1/secrets/rotate", &json!({}))).await?;
    let exit = print(ui, &body)?;
    session.deliver(ui, None).await?;
    ui.note("the key file was replaced: the one before opens nothing any more, backups of it included");
    Ok(exit)
}

pub(super) async fn rekey(session: &mut Session<'_>, ui: &Ui, key: &serde_json::Value) -> Result<Exit> {
    let body = session.ask(&Call::post("/v1/secrets/rekey", key)).await?;
    let rekeyed: RekeyView = listing::read(&body)?;
    let dropped: Vec<String> = rekeyed.dropped.iter().map(u32::to_string).collect();
    match ui.format {
        Format::Text => {
            let mut pairs = vec![("resealed", rekeyed.resealed.to_string())];
            if !dropped.is_empty() {
                pairs.push(("dropped slots", dropped.join(", ")));
            }
            pairs.extend(rekeyed.unreadable.iter().map(|at| ("unreadable", at.to_string())));
            let failed = |failed: &FailedView| {
                let line = format!("tenant {}: {}", failed.tenant, failed.why);
                ("no new keys", line)
            };
            pairs.extend(rekeyed.failed.iter().map(failed));
            ui.record(&pairs)?;
        }
        Format::Json | Format::Jsonl => ui.line(&body)?,
    }
    session.deliver(ui, None).await?;
    if let Some(which) = match dropped.as_slice() {
        [] => None,
        [one] => Some(format!("the key of slot {one} opens")),
        more => Some(format!("the keys of slots {} open", more.join(", "))),
    } {
        ui.warning(&format!(
            "{which} the vault no more; dormouse secret slots add lets a key open it again"
        ));
    }
    if let Some(since) = rekeyed.went_on {
        ui.warning(&format!(
            "the keys are of the rekey that began at {}, which went on: no newer ones were made. If those may be known, give \
             it again a minute after that time, when nothing is left of it",
            ui.instant(since)
        ));
    }
    warn_if_it_starts_sealed(session, ui).await;
    // Those that do not open are still under the key before, and so is a tenant without new keys.
    let is_whole = rekeyed.unreadable.is_empty() && rekeyed.failed.is_empty() && rekeyed.went_on.is_none();
    Ok(if is_whole { Exit::Done } else { Exit::Failed })
}

/// Says so when keys were changed and none is left that opens the vault at a start. What was done is done: a look that
/// fails says nothing.
pub(super) async fn warn_if_it_starts_sealed(session: &mut Session<'_>, ui: &Ui) {
    let Ok(body) = session.ask(&Call::get("/v1/secrets/status")).await else {
        return;
    };
    let opens = listing::read(&body).map(|vault: VaultView| vault.opens_by_itself);
    if matches!(opens, Ok(Some(false))) {
        ui.warning(
            "no key that is in place opens the vault: it is sealed in each process that starts from now on. Move the key file \
             away, if it is there, then dormouse secret unlock --passphrase --restore-key-file",
        );
    }
}

fn print(ui: &Ui, body: &Bytes) -> Result<Exit> {
    listing::item(ui, body, |vault: &VaultView| {
        let mut pairs = vec![
            ("vault", vault.vault.clone()),
            ("shared", vault.shared.to_string()),
            ("of agents", vault.of_agents.to_string()),
        ];
        if vault.unscrubbed > 0 {
            pairs.push(("unscrubbed", vault.unscrubbed.to_string()));
        }
        if vault.refused_spawns > 0 {
            let found = format!(
                "{}: dormouse secret doctor says which secret",
                vault.refused_spawns
            );
            pairs.push(("workers not started", found));
        }
        if vault.is_rekeying {
            pairs.push((
                "rekey",
                "not ended: it goes on by itself under dormouse run, or with dormouse secret rekey"
                    .to_owned(),
            ));
        }
        let slot = |slot: &SlotView| {
            let line = format!("{} ({}, {})", slot.id, slot.source, slot.state);
            ("slot", line)
        };
        pairs.extend(vault.slots.iter().map(slot));
        pairs
    })
}

/// A passphrase as a body takes it.
pub(super) fn text(passphrase: &Value) -> Result<&str> {
    passphrase.expose_text().ok_or_else(|| {
        Problem::new(Code::Invalid, "the passphrase is no text")
            .hint("use one of letters and digits")
            .into()
    })
}
