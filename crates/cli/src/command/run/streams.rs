//! The worker's two streams, on ours.

use bytes::Bytes;

use crate::api::ChunkView;
use crate::command::logs::Sink;
use crate::output::visible::Cleaner;
use crate::output::{Format, Ui};
use crate::problem::{Failure, Problem, Result};

/// The worker's two streams, on ours.
pub(super) struct Streams<'a> {
    ui: &'a Ui,
    out: Cleaner,
    err: Cleaner,
    /// The offset behind what was printed.
    end: u64,
    /// Bytes that were not among what came.
    left_out: u64,
    /// Why nothing goes to our stdout any more. The run goes on without: its output is kept.
    unprinted: Option<Failure>,
}

impl Sink for Streams<'_> {
    fn take(&mut self, chunk: &ChunkView, line: &Bytes) -> Result<()> {
        self.left_out += chunk.offset.saturating_sub(self.end);
        self.end = chunk.end();
        match self.ui.format {
            Format::Json => {}
            Format::Jsonl => self.stdout(|ui, _| ui.line(line)),
            Format::Text if chunk.channel == "stderr" => self.stderr(&chunk.bytes()),
            Format::Text => self.stdout(|ui, out| {
                let bytes = chunk.bytes();
                if ui.is_terminal {
                    ui.bytes(out.clean(&bytes).as_bytes())
                } else {
                    ui.bytes(&bytes)
                }
            }),
        }
        Ok(())
    }
}

impl<'a> Streams<'a> {
    /// Onto the streams of this process.
    pub(super) fn new(ui: &'a Ui) -> Self {
        Self {
            ui,
            out: Cleaner::default(),
            err: Cleaner::default(),
            end: 0,
            left_out: 0,
            unprinted: None,
        }
    }

    /// Prints, unless that went wrong before: after a gap the rest would mislead.
    fn stdout(&mut self, print: impl FnOnce(&Ui, &mut Cleaner) -> Result<()>) {
        if self.unprinted.is_some() {
            return;
        }
        if let Err(failure) = print(self.ui, &mut self.out) {
            let why = match &failure {
                Failure::StdoutClosed => "nobody reads stdout any more",
                Failure::Problem(_) => "stdout cannot be written any more",
            };
            self.ui
                .note(&format!("{why}; the run goes on, and its output is kept"));
            self.unprinted = Some(failure);
        }
    }

    fn stderr(&mut self, bytes: &[u8]) {
        if self.ui.is_stderr_terminal {
            self.ui.stderr_bytes(self.err.clean(bytes).as_bytes());
        } else {
            self.ui.stderr_bytes(bytes);
        }
    }

    /// The end: what was kept of characters that were not whole, and what was never seen. Gives why stdout could not
    /// be written; that nobody read it is no error.
    pub(super) fn finish(mut self) -> Option<Problem> {
        self.stdout(|ui, out| ui.bytes(out.finish().as_bytes()));
        self.ui.stderr_bytes(self.err.finish().as_bytes());
        if self.left_out > 0 {
            let left_out = self.left_out;
            self.ui.warning(&format!(
                "{left_out} bytes of output came faster than they could be kept, and are left out"
            ));
        }
        match self.unprinted {
            Some(Failure::Problem(problem)) => Some(problem),
            Some(Failure::StdoutClosed) | None => None,
        }
    }
}
