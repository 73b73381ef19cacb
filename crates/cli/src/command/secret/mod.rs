//! `secret …`: credentials and their vault. No command prints a value.

mod carry;
mod doctor;
mod given;
mod migrate;
mod slots;
mod vault;

use dormouse_secrets::{Secret as Value, check_name};
use serde::Serialize;

pub(crate) use self::given::Given;
use self::given::Newline;
use super::listing;
use crate::api::{EffectiveView, SecretView};
use crate::args::{Secret, SecretSet, SlotChange, Which};
use crate::client::{Call, Session};
use crate::command::gate::{has_person, typed};
use crate::command::run::ensure_agent;
use crate::context::Context;
use crate::exit::Exit;
use crate::output::{Format, Ui};
use crate::problem::{Code, Problem, Result};

/// What a command needs that is in no argument, read before the store is looked for.
pub(crate) fn given(command: &Secret, ui: &Ui) -> Result<Given> {
    if let Secret::Set(set) = command {
        // Before anybody types a value for it.
        check_name(&set.which.name).map_err(Problem::from)?;
    }
    let (what, newline) = match command {
        Secret::Set(set) if set.keep_newline => ("value", Newline::Keep),
        Secret::Set(_) => ("value", Newline::Drop),
        Secret::Slots {
            change: Some(SlotChange::Add { key }),
        } if key.passphrase => return given::read_twice("passphrase", ui),
        Secret::Unlock { key, .. } if key.passphrase => ("passphrase", Newline::Drop),
        Secret::Rekey { key } if key.passphrase => ("passphrase", Newline::Drop),
        Secret::Export { passphrase: true, .. } | Secret::Import { passphrase: true, .. } => {
            ("passphrase", Newline::Drop)
        }
        Secret::Unlock { .. }
        | Secret::Export { .. }
        | Secret::Import { .. }
        | Secret::List { .. }
        | Secret::Show { .. }
        | Secret::Effective { .. }
        | Secret::Delete { .. }
        | Secret::Status
        | Secret::Lock
        | Secret::Rotate
        | Secret::Rekey { .. }
        | Secret::Slots { .. }
        | Secret::Migrate(_)
        | Secret::Quarantined
        | Secret::Place { .. }
        | Secret::Doctor => return Ok(Given::Nothing),
    };
    given::read(what, newline, ui)
}

pub(super) async fn secret(
    session: &mut Session<'_>,
    context: &Context,
    command: Secret,
    given: Option<Value>,
) -> Result<Exit> {
    let ui = &context.ui;
    match command {
        Secret::Set(set) => put(session, ui, &set, &given.expect("it was read")).await,
        Secret::List { agent, shared, page } => {
            let call = Call::get("/v1/secrets")
                .query("agent", agent)
                .query("shared", shared.then_some(true));
            let columns = [
                "ref",
                "category",
                "generation",
                "fingerprint",
                "scrubbed",
                "updated",
                "used",
                "note",
            ];
            listing::pages(session, ui, call, &page, &columns, |secret| row(secret, ui)).await
        }
        Secret::Show { which } => {
            let body = session.ask(&Call::get(which.path())).await?;
            listing::item(ui, &body, |secret| record(secret, ui))
        }
        Secret::Effective { agent } => effective(session, ui, agent.as_str()).await,
        Secret::Delete { which, force, yes } => delete(session, ui, &which, force, yes).await,
        Secret::Status => vault::status(session, ui).await,
        Secret::Unlock {
            key,
            restore_key_file,
        } => {
            let body = vault::key(context, (key.key_file, key.keyring), given.as_ref())?;
            vault::unlock(session, ui, body, restore_key_file).await
        }
        Secret::Lock => vault::lock(session, ui).await,
        Secret::Rotate => vault::rotate(session, ui).await,
        Secret::Rekey { key } => {
            let body = vault::key(context, (key.key_file, false), given.as_ref())?;
            vault::rekey(session, ui, &body).await
        }
        Secret::Slots { change: None } => slots::list(session, ui).await,
        Secret::Slots {
            change: Some(SlotChange::Add { key }),
        } => {
            let body = vault::key(context, (key.key_file, key.keyring), given.as_ref())?;
            slots::add(session, ui, &body).await
        }
        Secret::Slots {
            change: Some(SlotChange::Remove { id, yes }),
        } => slots::remove(session, ui, id, yes).await,
        Secret::Export { file, recipient, .. } => {
            carry::export(session, context, &file, &recipient, given.as_ref()).await
        }
        Secret::Import {
            file,
            identity,
            overwrite,
            keep,
            ..
        } => {
            let existing = carry::existing(overwrite, keep);
            carry::import(
                session,
                context,
                (&file, identity.as_deref()),
                given.as_ref(),
                existing,
            )
            .await
        }
        Secret::Migrate(migrate) => migrate::migrate(session, context, &migrate).await,
        Secret::Quarantined => migrate::quarantined(session, ui).await,
        Secret::Place { id, which } => migrate::place(session, ui, &id, &which).await,
        Secret::Doctor => doctor::doctor(session, context).await,
    }
}

/// The body of a put. It is written to one place and no log: a call prints no body.
#[derive(Serialize)]
struct Put<'a> {
    value: &'a str,
    category: dormouse_secrets::SecretCategory,
    note: &'a str,
    origins: &'a [dormouse_secrets::Origin],
    accept_short: bool,
}

