//! A bench from its command line to its last table.

use std::path::Path;
use std::process::ExitCode;

use super::{Arguments, Figure, Heading, Machine, Report};

/// What a bench is called, and what it needs to say so.
#[derive(Debug, Clone, Copy)]
pub struct Bench {
    /// The name of its tables and plot.
    pub name: &'static str,
    /// What its legend begins with; empty or ending with `; `.
    pub legend: &'static str,
    /// `CARGO_TARGET_TMPDIR` of the bench. It is measured there, and not in a temporary folder: that may be memory.
    pub target_tmpdir: &'static str,
    /// Its sections.
    pub sections: &'static [Heading],
}

impl Bench {
    /// Does what the words ask for: measures each section in an empty folder, prints it, and keeps all of it.
    pub fn run(
        self,
        words: &[String],
        flushes: impl FnOnce(&Path) -> f64,
        measure: impl AsyncFn(&Path, &Arguments, Heading) -> Vec<Figure>,
    ) -> ExitCode {
        match Arguments::parse(words, self.sections) {
            Ok(asked) => {
                runtime().block_on(self.measure(&asked, flushes, measure));
                ExitCode::SUCCESS
            }
            Err(error) => {
                eprintln!("error: {error}");
                ExitCode::FAILURE
            }
        }
    }

    async fn measure(
        self,
        asked: &Arguments,
        flushes: impl FnOnce(&Path) -> f64,
        measure: impl AsyncFn(&Path, &Arguments, Heading) -> Vec<Figure>,
    ) {
        let folder = tempfile::Builder::new()
            .prefix("bench-")
            .tempdir_in(self.target_tmpdir)
            .expect("the target folder can be written");
        let machine = Machine::of(folder.path(), flushes(folder.path()));
        let mut report = Report::begin(machine, asked.form, asked.rounds(), self.legend);
        for heading in &asked.sections {
            eprintln!("{}", heading.title);
            report.section(*heading, measure(folder.path(), asked, *heading).await);
        }
        report.keep(self.name, self.target_tmpdir);
    }
}

/// What a bench runs on: a thread a core.
#[must_use]
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime starts")
}
