//! The HTTP API: one router for the control socket and for the process that owns the store itself.
//!
//! Handlers parse, call one engine service and answer. What the engine refuses becomes a problem document in
//! `refusal`; who may ask at all is decided in `gate` before any handler runs.

mod agents;
pub(crate) mod body;
mod budgets;
mod carry;
pub(crate) mod detect;
mod events;
mod gate;
pub(crate) mod gates;
mod grants;
mod health;
mod house;
mod migrate;
mod once;
mod refusal;
mod refused_secrets;
mod runs;
mod secrets;
mod sessions;
mod sinks;
mod store;
mod stream;
mod tasks;
mod threads;
mod vault;
mod view;
mod wakes;

use axum::Router;
use axum::middleware;
use axum::response::IntoResponse;
use axum::routing::{delete, get, post, put};
use dormouse_engine::AgentName;
use dormouse_filesystem::Cursor;
use serde::Deserialize;

pub use body::{BODY_BYTES_MAX, List};
pub use carry::{EXPORT_BYTES_MAX, Existing, IMPORT_BODY_BYTES_MAX, ImportedView};
pub use events::{EventList, Gap};
pub use gate::{Caller, Guard};
pub use gates::DecidedView;
pub use health::{CapabilitiesView, HealthView, IsolationView};
pub use house::{House, TENANT_DEFAULT, WHO};
pub use migrate::MigratedView;
pub use once::{KEY, takes_key};
pub use vault::{FailedView, RekeyView};
pub use view::{
    AgentView, AttachmentView, BudgetView, ChunkView, DecisionView, EffectiveView, FormatsView, GateView,
    GrantView, MessageView, Off, QuarantinedView, RunView, SecretView, SessionView, ShownView, SinkView,
    SlotView, TaskView, ThreadView, TimerView, UsageView, VaultView, WakeView, WokenView,
};

use crate::problem::{Code, Problem};

/// Rows of a page where nobody says how many.
const PAGE_DEFAULT: usize = 100;
/// Most rows of a page.
const PAGE_MAX: usize = 1000;

/// The router.
pub fn router(house: House, guard: Guard) -> Router {
    let routes = routes().with_state(house.clone());
    let keys = once::Keys::new(house, routes.clone());
    routes
        .layer(middleware::from_fn_with_state(keys, once::once))
        .layer(middleware::from_fn_with_state(guard, gate::admit))
}

