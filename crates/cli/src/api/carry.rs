//! `/v1/secrets/export` and `import`: taking secrets elsewhere.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use data_encoding::BASE64;
use dormouse_secrets::{ExportTo, ImportKey, Imported, Secret, SecretName, SecretRef};
use serde::{Deserialize, Serialize};

use super::body::{self, Json};
use super::house::{Asker, House};
use super::refusal::Answered;
use super::secrets::Hidden;
use crate::problem::{Code, Problem};

/// Largest export of secrets that is taken, in bytes: 10,000 entries of a KiB, or two scopes that are full of the longest
/// values.
pub const EXPORT_BYTES_MAX: usize = 24 * 1024 * 1024;

/// Longest body of an import of secrets, in bytes: the export in base64, and its key.
pub const IMPORT_BODY_BYTES_MAX: usize = EXPORT_BYTES_MAX / 3 * 4 + 128 * 1024;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Export {
    #[serde(default)]
    recipients: Vec<String>,
    #[serde(default)]
    passphrase: Option<Hidden>,
}

/// All secrets of the tenant and its agents, encrypted: never in clear over any connection.
pub(super) async fn export(asker: Asker, Json(export): Json<Export>) -> Answered {
    let to = match (export.recipients, export.passphrase) {
        (recipients, None) if !recipients.is_empty() => ExportTo::Recipients(recipients),
        (recipients, Some(Hidden(passphrase))) if recipients.is_empty() => ExportTo::Passphrase(passphrase),
        _ => {
            return Err(Problem::new(
                Code::BadRequest,
                "recipients or passphrase: one of them is needed",
            ));
        }
    };
    let call = asker.tenant.credentials.call(&asker.decider);
    let bytes = asker.tenant.credentials.secrets().export(&call, &to).await?;
    Ok(([(header::CONTENT_TYPE, "application/octet-stream")], bytes).into_response())
}

/// What of a secret that exists and differs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Existing {
    /// Nothing is imported.
    #[default]
    Refuse,
    /// It stays.
    Keep,
    /// The imported one replaces it.
    Overwrite,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Import {
    /// The file, in base64.
    export: Hidden,
    #[serde(default)]
    identity: Option<Hidden>,
    #[serde(default)]
    passphrase: Option<Hidden>,
    #[serde(default)]
    existing: Existing,
}

/// What an import came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportedView {
    /// Written.
    pub written: Vec<SecretRef>,
    /// There already, equal in all.
    pub unchanged: Vec<SecretRef>,
    /// There already, different, and kept.
    pub kept: Vec<SecretRef>,
    /// Without a scope in an old export: they are shared now.
    pub unscoped: Vec<SecretName>,
}

pub(super) async fn import(
    State(house): State<House>,
    asker: Asker,
    Json(import): Json<Import, IMPORT_BODY_BYTES_MAX>,
) -> Answered {
    // It may be in clear.
    let export = BASE64
        .decode(import.export.0.expose())
        .map(Secret::new)
        .map_err(|_| Problem::new(Code::BadRequest, "export: is no base64"))?;
    let key = match (import.identity, import.passphrase) {
        (None, None) => ImportKey::Clear,
        (Some(Hidden(identity)), None) => ImportKey::Identity(identity),
        (None, Some(Hidden(passphrase))) => ImportKey::Passphrase(passphrase),
        (Some(_), Some(_)) => {
            return Err(Problem::new(
                Code::BadRequest,
                "identity and passphrase: one of them is taken",
            ));
        }
    };
    let existing = match import.existing {
        Existing::Refuse => dormouse_secrets::Existing::Refuse,
        Existing::Keep => dormouse_secrets::Existing::Keep,
        Existing::Overwrite => dormouse_secrets::Existing::Overwrite,
    };
    house.ready_for_vault().await?;
    let call = asker.tenant.credentials.call(&asker.decider);
    let secrets = asker.tenant.credentials.secrets();
    let Imported {
        written,
        unchanged,
        kept,
        unscoped,
    } = secrets.import(&call, export.expose(), &key, existing).await?;
    let view = ImportedView {
        written,
        unchanged,
        kept,
        unscoped,
    };
    Ok(body::json(StatusCode::OK, &view))
}
