//! `agent add|list|show|set|pause|resume|wake|remove`.

use std::time::Duration;

use bytes::Bytes;
use dormouse_engine::AgentName;
use dormouse_engine::agent::AgentState;
use dormouse_secrets::SecretName;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::listing;
use super::secret::Meant;
use crate::api::{AgentView, Off, TimerView, WokenView};
use crate::args::{Agent, AgentSetting};
use crate::client::{Call, Session};
use crate::context::Context;
use crate::duration;
use crate::exit::Exit;
use crate::output::{Format, Ui};
use crate::problem::{Code, Failure, Result};

/// How long it is waited for that a deleted agent is gone; after that it goes by itself.
const GONE_MAX: Duration = Duration::from_secs(10);
/// How often it is looked for meanwhile.
const GONE_LOOK: Duration = Duration::from_millis(100);
/// How often a change is tried anew of which somebody else changed the agent meanwhile.
const TRIES_MAX: usize = 5;

pub(super) async fn agent(session: &mut Session<'_>, context: &Context, command: Agent) -> Result<Exit> {
    let ui = &context.ui;
    match command {
        Agent::Add { name, settings } => {
            let mut wanted = configured(&settings);
            wanted["name"] = json!(name);
            let body = session.ask(&Call::post("/v1/agents", &wanted)).await?;
            match ui.format {
                Format::Text => ui.line(name.as_str())?,
                Format::Json | Format::Jsonl => ui.line(&body)?,
            }
            Ok(Exit::Done)
        }
        Agent::List { page } => {
            let row = |agent: &AgentView| {
                vec![
                    agent.name.to_string(),
                    agent.state.word().to_owned(),
                    ui.instant(agent.updated_at),
                ]
            };
            let columns = ["name", "state", "updated"];
            listing::pages(session, ui, Call::get("/v1/agents"), &page, &columns, row).await
        }
        Agent::Set { name, settings } => {
            let body = set(session, &name, &configured(&settings)).await?;
            listing::item(ui, &body, |agent| record(agent, ui))
        }
        Agent::Pause {
            name,
            stop_runs,
            reason,
        } => {
            let wanted = json!({ "stop_runs": stop_runs, "reason": reason });
            let body = session
                .ask(&Call::post(format!("/v1/agents/{name}/pause"), &wanted))
                .await?;
            changed(ui, &body)
        }
        Agent::Resume { name } => {
            let call = Call::post(format!("/v1/agents/{name}/resume"), &json!({}));
            changed(ui, &session.ask(&call).await?)
        }
        Agent::Wake { name } => {
            let call = Call::post(format!("/v1/agents/{name}/wake"), &json!({}));
            woken(ui, &name, &session.ask(&call).await?)
        }
        Agent::Remove { name, force, yes } => remove(session, ui, &name, force, yes).await,
        Agent::Show { name } => {
            let body = session.ask(&Call::get(format!("/v1/agents/{name}"))).await?;
            listing::item(ui, &body, |agent| record(agent, ui))
        }
    }
}

/// The body that says what is to be so.
fn configured(settings: &[AgentSetting]) -> Value {
    let mut body = json!({});
    for setting in settings {
        body[setting.field] = setting.value.clone();
    }
    body
}

/// Changes an agent as it is, and anew as it is then where somebody else was faster.
async fn set(session: &mut Session<'_>, name: &AgentName, body: &Value) -> Result<Bytes> {
    let path = format!("/v1/agents/{name}");
    // Ends with an answer, or after the last try.
    for tried in 1.. {
        let read: AgentView = listing::read(&session.ask(&Call::get(&path)).await?)?;
        let call = Call::patch(&path, body).if_match(read.version);
        match session.ask(&call).await {
            Err(Failure::Problem(problem)) if problem.is(Code::Stale) && tried < TRIES_MAX => {}
            answered => return answered,
        }
    }
    unreachable!("the last try is an answer")
}

/// Prints what an agent is by now.
fn changed(ui: &Ui, body: &Bytes) -> Result<Exit> {
    match ui.format {
        Format::Text => {
            let agent: AgentView = listing::read(body)?;
            ui.line(format!("{}\t{}", agent.name, agent.state.word()))?;
        }
        Format::Json | Format::Jsonl => ui.line(body)?,
    }
    Ok(Exit::Done)
}

