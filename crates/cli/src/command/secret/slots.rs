//! `secret slots …`: the keys that open the vault.

use serde_json::Value;

use super::vault::warn_if_it_starts_sealed;
use super::{Meant, listing};
use crate::api::SlotView;
use crate::client::{Call, Session};
use crate::exit::Exit;
use crate::output::Ui;
use crate::problem::Result;

const PATH: &str = "/v1/secrets/slots";

pub(super) async fn list(session: &mut Session<'_>, ui: &Ui) -> Result<Exit> {
    let columns = ["id", "source", "derivation", "state", "added"];
    listing::whole(session, ui, Call::get(PATH), &columns, |slot: &SlotView| {
        vec![
            slot.id.to_string(),
            slot.source.clone(),
            derivation(slot),
            slot.state.clone(),
            ui.instant(slot.added_at),
        ]
    })
    .await
}

/// In words; nothing for a key that is none of a passphrase.
fn derivation(slot: &SlotView) -> String {
    slot.derivation.as_ref().map_or_else(String::new, |derivation| {
        let (memory, passes) = (derivation.memory_bytes >> 20, derivation.passes);
        format!("argon2id, {memory} MiB, {passes} passes")
    })
}

pub(super) async fn add(session: &mut Session<'_>, ui: &Ui, key: &Value) -> Result<Exit> {
    let body = session.ask(&Call::post(PATH, key)).await?;
    let exit = listing::item(ui, &body, |slot: &SlotView| {
        vec![
            ("slot", slot.id.to_string()),
            ("source", slot.source.clone()),
            ("state", slot.state.clone()),
        ]
    })?;
    session.deliver(ui, None).await?;
    ui.note("this key opens the vault too; the others still do");
    Ok(exit)
}

pub(super) async fn remove(session: &mut Session<'_>, ui: &Ui, id: u32, is_meant: bool) -> Result<Exit> {
    if !is_meant {
        // Who holds no other key is locked out by it.
        let meant = Meant {
            what: "secret slots remove takes a key away",
            question: &format!(
                "the key of slot {id} will open nothing any more; type {id} to take it away: "
            ),
            word: &id.to_string(),
            not_done: "nothing was changed",
        };
        meant.confirm(session, ui).await?;
    }
    session.ask(&Call::delete(format!("{PATH}/{id}"))).await?;
    ui.note(&format!("the key of slot {id} opens the vault no more"));
    warn_if_it_starts_sealed(session, ui).await;
    Ok(Exit::Done)
}