/// Every route, behind the layers.
fn routes() -> Router<House> {
    Router::new()
        .route("/v1/health", get(health::get))
        .route("/v1/agents", get(agents::list).post(agents::create))
        .route(
            "/v1/agents/{name}",
            get(agents::get).patch(agents::configure).delete(agents::remove),
        )
        .route("/v1/agents/{name}/pause", post(agents::pause))
        .route("/v1/agents/{name}/resume", post(agents::resume))
        .route("/v1/agents/{name}/wake", post(agents::wake))
        .route("/v1/wakes", get(wakes::list).post(wakes::add))
        .route("/v1/wakes/{id}", get(wakes::get).delete(wakes::cancel))
        .route("/v1/tasks", get(tasks::list).post(tasks::create))
        .route(
            "/v1/tasks/{id}",
            get(tasks::get).patch(tasks::set).delete(tasks::delete),
        )
        .route("/v1/tasks/{id}/approve", post(tasks::approve))
        .route("/v1/tasks/{id}/refuse", post(tasks::refuse))
        .route("/v1/tasks/{id}/shelve", post(tasks::shelve))
        .route("/v1/tasks/{id}/enqueue", post(tasks::enqueue))
        .route("/v1/tasks/{id}/cancel", post(tasks::cancel))
        .route("/v1/tasks/{id}/retry", post(tasks::retry))
        .route("/v1/runs", get(runs::list).post(runs::create))
        .route("/v1/runs/{id}", get(runs::get))
        .route("/v1/runs/{id}/cancel", post(runs::cancel))
        .route("/v1/runs/{id}/send", post(runs::send))
        .route("/v1/runs/{id}/log", get(runs::log))
        .route("/v1/gates", get(gates::list))
        .route("/v1/gates/decisions", post(gates::decide_many))
        .route("/v1/gates/{id}", get(gates::get).delete(gates::discard))
        .route("/v1/gates/{id}/decision", put(gates::decide))
        .route("/v1/gates/{id}/shown", post(gates::shown))
        .route("/v1/grants", get(grants::list))
        .route("/v1/grants/{id}", delete(grants::revoke))
        .route("/v1/threads", get(threads::list).post(threads::create))
        .route("/v1/threads/{id}", get(threads::get).delete(threads::delete))
        .route("/v1/threads/{id}/close", post(threads::close))
        .route("/v1/threads/{id}/summarise", post(threads::summarise))
        .route(
            "/v1/threads/{id}/messages",
            get(threads::messages).post(threads::post),
        )
        .route(
            "/v1/threads/{id}/messages/{message}",
            get(threads::message).delete(threads::delete_message),
        )
        .route("/v1/threads/{id}/messages/{message}/send", post(threads::send))
        .route(
            "/v1/threads/{id}/messages/{message}/supersede",
            post(threads::supersede),
        )
        .route(
            "/v1/threads/{id}/messages/{message}/redact",
            post(threads::redact),
        )
        .route("/v1/sessions", get(sessions::list))
        .route("/v1/sessions/{id}", get(sessions::get).patch(sessions::set))
        .route("/v1/sessions/{id}/end", post(sessions::end))
        .route("/v1/sessions/{id}/reopen", post(sessions::reopen))
        .route("/v1/secrets", get(secrets::list))
        .route("/v1/secrets/effective", get(secrets::effective))
        .route("/v1/secrets/status", get(vault::status))
        .route("/v1/secrets/slots", get(vault::slots).post(vault::add_slot))
        .route("/v1/secrets/slots/{id}", delete(vault::remove_slot))
        .route("/v1/secrets/unlock", post(vault::unlock))
        .route("/v1/secrets/lock", post(vault::lock))
        .route("/v1/secrets/rotate", post(vault::rotate))
        .route("/v1/secrets/rekey", post(vault::rekey))
        .route("/v1/secrets/export", post(carry::export))
        .route("/v1/secrets/import", post(carry::import))
        .route("/v1/secrets/migrate", post(migrate::migrate))
        .route("/v1/secrets/quarantined", get(migrate::quarantined))
        .route(
            "/v1/secrets/quarantined/{source}/{row}/place",
            post(migrate::place),
        )
        .route(
            "/v1/secrets/{scope}/{name}",
            put(secrets::put).get(secrets::get).delete(secrets::delete),
        )
        .route("/v1/budgets", get(budgets::list))
        .route("/v1/budgets/{scope}", get(budgets::get).patch(budgets::set))
        .route("/v1/budgets/{scope}/history", get(budgets::history))
        .route("/v1/events", get(events::list))
        .route("/v1/sinks", get(sinks::list))
        .route("/v1/sinks/{name}", delete(sinks::remove))
        .route("/v1/sinks/{name}/pause", post(sinks::pause))
        .route("/v1/sinks/{name}/resume", post(sinks::resume))
        .route("/v1/store/export", get(store::export))
        .route("/v1/detect", post(detect::detect))
        .fallback(async || Problem::new(Code::NoRoute, "there is no such route").into_response())
        .method_not_allowed_fallback(async || {
            Problem::new(Code::Method, "the route does not take this method").into_response()
        })
}

/// Which part of a list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Paging {
    limit: Option<usize>,
    cursor: Option<String>,
}

/// Which part of a list, of one agent or of all.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OfAgent {
    agent: Option<AgentName>,
    limit: Option<usize>,
    cursor: Option<String>,
}

impl OfAgent {
    fn parts(self) -> (Option<AgentName>, Paging) {
        let (limit, cursor) = (self.limit, self.cursor);
        (self.agent, Paging { limit, cursor })
    }
}

impl Paging {
    fn limit(&self) -> Result<usize, Problem> {
        match self.limit.unwrap_or(PAGE_DEFAULT) {
            limit @ 1..=PAGE_MAX => Ok(limit),
            limit => Err(Problem::new(
                Code::BadRequest,
                format!("limit: {limit} is out of bounds, 1 to {PAGE_MAX} are taken"),
            )),
        }
    }

    fn cursor(&self) -> Option<Cursor> {
        self.cursor.as_deref().map(Cursor::from_text)
    }
}
