//! Settings: read at start and again at a reload, from the environment, a project's file, the user's file and the defaults, in
//! that order.

mod agents;
pub mod bounds;
mod check;
mod detect;
mod file;
mod intensity;
pub mod key;
mod lease;
mod retention;
pub mod table;
mod variables;
mod wakes;
mod worker;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dormouse_engine::AgentName;
use dormouse_engine::agent::Intensity;

pub use agents::FileAgent;
pub use check::rules;
pub use detect::detect_rules;
pub use file::FILE_BYTES_MAX;
use key::{Class, Key, OTHER_VARIABLES, Scope};
use table::TABLE;

use crate::bytes;
use crate::duration;
use crate::environment::Environment;
use crate::nearest::nearest;
use crate::place;
use crate::problem::{Code, FieldError, Problem};

/// The name of a project's file.
pub const PROJECT_FILE: &str = ".dormouse.toml";

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// A file, and the line.
    File(PathBuf, usize),
    /// A variable.
    Variable(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path, line) => write!(f, "{}:{line}", path.display()),
            Self::Variable(name) => f.write_str(name),
        }
    }
}

/// A value, as it was written, and where.
#[derive(Clone, PartialEq, Eq)]
pub struct Setting {
    /// The value. It may hold a password: [`Key::shown`] makes of it what people may see.
    pub value: String,
    /// Where it was set.
    pub origin: Origin,
}

/// Without the value.
impl fmt::Debug for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Setting({})", self.origin)
    }
}

/// One thing wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// Where: file and line, or variable.
    pub origin: Origin,
    /// The key's path.
    pub path: String,
    /// What is wrong, with value, bound and nearest key.
    pub message: String,
}

/// Every setting with its value.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Config {
    values: BTreeMap<&'static str, Setting>,
    /// The agents of the user's file, by name.
    agents: BTreeMap<AgentName, FileAgent>,
    /// What is odd and does no harm.
    pub warnings: Vec<String>,
}

impl Config {
    /// Reads everything that is there, and reports everything that is wrong.
    ///
    /// A file named by flag or `DORMOUSE_CONFIG` must exist; the usual one need not.
    ///
    /// # Errors
    /// One problem with every issue.
    pub fn load(environment: &Environment, usual: &Path, named: Option<&Path>) -> Result<Self, Problem> {
        let (config, wrong) = Self::load_what_is_right(environment, usual, named);
        wrong.map_or(Ok(config), Err)
    }

    /// The same, with what is right where something is wrong: for who asks another process, which has its own settings.
    #[must_use]
    pub fn load_what_is_right(
        environment: &Environment,
        usual: &Path,
        named: Option<&Path>,
    ) -> (Self, Option<Problem>) {
        let mut config = Self::default();
        let mut issues = Vec::new();
        config.take_defaults();
        let files = config.take_files(environment, usual, named, &mut issues);
        config.take_variables(environment, &mut issues);
        let wrong = match files {
            Err(problem) => Some(problem),
            Ok(()) => (!issues.is_empty()).then(|| refused(&issues)),
        };
        (config, wrong)
    }

    fn take_files(
        &mut self,
        environment: &Environment,
        usual: &Path,
        named: Option<&Path>,
        issues: &mut Vec<Issue>,
    ) -> Result<(), Problem> {
        let user = named.map_or_else(|| usual.to_owned(), |path| environment.absolute(path));
        self.take_file(&user, Scope::User, named.is_some(), issues)?;
        match project_file(environment.working_folder()) {
            Some(project) => self.take_file(&project, Scope::Project, true, issues),
            None => Ok(()),
        }
    }

    fn take_defaults(&mut self) {
        for key in TABLE {
            if let Some(default) = key.default {
                self.set(key, default.to_owned(), Origin::Default);
            }
        }
    }

