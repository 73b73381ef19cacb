//! `/v1/config`: having the settings of this process read again, and the agents of its file kept.

use axum::extract::State;
use axum::http::StatusCode;
use dormouse_engine::agent::{AgentConfig, Keeping};
use dormouse_engine::{AgentName, Channel, CommandError, Principal, PrincipalKind};
use serde::{Deserialize, Serialize};

use super::body::{self, Json};
use super::house::{Asker, House, TENANT_DEFAULT};
use super::refusal::Answered;
use crate::config::key::Key;
use crate::config::{Config, FileAgent};
use crate::owner::live;
use crate::problem::{Code, Problem};

/// What a reload came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadedView {
    /// Settings that are others from now on.
    pub taken: Vec<TakenView>,
    /// Settings that are others in the files, and hold from the next start on.
    pub pending: Vec<PendingView>,
    /// Agents that were made or changed, since the file has them otherwise; those that were so already are not listed.
    pub agents: Vec<KeptView>,
    /// Agents that were in the file before and are not now: they stay as they are.
    pub left: Vec<AgentName>,
    /// Agents that are not as the file has them.
    pub refused: Vec<RefusedView>,
    /// What is odd and does no harm.
    pub warnings: Vec<String>,
}

/// A setting that holds from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenView {
    /// Its key.
    pub key: String,
    /// Its value; none where nobody sets it and the place decides.
    pub value: Option<String>,
}

/// A setting that waits for the next start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingView {
    /// Its key.
    pub key: String,
    /// What it is to be.
    pub value: Option<String>,
    /// What it is until then.
    pub running: Option<String>,
}

/// An agent of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptView {
    /// Its name.
    pub name: AgentName,
    /// `made` or `changed`.
    pub what: String,
}

/// An agent of the file that is not as it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedView {
    /// Its name.
    pub name: AgentName,
    /// Why.
    pub reason: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Reload {}

/// Asked again, it finds done what it did.
pub(super) async fn reload(
    State(house): State<House>,
    asker: Asker,
    Json(Reload {}): Json<Reload>,
) -> Answered {
    let reloaded = house.reload(&asker.principal).await?;
    Ok(body::json(StatusCode::OK, &reloaded))
}

impl House {
    /// Reads the settings again. What is wrong leaves all as it was, and is told in one event; else what can hold without a
    /// start holds from now on, and so do the agents of the file. It goes on whoever asked: none is taken by half.
    ///
    /// # Errors
    /// As the start of the process, with every issue; `Unavailable` of an owner that runs nothing.
    pub(crate) async fn reload(&self, by: &Principal) -> Result<ReloadedView, Problem> {
        self.supervises()?;
        let (house, by) = (self.clone(), by.clone());
        let reloaded = tokio::spawn(async move { house.reload_through(&by).await }).await;
        // What a panic said is in the log, scrubbed.
        reloaded.map_err(|_| Problem::new(Code::Internal, "the reload was not finished: see the log"))?
    }

    async fn reload_through(&self, by: &Principal) -> Result<ReloadedView, Problem> {
        let settings = self.settings()?;
        let _turn = settings.turn().await;
        let later = match settings.read_again().await {
            Ok(later) => later,
            Err(problem) => {
                self.tell_rejected(by, &problem).await;
                return Err(problem);
            }
        };
        let config = &later.config;
        let mut view = ReloadedView {
            warnings: config.warnings.clone(),
            ..ReloadedView::default()
        };
        // First what may fail: then nothing else is taken.
        view.keep(self.keep_agents(config).await?);
        settings.running(|running| {
            let is_gone = |agent: &&FileAgent| config.agents().all(|later| later.name != agent.name);
            view.left = running
                .agents()
                .filter(is_gone)
                .map(|agent| agent.name.clone())
                .collect();
            let taken = running.take_over(config);
            view.taken = taken.into_iter().map(|key| taken_view(key, config)).collect();
            let pending = running.pending(config).into_iter();
            view.pending = pending.map(|key| pending_view(key, running, config)).collect();
            self.engine().adjust(live::adjustable(running));
        });
        self.supervisor()
            .adjust(|options| live::set_workers(&later, options));
        Ok(view)
    }

    /// Keeps the agents of the file to what it says of them, in the tenant of those who name none: makes those that are not
    /// there, and leaves what it does not name. Reads no other agent.
    ///
    /// # Errors
    /// As the tenant's row; each agent has an answer of its own.
    pub(crate) async fn keep_agents(
        &self,
        config: &Config,
    ) -> Result<Vec<(AgentName, Result<Keeping, CommandError>)>, Problem> {
        let wanted = config.agents().map(|agent| {
            let change = move |config: &mut AgentConfig| agent.change.apply(config);
            (agent.name.clone(), change)
        });
        let wanted: Vec<_> = wanted.collect();
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let id = TENANT_DEFAULT.parse().expect("it is a name");
        let tenant = self.engine().tenant(&id).await?;
        let kept = tenant.agents.keep(&by_itself("config"), &wanted).await;
        Ok(wanted.into_iter().map(|(name, _)| name).zip(kept).collect())
    }

    async fn tell_rejected(&self, by: &Principal, problem: &Problem) {
        let errors = problem.errors.len().max(1);
        if let Err(error) = self.engine().tell_config_rejected(by, errors).await {
            tracing::warn!(%error, "that the settings were rejected is in no event");
        }
    }
}

/// Who does what nobody asked for by a request.
pub(crate) fn by_itself(name: &str) -> Principal {
    Principal {
        kind: PrincipalKind::System,
        name: name.to_owned(),
        channel: Channel::Engine,
    }
}

impl ReloadedView {
    /// Lists what keeping agents came to.
    pub(crate) fn keep(&mut self, kept: Vec<(AgentName, Result<Keeping, CommandError>)>) {
        for (name, kept) in kept {
            match kept {
                Ok(Keeping::Same) => {}
                Ok(kept @ (Keeping::Made | Keeping::Changed)) => self.agents.push(KeptView {
                    name,
                    what: kept.word().to_owned(),
                }),
                Err(error) => self.refused.push(RefusedView {
                    name,
                    reason: error.to_string(),
                }),
            }
        }
    }
}

fn shown(key: &Key, config: &Config) -> Option<String> {
    config.text(key.path).map(|value| key.shown(value))
}

fn taken_view(key: &Key, config: &Config) -> TakenView {
    TakenView {
        key: key.path.to_owned(),
        value: shown(key, config),
    }
}

fn pending_view(key: &Key, running: &Config, later: &Config) -> PendingView {
    PendingView {
        key: key.path.to_owned(),
        value: shown(key, later),
        running: shown(key, running),
    }
}