async fn put(session: &mut Session<'_>, ui: &Ui, set: &SecretSet, value: &Value) -> Result<Exit> {
    let Some(text) = value.expose_text() else {
        return Err(
            Problem::new(Code::Invalid, "the value is no text, and only text is taken here")
                .hint("put it in base64, and let whoever uses it decode it")
                .into(),
        );
    };
    if let Some(agent) = &set.which.agent {
        ensure_agent(session, ui, agent, set.no_create).await?;
    }
    let wanted = Put {
        value: text,
        category: set.category,
        note: &set.note,
        origins: &set.origin,
        accept_short: set.accept_short,
    };
    let body = session.ask(&Call::put(set.which.path(), &wanted)).await?;
    match ui.format {
        Format::Text => {
            let put: SecretView = listing::read(&body)?;
            ui.line(format!(
                "{}\t{}\tgeneration {}",
                put.at,
                put.category.word(),
                put.generation
            ))?;
            session.deliver(ui, None).await?;
            if put.unscrubbed {
                ui.warning("its value is too short to be taken out of what workers print");
            }
        }
        Format::Json | Format::Jsonl => ui.line(&body)?,
    }
    Ok(Exit::Done)
}

async fn effective(session: &mut Session<'_>, ui: &Ui, agent: &str) -> Result<Exit> {
    let call = Call::get("/v1/secrets/effective").query("agent", Some(agent));
    let columns = ["name", "ref", "category", "usable", "shadows"];
    listing::whole(session, ui, call, &columns, |item: &EffectiveView| {
        vec![
            item.name.to_string(),
            item.at.to_string(),
            item.category
                .map_or("?", dormouse_secrets::SecretCategory::word)
                .to_owned(),
            item.usable.clone(),
            if item.shadows { "a shared one" } else { "" }.to_owned(),
        ]
    })
    .await
}

async fn delete(
    session: &mut Session<'_>,
    ui: &Ui,
    which: &Which,
    force: bool,
    is_meant: bool,
) -> Result<Exit> {
    let at = which.at();
    // One that is not there is told before anybody is asked.
    session.ask(&Call::get(which.path())).await?;
    if !is_meant {
        let name = which.name.as_str();
        // A value that is destroyed does not come back.
        let meant = Meant {
            what: "secret delete destroys",
            question: &format!("{at} and every value it had are destroyed; type {name} to delete it: "),
            word: name,
            not_done: "nothing was deleted",
        };
        meant.confirm(session, ui).await?;
    }
    let call = Call::delete(which.path()).query("force", force.then_some(true));
    session.ask(&call).await?;
    ui.note(&format!("{at} is destroyed, with every value it had"));
    Ok(Exit::Done)
}

/// What is not done before a person has typed a word.
pub(in crate::command) struct Meant<'a> {
    /// What is done, as the refusal says where nobody can be asked.
    pub(in crate::command) what: &'a str,
    pub(in crate::command) question: &'a str,
    pub(in crate::command) word: &'a str,
    /// What the refusal says where another word was typed.
    pub(in crate::command) not_done: &'a str,
}

impl Meant<'_> {
    pub(in crate::command) async fn confirm(&self, session: &mut Session<'_>, ui: &Ui) -> Result<()> {
        if !has_person(ui) {
            let problem = format!("{}, and there is no terminal to ask at", self.what);
            return Err(Problem::new(Code::Usage, problem)
                .hint("pass --yes if it is meant")
                .into());
        }
        // The person may think for long: nobody else waits for the store meanwhile.
        session.make_room().await?;
        if typed(self.question, ui).await.as_deref() != Some(self.word) {
            return Err(Problem::new(Code::Usage, self.not_done)
                .hint(format!("type {} as it is, or pass --yes", self.word))
                .into());
        }
        Ok(())
    }
}

fn row(secret: &SecretView, ui: &Ui) -> Vec<String> {
    vec![
        secret.at.to_string(),
        secret.category.word().to_owned(),
        secret.generation.to_string(),
        secret.fingerprint.clone(),
        if secret.unscrubbed {
            "unscrubbed"
        } else {
            "scrubbed"
        }
        .to_owned(),
        ui.instant(secret.updated_at),
        secret.used_on.map_or_else(String::new, |day| day.to_string()),
        secret.note.clone(),
    ]
}

fn record(secret: &SecretView, ui: &Ui) -> Vec<(&'static str, String)> {
    let mut pairs = vec![
        ("ref", secret.at.to_string()),
        ("category", secret.category.word().to_owned()),
        ("generation", secret.generation.to_string()),
        ("fingerprint", secret.fingerprint.clone()),
        (
            "scrubbed",
            if secret.unscrubbed {
                "no: its value is too short"
            } else {
                "yes"
            }
            .to_owned(),
        ),
    ];
    pairs.extend(secret.origins.iter().map(|origin| ("origin", origin.to_string())));
    if !secret.note.is_empty() {
        pairs.push(("note", secret.note.clone()));
    }
    if secret.times_known {
        pairs.push(("created", ui.instant(secret.created_at)));
        pairs.push(("updated", ui.instant(secret.updated_at)));
    }
    pairs.extend(secret.used_on.map(|day| ("used", day.to_string())));
    pairs
}