    fn take_file(
        &mut self,
        path: &Path,
        by: Scope,
        required: bool,
        issues: &mut Vec<Issue>,
    ) -> Result<(), Problem> {
        let bytes = match place::read_bounded(path, FILE_BYTES_MAX, file::check_source) {
            Err(refusal) if refusal.is_missing() && !required => return Ok(()),
            read => read?,
        };
        let contents = file::parse(path, &bytes, issues);
        for found in contents.values {
            match check(&found.path, &found.value, by).and_then(|key| check_readers(key, &found.value, path))
            {
                Ok(key) => self.set(key, found.value, found.origin),
                Err(message) => issues.push(Issue {
                    origin: found.origin,
                    path: found.path,
                    message,
                }),
            }
        }
        for found in contents.agents {
            match agents::agent_of(found, by) {
                Ok(agent) => drop(self.agents.insert(agent.name.clone(), agent)),
                Err(wrong) => issues.extend(wrong),
            }
        }
        Ok(())
    }

    fn take_variables(&mut self, environment: &Environment, issues: &mut Vec<Issue>) {
        for key in TABLE {
            let variable = key.variable();
            let Some(value) = environment.get(&variable) else {
                continue;
            };
            let value = value.to_string_lossy().into_owned();
            let origin = Origin::Variable(variable);
            match check(key.path, &value, Scope::User) {
                Ok(key) => self.set(key, value, origin),
                Err(message) => issues.push(Issue {
                    origin,
                    path: key.path.to_owned(),
                    message,
                }),
            }
        }
        let known: Vec<String> = TABLE.iter().map(Key::variable).collect();
        let known: Vec<&str> = known
            .iter()
            .map(String::as_str)
            .chain(OTHER_VARIABLES.iter().copied())
            .collect();
        for name in environment
            .names("DORMOUSE_")
            .filter(|name| !known.contains(name))
        {
            let hint = nearest(name, known.iter().copied()).map(|near| format!("; the nearest is {near}"));
            self.warnings.push(format!(
                "{name} is not a variable of dormouse{}",
                hint.unwrap_or_default()
            ));
        }
    }

    fn set(&mut self, key: &'static Key, value: String, origin: Origin) {
        self.values.insert(key.path, Setting { value, origin });
    }

    /// The settings that have a value, in the table's order.
    pub fn settings(&self) -> impl Iterator<Item = (&'static Key, &Setting)> {
        TABLE
            .iter()
            .filter_map(|key| Some((key, self.values.get(key.path)?)))
    }

    /// The agents of the user's file, by name.
    pub fn agents(&self) -> impl Iterator<Item = &FileAgent> {
        self.agents.values()
    }

    /// Takes over from a later reading what holds without a start, and returns which live settings are others now.
    pub fn take_over(&mut self, later: &Self) -> Vec<&'static Key> {
        let mut changed = Vec::new();
        for key in TABLE.iter().filter(|key| key.class != Class::Restart) {
            if key.class == Class::Live && self.text(key.path) != later.text(key.path) {
                changed.push(key);
            }
            match later.values.get(key.path) {
                Some(setting) => drop(self.values.insert(key.path, setting.clone())),
                None => drop(self.values.remove(key.path)),
            }
        }
        self.agents.clone_from(&later.agents);
        changed
    }

    /// The settings that a later reading has otherwise and that hold from the next start on.
    #[must_use]
    pub fn pending(&self, later: &Self) -> Vec<&'static Key> {
        let is_other =
            |key: &&'static Key| key.class == Class::Restart && self.text(key.path) != later.text(key.path);
        TABLE.iter().filter(is_other).collect()
    }

    /// Whether a project's file or a variable says it: who is here means what is done from here.
    #[must_use]
    pub fn is_set_here(&self, path: &str) -> bool {
        match self.values.get(path).map(|setting| &setting.origin) {
            Some(Origin::File(file, _)) => file.ends_with(PROJECT_FILE),
            Some(Origin::Variable(_)) => true,
            Some(Origin::Default) | None => false,
        }
    }

    /// How many bad ends pause an agent; none is never.
    ///
    /// # Panics
    /// When the table has no default for it, which a test of the table rules out.
    #[must_use]
    pub fn intensity(&self) -> Option<Intensity> {
        let value = self.text("worker.agent_intensity").expect("it has a default");
        intensity::intensity(value).expect("values are checked when they are set")
    }

    /// `worker.pass`, name by name.
    ///
    /// # Panics
    /// When the table has no default for it, which a test of the table rules out.
    #[must_use]
    pub fn passed(&self) -> Vec<&str> {
        let value = self.text("worker.pass").expect("it has a default");
        variables::variables(value).expect("values are checked when they are set")
    }

    /// A value as text.
    #[must_use]
    pub fn text(&self, path: &str) -> Option<&str> {
        self.values.get(path).map(|setting| setting.value.as_str())
    }

    /// An amount of bytes.
    ///
    /// # Panics
    /// When the table has no such key with a default, which a test of the table rules out.
    #[must_use]
    pub fn bytes(&self, path: &str) -> u64 {
        let everything = bytes::Bounds {
            min: 0,
            max: u64::MAX,
        };
        let value = self.text(path).expect("every amount has a default");
        bytes::parse(value, everything).expect("values are checked when they are set")
    }

    /// A number, or a share of a hundred.
    ///
    /// # Panics
    /// When the table has no such key with a default, which a test of the table rules out.
    #[must_use]
    pub fn number(&self, path: &str) -> u64 {
        let value = self.text(path).expect("every number has a default");
        let digits = value.trim_end_matches('%');
        digits.parse().expect("values are checked when they are set")
    }

    /// A duration; none where it is `off`.
    ///
    /// # Panics
    /// When the table has no such key with a default, which a test of the table rules out.
    #[must_use]
    pub fn duration(&self, path: &str) -> Option<Duration> {
        let everything = duration::Bounds {
            min: Duration::ZERO,
            max: Duration::MAX,
        };
        let value = self.text(path).expect("every duration has a default");
        (value != "off")
            .then(|| duration::parse(value, everything).expect("values are checked when they are set"))
    }
}

