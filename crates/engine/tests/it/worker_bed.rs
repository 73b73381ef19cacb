//! Where the worker tests run their processes: a workspace, a run folder, a keeper.

use std::path::{Path, PathBuf};
use std::time::Duration;

use dormouse_engine::command::Stdin;
use dormouse_engine::outcome::Exit;
use dormouse_engine::worker::environment::{Base, Layers, PATH_DEFAULT, build, create_folders};
use dormouse_engine::worker::isolation::{Policy, WallSpec};
use dormouse_engine::worker::{
    self, Ended, Feed, Gone, Launch, Live, LiveEvent, ProcessLimits, ProcessRow, orphans,
};
use tempfile::TempDir;

/// Everything is over long before.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Bed {
    folder: TempDir,
}

impl Bed {
    pub(crate) fn new() -> Self {
        let folder = TempDir::with_prefix("dormouse-worker-").unwrap();
        create_folders(&folder.path().join("workspace"), &folder.path().join("run")).unwrap();
        Self { folder }
    }

    pub(crate) fn workspace(&self) -> PathBuf {
        self.folder.path().join("workspace")
    }

    pub(crate) fn outside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A file of the workspace, once it is there and has an end of line.
    pub(crate) async fn written(&self, name: &str) -> String {
        let path = self.workspace().join(name);
        let read = async || loop {
            match std::fs::read_to_string(&path) {
                Ok(text) if text.ends_with('\n') => return text,
                _ => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        };
        tokio::time::timeout(PATIENCE, read())
            .await
            .expect("the worker writes its file")
    }

    pub(crate) fn launch<S: AsRef<str>>(&self, argv: &[S]) -> Launch {
        launch(self.folder.path(), argv)
    }

    pub(crate) fn sh(&self, script: &str) -> Launch {
        self.launch(&["sh", "-c", script])
    }
}

pub(crate) fn launch<S: AsRef<str>>(folder: &Path, argv: &[S]) -> Launch {
    // The folder's name is as random as a run's id, and no other test's processes bear it.
    let run = format!("run_{}", folder.file_name().unwrap().to_string_lossy());
    let (workspace, run_folder) = (folder.join("workspace"), folder.join("run"));
    let base = Base {
        workspace: workspace.clone(),
        run_folder: run_folder.clone(),
        run: run.clone(),
        path: PATH_DEFAULT.into(),
        user: "tester".into(),
        lang: "C.UTF-8".into(),
        tz: "UTC".into(),
        traceparent: None,
        provider_state: None,
    };
    Launch {
        keeper: env!("CARGO_BIN_EXE_dormouse-keeper").into(),
        run,
        argv: argv.iter().map(|a| a.as_ref().to_owned()).collect(),
        workspace,
        cwd: None,
        environment: build(&base, &Layers::default()).unwrap(),
        stdin: Stdin::Null,
        feed: Feed::Given,
        limits: ProcessLimits::default(),
        isolation: Some(Policy::Off),
        offered: None,
        wall: WallSpec {
            write: vec![run_folder],
            ..WallSpec::default()
        },
    }
}

/// Everything that was seen of a worker.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
    pub(crate) report: Vec<u8>,
    pub(crate) elided: u64,
    pub(crate) gone: Gone,
    pub(crate) row: ProcessRow,
}

impl Seen {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    pub(crate) fn exit(&self) -> Exit {
        match self.gone.ended {
            Ended::Exited { exit, .. } => exit,
            Ended::KeeperLost => panic!("the keeper was lost: {self:?}"),
        }
    }

    /// Nothing of the run lives, by descent, session or name.
    pub(crate) fn assert_nothing_is_left(&self) {
        assert_eq!(self.gone.left, 0, "{self:?}");
        assert!(!orphans::lives(&self.row).unwrap(), "{self:?}");
    }
}

pub(crate) async fn start(launch: &Launch) -> Live {
    worker::prepare(launch).await.unwrap().go().await.unwrap()
}

pub(crate) async fn run(launch: &Launch) -> Seen {
    finish(start(launch).await).await
}

/// Reads a worker to its end.
pub(crate) async fn finish(mut live: Live) -> Seen {
    let row = live.row().clone();
    let (mut stdout, mut stderr, mut report, mut elided) = (Vec::new(), Vec::new(), Vec::new(), 0);
    let to_the_end = async {
        loop {
            match live.next().await.expect("the last event is `Gone`") {
                LiveEvent::Stdout(bytes) => stdout.extend_from_slice(&bytes),
                LiveEvent::Stderr(bytes) => stderr.extend_from_slice(&bytes),
                LiveEvent::Report(bytes) => report.extend_from_slice(&bytes),
                LiveEvent::Elided { bytes, .. } => elided += bytes,
                LiveEvent::Exited(_) => {}
                LiveEvent::Gone(gone) => return gone,
            }
        }
    };
    let gone = tokio::time::timeout(PATIENCE, to_the_end)
        .await
        .expect("every worker ends");
    assert_eq!(live.next().await, None, "nothing comes after the last event");
    Seen {
        stdout,
        stderr,
        report,
        elided,
        gone,
        row,
    }
}
