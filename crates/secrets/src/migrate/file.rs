//! The file in which rows of an older layout come: lines of JSON, a head and a row each. It is in clear, as its source was.

use std::borrow::Cow;
use std::collections::BTreeSet;

use data_encoding::BASE64;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer};

use super::{LEGACY_LAYOUT_MAX, Legacy, LegacyMeta, LegacyRow};
use crate::{Origin, Secret, SecretCategory};

/// What the head says that it is.
const FORMAT: &str = "dormouse-secrets-rows";
/// Most rows of a file.
pub const LEGACY_ROWS_MAX: usize = 10_000;

/// A file that is none: nothing is taken from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LegacyFileError {
    /// Its first line is something else.
    #[error("line 1 is no head of a file with rows of an older layout")]
    Head,
    /// A line is no row.
    #[error("line {line} is no row of an older layout")]
    Malformed {
        /// Which, from 1.
        line: usize,
    },
    /// A key is there twice.
    #[error("line {line} has the key of a line before it")]
    Twice {
        /// The second, from 1.
        line: usize,
    },
    /// It is too long.
    #[error("it has more than {max} rows")]
    TooLarge {
        /// How many it may have.
        max: usize,
    },
}

#[derive(Deserialize)]
struct Head {
    format: String,
    layout: u32,
}

/// Borrowed so that it is copied once, unless JSON spells a character of it as an escape.
#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    key: String,
    /// In base64; `null` where the source had one that it could not read.
    #[serde(borrow, deserialize_with = "said")]
    value: Option<Text<'a>>,
    #[serde(default)]
    meta: Option<Meta>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Meta {
    category: SecretCategory,
    created_at: Timestamp,
    updated_at: Timestamp,
    #[serde(default)]
    origins: Vec<Origin>,
    #[serde(default)]
    note: String,
}

impl Legacy {
    /// Reads a file: `{"format":"dormouse-secrets-rows","layout":2}`, then for each row a line with `key`, `value` in
    /// base64, and `meta`, if it has any, with `category`, `created_at`, `updated_at`, `origins`, `note`. Of a newer layout
    /// no row is read: a migration of it says so.
    ///
    /// A value that is `null` or no base64 could not be read, and its row is taken as such.
    ///
    /// # Errors
    /// [`LegacyFileError`] names the line.
    ///
    /// ```
    /// use dormouse_secrets::Legacy;
    /// let file = br#"{"format":"dormouse-secrets-rows","layout":2}
    /// {"key":"s\u0000GH_TOKEN","value":"a1I3LXdvbWJhdA=="}"#;
    /// let legacy = Legacy::read(file)?;
    /// assert_eq!(legacy.rows[0].key, b"s\0GH_TOKEN");
    /// # Ok::<(), dormouse_secrets::LegacyFileError>(())
    /// ```
    pub fn read(file: &[u8]) -> Result<Self, LegacyFileError> {
        let mut lines = file.split(|byte| *byte == b'\n').enumerate();
        let head = lines.next().map(|(_, line)| line).unwrap_or_default();
        let head: Head = serde_json::from_slice(head).map_err(|_| LegacyFileError::Head)?;
        if head.format != FORMAT {
            return Err(LegacyFileError::Head);
        }
        let mut legacy = Self {
            layout: head.layout,
            rows: Vec::new(),
        };
        if head.layout > LEGACY_LAYOUT_MAX {
            return Ok(legacy);
        }
        let mut keys = BTreeSet::new();
        for (before, line) in lines.filter(|(_, line)| !line.trim_ascii().is_empty()) {
            let number = before + 1;
            let row = row(line).ok_or(LegacyFileError::Malformed { line: number })?;
            if !keys.insert(row.key.clone()) {
                return Err(LegacyFileError::Twice { line: number });
            }
            if keys.len() > LEGACY_ROWS_MAX {
                return Err(LegacyFileError::TooLarge { max: LEGACY_ROWS_MAX });
            }
            legacy.rows.push(row);
        }
        Ok(legacy)
    }
}

/// A field that is there, though it may be `null`.
fn said<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Text<'de>>, D::Error> {
    Option::deserialize(from)
}

