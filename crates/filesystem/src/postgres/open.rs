//! Opening: the way, the server, the tables, the pool, the tasks, in that order.

use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use deadpool::managed::{Pool, QueueMode, Timeouts};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::sync::watch;
use tokio_postgres::Error;
use tokio_util::sync::CancellationToken;

use super::address::{parse, refused};
use super::failure::unreachable;
use super::hints::{self, Listening};
use super::options::PostgresOptions;
use super::schema;
use super::session::{Connector, Session};
use super::shared::Shared;
use super::sql::Sql;
use super::tls::Tls;
use super::{Postgres, committer, passfile, prune};
use crate::export::ExportSlot;
use crate::{OpenError, Watches};

/// Longest a new connection takes, its settings included.
const CREATE_MAX: Duration = Duration::from_secs(5);

pub(super) async fn open(url: &str, options: PostgresOptions) -> Result<Postgres, OpenError> {
    let connector = connector(url, &options).await?;
    let place = connector.address.place.clone();
    if let Some(fault) = options.fault() {
        return Err(refused(&place, fault));
    }
    let listener = match &options.listen_url {
        Some(url) => self::connector(url, &options).await?,
        None => connector.clone(),
    };
    let session = session(&connector).await?;
    if let Some(fault) = session.facts.fault() {
        return Err(refused(&place, &fault));
    }
    let meta = schema::migrate(&session.client, &options, &place).await?;
    drop(session);
    let listening = Listening::begin(&listener, &meta.store)
        .await
        .map_err(|error| unreachable("nobody could listen for hints", error))?;
    let shared = Arc::new(shared(connector, &options, &place, &meta.store)?);
    Ok(start(
        shared,
        listener,
        meta.store,
        options.notify_every,
        listening,
    ))
}

/// Reads the url, the password's file and the certificates.
pub(super) async fn connector(url: &str, options: &PostgresOptions) -> Result<Connector, OpenError> {
    let mut address = parse(url)?;
    if let (None, Some(path)) = (address.config.get_password(), &options.passfile)
        && let Some(password) = passfile::password(path, &address.config).await
    {
        address.config.password(password);
    }
    let (security, roots) = (address.security, options.root_certificates.clone());
    let tls = tokio::task::spawn_blocking(move || Tls::of(security, roots.as_deref()))
        .await
        .unwrap_or_else(|error| Err(error.to_string()))
        .map_err(|reason| refused(&address.place, &reason))?;
    Ok(Connector {
        address,
        tls,
        lock_timeout: options.lock_timeout,
    })
}

/// A session, or why there is none, as well as can be told.
pub(super) async fn session(connector: &Connector) -> Result<Session, OpenError> {
    let place = &connector.address.place;
    connector.session().await.map_err(|error| match refusal(&error) {
        Some(reason) => refused(place, reason),
        None => unreachable(place, error),
    })
}

/// What no further try would change.
fn refusal(error: &Error) -> Option<&'static str> {
    let code = error.code()?.code();
    match code {
        _ if code.starts_with("28") => Some("the server does not let this user in"),
        "3D000" => Some("the server has no database of this name"),
        "42501" => Some("this user may not do what a store needs"),
        _ => None,
    }
}

pub(super) fn shared(
    connector: Connector,
    options: &PostgresOptions,
    place: &str,
    store: &str,
) -> Result<Shared, OpenError> {
    let timeouts = Timeouts {
        wait: Some(options.checkout),
        create: Some(CREATE_MAX),
        recycle: None,
    };
    let pool = Pool::builder(connector)
        .max_size(options.pool)
        .timeouts(timeouts)
        .queue_mode(QueueMode::Lifo)
        .runtime(deadpool::Runtime::Tokio1)
        .build()
        .map_err(|error| OpenError::Unavailable {
            reason: "the pool of connections".to_owned(),
            source: Some(Box::new(error)),
        })?;
    Ok(Shared {
        pool,
        sql: Sql::of(&options.schema),
        queue: super::queue::Queue::default(),
        watches: Watches::default(),
        pending: hints::Pending::default(),
        place: place.to_owned(),
        store: id(store),
        exports: ExportSlot::default(),
        export_idle: options.export_idle,
        tombstones: options.tombstones,
        transactions_max: options.pool.saturating_sub(1).max(1),
        jitter: Mutex::new(StdRng::seed_from_u64(options.seed)),
        commits: AtomicU64::new(0),
        flushes: AtomicU64::new(0),
        // Others may have left some.
        leftover: AtomicUsize::new(prune::PRUNE_EVERY),
    })
}

/// An id as bytes; zeros for what is none.
fn id(hex: &str) -> [u8; 16] {
    let bytes = data_encoding::HEXLOWER.decode(hex.as_bytes()).ok();
    bytes.and_then(|bytes| bytes.try_into().ok()).unwrap_or_default()
}

/// One task commits and hints: it ends when the queue is closed and done with, and what is pending is told.
fn start(
    shared: Arc<Shared>,
    listener: Connector,
    store: String,
    notify_every: Duration,
    listening: Listening,
) -> Postgres {
    let (ended, has_ended) = watch::channel(false);
    let of_task = Arc::clone(&shared);
    let tasks = tokio::spawn(async move {
        let stop = CancellationToken::new();
        let committing = async {
            committer::commit_all(Arc::clone(&of_task)).await;
            stop.cancel();
        };
        let shared = Arc::clone(&of_task);
        let hinting = hints::run(shared, listener, store, notify_every, listening, stop.clone());
        futures::join!(committing, hinting);
        ended.send_replace(true);
    });
    Postgres {
        shared,
        has_ended,
        tasks,
    }
}
