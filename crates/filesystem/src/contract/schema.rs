//! A schema of a PostgreSQL server, for one test.

use tokio_postgres::{Client, NoTls};

/// A schema that nobody else uses, removed with its holder. It is a name until somebody makes it.
#[derive(Debug)]
pub struct OwnSchema {
    url: String,
    name: String,
}

impl OwnSchema {
    /// On the server of this url, whose user may make schemas; `own` is a number that no other test has drawn.
    #[must_use]
    pub fn new(url: String, own: u64) -> Self {
        Self {
            url,
            name: format!("test_{own:016x}"),
        }
    }

    /// The server's url, password and all.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its name, which needs no quotes.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A connection of its own to the server.
    ///
    /// # Panics
    /// When the server lets nobody in without TLS, or does not answer.
    pub async fn client(&self) -> Client {
        let (client, connection) = tokio_postgres::connect(&self.url, NoTls)
            .await
            .expect("the test's server answers");
        tokio::spawn(connection);
        client
    }

    /// Runs a future of this schema's to its end, on a thread of its own: the caller may be on a runtime, which may be the one
    /// that ends.
    fn on_its_own(&self, work: impl AsyncFnOnce(&Self) + Send) -> std::thread::Result<()> {
        std::thread::scope(|scope| {
            let run = || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime.expect("a runtime can be built").block_on(work(self));
            };
            scope.spawn(run).join()
        })
    }

    /// Runs statements on the server; `{s}` is the schema's name. Blocks.
    ///
    /// # Panics
    /// When the server refuses them.
    pub fn execute(&self, sql: &str) {
        let sql = sql.replace("{s}", &self.name);
        let done = self.on_its_own(async |schema: &Self| {
            let client = schema.client().await;
            client.batch_execute(&sql).await.expect("the server does it");
        });
        assert!(
            done.is_ok() || std::thread::panicking(),
            "{sql} was not done in {}",
            self.name
        );
    }
}

impl Drop for OwnSchema {
    fn drop(&mut self) {
        self.execute("DROP SCHEMA IF EXISTS \"{s}\" CASCADE");
    }
}
