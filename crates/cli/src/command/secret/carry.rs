//! `secret export|import`: all secrets in one encrypted file.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use data_encoding::BASE64;
use dormouse_secrets::Secret as Value;
use serde::Serialize;
use serde_json::json;

use super::listing;
use super::vault::text;
use crate::api::{EXPORT_BYTES_MAX, Existing, ImportedView};
use crate::client::{Call, Session};
use crate::context::Context;
use crate::exit::Exit;
use crate::output::Format;
use crate::place;
use crate::problem::{Code, Problem, Result};

/// Largest file of a private key.
const IDENTITY_MAX: u64 = 64 * 1024;

/// What becomes of secrets that exist and differ.
pub(super) fn existing(overwrite: bool, keep: bool) -> Existing {
    match (overwrite, keep) {
        (true, _) => Existing::Overwrite,
        (false, true) => Existing::Keep,
        (false, false) => Existing::Refuse,
    }
}

pub(super) async fn export(
    session: &mut Session<'_>,
    context: &Context,
    file: &Path,
    recipients: &[String],
    passphrase: Option<&Value>,
) -> Result<Exit> {
    let (ui, file) = (&context.ui, context.environment.absolute(file));
    let refused = |error: std::io::Error| {
        Problem::new(Code::Config, format!("{}: {error}", file.display()))
            .hint("name a new file in a folder of yours")
    };
    // First, so that nothing is exported to nowhere: nobody's file is taken.
    let opened = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&file);
    let mut opened = opened.map_err(refused)?;
    let wanted = match passphrase {
        Some(passphrase) => json!({ "passphrase": text(passphrase)? }),
        None => json!({ "recipients": recipients }),
    };
    let exported = session.ask(&Call::post("/v1/secrets/export", &wanted)).await;
    let written = exported.and_then(|bytes| {
        let written = opened.write_all(&bytes).and_then(|()| opened.sync_all());
        Ok(written.map(|()| bytes.len()).map_err(refused)?)
    });
    match written {
        Ok(bytes) => {
            let line = format!("{}\t{bytes}", file.display());
            match ui.format {
                Format::Text => ui.line(line)?,
                Format::Json | Format::Jsonl => {
                    ui.line(json!({ "file": file, "bytes": bytes }).to_string())?;
                }
            }
            if bytes > EXPORT_BYTES_MAX {
                ui.warning(&format!(
                    "the file has more than {EXPORT_BYTES_MAX} bytes: no import takes it"
                ));
            }
            Ok(Exit::Done)
        }
        Err(failure) => {
            // It is empty, or cut.
            let _ = std::fs::remove_file(&file);
            Err(failure)
        }
    }
}

/// The body of an import.
#[derive(Serialize)]
struct Import<'a> {
    export: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    identity: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    passphrase: Option<&'a str>,
    existing: Existing,
}

pub(super) async fn import(
    session: &mut Session<'_>,
    context: &Context,
    (file, identity): (&Path, Option<&Path>),
    passphrase: Option<&Value>,
    existing: Existing,
) -> Result<Exit> {
    let (ui, file) = (&context.ui, context.environment.absolute(file));
    let export = place::read_bounded(&file, EXPORT_BYTES_MAX as u64, |_, _| Ok(())).map_err(unread)?;
    let identity = match identity {
        Some(path) => Some(identity_of(&context.environment.absolute(path))?),
        None => None,
    };
    let wanted = Import {
        export: BASE64.encode(&export),
        identity: identity.as_ref().map(text).transpose()?,
        passphrase: passphrase.map(text).transpose()?,
        existing,
    };
    let body = session.ask(&Call::post("/v1/secrets/import", &wanted)).await?;
    listing::item(ui, &body, |imported: &ImportedView| {
        vec![
            ("written", imported.written.len().to_string()),
            ("unchanged", imported.unchanged.len().to_string()),
            ("kept", imported.kept.len().to_string()),
        ]
    })?;
    session.deliver(ui, None).await?;
    let imported: ImportedView = listing::read(&body)?;
    for name in &imported.unscoped {
        ui.warning(&format!(
            "{name} had no scope in the export: it is every agent's now"
        ));
    }
    Ok(Exit::Done)
}

/// The first private key of a file that age-keygen wrote: its other lines are remarks.
fn identity_of(path: &Path) -> Result<Value> {
    let bytes = place::read_bounded(path, IDENTITY_MAX, place::check_file).map_err(unread)?;
    let lines = bytes.split(|byte| *byte == b'\n');
    let mut keys = lines.filter(|line| line.starts_with(b"AGE-SECRET-KEY-1"));
    match keys.next() {
        Some(key) => Ok(Value::new(key.trim_ascii_end().to_vec())),
        None => Err(Problem::new(
            Code::Invalid,
            format!("{} has no private key of age", path.display()),
        )
        .hint("age-keygen makes one")
        .into()),
    }
}

/// Of a file that somebody named: no other folder of ours mends it.
pub(super) fn unread(refusal: place::Refusal) -> Problem {
    let is_of_system = matches!(refusal, place::Refusal::System { .. });
    let problem = Problem::from(refusal);
    if is_of_system {
        problem.hint("name a file that is there and that you may read")
    } else {
        problem
    }
}