fn check(path: &str, value: &str, by: Scope) -> Result<&'static Key, String> {
    let Some(key) = Key::find(path) else {
        let near = of_an_agent(path).or_else(|| nearest_key(path));
        let near = near.map(|near| format!("; the nearest is {near}"));
        return Err(format!("not a setting{}", near.unwrap_or_default()));
    };
    if by == Scope::Project && key.scope != Scope::Project {
        return Err(format!("not to be set in a project's file ({PROJECT_FILE})"));
    }
    key.check(value)
        .map_err(|message| format!("{:?} is {message}", key.shown(value)))?;
    Ok(key)
}

/// A password is not written where others read it.
fn check_readers(key: &'static Key, value: &str, path: &Path) -> Result<&'static Key, String> {
    use std::os::unix::fs::PermissionsExt;
    let may_be_read =
        || std::fs::metadata(path).map_or(true, |found| found.permissions().mode() & 0o077 != 0);
    if key.holds_password(value) && may_be_read() {
        return Err(format!(
            "it holds a password, and others may read the file; chmod 600 {}, or leave the password to ~/.pgpass or {}",
            path.display(),
            key.variable()
        ));
    }
    Ok(key)
}

/// What is set of agents has a table of its own, which is taken for a misspelt one.
fn of_an_agent(path: &str) -> Option<&'static str> {
    let (first, _) = path.split_once('.')?;
    nearest(first, [file::AGENTS]).map(|_| "agents.NAME.KEY")
}

/// By whole path, else by last part: a key in the wrong table is found too.
fn nearest_key(path: &str) -> Option<&'static str> {
    let paths = || TABLE.iter().map(|key| key.path);
    let last = |path: &'static str| path.rsplit('.').next().unwrap_or(path);
    let own_last = path.rsplit('.').next().unwrap_or(path);
    nearest(path, paths()).or_else(|| {
        let near = paths()
            .map(last)
            .find(|name| *name == own_last)
            .or_else(|| nearest(own_last, paths().map(last)));
        paths().find(|path| Some(last(path)) == near)
    })
}

/// The nearest project file, in the working folder or above.
fn project_file(folder: &Path) -> Option<PathBuf> {
    folder
        .ancestors()
        .map(|above| above.join(PROJECT_FILE))
        .find(|path| path.exists())
}

fn refused(issues: &[Issue]) -> Problem {
    let errors: Vec<FieldError> = issues
        .iter()
        .map(|issue| FieldError {
            path: issue.path.clone(),
            message: format!("{}: {}", issue.origin, issue.message),
        })
        .collect();
    let detail = match issues {
        [only] => format!("{}: {}: {}", only.origin, only.path, only.message),
        several => format!("the configuration has {} errors", several.len()),
    };
    Problem::new(Code::Config, detail)
        .hint("see dormouse help config for every setting")
        .errors(errors)
}
