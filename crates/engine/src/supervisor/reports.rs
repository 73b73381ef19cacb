//! What a worker says on its report channel, while it runs: parts of its work, checkpoints, its result, a block.

use std::sync::Arc;
use std::time::Duration;

use dormouse_secrets::{Scrubbed, Scrubber};
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::attempt::Parts;
use super::heart::insist;
use crate::CommandError;
use crate::block::Met;
use crate::outcome::{OUTCOME_TEXT_MAX, ReportFacts};
use crate::worker::lines::{Line, Lines};
use crate::worker::report::{BlockReport, REPORT_LINE_MAX, Reported, parse};

/// Longest name of a part of the work, in bytes.
const SEGMENT_MAX: usize = 256;
/// How long the end of a run waits for its last checkpoint.
const SAVE_MAX: Duration = Duration::from_secs(10);
/// The least time between two checkpoints that are written.
const SAVE_EVERY: Duration = Duration::from_secs(1);

/// A report channel that is being read. Lines are framed as they come, and what is kept of one is scrubbed decoded: what is
/// cut is not kept.
pub(super) struct Reports {
    parts: Arc<Parts>,
    lines: Lines,
    said: Said,
    /// The last checkpoint; those before it that were not written yet need not be.
    save: watch::Sender<Option<Scrubbed>>,
    saver: AbortOnDropHandle<()>,
}

/// What was said by now.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// Parts that were completed; none when nothing was said of parts.
    pub(super) completed: Option<u32>,
    /// The part that goes on.
    pub(super) current: Option<Scrubbed>,
    /// The result.
    pub(super) result: Option<Scrubbed>,
    partial: Option<Scrubbed>,
    bad_lines: u64,
    lines: u64,
}

impl Said {
    /// The result, else what there is to show.
    pub(super) fn text(&self) -> Option<&Scrubbed> {
        self.result.as_ref().or(self.partial.as_ref())
    }

    /// What is kept of it beside the outcome; nothing where nothing was said.
    pub(super) fn facts(&self, exit_code: Option<i32>, has_text: bool) -> Option<ReportFacts> {
        (self.lines > 0).then(|| ReportFacts {
            bad_lines: self.bad_lines,
            exit_mismatch: self.result.is_some() && exit_code.is_some_and(|code| code != 0),
            text: self.text().filter(|_| !has_text).cloned(),
        })
    }
}

impl Reports {
    pub(super) fn new(parts: &Arc<Parts>) -> Self {
        let (save, saves) = watch::channel(None);
        Self {
            parts: Arc::clone(parts),
            lines: Lines::with_max(REPORT_LINE_MAX),
            said: Said::default(),
            save,
            saver: AbortOnDropHandle::new(tokio::spawn(write(Arc::clone(parts), saves))),
        }
    }

    /// More of the channel.
    pub(super) fn hear(&mut self, bytes: &[u8]) {
        for line in self.lines.push(bytes) {
            self.line(&line);
        }
    }

    /// Something is missing: the line it was in is bad.
    pub(super) fn cut(&mut self) {
        self.lines = Lines::with_max(REPORT_LINE_MAX);
        self.said.lines += 1;
        self.said.bad_lines += 1;
    }

    /// The worker is gone: what was said in all, once its last checkpoint is durable.
    pub(super) async fn end(mut self) -> Said {
        if let Some(line) = self.lines.finish() {
            self.line(&line);
        }
        drop(self.save);
        if timeout(SAVE_MAX, self.saver).await.is_err() {
            tracing::warn!(run = %self.parts.claimed.run.id, "the last checkpoint was not written in time");
        }
        self.said
    }

    fn line(&mut self, line: &Line) {
        if line.bytes.iter().all(u8::is_ascii_whitespace) && line.cut == 0 {
            return;
        }
        self.said.lines += 1;
        match parse(&line.bytes).filter(|_| line.cut == 0) {
            Some(reported) => self.take(reported),
            None => self.said.bad_lines += 1,
        }
    }

