//! Settings as they are written: their names, what is taken for each kind, and what may be shown of it.

use dormouse_engine::gate::{Modes, Rule, RuleEffect};
use dormouse_filesystem::{Backend, StoreUrl};

use super::intensity::intensity;
use super::key::{Key, Kind};
use super::table::TABLE;
use super::variables::variables;
use crate::bytes;
use crate::duration;

impl Key {
    /// The key of this path.
    #[must_use]
    pub fn find(path: &str) -> Option<&'static Self> {
        TABLE.iter().find(|key| key.path == path)
    }

    /// The variable that sets it: `DORMOUSE_` and the path, dots to `_`.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("DORMOUSE_{}", self.path.replace('.', "_").to_ascii_uppercase())
    }

    /// Checks a value, as it is written in a file or variable.
    ///
    /// # Errors
    /// What is wrong, with the bound; the value is shown by the caller.
    pub fn check(&self, value: &str) -> Result<(), String> {
        match self.kind {
            Kind::Path if value.starts_with('/') && !value.contains('\0') => Ok(()),
            Kind::Path => Err("not an absolute path".to_owned()),
            Kind::Server if value.starts_with("unix:/") || value.starts_with("http://") => Ok(()),
            Kind::Server => Err("not a server, unix:/PATH or http://HOST:PORT is taken".to_owned()),
            Kind::DurationOrOff(_) if value == "off" => Ok(()),
            Kind::Duration(bounds) => duration::parse(value, bounds)
                .map(drop)
                .map_err(|e| e.to_string()),
            Kind::DurationOrOff(bounds) => duration::parse(value, bounds)
                .map(drop)
                .map_err(|e| format!("{e}, or off")),
            Kind::Store => check_store(value).map(drop),
            Kind::Postgres if check_store(value)?.backend() == Backend::Postgres => Ok(()),
            Kind::Postgres => {
                Err("not the url of a server, postgres://USER@HOST/DATABASE is taken".to_owned())
            }
            Kind::Bytes(bounds) => bytes::parse(value, bounds).map(drop).map_err(|e| e.to_string()),
            Kind::Number(min, max) => check_number(value, min, max, ""),
            Kind::Percent(min, max) => match value.strip_suffix('%') {
                Some(number) => check_number(number, min, max, "%"),
                None => Err(format!("not a share, {min}% to {max}% is taken")),
            },
            Kind::Schema if is_schema(value) => Ok(()),
            Kind::Schema => Err("not a schema, [a-z_][a-z0-9_]* of at most 63 bytes is taken".to_owned()),
            Kind::Word(words) if words.contains(&value) => Ok(()),
            Kind::Word(words) => Err(format!("not one of {}", words.join(", "))),
            Kind::DurationOrNever(_) if value == "never" => Ok(()),
            Kind::DurationOrNever(bounds) => duration::parse(value, bounds)
                .map(drop)
                .map_err(|e| format!("{e}, or never")),
            Kind::Rules => rules(value).map(drop),
            Kind::Intensity => intensity(value).map(drop),
            Kind::Variables => variables(value).map(drop),
        }
    }

    /// A value as it may be shown: without a password.
    #[must_use]
    pub fn shown(&self, value: &str) -> String {
        match self.kind {
            Kind::Store | Kind::Postgres => match value.parse::<StoreUrl>() {
                Ok(url) => url.to_string(),
                Err(_) => "***".to_owned(),
            },
            Kind::Path
            | Kind::Server
            | Kind::Duration(_)
            | Kind::DurationOrOff(_)
            | Kind::Bytes(_)
            | Kind::Number(..)
            | Kind::Percent(..)
            | Kind::Schema
            | Kind::Word(_)
            | Kind::DurationOrNever(_)
            | Kind::Rules
            | Kind::Intensity
            | Kind::Variables => value.to_owned(),
        }
    }

    /// Whether a value holds a password: a file with it is nobody else's to read.
    #[must_use]
    pub fn holds_password(&self, value: &str) -> bool {
        matches!(self.kind, Kind::Store | Kind::Postgres)
            && value.parse::<StoreUrl>().is_ok_and(|url| url.has_password())
    }
}

/// `allow TOOL`, `deny TOOL`, `ask TOOL`, with commas between.
///
/// # Errors
/// What is wrong with the first that is none.
pub fn rules(value: &str) -> Result<Vec<Rule>, String> {
    let rules: Vec<Rule> = value.split(',').map(rule).collect::<Result<_, _>>()?;
    Modes::check(&rules).map_err(|why| format!("not to be had: {why}"))?;
    Ok(rules)
}

fn rule(text: &str) -> Result<Rule, String> {
    let text = text.trim();
    let (word, tool) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let effect = match word {
        "allow" => RuleEffect::Allow,
        "deny" => RuleEffect::Deny,
        "ask" => RuleEffect::Ask,
        _ => {
            return Err(format!(
                "not a rule at {text:?}, allow TOOL, deny TOOL or ask TOOL is taken"
            ));
        }
    };
    let tool = tool.trim().to_owned();
    Ok(Rule { tool, effect })
}

fn check_store(value: &str) -> Result<StoreUrl, String> {
    let url: StoreUrl = value
        .parse()
        .map_err(|why| format!("not the url of a store: {why}"))?;
    if !url.backend().is_built() {
        return Err(format!(
            "not to be had: this build has no backend {}:",
            url.backend()
        ));
    }
    if url.folder().is_some_and(|folder| !folder.is_absolute()) {
        return Err(format!("not an absolute path, {}:/PATH is taken", url.backend()));
    }
    Ok(url)
}

fn check_number(value: &str, min: u64, max: u64, unit: &str) -> Result<(), String> {
    let is_digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits {
        return Err(format!("not a whole number, {min}{unit} to {max}{unit} is taken"));
    }
    // What no 64 bits hold is out of every bounds.
    let is_within = value
        .parse()
        .is_ok_and(|number: u64| (min..=max).contains(&number));
    is_within
        .then_some(())
        .ok_or_else(|| format!("out of bounds, {min}{unit} to {max}{unit} is taken"))
}

fn is_schema(name: &str) -> bool {
    let is_first = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    name.len() <= 63
        && name.bytes().next().is_some_and(is_first)
        && name.bytes().all(|byte| is_first(byte) || byte.is_ascii_digit())
}