fn row(line: &[u8]) -> Option<LegacyRow> {
    let line: Line<'_> = serde_json::from_slice(line).ok()?;
    let value = line
        .value
        .and_then(|Text(text)| BASE64.decode(text.as_bytes()).ok());
    let meta = line.meta.map(|meta| LegacyMeta {
        category: meta.category,
        created_at: meta.created_at,
        updated_at: meta.updated_at,
        origins: meta.origins,
        note: meta.note,
    });
    Some(LegacyRow {
        key: line.key.into_bytes(),
        value: value.map(Secret::new),
        meta,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "{\"format\":\"dormouse-secrets-rows\",\"layout\":2}\n";

    fn read(rows: &str) -> Result<Legacy, LegacyFileError> {
        Legacy::read(format!("{HEAD}{rows}").as_bytes())
    }

    #[test]
    fn rows_come_with_what_is_known_of_them_and_without() {
        let time = "2025-02-03T04:05:06Z";
        let meta = format!("{{\"category\":\"system\",\"created_at\":\"{time}\",\"updated_at\":\"{time}\"}}");
        let rows = format!(
            "{{\"key\":\"OLD\",\"value\":\"b2xkIHZhbHVl\"}}\n\n{{\"key\":\"a\\u0000alice\\u0000KEY\",\"value\":null,\"meta\":{meta}}}\n\
             {{\"key\":\"LOST\",\"value\":\"no base64\"}}"
        );
        let legacy = read(&rows).expect("it is one");
        let keys: Vec<&[u8]> = legacy.rows.iter().map(|row| &row.key[..]).collect();
        assert_eq!(keys, [&b"OLD"[..], b"a\0alice\0KEY", b"LOST"]);
        let values: Vec<Option<&[u8]>> = legacy
            .rows
            .iter()
            .map(|row| row.value.as_ref().map(Secret::expose))
            .collect();
        assert_eq!(values, [Some(&b"old value"[..]), None, None]);
        let known = legacy.rows[1].meta.as_ref().expect("it has some");
        assert_eq!(
            (known.category, known.created_at.to_string().as_str()),
            (SecretCategory::System, time)
        );
        assert!(legacy.rows[0].meta.is_none());
    }

    #[test]
    fn a_value_may_be_spelled_with_escapes() {
        let legacy = read("{\"key\":\"KEY\",\"value\":\"Pz8\\/\"}").expect("it is one");
        let value = legacy.rows[0].value.as_ref().map(Secret::expose);
        assert_eq!(value, Some(&b"???"[..]));
    }

    #[test]
    fn what_is_no_file_is_told_by_its_line() {
        let good = "{\"key\":\"OLD\",\"value\":null}\n";
        for (rows, error) in [
            ("[]".to_owned(), LegacyFileError::Malformed { line: 2 }),
            (
                format!("{good}{{\"key\":\"X\"}}"),
                LegacyFileError::Malformed { line: 3 },
            ),
            (
                format!("{good}{{\"key\":\"X\",\"value\":null,\"more\":1}}"),
                LegacyFileError::Malformed { line: 3 },
            ),
            (format!("{good}\n{good}"), LegacyFileError::Twice { line: 4 }),
        ] {
            assert_eq!(read(&rows).expect_err(&rows), error);
        }
        for no_head in [
            "",
            "\n",
            "{}",
            "{\"format\":\"dormouse-secrets\",\"layout\":1}",
            good,
        ] {
            let refused = Legacy::read(no_head.as_bytes()).expect_err(no_head);
            assert_eq!(refused, LegacyFileError::Head);
        }
    }

    #[test]
    fn a_newer_layout_is_not_read_and_a_file_has_a_bound() {
        let newer = HEAD.replace(":2}", ":3}") + "what nobody can read";
        let legacy = Legacy::read(newer.as_bytes()).expect("its head is read");
        assert_eq!((legacy.layout, legacy.rows.len()), (3, 0));
        let rows: String = (0..=LEGACY_ROWS_MAX)
            .map(|number| format!("{{\"key\":\"K{number}\",\"value\":null}}\n"))
            .collect();
        let refused = read(&rows).expect_err("one row too many");
        assert_eq!(refused, LegacyFileError::TooLarge { max: LEGACY_ROWS_MAX });
    }
}