/// Prints that an agent is to be looked at.
fn woken(ui: &Ui, name: &AgentName, body: &Bytes) -> Result<Exit> {
    let woken: WokenView = listing::read(body)?;
    match ui.format {
        Format::Text => {
            let how = if woken.coalesced {
                "queued already"
            } else {
                "queued"
            };
            ui.line(format!("{name}\t{how}"))?;
        }
        Format::Json | Format::Jsonl => ui.line(body)?,
    }
    if !woken.served {
        ui.note("nobody serves wakes here: it waits for dormouse serve");
    }
    Ok(Exit::Done)
}

async fn remove(
    session: &mut Session<'_>,
    ui: &Ui,
    name: &AgentName,
    force: bool,
    is_meant: bool,
) -> Result<Exit> {
    let path = format!("/v1/agents/{name}");
    // One that is not there is told before anybody is asked.
    session.ask(&Call::get(&path)).await?;
    if !is_meant {
        let meant = Meant {
            what: "agent remove deletes an agent with all that is its",
            question: &format!(
                "the tasks of {name} are cancelled, its gates and sessions end, its secrets are set aside; type {name} to delete it: "
            ),
            word: name.as_str(),
            not_done: "nothing was deleted",
        };
        meant.confirm(session, ui).await?;
    }
    let call = Call::delete(&path).query("force", force.then_some(true));
    let body = session.ask(&call).await?;
    if matches!(ui.format, Format::Json | Format::Jsonl) {
        ui.line(&body)?;
    }
    let is_gone = is_gone(session, name).await?;
    if ui.format == Format::Text {
        let state = if is_gone {
            AgentState::Deleted
        } else {
            AgentState::Deleting
        };
        ui.line(format!("{name}\t{}", state.word()))?;
    }
    if !is_gone {
        ui.note(&format!(
            "{name} is being deleted, and goes when what is at work has ended: see dormouse runs list --agent {name}"
        ));
    }
    Ok(Exit::Done)
}

/// Waits a while until there is no such agent, or another of that name.
async fn is_gone(session: &mut Session<'_>, name: &AgentName) -> Result<bool> {
    let until = Instant::now() + GONE_MAX;
    // Ends with the agent, or after GONE_MAX.
    loop {
        match session.ask(&Call::get(format!("/v1/agents/{name}"))).await {
            Err(Failure::Problem(problem)) if problem.is(Code::NotFound) => return Ok(true),
            answered => {
                let agent: AgentView = listing::read(&answered?)?;
                if agent.state != AgentState::Deleting {
                    return Ok(true);
                }
            }
        }
        if Instant::now() >= until {
            return Ok(false);
        }
        sleep(GONE_LOOK).await;
    }
}

/// The clocks that are set of it, under the keys that set them.
fn clocks(agent: &AgentView) -> impl Iterator<Item = (&'static str, String)> {
    let shown = |timer| match timer {
        TimerView::Word(Off::Off) => "off".to_owned(),
        TimerView::After(ms) => duration::show(Duration::from_millis(ms)),
    };
    let clocks = [
        ("wall_clock", agent.wall_clock_ms.map(TimerView::After)),
        ("idle_timeout", agent.idle_timeout_ms),
        ("stall_after", agent.stall_after_ms),
        ("grace", agent.grace_ms.map(TimerView::After)),
    ];
    let set = clocks.into_iter().filter_map(|(key, timer)| Some((key, timer?)));
    set.map(move |(key, timer)| (key, shown(timer)))
}

fn record(agent: &AgentView, ui: &Ui) -> Vec<(&'static str, String)> {
    let mut pairs = vec![
        ("name", agent.name.to_string()),
        ("state", agent.state.word().to_owned()),
        ("concurrency", agent.concurrency.to_string()),
    ];
    if !agent.delegates_to.is_empty() {
        let names: Vec<&str> = agent.delegates_to.iter().map(AgentName::as_str).collect();
        pairs.push(("delegates to", names.join(", ")));
    }
    if !agent.secrets.is_empty() {
        let names: Vec<&str> = agent.secrets.iter().map(SecretName::as_str).collect();
        pairs.push(("secrets", names.join(", ")));
    }
    pairs.extend(
        agent
            .scrub_formats
            .map(|formats| ("scrub.formats", formats.word().to_owned())),
    );
    pairs.extend(
        agent
            .effects
            .map(|effects| ("effects", effects.word().to_owned())),
    );
    pairs.extend(clocks(agent));
    pairs.extend(
        agent
            .paused_reason
            .clone()
            .map(|reason| ("paused because", reason)),
    );
    pairs.push(("created", ui.instant(agent.created_at)));
    pairs.push(("updated", ui.instant(agent.updated_at)));
    pairs
}
