//! A connection to the server, set up for this store, and the pool of them.

use std::collections::HashMap;
use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use deadpool::managed::{self, Metrics, RecycleError, RecycleResult};
use futures::{Stream, StreamExt, stream};
use tokio::task::JoinHandle;
use tokio_postgres::config::TargetSessionAttrs;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{AsyncMessage, Client, Config, Error, NoTls, Socket, Statement};

use super::address::Address;
use super::facts::Facts;
use super::tls::Tls;

/// A transaction left open by this process is ended by the server.
const IDLE_IN_TRANSACTION: Duration = Duration::from_secs(10);

/// Only a transaction that says so writes.
const READ_ONLY: &str = "SET default_transaction_read_only = on";

/// What a connection says besides answering.
pub(super) type Messages = Pin<Box<dyn Stream<Item = Result<AsyncMessage, Error>> + Send>>;

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub(super) enum SessionError {
    /// What the server or the way to it said.
    #[error(transparent)]
    Server(#[from] Error),
    /// The server is none that may hold the store.
    #[error("{0}")]
    Unfit(String),
}

/// How sessions are made.
#[derive(Clone)]
pub(super) struct Connector {
    pub(super) address: Address,
    pub(super) tls: Tls,
    pub(super) lock_timeout: Duration,
}

/// A connection whose settings are this store's.
pub(super) struct Session {
    pub(super) client: Client,
    /// Which server it is, and which of its histories: what a transaction's number belongs to.
    pub(super) identity: Option<String>,
    pub(super) facts: Facts,
    prepared: HashMap<String, Statement>,
    driver: JoinHandle<()>,
}

/// The driver ends with its session: a connection that hangs is not waited for.
impl Drop for Session {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Session {
    /// The prepared statement of this text, prepared at its first use.
    pub(super) async fn statement(&mut self, sql: &str) -> Result<Statement, Error> {
        if let Some(statement) = self.prepared.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(sql).await?;
        self.prepared.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }
}

impl Connector {
    /// A connection to a server that takes writes, as it is.
    async fn connect(&self) -> Result<(Client, Messages), Error> {
        self.connect_by(&self.address.config).await
    }

    async fn connect_by(&self, config: &Config) -> Result<(Client, Messages), Error> {
        match &self.tls {
            Tls::Plain => connect(config, NoTls).await,
            Tls::Rustls(rustls) => connect(config, rustls.clone()).await,
        }
    }

    /// A connection to a server that takes writes, or to any other if there is none: what it says of itself tells why.
    ///
    /// Of several addresses the error is the last one's. So one that the server itself did not give says nothing of the
    /// others, and they are asked again for any that answers.
    pub(super) async fn connect_to_any(&self) -> Result<(Client, Messages), Error> {
        match self.connect().await {
            Err(error) if error.code().is_none() => {
                let mut any = self.address.config.clone();
                any.target_session_attrs(TargetSessionAttrs::Any);
                self.connect_by(&any).await.map_err(|_| error)
            }
            ended => ended,
        }
    }

    /// A session: connected, its settings made, the server looked at.
    pub(super) async fn session(&self) -> Result<Session, Error> {
        let (client, mut messages) = self.connect_to_any().await?;
        let driver = tokio::spawn(async move {
            // Ends with the connection, or with its session.
            while let Some(message) = messages.next().await {
                if let Err(error) = message {
                    tracing::debug!(%error, "a connection to the server of the store ended");
                    return;
                }
            }
        });
        let mut session = Session {
            client,
            identity: None,
            facts: Facts::default(),
            prepared: HashMap::new(),
            driver,
        };
        session.client.batch_execute(&self.settings()).await?;
        session.facts = Facts::read(&session.client).await?;
        // What is sent behind a `BEGIN` that failed stands alone: then it must not be able to write.
        session.client.batch_execute(READ_ONLY).await?;
        session.identity = identity(&session.client).await;
        Ok(session)
    }

    /// The settings, each only where the server knows it. Every statement of ours is a walk along an index: a plan
    /// made while a table was small must not become a scan of it.
    ///
    /// Whether it takes writes is read behind them as the server has it, not as a session left it from which a pooler
    /// handed the connection on.
    fn settings(&self) -> String {
        format!(
            "RESET default_transaction_read_only; SELECT set_config(name, wanted, false) FROM (VALUES \
             ('synchronous_commit', 'on'), ('lock_timeout', '{}'), ('statement_timeout', '0'), \
             ('idle_in_transaction_session_timeout', '{}'), ('plan_cache_mode', 'force_generic_plan'), \
             ('enable_seqscan', 'off'), ('enable_bitmapscan', 'off'), ('enable_hashjoin', 'off'), \
             ('enable_mergejoin', 'off'), ('jit', 'off')) AS setting (name, wanted) \
             WHERE current_setting(name, true) IS NOT NULL \
             AND NOT (name = 'synchronous_commit' AND current_setting(name) = 'remote_apply')",
            self.lock_timeout.as_millis(),
            IDLE_IN_TRANSACTION.as_millis(),
        )
    }
}

async fn connect<T>(config: &Config, tls: T) -> Result<(Client, Messages), Error>
where
    T: MakeTlsConnect<Socket>,
    T::Stream: Send + 'static,
{
    let (client, mut connection) = config.connect(tls).await?;
    let messages = stream::poll_fn(move |context| connection.poll_message(context));
    Ok((client, Box::pin(messages)))
}

/// None on an engine that cannot tell: what became of a lost commit is then unknown.
async fn identity(client: &Client) -> Option<String> {
    const WHO: &str = "SELECT (SELECT system_identifier FROM pg_control_system())::text || '/' || \
                       left(pg_walfile_name(pg_current_wal_lsn()), 8)";
    let rows = client.query(WHO, &[]).await.ok()?;
    rows.first()?.try_get(0).ok()
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connector({})", self.address.place)
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Session({} prepared)", self.prepared.len())
    }
}

impl managed::Manager for Connector {
    type Type = Session;
    type Error = SessionError;

    /// The server may be another one than at the opening: the way may lead to whoever is primary.
    async fn create(&self) -> Result<Session, SessionError> {
        let session = self.session().await?;
        match session.facts.fault() {
            None => Ok(session),
            Some(fault) => Err(SessionError::Unfit(fault)),
        }
    }

    async fn recycle(&self, session: &mut Session, _: &Metrics) -> RecycleResult<SessionError> {
        if session.client.is_closed() {
            Err(RecycleError::message("the connection is closed"))
        } else {
            Ok(())
        }
    }
}
