//! The environment of a worker: built from nothing for every spawn, in layers that cannot replace each other.
//!
//! 1. base: what the engine sets; 2. names passed through; 3. leased secrets; 4. the profile's own.
//!
//! One name in two layers is an error, so a model cannot replace a credential; base names, and names by which code
//! is loaded, are refused above the base. Nothing of the supervisor's own environment is inherited.

mod folders;
mod names;

pub use folders::{create_folders, former_run};
pub use names::{NameClass, name_class};

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::identity::RUN_VARIABLE;

/// Where programs are looked for when the configuration names no other folders.
pub const PATH_DEFAULT: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What the base layer is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// The agent's workspace: the worker's `HOME`.
    pub workspace: PathBuf,
    /// The run's own folder; `TMPDIR` is below it.
    pub run_folder: PathBuf,
    /// The run's id.
    pub run: String,
    /// Where programs are looked for, [`PATH_DEFAULT`] if nothing else.
    pub path: String,
    /// The name of the user.
    pub user: String,
    /// The language, for example `C.UTF-8`.
    pub lang: String,
    /// The time zone, for example `UTC`.
    pub tz: String,
    /// The trace the run belongs to, where there is one.
    pub traceparent: Option<String>,
    /// Where the agent's provider programs keep their state, for agents that have one.
    pub provider_state: Option<PathBuf>,
}

/// The layers above the base.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Layers {
    /// Passed through from the supervisor, name by name.
    pub passed: BTreeMap<String, String>,
    /// Leased secrets.
    pub leased: BTreeMap<String, String>,
    /// The profile's, and the task's own.
    pub profile: BTreeMap<String, String>,
}

impl std::fmt::Debug for Layers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Layers")
            .field("passed", &self.passed.keys())
            .field("leased", &self.leased.keys())
            .field("profile", &self.profile.keys())
            .finish()
    }
}

/// The layers above the base, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layer {
    /// Passed through.
    Passed,
    /// A leased secret.
    Leased,
    /// The profile's.
    Profile,
}

impl std::fmt::Display for Layer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Passed => "the names passed through",
            Self::Leased => "the secrets of its agent",
            Self::Profile => "the profile",
        })
    }
}

/// An environment that is not built. Nothing ran. No value is in the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvError {
    /// One name in two layers.
    #[error("the variable `{name}` is set by {first} and by {second}; remove one of them")]
    Conflict {
        /// The name.
        name: String,
        /// Where first.
        first: Layer,
        /// Where again.
        second: Layer,
    },
    /// A name the engine sets itself, or one by which code is loaded.
    #[error("the variable `{name}` of {layer} is refused: {class}")]
    Refused {
        /// The name.
        name: String,
        /// Where.
        layer: Layer,
        /// Why.
        class: NameClass,
    },
    /// No name of a variable, or a value with a NUL byte.
    #[error("the variable `{name}` of {layer} is malformed: a name has no `=`, and neither has a NUL byte")]
    Malformed {
        /// The name.
        name: String,
        /// Where.
        layer: Layer,
    },
}

/// The worker's whole environment.
///
/// # Errors
/// [`EnvError`], for the first name in order of layers.
pub fn build(base: &Base, layers: &Layers) -> Result<BTreeMap<String, String>, EnvError> {
    let mut environment = base.variables();
    let mut set_by: BTreeMap<&str, Layer> = BTreeMap::new();
    let above = [
        (Layer::Passed, &layers.passed),
        (Layer::Leased, &layers.leased),
        (Layer::Profile, &layers.profile),
    ];
    for (layer, variables) in above {
        for (name, value) in variables {
            check(layer, name, value)?;
            if let Some(first) = set_by.insert(name, layer) {
                return Err(EnvError::Conflict {
                    name: name.clone(),
                    first,
                    second: layer,
                });
            }
            environment.insert(name.clone(), value.clone());
        }
    }
    Ok(environment)
}

/// Refuses a variable that has the name of a secret which its agent sees, also where that is not lent: a worker that is given
/// the one for the other would not know.
///
/// # Errors
/// [`EnvError::Conflict`], for the first of them.
pub fn apart_from_secrets(layers: &Layers, visible: &BTreeSet<String>) -> Result<(), EnvError> {
    for (layer, variables) in [(Layer::Passed, &layers.passed), (Layer::Profile, &layers.profile)] {
        if let Some(name) = variables.keys().find(|name| visible.contains(*name)) {
            let name = name.clone();
            return Err(EnvError::Conflict {
                name,
                first: Layer::Leased,
                second: layer,
            });
        }
    }
    Ok(())
}

