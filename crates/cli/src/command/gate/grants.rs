//! `gate grants|revoke`: approvals that hold for equal calls of a session.

use super::super::listing;
use crate::api::GrantView;
use crate::args::Page;
use crate::client::{Call, Session};
use crate::exit::Exit;
use crate::output::Ui;
use crate::problem::Result;

const COLUMNS: [&str; 5] = ["grant", "agent", "session", "by", "given"];

pub(super) async fn list(session: &mut Session<'_>, ui: &Ui, of: Option<&str>, page: &Page) -> Result<Exit> {
    let call = Call::get("/v1/grants").query("session", of);
    listing::pages(session, ui, call, page, &COLUMNS, |grant| row(grant, ui)).await
}

pub(super) async fn revoke(session: &mut Session<'_>, ui: &Ui, id: &str) -> Result<Exit> {
    session.ask(&Call::delete(format!("/v1/grants/{id}"))).await?;
    ui.note("taken back; equal calls are asked about again");
    Ok(Exit::Done)
}

fn row(grant: &GrantView, ui: &Ui) -> Vec<String> {
    vec![
        grant.id.to_string(),
        grant.agent.to_string(),
        grant.session.to_string(),
        grant.by.to_string(),
        ui.instant(grant.created_at),
    ]
}
