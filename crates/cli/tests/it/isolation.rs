//! A kernel that cannot wall workers in: who looks after it is told.

use std::io::Write;
use std::sync::{Arc, Mutex};

use dormouse_cli::owner::Role;
use dormouse_engine::SystemClock;
use dormouse_engine::worker::isolation::Offered;
use dormouse_filesystem::Memory;

use crate::api::Api;

/// Where a log goes.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// With `a_worker_that_is_not_walled_in_though_it_was_wanted_is_told_by_its_event` of the engine.
#[tokio::test]
async fn a_wall_that_is_missing_is_said_by_the_log_and_by_health() {
    for (offered, is_missing) in [(Offered::Nothing, true), (Offered::Landlock { abi: 9 }, false)] {
        let log = Log::default();
        let to = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || to.clone())
            .with_ansi(false)
            .finish();
        let _logged = tracing::subscriber::set_default(subscriber);
        let store = Arc::new(Memory::new(dormouse_cli::edge::now()));
        let api = Api::on(Role::Supervisor, Arc::new(SystemClock), store, Some(offered)).await;
        let said = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        let is_said = said.contains("workers are not walled in: this kernel has no Landlock");
        assert_eq!(is_said, is_missing, "{said}");
        assert_eq!(
            said.contains("the workspaces of other agents"),
            is_missing,
            "{said}"
        );
        let health = api.get("/v1/health").await.json();
        assert_eq!(health["isolation"]["is_degraded"], is_missing, "{health:#}");
        let exposes = health["isolation"]["exposes"].as_array().unwrap();
        assert_eq!(exposes.is_empty(), !is_missing, "{health:#}");
    }
}
