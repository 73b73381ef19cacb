//! Rows of the engine's that cannot be believed: judged, mended, looked at and thrown away.

use std::sync::Arc;

use dormouse_engine::bad::{BadFound, Checked};
use dormouse_engine::worker::Boot;
use dormouse_engine::{
    Channel, CommandError, Engine, EngineOptions, Environment, HostIdentity, Principal, Random, SystemClock,
    Tenant, TenantId,
};
use dormouse_filesystem::{
    BadRow, BadRowId, BadStore, Namespace, OpenOptions, PAGE_MAX, RecordStore, Requirements, System,
};
use serde::Serialize;
use serde_json::json;

use super::alone;
use super::check::close;
use crate::api::TENANT_DEFAULT;
use crate::args::DeadLetters;
use crate::command::listing::local;
use crate::context::Context;
use crate::edge;
use crate::exit::Exit;
use crate::output::{Format, Table, Ui};
use crate::owner::store::{self, lacking, refused};
use crate::problem::{Code, Problem, Result};

/// A row that cannot be believed, and what was done.
#[derive(Debug, Serialize)]
pub(super) struct BadView {
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    kind: String,
    id: String,
    field: String,
    cause: String,
    done: &'static str,
    /// What it is called by `store dead-letters`.
    name: String,
}

impl BadView {
    fn of(found: &BadFound) -> Self {
        Self {
            tenant: found.tenant.as_ref().map(TenantId::to_string),
            kind: found.kind.clone(),
            id: found.id.clone(),
            field: found.field.clone(),
            cause: found.cause.clone(),
            done: found.fate.word(),
            name: found.name.to_string(),
        }
    }

    /// One line for people.
    pub(super) fn text(&self) -> String {
        let Self {
            kind,
            id,
            field,
            cause,
            done,
            ..
        } = self;
        format!("{kind} {id}, {field}: {cause}: {done}")
    }

    /// Whether it is where it was.
    pub(super) fn is_there(&self) -> bool {
        self.done != "dead_lettered"
    }
}

/// Judges every row.
pub(super) async fn judge(
    store: &Arc<dyn RecordStore>,
    options: &OpenOptions,
    context: &Context,
    repair: bool,
) -> Result<(u64, Vec<BadView>)> {
    let engine = engine(store, options, context).await?;
    let checked: std::result::Result<Checked, CommandError> = engine.check_records(repair).await;
    engine.close().await;
    let checked = checked.map_err(Problem::from)?;
    Ok((checked.rows, checked.bad.iter().map(BadView::of).collect()))
}

/// An engine for looking: it recovers nothing and serves nothing.
async fn engine(
    store: &Arc<dyn RecordStore>,
    options: &OpenOptions,
    context: &Context,
) -> std::result::Result<Engine, Problem> {
    let need = Requirements::volatile();
    let system = Namespace::<System>::open(Arc::clone(store), &need, options.opener()).await;
    let system = system.map_err(|error| lacking(&error, &context.places.url))?;
    let unknown =
        |what: &str, error: std::io::Error| Problem::new(Code::Internal, format!("{what}: {error}"));
    let random = Random::from_system().map_err(|error| {
        Problem::new(
            Code::Internal,
            format!("the system gives no random bytes: {error}"),
        )
    })?;
    let boot = Boot::current().map_err(|error| unknown("it is not known which boot this is", error))?;
    let environment = Environment {
        clock: Arc::new(SystemClock),
        host: HostIdentity::new(boot, std::process::id(), edge::now(), &random),
        random: Arc::new(random),
    };
    Ok(Engine::open(system, environment, EngineOptions::default()))
}

/// What is kept of a row, for people and programs.
#[derive(Debug, Serialize)]
struct KeptView {
    store: &'static str,
    name: String,
    kind: String,
    id: String,
    field: String,
    cause: String,
    bytes: u64,
    at: jiff::Timestamp,
}

impl KeptView {
    fn of(store: BadStore, row: &BadRow) -> Self {
        Self {
            store: store.word(),
            name: row.id.to_string(),
            kind: row.id.kind().to_owned(),
            id: row.of.clone(),
            field: row.field.clone(),
            cause: row.cause.clone(),
            bytes: row.bytes,
            at: row.at,
        }
    }
}

