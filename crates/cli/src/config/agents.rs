//! The agents of the user's file: what is to be so of each, and nothing else of it.
//!
//! `[agents.NAME]` has the keys of `agent set`. Whoever serves the store makes an agent that is not there and sets what the file
//! names; what it does not name stays, and one that leaves the file stays as it is.

use dormouse_engine::AgentName;
use dormouse_engine::agent::AgentConfig;
use dormouse_engine::name::InvalidName;
use serde_json::{Map, Value};

use super::file::{Found, FoundAgent, agent_path};
use super::key::Scope;
use super::{Issue, PROJECT_FILE, Setting};
use crate::api::AgentChange;
use crate::args::agent_value;

/// An agent of the file.
#[derive(Debug, Clone, PartialEq)]
pub struct FileAgent {
    /// Its name.
    pub name: AgentName,
    /// What the file names of it, by the keys of `agent set`.
    pub settings: Vec<(String, Setting)>,
    /// What is to be so of it.
    pub(crate) change: AgentChange,
}

impl FileAgent {
    /// The path of its table in the file.
    #[must_use]
    pub fn path(&self) -> String {
        agent_path(self.name.as_str())
    }
}

/// What a table of the file says, or all that is wrong with it.
pub(super) fn agent_of(found: FoundAgent, by: Scope) -> Result<FileAgent, Vec<Issue>> {
    let path = agent_path(&found.name);
    if by == Scope::Project {
        return Err(vec![Issue {
            origin: found.origin,
            path,
            message: format!("not to be set in a project's file ({PROJECT_FILE})"),
        }]);
    }
    let (mut body, mut settings, mut issues) = (Map::new(), Vec::new(), Vec::new());
    for Found {
        path: key,
        value,
        origin,
    } in found.values
    {
        match agent_value(&key, &value) {
            Ok(setting) => {
                body.insert(setting.field.to_owned(), setting.value);
                settings.push((key, Setting { value, origin }));
            }
            Err(message) => issues.push(Issue {
                origin,
                path: format!("{path}.{key}"),
                message,
            }),
        }
    }
    let wrong = |message| Issue {
        origin: found.origin.clone(),
        path: path.clone(),
        message,
    };
    let name = found.name.parse().map_err(|error: InvalidName| error.to_string());
    let change = changed(body);
    match (name, change) {
        (Ok(name), Ok(change)) if issues.is_empty() => Ok(FileAgent {
            name,
            settings,
            change,
        }),
        (name, change) => {
            issues.extend(name.err().map(wrong));
            issues.extend(change.err().map(wrong));
            Err(issues)
        }
    }
}

/// What is to be so, if an agent can be so. What two keys say together is judged of an agent of which nothing else is set.
fn changed(body: Map<String, Value>) -> Result<AgentChange, String> {
    let change: AgentChange =
        serde_json::from_value(Value::Object(body)).expect("each value was made for its field");
    let mut config = AgentConfig::default();
    change.apply(&mut config);
    config.validate().map_err(|error| error.to_string())?;
    Ok(change)
}
