//! What every command knows: where it is, how it is set, and how it prints.

use std::path::PathBuf;

use axum::http::HeaderValue;
use dormouse_engine::TenantId;
use dormouse_filesystem::StoreUrl;

use crate::args::Global;
use crate::client::Server;
use crate::config::Config;
use crate::edge;
use crate::environment::Environment;
use crate::output::{self, Format, TimeStyle, Ui};
use crate::owner::store;
use crate::place::{Places, StorePlaces};
use crate::problem::{Code, Problem};

/// Where a command is, how it is set, how it prints.
#[derive(Debug, Clone)]
pub struct Context {
    /// What the process was given.
    pub environment: Environment,
    /// The settings.
    pub config: Config,
    /// The configuration file.
    pub config_file: PathBuf,
    /// The file with the key that opens the secrets.
    pub key_file: PathBuf,
    /// Every path of the store.
    pub places: StorePlaces,
    /// The server that was named, if one was.
    pub server: Option<Server>,
    /// The file with the token for that server.
    pub token_file: Option<PathBuf>,
    /// Whose tasks, runs and agents, if somebody said so.
    pub tenant: Option<TenantId>,
    /// How to print.
    pub ui: Ui,
    /// What the command line said, by which the settings are read again.
    pub global: Global,
}

impl Context {
    /// Reads settings and places. Makes nothing.
    ///
    /// # Errors
    /// What is wrong with the settings, or with where they are.
    pub fn find(global: &Global, environment: Environment, ui: Ui) -> Result<Self, Problem> {
        match Self::find_what_is_right(global, environment, ui)? {
            (context, None) => Ok(context),
            (_, Some(problem)) => Err(problem),
        }
    }

    /// The same of an owner's settings, as they are now.
    ///
    /// # Errors
    /// As [`Context::find`].
    pub fn again(&self) -> Result<Self, Problem> {
        Self::find(&self.global, self.environment.clone(), self.ui.clone())
    }

    /// The same, with what is right where something is wrong: for who asks another process, which has settings of its own.
    ///
    /// # Errors
    /// When it is not known where anything is.
    pub fn find_what_is_right(
        global: &Global,
        environment: Environment,
        ui: Ui,
    ) -> Result<(Self, Option<Problem>), Problem> {
        let places = Places::find(&environment)?;
        let named = global.config.as_deref();
        let (config, wrong) = Config::load_what_is_right(&environment, &places.config, named);
        let context = Self::of(global, environment, ui, &places, config)?;
        let wrong = wrong.or_else(|| context.check().err());
        Ok((context, wrong))
    }

    fn of(
        global: &Global,
        environment: Environment,
        ui: Ui,
        places: &Places,
        config: Config,
    ) -> Result<Self, Problem> {
        let server = match (&global.server, config.text("client.server")) {
            (Some(server), _) => Some(server.clone()),
            (None, Some(text)) => Some(
                text.parse()
                    .map_err(|why: String| Problem::new(Code::Config, format!("client.server: {why}")))?,
            ),
            (None, None) => None,
        };
        let named = global.config.as_deref().map(|path| environment.absolute(path));
        let key_file = config
            .text("secrets.key_file")
            .map_or(places.key.clone(), PathBuf::from);
        Ok(Self {
            key_file,
            config_file: named.unwrap_or_else(|| places.config.clone()),
            places: places_of(places, &config),
            token_file: global
                .token_file
                .as_deref()
                .map(|path| environment.absolute(path)),
            tenant: global.tenant.clone(),
            environment,
            config,
            server,
            ui,
            global: global.clone(),
        })
    }

    /// Settings that do not go together are refused before anything is made.
    fn check(&self) -> Result<(), Problem> {
        store::options(self)?;
        store::behaviour(self)?;
        self.check_key_file()
    }

    /// What no worker's wall opens, but for its own workspace and run folder.
    #[must_use]
    pub fn closed(&self) -> Vec<PathBuf> {
        let places = &self.places;
        [
            places.workspaces.clone(),
            places.state_root.clone(),
            places.runtime.clone(),
        ]
        .into_iter()
        .chain(places.store.clone())
        .chain([self.config_file.clone(), self.key_file.clone()])
        .collect()
    }

    /// A key beside what it opens protects nothing, and would be in each backup.
    fn check_key_file(&self) -> Result<(), Problem> {
        let places = &self.places;
        let folders = [Some(&places.data), places.store.as_ref()];
        match folders
            .into_iter()
            .flatten()
            .find(|folder| self.key_file.starts_with(folder))
        {
            None => Ok(()),
            Some(folder) => Err(Problem::new(
                Code::Config,
                format!(
                    "secrets.key_file: {} is in {}, with the store that it opens",
                    self.key_file.display(),
                    folder.display()
                ),
            )
            .hint("name a file elsewhere; without secrets.key_file it is in the configuration folder")),
        }
    }

    /// The header that says whose part of the store is meant.
    #[must_use]
    pub fn tenant_header(&self) -> Option<HeaderValue> {
        let tenant = self.tenant.as_ref()?;
        Some(
            HeaderValue::from_str(tenant.as_str())
                .expect("a tenant's name has letters, digits and three marks"),
        )
    }
}

fn places_of(places: &Places, config: &Config) -> StorePlaces {
    let url: Option<StoreUrl> = config
        .text("store.url")
        .map(|url| url.parse().expect("values are checked when they are set"));
    let schema = config.text("store.schema").unwrap_or_default();
    let data = config.text("store.path").map(std::path::Path::new);
    places.of_store(data, url.as_ref(), schema)
}

/// How to print, by the flags, the environment and what the streams are.
#[must_use]
pub fn ui(global: &Global, environment: &Environment) -> Ui {
    let (is_terminal, is_stderr_terminal) = output::terminals();
    let no_color = environment.get("NO_COLOR").is_some();
    let force = environment
        .get("CLICOLOR_FORCE")
        .is_some_and(|value| value != "0");
    let by_reader = if is_terminal {
        TimeStyle::Relative
    } else {
        TimeStyle::Iso
    };
    Ui {
        format: global.format(),
        time: global.time.unwrap_or(by_reader),
        now: edge::now(),
        // Programs get data and, where there is one, the problem; nothing between.
        is_quiet: global.quiet || global.format() != Format::Text,
        is_terminal,
        is_stderr_terminal,
        is_coloured: output::is_coloured(global.color, no_color, force, is_stderr_terminal),
        held: None,
    }
}
