//! The stored form: `{kind, schema, id, scope, value}`, compared with the key on every read.

use std::borrow::Cow;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::{Issue, Record, RecordError, Versioned};
use crate::Entry;

#[derive(Serialize)]
struct Written<'a, R> {
    kind: &'a str,
    schema: u32,
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'a str>,
    value: &'a R,
}

/// What every form has, whichever build wrote it: a newer one may have more fields.
#[derive(Deserialize)]
struct Head {
    kind: String,
    schema: u32,
    id: String,
    #[serde(default)]
    scope: Option<String>,
}

/// All there is in the forms this build knows. Its value stays as it was written: most often it is read as it is.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
    schema: u32,
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(default)]
    scope: Option<Cow<'a, str>>,
    #[serde(borrow)]
    value: &'a RawValue,
}

pub(super) fn encode<R: Record>(record: &R, scope: Option<&str>) -> Result<Bytes, RecordError> {
    let (kind, id) = (R::KIND, record.id().to_string());
    let written = Written {
        kind: kind.as_str(),
        schema: R::SCHEMA,
        id: id.clone(),
        scope,
        value: record,
    };
    let bytes = serde_json::to_vec(&written);
    bytes
        .map(Bytes::from)
        .map_err(|cause| RecordError::invalid::<R>(&id, "record", &cause.to_string()))
}

pub(super) fn decode<R: Record>(
    entry: &Entry,
    id: &R::Id,
    scope: Option<&str>,
) -> Result<Versioned<R>, RecordError> {
    let name = id.to_string();
    let invalid = |field: &str, cause: &str| {
        RecordError::Invalid(Issue {
            kind: R::KIND,
            id: name.clone(),
            field: field.to_owned(),
            cause: cause.to_owned(),
            key: Some(entry.key.clone()),
        })
    };
    if entry.kind != R::KIND {
        return Err(RecordError::UnknownKind {
            kind: R::KIND,
            id: name,
            found: entry.kind.clone(),
        });
    }
    let misplaced = || RecordError::Misplaced {
        kind: R::KIND,
        id: name.clone(),
        key: entry.key.clone(),
    };
    let check = |kind: &str, found: &str, schema: u32, whose: Option<&str>| {
        if kind != R::KIND.as_str() || found != name || whose != scope {
            return Err(misplaced());
        }
        if schema > R::SCHEMA {
            return Err(RecordError::TooNew {
                kind: R::KIND,
                id: name.clone(),
                found: schema,
                known: R::SCHEMA,
            });
        }
        Ok(())
    };
    let read: Read<'_> = match serde_json::from_slice(&entry.value) {
        Ok(read) => read,
        Err(unread) => {
            // Whose it is, and that it is newer, is said before what of it cannot be read.
            let head: Head =
                serde_json::from_slice(&entry.value).map_err(|e| invalid("record", &place_of(&e)))?;
            check(&head.kind, &head.id, head.schema, head.scope.as_deref())?;
            return Err(invalid("record", &place_of(&unread)));
        }
    };
    check(&read.kind, &read.id, read.schema, read.scope.as_deref())?;
    let record: R = match read.schema {
        schema if schema == R::SCHEMA => serde_json::from_str(read.value.get()),
        schema => {
            let value: Value =
                serde_json::from_str(read.value.get()).map_err(|e| invalid("value", &place_of(&e)))?;
            let value = (schema..R::SCHEMA)
                .try_fold(value, |value, from| R::upgrade(from, value))
                .ok_or_else(|| invalid("schema", "has a form this build cannot upgrade"))?;
            serde_json::from_value(value)
        }
    }
    .map_err(|e| invalid("value", &place_of(&e)))?;
    if record.id() != *id {
        return Err(misplaced());
    }
    Ok(Versioned {
        record,
        version: entry.version,
        key: entry.key.clone(),
    })
}

/// serde's text names fields and types; a value it quotes is cut off, since it may be anything.
fn place_of(error: &serde_json::Error) -> String {
    let class = match error.classify() {
        serde_json::error::Category::Io => "cannot be read",
        serde_json::error::Category::Syntax => "is no JSON",
        serde_json::error::Category::Data => "has a field of another type, or lacks one",
        serde_json::error::Category::Eof => "is cut short",
    };
    format!("{class}, line {} column {}", error.line(), error.column())
}
