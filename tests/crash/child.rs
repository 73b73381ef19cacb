//! The process that is killed, and what it said.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child as Process, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use dormouse_tests::store::Backend;
use dormouse_tests::workload::Report;

/// A child that needs longer to open its store hangs.
const READY_MAX: Duration = Duration::from_secs(30);

/// A running child.
#[derive(Debug)]
pub(crate) struct Child {
    process: Process,
    ready: Receiver<()>,
    reader: JoinHandle<Vec<Report>>,
}

impl Child {
    pub(crate) fn start(backend: Backend, store: &Path, seed: u64) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_crash-child"))
            .arg(backend.name())
            .arg(store)
            .arg(seed.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the child starts");
        let pipe = BufReader::new(process.stdout.take().expect("standard output is a pipe"));
        let (tell, ready) = mpsc::channel();
        let reader = thread::spawn(move || {
            let lines = pipe.lines().map_while(Result::ok);
            let reports = lines.filter_map(|line| Report::parse(&line));
            reports
                .inspect(|report| {
                    if *report == Report::Ready {
                        // Nobody waits for a child that is killed early.
                        let _ = tell.send(());
                    }
                })
                .collect()
        });
        Self {
            process,
            ready,
            reader,
        }
    }

    /// Waits until it commits.
    pub(crate) fn wait_ready(&self) {
        self.ready
            .recv_timeout(READY_MAX)
            .expect("the child opens what the one before left");
    }

    /// Lets it run for so long, kills it, and returns what it said until then.
    ///
    /// Here the time itself is the thing: a random moment is what is tested.
    pub(crate) fn kill_after(mut self, alive: Duration) -> Vec<Report> {
        thread::sleep(alive);
        let ended = self.process.try_wait().expect("the child can be waited for");
        assert!(ended.is_none(), "the child ended by itself: {ended:?}");
        self.process.kill().expect("the child can be killed");
        self.process.wait().expect("the child can be waited for");
        self.reader.join().expect("the reader does not panic")
    }
}
