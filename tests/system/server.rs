//! A PostgreSQL server for the program, and a schema of its own on it.

use dormouse_filesystem::contract::OwnSchema;
use rand::TryRng;
use rand::rngs::SysRng;

use crate::home::Home;

const VARIABLE: &str = "DORMOUSE_TEST_POSTGRES";

/// A schema that nobody else uses, removed with its holder.
#[derive(Debug)]
pub(crate) struct Schema(OwnSchema);

impl Schema {
    /// None where there is no server: it is said, and must not be where every test has to run.
    #[allow(clippy::print_stderr, reason = "a skipped test says so")]
    pub(crate) fn new() -> Option<Self> {
        let Ok(url) = std::env::var(VARIABLE) else {
            let must_be = std::env::var_os("CI").is_some_and(|value| value == "true");
            assert!(!must_be, "{VARIABLE} names no server, and CI=true");
            eprintln!("SKIPPED: {VARIABLE} names no server (cargo xtask test starts one)");
            return None;
        };
        let own = SysRng.try_next_u64().expect("the system gives random bytes");
        Some(Self(OwnSchema::new(url, own)))
    }

    /// The server's url, password and all.
    pub(crate) fn url(&self) -> &str {
        self.0.url()
    }

    /// The password in it.
    pub(crate) fn password(&self) -> String {
        let config: tokio_postgres::Config = self.url().parse().expect("it is a url");
        let password = config.get_password().expect("the server asks for a password");
        String::from_utf8(password.to_vec()).expect("it is text")
    }

    /// A machine of its own whose store this is.
    pub(crate) fn home(&self) -> Home {
        Home::new()
            .with("DORMOUSE_STORE_URL", self.url())
            .with("DORMOUSE_STORE_SCHEMA", self.0.name())
    }

    /// Runs statements on the server; `{s}` is the schema.
    pub(crate) fn execute(&self, sql: &str) {
        self.0.execute(sql);
    }
}
