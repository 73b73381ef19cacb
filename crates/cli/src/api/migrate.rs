//! `/v1/secrets/migrate` and `quarantined`: taking over secrets of an older layout.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use data_encoding::BASE64;
use dormouse_engine::AgentName;
use dormouse_secrets::{
    Foretold, Legacy, LegacyOwner, Migrated, QuarantineId, Quarantined, Secret, SecretRef,
};
use serde::{Deserialize, Serialize};

use super::body::{self, Json, List};
use super::carry::IMPORT_BODY_BYTES_MAX;
use super::house::{Asker, House};
use super::refusal::Answered;
use super::secrets::{Hidden, id_of};
use super::view::{QuarantinedView, SecretView};
use crate::problem::{Code, Problem};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Migrate {
    /// The file with the rows, in base64.
    rows: Hidden,
    /// It was the store of this agent alone.
    #[serde(default)]
    agent: Option<AgentName>,
    /// It was the store of one agent, and becomes every agent's.
    #[serde(default)]
    shared: bool,
    /// Nothing is written.
    #[serde(default)]
    dry_run: bool,
}

/// What a migration came to, or would come to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MigratedView {
    /// Whether it is only foretold.
    pub dry_run: bool,
    /// Written.
    pub written: Vec<SecretRef>,
    /// There already, taken over before, or deleted since.
    pub there: Vec<SecretRef>,
    /// Set aside for 7 days.
    pub quarantined: Vec<QuarantinedView>,
    /// Keys that a call before set aside, and that are in quarantine no more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gone: Vec<String>,
    /// Keys without a value that could be read: they are in the source alone.
    pub unreadable: Vec<String>,
    /// Keys whose values were looked for and have no lasting place here, those in quarantine among them: while there is
    /// one, the source is needed. Nothing was looked for where it is only foretold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<Vec<String>>,
}

impl From<Foretold> for MigratedView {
    fn from(foretold: Foretold) -> Self {
        Self {
            dry_run: true,
            written: foretold.written,
            there: foretold.there,
            quarantined: foretold
                .quarantined
                .iter()
                .map(QuarantinedView::foretold)
                .collect(),
            gone: foretold.gone,
            unreadable: foretold.unreadable,
            missing: None,
        }
    }
}

impl MigratedView {
    fn done(migrated: Migrated, missing: Vec<String>) -> Self {
        Self {
            dry_run: false,
            written: migrated.written,
            there: migrated.there,
            quarantined: migrated.quarantined.iter().map(QuarantinedView::of).collect(),
            gone: migrated.gone,
            unreadable: migrated.unreadable,
            missing: Some(missing),
        }
    }
}

/// Takes over the rows of a file. Cut anywhere, the same again goes on.
pub(super) async fn migrate(
    State(house): State<House>,
    asker: Asker,
    Json(migrate): Json<Migrate, IMPORT_BODY_BYTES_MAX>,
) -> Answered {
    let owner = match (&migrate.agent, migrate.shared) {
        (None, false) => LegacyOwner::Keys,
        (None, true) => LegacyOwner::Shared,
        (Some(agent), false) => {
            // Of an unknown one nothing could be placed, which is no answer to whoever misspelt it.
            asker.tenant.agents.get(agent).await?;
            LegacyOwner::Agent(id_of(agent))
        }
        (Some(_), true) => {
            return Err(Problem::new(
                Code::BadRequest,
                "agent and shared: one of them is taken",
            ));
        }
    };
    let file = BASE64
        .decode(migrate.rows.0.expose())
        .map(Secret::new)
        .map_err(|_| Problem::new(Code::BadRequest, "rows: is no base64"))?;
    let legacy = Legacy::read(file.expose())?;
    let secrets = asker.tenant.credentials.secrets();
    let view = if migrate.dry_run {
        secrets.foretell_migration(&legacy, &owner).await?.into()
    } else {
        house.ready_for_vault().await?;
        let call = asker.tenant.credentials.call(&asker.decider);
        let done = secrets.migrate(&call, &legacy, &owner).await?;
        MigratedView::done(done, secrets.not_taken_over(&legacy, &owner).await?)
    };
    Ok(body::json(StatusCode::OK, &view))
}

/// What migrations set aside, in any state of the vault.
pub(super) async fn quarantined(asker: Asker) -> Answered {
    let aside: Vec<Quarantined> = asker.tenant.credentials.secrets().quarantined().await?;
    let items: Vec<QuarantinedView> = aside.iter().map(QuarantinedView::of).collect();
    let next_cursor = None;
    Ok(body::json(StatusCode::OK, &List { items, next_cursor }))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Placed {
    /// What it becomes; there must be none of that name.
    #[serde(rename = "ref")]
    at: SecretRef,
}

/// What was set aside becomes this secret.
pub(super) async fn place(
    asker: Asker,
    Path((source, row)): Path<(String, String)>,
    Json(Placed { at }): Json<Placed>,
) -> Answered {
    let id = format!("{source}/{row}").parse::<QuarantineId>().map_err(|_| {
        Problem::new(Code::NotFound, "nothing of this id is set aside")
            .hint("see dormouse secret quarantined")
    })?;
    let call = asker.tenant.credentials.call(&asker.decider);
    let secrets = asker.tenant.credentials.secrets();
    secrets.place_quarantined(&call, &id, &at).await?;
    let meta = secrets.info(&at).await?;
    Ok(body::item(
        StatusCode::OK,
        meta.generation,
        &SecretView::of(&meta),
    ))
}
