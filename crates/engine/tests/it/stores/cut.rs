//! A process that is killed between two of its commits: its store stands still before one of them, and says so.

use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use dormouse_filesystem::wrapper::Between;
use dormouse_filesystem::{Batch, CommitError, Committed, Deadline, RecordStore, between};

/// A store that stands still before one of its commits, and with it whoever commits anything later.
pub(super) struct Cut {
    inner: Arc<dyn RecordStore>,
    /// How many may still be made; `u64::MAX` while it is not to stand still.
    left: AtomicU64,
}

impl Cut {
    /// One that does not stand still yet.
    pub(super) fn over(inner: Arc<dyn RecordStore>) -> Arc<Self> {
        let left = AtomicU64::new(u64::MAX);
        Arc::new(Self { inner, left })
    }

    /// It stands still after so many commits more.
    pub(super) fn before(&self, commits: u64) {
        self.left.store(commits, Ordering::SeqCst);
    }
}

impl fmt::Debug for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cut({:?})", self.left)
    }
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl Between for Cut {
    fn beneath(&self) -> &dyn RecordStore {
        &*self.inner
    }

    async fn commit(&self, batch: Batch, deadline: Deadline) -> Result<Committed, CommitError> {
        let less = |left: u64| match left {
            u64::MAX | 0 => None,
            left => Some(left - 1),
        };
        if self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less) == Err(0) {
            say("cut");
            std::future::pending::<()>().await;
        }
        self.inner.commit(batch, deadline).await
    }
}

between!(Cut);

/// A child of a test. It is dead when the test is over, however that ends.
#[derive(Debug)]
pub(crate) struct KilledInTheEnd(pub(crate) Child);

impl KilledInTheEnd {
    /// Kills it now, and waits for that.
    pub(crate) fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for KilledInTheEnd {
    fn drop(&mut self) {
        // It may have been killed and waited for already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a child tells its parent, who kills it then.
#[allow(clippy::print_stdout, reason = "it is how a child speaks")]
pub(super) fn say(text: &str) {
    println!("\nsaid {text}");
    std::io::stdout().flush().unwrap();
}

/// This test as a process of its own that is told something in a variable, killed when it says something: what it said.
pub(super) fn killed(test: &str, variable: &str, told: &str) -> String {
    let process = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(variable, told)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn();
    let mut process = KilledInTheEnd(process.unwrap());
    let said = said(&mut process.0);
    process.kill();
    said
}

fn said(process: &mut Child) -> String {
    let output: &mut ChildStdout = process.stdout.as_mut().unwrap();
    let lines = BufReader::new(output).lines().map(Result::unwrap);
    let mut said = lines.filter_map(|line| Some(line.strip_prefix("said ")?.to_owned()));
    said.next().expect("it says something before it ends")
}
