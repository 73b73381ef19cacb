//! Inputs and results as JSON: what is digested, and what is kept with every secret taken out.

use bytes::Bytes;
use dormouse_filesystem::blob::{BlobError, BlobId, Blobs};
use dormouse_filesystem::{Digest, Namespace, Tenant};
use dormouse_secrets::{Scrubbed, Scrubber};
use serde_json::{Map, Value};

use super::StepResult;
use crate::CommandError;
use crate::gate::Canonical;

/// The digest of a step's input: of its canonical JSON, and of the version of what it means, if one is given.
pub(super) fn digest(input: &Canonical, version: Option<u32>) -> Digest {
    let version = version.map_or_else(|| "-".to_owned(), |version| version.to_string());
    Digest::of(format!("{version}\n{}", input.as_str()).as_bytes())
}

/// A result as it is kept: every text, name and number in it scrubbed. It stays JSON.
pub(super) fn clean(scrubber: &Scrubber, value: Value) -> Scrubbed {
    let clean = cleaned(scrubber, value);
    let json = serde_json::to_string(&clean).expect("a value is plain JSON");
    // What is left is found by no part alone; where taking it out would leave no JSON, nothing of it is kept.
    let whole = scrubber.scrub(&json);
    match serde_json::from_str::<serde::de::IgnoredAny>(whole.as_str()) {
        Ok(_) => whole,
        Err(_) => Scrubbed::constant("null"),
    }
}

fn cleaned(scrubber: &Scrubber, value: Value) -> Value {
    let text = |text: &str| scrubber.scrub(text).into_string();
    match value {
        Value::Null | Value::Bool(_) => value,
        Value::Number(number) => {
            let written = number.to_string();
            let clean = text(&written);
            if clean == written {
                Value::Number(number)
            } else {
                Value::String(clean)
            }
        }
        Value::String(string) => Value::String(text(&string)),
        Value::Array(items) => items.into_iter().map(|item| cleaned(scrubber, item)).collect(),
        Value::Object(members) => {
            let members = members.into_iter();
            let clean: Map<_, _> = members
                .map(|(name, value)| (text(&name), cleaned(scrubber, value)))
                .collect();
            Value::Object(clean)
        }
    }
}

/// The JSON of a stored result.
pub(super) async fn read(space: &Namespace<Tenant>, result: &StepResult) -> Result<String, CommandError> {
    match result {
        StepResult::Json(json) => Ok(json.as_str().to_owned()),
        StepResult::Blob(id) => {
            let bytes = read_blob(space, id).await?;
            String::from_utf8(bytes.to_vec()).map_err(|error| CommandError::Corrupt(error.into()))
        }
    }
}

async fn read_blob(space: &Namespace<Tenant>, id: &BlobId) -> Result<Bytes, CommandError> {
    let blobs = Blobs::new(space);
    let blob = blobs.get(id).await.map_err(of_blob)?;
    let blob =
        blob.ok_or_else(|| CommandError::Corrupt(format!("{id}, a step's result, is missing").into()))?;
    blobs.read(&blob).await.map_err(of_blob)
}

/// A blob's error, as of any command.
pub(super) fn of_blob(error: BlobError) -> CommandError {
    match error {
        BlobError::Record(error) => error.into(),
        BlobError::Read(error) => error.into(),
        BlobError::Commit(error) => error.into(),
        BlobError::TooLarge { limit } => CommandError::TooLarge { limit },
        BlobError::Exists { .. } => CommandError::LOST_RACE,
        error @ (BlobError::Range { .. } | BlobError::Corrupt { .. } | BlobError::Removed { .. }) => {
            CommandError::Corrupt(error.into())
        }
    }
}
