//! The worker's two streams, on ours.

use bytes::Bytes;

use crate::api::ChunkView;
use crate::command::logs::Sink;
use crate::output::visible::Cleaner;
use crate::output::{Format, Ui};
use crate::problem::{Failure, Result};

/// The worker's two streams, on ours.
pub(super) struct Streams<'a> {
    ui: &'a Ui,
    out: Cleaner,
    err: Cleaner,
    /// The offset behind what was printed.
    end: u64,
    /// Bytes that were not among what came.
    left_out: u64,
    /// Whether somebody still reads our stdout. The run goes on without: its output is kept.
    is_read: bool,
}

impl Sink for Streams<'_> {
    fn take(&mut self, chunk: &ChunkView, line: &Bytes) -> Result<()> {
        self.left_out += chunk.offset.saturating_sub(self.end);
        self.end = chunk.end();
        match self.ui.format {
            Format::Json => {}
            Format::Jsonl => {
                let printed = self.ui.line(line);
                self.printed(printed)?;
            }
            Format::Text if chunk.channel == "stderr" => self.stderr(&chunk.bytes()),
            Format::Text => self.stdout(&chunk.bytes())?,
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
            is_read: true,
        }
    }

    fn stdout(&mut self, bytes: &[u8]) -> Result<()> {
        let printed = if self.ui.is_terminal {
            self.ui.bytes(self.out.clean(bytes).as_bytes())
        } else {
            self.ui.bytes(bytes)
        };
        self.printed(printed)
    }

    fn stderr(&mut self, bytes: &[u8]) {
        if self.ui.is_stderr_terminal {
            self.ui.stderr_bytes(self.err.clean(bytes).as_bytes());
        } else {
            self.ui.stderr_bytes(bytes);
        }
    }

    fn printed(&mut self, printed: Result<()>) -> Result<()> {
        match printed {
            Err(Failure::StdoutClosed) => {
                if std::mem::take(&mut self.is_read) {
                    self.ui
                        .note("nobody reads stdout any more; the run goes on, and its output is kept");
                }
                Ok(())
            }
            printed => printed,
        }
    }

    /// The end: what was kept of characters that were not whole, and what was never seen.
    pub(super) fn finish(mut self) {
        let _ = self.ui.bytes(self.out.finish().as_bytes());
        self.ui.stderr_bytes(self.err.finish().as_bytes());
        if self.left_out > 0 {
            let left_out = self.left_out;
            self.ui.warning(&format!(
                "{left_out} bytes of output came faster than they could be kept, and are left out"
            ));
        }
    }
}