    fn take(&mut self, reported: Reported) {
        let scrubber = self.parts.scrubber();
        let text = |text: &str| scrubber.scrub(text).truncate_to(OUTCOME_TEXT_MAX);
        let said = &mut self.said;
        match reported {
            Reported::Segment(name) => {
                said.completed.get_or_insert(0);
                said.current = Some(scrubber.scrub(&name).truncate_to(SEGMENT_MAX));
            }
            Reported::Done(name) => {
                let name = scrubber.scrub(&name).truncate_to(SEGMENT_MAX);
                let completed = said.completed.get_or_insert(0);
                *completed = completed.saturating_add(1);
                said.current = said.current.take().filter(|current| *current != name);
            }
            Reported::Checkpoint(value) => match clean(&value, scrubber) {
                Some(clean) => drop(self.save.send_replace(Some(clean))),
                None => said.bad_lines += 1,
            },
            Reported::Partial(words) => said.partial = Some(text(&words)),
            Reported::Result(words) => said.result = Some(text(&words)),
            Reported::Block(block) => self.block(&block),
        }
    }

    fn block(&self, block: &BlockReport) {
        let (url, detail) = (block.url.as_deref(), block.detail.as_deref());
        let met = Met::said(block.reason(), url, detail, self.parts.scrubber());
        self.parts.block.fill(met);
    }
}

/// The same JSON, each string of it scrubbed decoded.
fn clean(value: &RawValue, scrubber: &Scrubber) -> Option<Scrubbed> {
    let mut value: Value = serde_json::from_str(value.get()).ok()?;
    scrub_in(&mut value, scrubber);
    Some(scrubber.scrub(&value.to_string()))
}

fn scrub_in(value: &mut Value, scrubber: &Scrubber) {
    match value {
        Value::String(text) => *text = scrubber.scrub(text).into_string(),
        Value::Array(items) => items.iter_mut().for_each(|item| scrub_in(item, scrubber)),
        Value::Object(fields) => {
            let clean = std::mem::take(fields).into_iter().map(|(name, mut value)| {
                scrub_in(&mut value, scrubber);
                (scrubber.scrub(&name).into_string(), value)
            });
            *fields = clean.collect();
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Writes the latest checkpoint, at most one each [`SAVE_EVERY`], and the last one at once. Ends with the channel, or with the
/// lease.
async fn write(parts: Arc<Parts>, mut saves: watch::Receiver<Option<Scrubbed>>) {
    // Ends when nothing comes any more.
    while saves.changed().await.is_ok() {
        let latest = saves.borrow_and_update().clone();
        let Some(latest) = latest else { continue };
        if !is_saved(&parts, &latest).await {
            return;
        }
        pause(&mut saves).await;
    }
}

/// Lets some time go by, unless nothing comes any more. What came meanwhile is still to be written.
async fn pause(saves: &mut watch::Receiver<Option<Scrubbed>>) {
    let until = Instant::now() + SAVE_EVERY;
    let mut is_behind = false;
    // Ends when the time is over, or the channel is.
    loop {
        tokio::select! {
            () = sleep_until(until) => break,
            changed = saves.changed() => match changed {
                Ok(()) => is_behind = true,
                Err(_) => break,
            },
        }
    }
    if is_behind {
        saves.mark_changed();
    }
}

/// Whether more can be: a lease that is another's is not waited for. One that is too long once it is clean is left out.
async fn is_saved(parts: &Parts, saved: &Scrubbed) -> bool {
    let runs = &parts.tenant.runs;
    let done = insist(parts, "a checkpoint", || runs.save(&parts.claimed, saved)).await;
    if let Err(error) = &done {
        tracing::warn!(run = %parts.claimed.run.id, %error, "a checkpoint was not written");
    }
    matches!(done, Ok(()) | Err(CommandError::Invalid { .. }))
}
