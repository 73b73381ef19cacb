//! `secret slots …`: the keys that open the vault.

use serde_json::Value;

use super::listing;
use super::vault::warn_if_it_starts_sealed;
use crate::api::SlotView;
use crate::client::{Call, Session};
use crate::command::gate::{has_person, typed};
use crate::exit::Exit;
use crate::output::Ui;
use crate::problem::{Code, Problem, Result};

const PATH: &str = "/v1/secrets/slots";

pub(super) async fn list(session: &mut Session<'_>, ui: &Ui) -> Result<Exit> {
    let columns = ["id", "source", "state", "added"];
    listing::whole(session, ui, Call::get(PATH), &columns, |slot: &SlotView| {
        vec![
            slot.id.to_string(),
            slot.source.clone(),
            slot.state.clone(),
            ui.instant(slot.added_at),
        ]
    })
    .await
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
        confirm(session, ui, id).await?;
    }
    session.ask(&Call::delete(format!("{PATH}/{id}"))).await?;
    ui.note(&format!("the key of slot {id} opens the vault no more"));
    warn_if_it_starts_sealed(session, ui).await;
    Ok(Exit::Done)
}

/// Asks whether it is meant: who holds no other key is locked out by it.
async fn confirm(session: &mut Session<'_>, ui: &Ui, id: u32) -> Result<()> {
    if !has_person(ui) {
        let problem = Problem::new(
            Code::Usage,
            "secret slots remove takes a key away, and there is no terminal to ask at",
        );
        return Err(problem.hint("pass --yes if it is meant").into());
    }
    // The person may think for long: nobody else waits for the store meanwhile.
    session.make_room().await?;
    let question = format!("the key of slot {id} will open nothing any more; type {id} to take it away: ");
    if typed(&question, ui).await.as_deref() != Some(id.to_string().as_str()) {
        return Err(Problem::new(Code::Usage, "nothing was changed")
            .hint("type the number of the slot, or pass --yes")
            .into());
    }
    Ok(())
}
