//! `secret status|unlock|lock|rotate|rekey`.

use std::path::PathBuf;

use bytes::Bytes;
use dormouse_secrets::Secret as Value;
use serde_json::json;

use super::listing;
use crate::api::{RekeyView, SlotView, VaultView};
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
    let is_of_settings = key.as_object().is_some_and(serde_json::Map::is_empty);
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

/// The body that names a key: a file, a passphrase, or the file of the settings.
pub(super) fn key(
    context: &Context,
    key_file: Option<PathBuf>,
    passphrase: Option<&Value>,
) -> Result<serde_json::Value> {
    Ok(match (key_file, passphrase) {
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
    match ui.format {
        Format::Text => {
            let mut pairs = vec![("resealed", rekeyed.resealed.to_string())];
            let dropped: Vec<String> = rekeyed.dropped.iter().map(u32::to_string).collect();
            if !dropped.is_empty() {
                pairs.push(("dropped slots", dropped.join(", ")));
            }
            pairs.extend(rekeyed.unreadable.iter().map(|at| ("unreadable", at.to_string())));
            ui.record(&pairs)?;
        }
        Format::Json | Format::Jsonl => ui.line(&body)?,
    }
    // Those that do not open are still under the key before.
    Ok(if rekeyed.unreadable.is_empty() {
        Exit::Done
    } else {
        Exit::Failed
    })
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
            pairs.push(("rekey", "under way: go on with dormouse secret rekey".to_owned()));
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