fn check(layer: Layer, name: &str, value: &str) -> Result<(), EnvError> {
    if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
        return Err(EnvError::Malformed {
            name: name.replace('\0', "?"),
            layer,
        });
    }
    match name_class(name) {
        NameClass::Free => Ok(()),
        class @ (NameClass::Ours | NameClass::LoadsCode) => Err(EnvError::Refused {
            name: name.to_owned(),
            layer,
            class,
        }),
    }
}

impl Base {
    fn variables(&self) -> BTreeMap<String, String> {
        let mut variables = BTreeMap::from([
            ("PATH", self.path.clone()),
            ("HOME", text(&self.workspace)),
            ("TMPDIR", text(&self.run_folder.join("tmp"))),
            ("LANG", self.lang.clone()),
            ("TERM", "dumb".to_owned()),
            ("TZ", self.tz.clone()),
            ("USER", self.user.clone()),
            ("NO_COLOR", "1".to_owned()),
            ("CI", "true".to_owned()),
            (RUN_VARIABLE, self.run.clone()),
            ("DORMOUSE_RUN_DIR", text(&self.run_folder)),
            ("DORMOUSE_REPORT_FD", "3".to_owned()),
        ]);
        if let Some(traceparent) = &self.traceparent {
            variables.insert("TRACEPARENT", traceparent.clone());
        }
        if let Some(state) = &self.provider_state {
            variables.extend(PROVIDER_FOLDERS.map(|(name, folder)| (name, text(&state.join(folder)))));
        }
        variables
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }
}

/// Where provider programs keep their state, below an agent's own folder.
const PROVIDER_FOLDERS: [(&str, &str); 7] = [
    ("CLAUDE_CONFIG_DIR", "claude"),
    ("CODEX_HOME", "codex"),
    ("GEMINI_CLI_HOME", "gemini"),
    ("XDG_CONFIG_HOME", "config"),
    ("XDG_DATA_HOME", "data"),
    ("XDG_STATE_HOME", "state"),
    ("XDG_CACHE_HOME", "cache"),
];

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base() -> Base {
        Base {
            workspace: "/w".into(),
            run_folder: "/r".into(),
            run: "run_1".into(),
            path: PATH_DEFAULT.into(),
            user: "dormouse".into(),
            lang: "C.UTF-8".into(),
            tz: "UTC".into(),
            traceparent: None,
            provider_state: None,
        }
    }

    fn one(name: &str) -> BTreeMap<String, String> {
        BTreeMap::from([(name.to_owned(), "v".to_owned())])
    }

    #[test]
    fn the_base_is_the_documented_set() {
        let names: Vec<String> = build(&base(), &Layers::default()).unwrap().into_keys().collect();
        let documented =
            "CI DORMOUSE_REPORT_FD DORMOUSE_RUN DORMOUSE_RUN_DIR HOME LANG NO_COLOR PATH TERM TMPDIR TZ USER";
        assert_eq!(names.join(" "), documented);
    }

    #[test]
    fn an_agent_with_provider_state_is_told_where_it_is() {
        let base = Base {
            provider_state: Some("/s".into()),
            traceparent: Some("00-1".into()),
            ..base()
        };
        let environment = build(&base, &Layers::default()).unwrap();
        assert_eq!(environment["CODEX_HOME"], "/s/codex");
        assert_eq!(environment["TRACEPARENT"], "00-1");
    }

    /// WK-2
    #[test]
    fn names_of_the_base_and_names_that_load_code_are_refused_in_every_layer_and_any_case() {
        for name in [
            "PATH",
            "LD_PRELOAD",
            "node_options",
            "BASH_ENV",
            "Dormouse_X",
            "xdg_anything",
            "bash_func_x%%",
        ] {
            for layers in [
                Layers {
                    passed: one(name),
                    ..Layers::default()
                },
                Layers {
                    leased: one(name),
                    ..Layers::default()
                },
                Layers {
                    profile: one(name),
                    ..Layers::default()
                },
            ] {
                let refused = build(&base(), &layers);
                assert!(
                    matches!(refused, Err(EnvError::Refused { .. })),
                    "{name}: {refused:?}"
                );
            }
        }
    }

    #[test]
    fn one_name_in_two_layers_is_a_conflict() {
        let layers = Layers {
            leased: one("API_KEY"),
            profile: one("API_KEY"),
            ..Layers::default()
        };
        let name = "API_KEY".to_owned();
        let conflict = EnvError::Conflict {
            name,
            first: Layer::Leased,
            second: Layer::Profile,
        };
        assert_eq!(build(&base(), &layers), Err(conflict));
    }

    #[test]
    fn a_name_that_is_none_is_refused_and_its_value_not_shown() {
        for name in ["", "A=B", "A\0"] {
            let error = build(
                &base(),
                &Layers {
                    profile: one(name),
                    ..Layers::default()
                },
            )
            .unwrap_err();
            assert!(matches!(error, EnvError::Malformed { .. }));
        }
    }
}