/// Lists, shows, throws away: alone with the store.
pub(super) async fn dead_letters(context: &Context, what: Option<&DeadLetters>) -> Result<Exit> {
    let url = &context.places.url;
    let tenant = context.tenant.clone();
    let tenant = tenant.unwrap_or_else(|| TENANT_DEFAULT.parse().expect("it is a name"));
    let options = store::options(context)?;
    let found = url.inspect(&options).await.map_err(|error| refused(&error))?;
    if found.format.is_none() {
        return Err(
            Problem::new(Code::NotFound, format!("there is no store at {url}"))
                .hint("store.url and store.path say where")
                .into(),
        );
    }
    let lock = alone(&context.places)?;
    let store = url.open(&options).await.map_err(|error| refused(&error))?;
    let done = match engine(&store, &options, context).await {
        Ok(engine) => {
            let done = done(&context.ui, &engine.tenant_unmade(&tenant), what).await;
            engine.close().await;
            done
        }
        Err(error) => Err(error.into()),
    };
    close(&*store).await;
    drop(lock);
    done
}

async fn done(ui: &Ui, tenant: &Tenant, what: Option<&DeadLetters>) -> Result<Exit> {
    match what {
        None | Some(DeadLetters::List) => list(ui, tenant).await,
        Some(DeadLetters::Show { name }) => show(ui, tenant, name).await,
        Some(DeadLetters::Discard { name }) => {
            let store = place(tenant, name).await.map_err(Problem::from)?;
            let by = Principal::operator("store", Channel::Cli);
            let discarded = tenant.bad.discard(&by, store, name).await;
            discarded.map_err(Problem::from)?;
            ui.note(&format!("{name} is thrown away"));
            Ok(Exit::Done)
        }
    }
}

async fn list(ui: &Ui, tenant: &Tenant) -> Result<Exit> {
    let mut rows = Vec::new();
    for store in BadStore::ALL {
        let mut after = None;
        // Ends with the last page.
        loop {
            let page = tenant
                .bad
                .list(store, after, PAGE_MAX)
                .await
                .map_err(Problem::from)?;
            rows.extend(page.rows.iter().map(|row| KeptView::of(store, row)));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
    }
    let mut table = Table::new(&["store", "name", "field", "cause", "bytes", "found"]);
    for row in &rows {
        table.rows.push(vec![
            row.store.to_owned(),
            row.name.clone(),
            row.field.clone(),
            row.cause.clone(),
            row.bytes.to_string(),
            ui.instant(row.at),
        ]);
    }
    local(ui, rows.iter().map(|row| json!(row)).collect(), &table)
}

async fn show(ui: &Ui, tenant: &Tenant, name: &BadRowId) -> Result<Exit> {
    let store = place(tenant, name).await.map_err(Problem::from)?;
    let (row, bytes) = tenant.bad.get(store, name).await.map_err(Problem::from)?;
    let view = KeptView::of(store, &row);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    match ui.format {
        Format::Json | Format::Jsonl => {
            let mut object = json!(view);
            object["base64"] = data_encoding::BASE64.encode(&bytes).into();
            ui.line(object.to_string())?;
        }
        Format::Text => ui.record(&[
            ("store", view.store.to_owned()),
            ("name", view.name),
            ("kind", view.kind),
            ("id", view.id),
            ("field", view.field),
            ("cause", view.cause),
            ("found", ui.instant(view.at)),
            ("bytes", text),
        ])?,
    }
    Ok(Exit::Done)
}

/// In which of the two it is: its kind says so, and so does looking.
async fn place(tenant: &Tenant, name: &BadRowId) -> std::result::Result<BadStore, CommandError> {
    match tenant.bad.get(BadStore::DeadLetter, name).await {
        Ok(_) => Ok(BadStore::DeadLetter),
        Err(CommandError::NotFound { .. }) => {
            tenant.bad.get(BadStore::Quarantine, name).await?;
            Ok(BadStore::Quarantine)
        }
        Err(error) => Err(error),
    }
}
