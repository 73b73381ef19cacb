//! pgbench, with statements prepared, on tables like the store's: what the server does for a client that only sends.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::postgres::Server;

/// The program, where `PATH` has it not.
const PROGRAM: &str = "DORMOUSE_BENCH_PGBENCH";
/// Rows, one a client.
const ROWS: usize = 256;

const TABLES: &str = "DROP SCHEMA IF EXISTS pgbench_peer CASCADE; CREATE SCHEMA pgbench_peer;
CREATE SEQUENCE pgbench_peer.version;
CREATE TABLE pgbench_peer.meta (floor bigint NOT NULL);
INSERT INTO pgbench_peer.meta VALUES (0);
CREATE TABLE pgbench_peer.record (key text COLLATE \"C\" PRIMARY KEY, version bigint NOT NULL, kind text, value bytea,
    crc bigint, removed timestamptz);
CREATE INDEX ON pgbench_peer.record (key) WHERE removed IS NULL;
CREATE TABLE pgbench_peer.entry (position bigserial PRIMARY KEY, value bytea NOT NULL, version bigint NOT NULL);";

/// What a client sends again and again.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Script {
    /// The store's own statements for one record: begin, the conditional write, commit.
    Distinct,
    /// An `UPDATE` of one row by all clients.
    OneRow,
    /// An `INSERT`.
    Insert,
}

impl Script {
    fn text(self) -> &'static str {
        // The value is made by the server: a script holds no bytes that change. 300 bytes each.
        match self {
            Self::Distinct => {
                "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
UPDATE pgbench_peer.record SET kind = 'bench', value = convert_to(rpad(:client_id::text, 300, '.'), 'UTF8'), crc = 1,
 version = greatest(nextval('pgbench_peer.version'), version + 1, (SELECT floor + 1 FROM pgbench_peer.meta))
 WHERE key = 'bench!distinct!' || :client_id AND version > 0 AND removed IS NULL
 RETURNING version, pg_current_xact_id()::text;
COMMIT;
"
            }
            Self::OneRow => {
                "UPDATE pgbench_peer.record SET version = version + 1,
 value = convert_to(rpad(version::text, 300, '.'), 'UTF8') WHERE key = 'bench!distinct!0';
"
            }
            Self::Insert => {
                "INSERT INTO pgbench_peer.entry (value, version)
 VALUES (convert_to(rpad(:client_id::text, 300, '.'), 'UTF8'), nextval('pgbench_peer.version'));
"
            }
        }
    }
}

/// The program and the server it is run on.
#[derive(Debug)]
pub(crate) struct Pgbench {
    program: PathBuf,
    url: String,
    scripts: tempfile::TempDir,
}

impl Pgbench {
    /// None is said, and its figures are left out.
    pub(crate) fn find(server: &Server) -> Option<Self> {
        let program = std::env::var_os(PROGRAM).map_or_else(|| PathBuf::from("pgbench"), PathBuf::from);
        let is_there = Command::new(&program)
            .arg("--version")
            .output()
            .is_ok_and(|output| output.status.success());
        if !is_there {
            eprintln!("SKIPPED: no pgbench; it comes with the server, or {PROGRAM} names it");
            return None;
        }
        Some(Self {
            program,
            url: server.url.clone(),
            scripts: tempfile::tempdir().expect("a folder for scripts"),
        })
    }

    pub(crate) async fn prepare(&self, client: &tokio_postgres::Client) {
        let rows = format!(
            "INSERT INTO pgbench_peer.record SELECT 'bench!distinct!' || n, 1, 'bench', ''::bytea, 1, NULL \
             FROM generate_series(0, {}) n",
            ROWS - 1
        );
        client.batch_execute(TABLES).await.expect("tables can be made");
        client.batch_execute(&rows).await.expect("rows can be made");
    }

    /// Transactions a second of so many clients.
    pub(crate) fn rate(&self, script: Script, clients: usize, time: Duration) -> f64 {
        let path = self.scripts.path().join(format!("{script:?}.sql"));
        std::fs::write(&path, script.text()).expect("a script can be written");
        // Its clock runs while it connects.
        let seconds = (time.as_secs().max(1) + clients as u64 / 64).to_string();
        let output = Command::new(&self.program)
            .args([
                "--no-vacuum",
                "--protocol=prepared",
                "--client",
                &clients.to_string(),
            ])
            .args([
                "--jobs",
                &clients.min(2).to_string(),
                "--time",
                &seconds,
                "--file",
            ])
            .arg(path)
            .arg(&self.url)
            .output()
            .expect("pgbench starts");
        let said = String::from_utf8_lossy(&output.stdout);
        let rate = said
            .lines()
            .find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok());
        rate.unwrap_or_else(|| panic!("pgbench: {}{said}", String::from_utf8_lossy(&output.stderr)))
    }
}
