//! Owning a store: the lock, the control token, the control socket, and who may speak through it.

mod clocks;
mod keys;
pub mod lock;
pub mod peer;
pub mod phase;
mod serve;
pub mod socket;
pub(crate) mod store;
pub mod token;

use std::sync::Arc;
use std::time::Duration;

use dormouse_engine::Engine;
use dormouse_engine::recovery::Recovery;
use dormouse_engine::relay::Sink;
use dormouse_engine::run::OutcomeKind;
use dormouse_filesystem::{Backend, Deadline, Store};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::api::{self, Guard, House};
use crate::client::Client;
use crate::config;
use crate::context::Context;
use crate::edge;
use crate::output::Ui;
use crate::problem::{Code, Problem};

pub use self::keys::Keys;
use self::lock::OwnerLock;
use self::phase::Phase;
use self::token::ControlToken;

/// A store on a server has no one owner who could tell whose descendant a command is: it tells itself.
fn refuse_a_worker(backend: Backend) -> Result<(), Problem> {
    if backend != Backend::Postgres || !peer::is_below_a_keeper() {
        return Ok(());
    }
    Err(Problem::new(
        Code::Forbidden,
        "this is a worker's process, and a worker does not open the store",
    )
    .hint("ask a person with dormouse gate request; what a worker prints and its exit code are its report"))
}

/// How often what is over of secrets is taken away.
const VAULT_KEPT_EVERY: Duration = Duration::from_secs(60 * 60);
/// How long closing the store may take.
const CLOSE_MAX: Duration = Duration::from_secs(10);

/// What an owner is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It reads and writes rows, and leaves at once.
    Visitor,
    /// It runs what it is asked to run.
    Supervisor,
}

/// The owner of a store: it holds the lock, and answers on the control socket until it is closed.
#[derive(Debug)]
pub struct Owner {
    house: House,
    client: Client,
    store: Store,
    phase: watch::Sender<Phase>,
    server: JoinHandle<()>,
    /// Serves what is due: gates that expire, sessions that become idle; and clears away what is old.
    due: JoinHandle<()>,
    // Last: freed when everything else is over.
    lock: OwnerLock,
}

impl Owner {
    /// Opens the store, ends what a former owner left running, and serves the control socket.
    ///
    /// # Errors
    /// When the store cannot be opened or the socket not bound.
    pub async fn open(context: &Context, lock: OwnerLock, role: Role) -> Result<Self, Problem> {
        let places = &context.places;
        refuse_a_worker(places.url.backend())?;
        let token = ControlToken::ensure(&places.token)?;
        tracing::debug!("owning: opening the store");
        let (engine, keys, recovery) = store::open(context, &lock, &token, role).await?;
        tell(&recovery, &context.ui);
        let store = engine.system().store().clone();
        let (phase, seen) = watch::channel(Phase::Starting);
        let supervisor = store::supervisor(&engine, context)?;
        if let Err(error) = supervisor.sweep_folders().await {
            tracing::warn!(%error, "the folders of former runs were not removed");
        }
        let sinks = store::sinks(context);
        let due = tokio::spawn(serve_due(engine.clone(), role, sinks, seen.clone()));
        let backend = places.url.backend();
        let rules = config::detect_rules(&context.config);
        let house = House::new(engine, supervisor, role, seen.clone(), backend, keys, rules);
        let router = api::router(
            house.clone(),
            Guard {
                token,
                phase: seen.clone(),
            },
        );
        let (listener, file) = socket::bind(&places.socket, edge::random_number()?)?;
        phase.send_replace(Phase::Serving);
        let server = serve::serve(listener, file, router.clone(), seen)?;
        let client = Client::in_process(router, context.tenant_header());
        tracing::debug!("owning: serving");
        Ok(Self {
            house,
            client,
            store,
            phase,
            server,
            due,
            lock,
        })
    }

    /// A client of this process.
    #[must_use]
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// What the handlers work with.
    pub(crate) fn house(&self) -> &House {
        &self.house
    }

