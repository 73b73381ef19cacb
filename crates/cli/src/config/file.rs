//! A configuration file: what it sets, with the line of each value.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Issue, Origin};
use crate::place::Refusal;

/// Longest configuration file, in bytes.
pub const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// Deepest table.
const DEPTH_MAX: usize = 8;

/// One value of a file.
pub(super) struct Found {
    pub(super) path: String,
    pub(super) value: String,
    pub(super) origin: Origin,
}

/// Checks what settings are read from: a regular file that only its owner may write, who is us or root.
///
/// It holds no secrets, so others may read it.
pub(super) fn check_source(path: &Path, file: &File) -> Result<(), Refusal> {
    let found = file.metadata().map_err(|source| Refusal::System {
        path: path.to_owned(),
        source,
    })?;
    if !found.is_file() {
        return Err(Refusal::Kind {
            path: path.to_owned(),
            should: "regular file",
        });
    }
    let us = rustix::process::geteuid().as_raw();
    if found.uid() != us && found.uid() != 0 {
        return Err(Refusal::Owner {
            path: path.to_owned(),
            owner: found.uid(),
            us,
        });
    }
    let mode = found.mode() & 0o7777;
    if mode & 0o022 != 0 {
        return Err(Refusal::Mode {
            path: path.to_owned(),
            mode,
            should: 0o600,
        });
    }
    Ok(())
}

/// Every value of the file; what cannot be read becomes an issue.
pub(super) fn parse(path: &Path, bytes: &[u8], issues: &mut Vec<Issue>) -> Vec<Found> {
    let file = Source {
        path,
        text: &String::from_utf8_lossy(bytes),
    };
    if std::str::from_utf8(bytes).is_err() {
        issues.push(file.issue(0, String::new(), "the file is not UTF-8".to_owned()));
        return Vec::new();
    }
    let (table, errors) = DeTable::parse_recoverable(file.text);
    for error in errors {
        let at = error.span().map_or(0, |span| span.start);
        issues.push(file.issue(
            at,
            String::new(),
            error.message().lines().collect::<Vec<_>>().join(", "),
        ));
    }
    let mut found = Vec::new();
    file.walk(table.get_ref(), "", 0, &mut found, issues);
    found
}

struct Source<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Source<'_> {
    fn walk(
        &self,
        table: &DeTable<'_>,
        above: &str,
        depth: usize,
        found: &mut Vec<Found>,
        issues: &mut Vec<Issue>,
    ) {
        for (name, value) in table {
            let path = if above.is_empty() {
                name.get_ref().to_string()
            } else {
                format!("{above}.{}", name.get_ref())
            };
            let at = name.span().start;
            match value.get_ref() {
                DeValue::Table(below) if depth < DEPTH_MAX => {
                    self.walk(below, &path, depth + 1, found, issues);
                }
                _ => match text_of(value) {
                    Some(value) => found.push(Found {
                        path,
                        value,
                        origin: self.origin(at),
                    }),
                    None => issues.push(self.issue(at, path, "not a text, number or truth value".to_owned())),
                },
            }
        }
    }

    fn origin(&self, at: usize) -> Origin {
        let before = &self.text.as_bytes()[..at.min(self.text.len())];
        Origin::File(
            self.path.to_owned(),
            1 + before.iter().filter(|byte| **byte == b'\n').count(),
        )
    }

    fn issue(&self, at: usize, path: String, message: String) -> Issue {
        Issue {
            origin: self.origin(at),
            path,
            message,
        }
    }
}

fn text_of(value: &Spanned<DeValue<'_>>) -> Option<String> {
    match value.get_ref() {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Float(number) => Some(number.to_string()),
        DeValue::Boolean(truth) => Some(truth.to_string()),
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}
