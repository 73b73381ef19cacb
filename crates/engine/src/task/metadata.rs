//! What the maker of a task keeps with it: bounds, and patches by RFC 7396.

use dormouse_secrets::Scrubber;
use serde_json::{Map, Value};

use crate::CommandError;
use crate::limits::{METADATA_DEPTH_MAX, METADATA_MAX};

/// Keys that begin so are the engine's.
const OWN: &str = "dormouse.";

/// Checks what somebody says of metadata: its keys.
pub(super) fn check_keys(said: &Map<String, Value>) -> Result<(), CommandError> {
    if said.keys().any(|key| key.starts_with(OWN)) {
        let reason = "keys under dormouse. are the engine's";
        return Err(CommandError::InvalidMetadata { reason });
    }
    Ok(())
}

/// Checks what is to be kept: depth and bytes.
pub(super) fn check_bounds(metadata: &Map<String, Value>) -> Result<(), CommandError> {
    if depth_of_fields(metadata) > METADATA_DEPTH_MAX {
        let limit = "tasks.metadata_depth_max";
        return Err(CommandError::TooLarge { limit });
    }
    let json = serde_json::to_vec(metadata).expect("metadata is plain data");
    if json.len() > METADATA_MAX {
        let limit = "tasks.metadata_max";
        return Err(CommandError::TooLarge { limit });
    }
    Ok(())
}

/// Objects and arrays inside one another, the outermost included.
fn depth_of_fields(fields: &Map<String, Value>) -> usize {
    1 + fields.values().map(depth).max().unwrap_or(0)
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(values) => 1 + values.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => depth_of_fields(fields),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

/// Applies a patch: null removes, objects merge, arrays and scalars replace. An unfit one changes nothing.
pub(super) fn patched(
    metadata: &Map<String, Value>,
    patch: &Value,
    scrubber: &Scrubber,
) -> Result<Map<String, Value>, CommandError> {
    let Value::Object(patch) = patch else {
        let reason = "a patch is an object";
        return Err(CommandError::InvalidMetadata { reason });
    };
    check_keys(patch)?;
    let mut metadata = metadata.clone();
    merge(&mut metadata, &scrubbed(scrubber, patch));
    check_bounds(&metadata)?;
    Ok(metadata)
}

fn merge(target: &mut Map<String, Value>, patch: &Map<String, Value>) {
    for (key, value) in patch {
        match value {
            Value::Null => drop(target.remove(key)),
            Value::Object(fields) => {
                let slot = target
                    .entry(key.clone())
                    .or_insert_with(|| Value::Object(Map::new()));
                if !slot.is_object() {
                    *slot = Value::Object(Map::new());
                }
                if let Value::Object(inner) = slot {
                    merge(inner, fields);
                }
            }
            replacing => drop(target.insert(key.clone(), replacing.clone())),
        }
    }
}

/// Without the values that an agent knows.
pub(crate) fn scrubbed(scrubber: &Scrubber, fields: &Map<String, Value>) -> Map<String, Value> {
    let field = |(key, value): (&String, &Value)| {
        let key = scrubber.scrub(key).into_string();
        (key, scrubbed_value(scrubber, value))
    };
    fields.iter().map(field).collect()
}

fn scrubbed_value(scrubber: &Scrubber, value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(scrubber.scrub(text).into_string()),
        Value::Array(values) => values
            .iter()
            .map(|value| scrubbed_value(scrubber, value))
            .collect(),
        Value::Object(fields) => Value::Object(scrubbed(scrubber, fields)),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn patch(target: &Value, patch: &Value) -> Result<Value, CommandError> {
        let Value::Object(target) = target else {
            panic!("metadata is an object")
        };
        patched(target, patch, &Scrubber::empty()).map(Value::Object)
    }

    /// The examples of RFC 7396, appendix A, whose target and result are objects.
    #[test]
    fn a_patch_does_what_the_appendix_of_its_rfc_says() {
        let cases = [
            (json!({"a":"b"}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"b"}), json!({"b":"c"}), json!({"a":"b","b":"c"})),
            (json!({"a":"b"}), json!({"a":null}), json!({})),
            (json!({"a":"b","b":"c"}), json!({"a":null}), json!({"b":"c"})),
            (json!({"a":["b"]}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"c"}), json!({"a":["b"]}), json!({"a":["b"]})),
            (
                json!({"a":{"b":"c"}}),
                json!({"a":{"b":"d","c":null}}),
                json!({"a":{"b":"d"}}),
            ),
            (json!({"a":[{"b":"c"}]}), json!({"a":[1]}), json!({"a":[1]})),
            (json!({"e":null}), json!({"a":1}), json!({"e":null,"a":1})),
            (
                json!({}),
                json!({"a":{"bb":{"ccc":null}}}),
                json!({"a":{"bb":{}}}),
            ),
        ];
        for (target, said, expected) in cases {
            assert_eq!(patch(&target, &said).unwrap(), expected, "{target} {said}");
        }
    }

    #[test]
    fn what_is_no_patch_is_refused_by_name() {
        let kept = json!({"a":"b"});
        for said in [
            json!("bar"),
            json!(null),
            json!(["c"]),
            json!(7),
            json!({"dormouse.key":null}),
        ] {
            assert_eq!(
                patch(&kept, &said).unwrap_err().code(),
                "invalid_metadata",
                "{said}"
            );
        }
        let long = json!({"long": "x".repeat(17 * 1024)});
        assert_eq!(patch(&kept, &long).unwrap_err().code(), "too_large");
        let deep = (0..8).fold(json!({}), |inner, _| json!({ "in": inner }));
        assert_eq!(patch(&kept, &deep).unwrap_err().code(), "too_large");
    }
}