    /// Leaves: runs are stopped, streams ended, requests finished, the store closed, the lock freed, in this order.
    ///
    /// # Errors
    /// What could not be flushed in time.
    pub async fn close(self) -> Result<(), Problem> {
        let Self {
            house,
            client,
            store,
            phase,
            server,
            due,
            lock,
        } = self;
        tracing::debug!("leaving: stopping runs");
        house.stop().await;
        tracing::debug!("leaving: draining");
        phase.send_replace(Phase::Draining);
        // Both end by their own bounds. A panic of theirs is ours, and was printed.
        let _ = server.await;
        let _ = due.await;
        house.settle_rest().await;
        house.rest().await;
        tracing::debug!("leaving: closing the store");
        let closed = store.close(Deadline::after(CLOSE_MAX)).await;
        // The store has a lock of its own, which goes with its last handle: ours is freed after it, or the next owner
        // would find the store in use.
        drop((house, client, store));
        drop(lock);
        tracing::debug!("left");
        closed.map_err(|error| {
            Problem::new(
                Code::Unknown,
                format!("the store was not closed in time: {error}"),
            )
            .hint("look with dormouse runs list; what was acknowledged is durable")
        })
    }
}

/// Serves deadlines, clears away what is old and sends events where they are to go, until the owner leaves; one that is
/// gone at once leaves it all to the next.
async fn serve_due(engine: Engine, role: Role, sinks: Vec<Arc<dyn Sink>>, phase: watch::Receiver<Phase>) {
    if role == Role::Supervisor {
        let due = kept(&engine, "due", &phase, |engine, leaving| async move {
            engine.serve_due(leaving).await;
        });
        let janitor = kept(&engine, "janitor", &phase, |engine, leaving| async move {
            engine.serve_janitor(leaving).await;
        });
        let settling = kept(&engine, "settlements", &phase, |engine, leaving| async move {
            engine.serve_settlements(leaving).await;
        });
        let retention = kept(&engine, "retention", &phase, |engine, leaving| async move {
            engine.serve_retention(leaving).await;
        });
        let relay = kept(&engine, "relay", &phase, move |engine, leaving| {
            let sinks = sinks.clone();
            async move { engine.serve_relay(sinks, leaving).await }
        });
        let vault = kept(&engine, "vault", &phase, keep_vault);
        let used = kept(&engine, "used", &phase, |engine, leaving| async move {
            engine.serve_used(leaving).await;
        });
        tokio::join!(due, janitor, settling, retention, relay, vault, used);
    }
}

/// The end of an owner, as a loop of its engine waits for it.
type Leaving = futures::future::BoxFuture<'static, ()>;

/// One of the engine's loops, until the owner leaves. One that panics is begun again, a few times.
async fn kept<F, Fut>(engine: &Engine, name: &'static str, phase: &watch::Receiver<Phase>, serve: F)
where
    F: Fn(Engine, Leaving) -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    let begin = || {
        let mut phase = phase.clone();
        let leaving: Leaving = Box::pin(async move { phase::is_draining(&mut phase).await });
        serve(engine.clone(), leaving)
    };
    engine.keep(name, begin).await;
}

/// Takes away what is over of secrets, now and each hour, until the owner leaves.
async fn keep_vault(engine: Engine, mut leaving: Leaving) {
    // Ends when the owner drains.
    loop {
        if let Err(error) = engine.keep_vault().await {
            tracing::warn!(%error, "what is over of secrets was not taken away; it is tried again in an hour");
        }
        tokio::select! {
            () = &mut leaving => return,
            () = tokio::time::sleep(VAULT_KEPT_EVERY) => {}
        }
    }
}

/// What recovery did concerns whoever reads the next line.
fn tell(recovery: &Recovery, ui: &Ui) {
    for ended in &recovery.ended {
        let run = ended.finished.run.id;
        let how = OutcomeKind::of(&ended.finished.outcome.outcome).word();
        ui.note(&format!(
            "recovered: run {run} ended as {how} when its former owner vanished; see dormouse runs show {run}"
        ));
    }
    for (_, agent) in &recovery.removed {
        ui.note(&format!(
            "recovered: agent {agent} is gone; its deletion was cut when its former owner vanished"
        ));
    }
    for left in &recovery.left {
        ui.warning(&format!(
            "{} could not be recovered: {:?}",
            left.subject, left.why
        ));
    }
}
