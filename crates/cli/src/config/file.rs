//! A configuration file: what it sets, with the line of each value.

use std::borrow::Cow;
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
/// The table whose tables are agents.
pub(super) const AGENTS: &str = "agents";

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

/// A table of the file that says what is to be so of an agent.
pub(super) struct FoundAgent {
    /// Its name, as it is written.
    pub(super) name: String,
    /// Where it begins.
    pub(super) origin: Origin,
    /// What it sets, by paths within it.
    pub(super) values: Vec<Found>,
}

/// What is in a file.
#[derive(Default)]
pub(super) struct Contents {
    pub(super) values: Vec<Found>,
    pub(super) agents: Vec<FoundAgent>,
}

/// Every value of the file; what cannot be read becomes an issue.
pub(super) fn parse(path: &Path, bytes: &[u8], issues: &mut Vec<Issue>) -> Contents {
    let file = Source {
        path,
        text: &String::from_utf8_lossy(bytes),
    };
    if std::str::from_utf8(bytes).is_err() {
        issues.push(file.issue(0, String::new(), "the file is not UTF-8".to_owned()));
        return Contents::default();
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
    let mut found = Contents::default();
    for (name, value) in table.get_ref() {
        match value.get_ref() {
            DeValue::Table(agents) if name.get_ref() == AGENTS => {
                found.agents = file.agents(agents, issues);
            }
            _ => file.value(name, value, &Above::file(), &mut found.values, issues),
        }
    }
    found
}

/// The path of an agent's table.
pub(super) fn agent_path(name: &str) -> String {
    match name.contains('.') {
        true => format!("{AGENTS}.\"{name}\""),
        false => format!("{AGENTS}.{name}"),
    }
}

struct Source<'a> {
    path: &'a Path,
    text: &'a str,
}

/// Where in a file a value is.
struct Above<'a> {
    path: &'a str,
    depth: usize,
    /// Whether a list of texts is taken, as a text with commas.
    takes_lists: bool,
}

impl Above<'_> {
    fn file() -> Self {
        Self {
            path: "",
            depth: 0,
            takes_lists: false,
        }
    }

    fn below(&self, name: &str) -> String {
        match self.path {
            "" => name.to_owned(),
            above => format!("{above}.{name}"),
        }
    }
}

impl Source<'_> {
    fn agents(&self, table: &DeTable<'_>, issues: &mut Vec<Issue>) -> Vec<FoundAgent> {
        let mut found = Vec::new();
        for (name, value) in table {
            let at = name.span().start;
            let path = agent_path(name.get_ref());
            let DeValue::Table(settings) = value.get_ref() else {
                let what = "not a table of what is set of an agent".to_owned();
                issues.push(self.issue(at, path, what));
                continue;
            };
            let (mut values, first) = (Vec::new(), issues.len());
            let within = Above {
                takes_lists: true,
                ..Above::file()
            };
            for (name, value) in settings {
                self.value(name, value, &within, &mut values, issues);
            }
            for issue in &mut issues[first..] {
                issue.path = format!("{path}.{}", issue.path);
            }
            found.push(FoundAgent {
                name: name.get_ref().to_string(),
                origin: self.origin(at),
                values,
            });
        }
        found
    }

    fn value(
        &self,
        name: &Spanned<Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
        above: &Above<'_>,
        found: &mut Vec<Found>,
        issues: &mut Vec<Issue>,
    ) {
        let path = above.below(name.get_ref());
        let at = name.span().start;
        match value.get_ref() {
            DeValue::Table(table) if above.depth < DEPTH_MAX => {
                let above = Above {
                    path: &path,
                    depth: above.depth + 1,
                    ..*above
                };
                for (name, value) in table {
                    self.value(name, value, &above, found, issues);
                }
            }
            _ => match text_of(value, above.takes_lists) {
                Some(value) => found.push(Found {
                    path,
                    value,
                    origin: self.origin(at),
                }),
                None => issues.push(self.issue(at, path, "not a text, number or truth value".to_owned())),
            },
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

fn text_of(value: &Spanned<DeValue<'_>>, takes_lists: bool) -> Option<String> {
    match value.get_ref() {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Float(number) => Some(number.to_string()),
        DeValue::Boolean(truth) => Some(truth.to_string()),
        DeValue::Array(items) if takes_lists => {
            let texts = items.iter().map(|item| match item.get_ref() {
                // A comma in one of them would make two of it.
                DeValue::String(text) if !text.contains(',') => Some(text.to_string()),
                _ => None,
            });
            Some(texts.collect::<Option<Vec<_>>>()?.join(","))
        }
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}
