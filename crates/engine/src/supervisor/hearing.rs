//! What is heard of a provider's stream while its worker runs: the session follows it, what is used is metered, and its end
//! decides the outcome.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use dormouse_secrets::Scrubbed;
use dormouse_state::Event;
use jiff::tz::TimeZone;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::attempt::Parts;
use super::calls;
use super::rollouts;
use super::tell::{Latest, Told, tell};
use crate::adapter::{
    Adapted, Options, Provider, Seen, SessionEvent, Stream, Tokens, TurnEnd, TurnFinished, What, finish,
    request_id, session_event,
};
use crate::outcome::{Exit, StreamFacts};
use crate::run::UsedBefore;
use crate::worker::classify::Finish;
use crate::worker::lines::Lines;

/// Most events that wait to be told; further ones are left out, and counted in the log.
const TOLD_MAX: usize = 1_024;
/// Most threads whose counters are kept beside an outcome.
pub(super) const COUNTERS_KEPT: usize = 100;
/// How long the end of a run waits for what is still to be told.
const TELL_MAX: Duration = Duration::from_secs(10);

/// A stream that is being heard.
pub(super) struct Hearing {
    parts: Arc<Parts>,
    stream: Stream,
    lines: Lines,
    /// Lines that were cut, before those of the present ones.
    lines_cut: u64,
    told: mpsc::Sender<Told>,
    latest: Latest,
    teller: AbortOnDropHandle<()>,
    /// The last place that the session was told by a former stream of this process of the run.
    told_to: u64,
    last_told: Option<Event>,
    left_out: u64,
    /// A call has ended since that was asked.
    call_ended: bool,
    /// The call that was begun last.
    last_call: Option<Deferred>,
    /// The call for whose permission the turn was ended.
    deferred: Option<Deferred>,
    /// Words of warnings: there are few.
    warnings: BTreeSet<&'static str>,
}

/// A call that waits for a permission that nobody has asked for yet.
#[derive(Debug, Clone)]
pub(super) struct Deferred {
    /// What is to be done.
    pub(super) name: String,
    /// With what, as JSON, where that is known whole.
    pub(super) input: Option<String>,
}

/// What was heard in all.
#[derive(Debug)]
pub(super) struct Heard {
    /// The end of the last turn.
    pub(super) finish: Option<Finish>,
    /// The last words.
    pub(super) text: Option<Scrubbed>,
    /// The call for whose permission the last turn was ended.
    pub(super) deferred: Option<Deferred>,
    /// Calls that ended.
    pub(super) calls: u32,
    /// The last place that the session was told.
    pub(super) last_place: u64,
    pub(super) facts: StreamFacts,
}

impl Heard {
    /// The same, with what all processes of the run used, not this one alone.
    pub(super) fn with(mut self, used: Option<&UsedBefore>) -> Self {
        if let Some(used) = used {
            self.facts.used = used.used;
            self.facts.counters.clone_from(&used.counters);
        }
        self
    }
}

impl Hearing {
    /// `known` is what its counters showed before, `told_to` the last place that the session was told.
    pub(super) fn new(
        parts: &Arc<Parts>,
        adapted: &Adapted,
        known: Vec<(String, Tokens)>,
        told_to: u64,
    ) -> Self {
        let (told, events) = mpsc::channel(TOLD_MAX);
        let (latest, seen) = Latest::new();
        let telling = tell(Arc::clone(parts), adapted.provider, events, seen);
        let teller = AbortOnDropHandle::new(tokio::spawn(telling));
        let options = Options {
            // A zone nobody knows is that of no clock.
            tz: TimeZone::get(&parts.options.tz).ok(),
            known,
        };
        Self {
            parts: Arc::clone(parts),
            stream: Stream::new(adapted.provider, options),
            lines: Lines::default(),
            lines_cut: 0,
            told,
            latest,
            teller,
            told_to,
            last_told: None,
            left_out: 0,
            call_ended: false,
            last_call: None,
            deferred: None,
            warnings: BTreeSet::new(),
        }
    }

    /// More of the worker's standard output, scrubbed. Says whether anything of it shows that the work goes on.
    pub(super) fn hear(&mut self, bytes: &[u8]) -> bool {
        let mut is_progress = false;
        for line in self.lines.push(bytes) {
            is_progress |= self.line(&line.bytes);
        }
        is_progress
    }

    /// What is known by now of its session and its threads, and as it will be.
    pub(super) fn heard_by_now(&self) -> calls::Heard {
        calls::Heard {
            bound: self.latest.bound.subscribe(),
            shown: self.latest.shown.subscribe(),
        }
    }

    /// Whether the provider did anything but to fail at once, for no known reason.
    pub(super) fn has_begun(&self) -> bool {
        let stream = &self.stream;
        let did_work = stream.calls() > 0 || stream.text().is_some();
        let says_why = |turn: &TurnFinished| turn.how != TurnEnd::Failed || turn.class.is_some();
        did_work || stream.last().is_some_and(says_why)
    }

    /// Something was said to the provider: the end of the turn before is not the end of its work.
    pub(super) fn turn_begun(&mut self) {
        self.stream.turn_begun();
        self.deferred = None;
    }

    /// A person has answered what the provider asked.
    pub(super) fn answered(&mut self, request: &serde_json::Value, is_allowed: bool) {
        self.stream.answered(&request_id(request), is_allowed);
    }

    /// Whether a call has ended since this was asked before.
    pub(super) fn take_call_ended(&mut self) -> bool {
        std::mem::take(&mut self.call_ended)
    }

    /// Something of the output is missing: the line it was in is none.
    pub(super) fn cut(&mut self) {
        self.lines_cut += self.lines.lines_cut();
        self.lines = Lines::default();
    }

    /// The output is over; `is_stopped` by somebody. What is still to be told is told first.
    pub(super) async fn end(mut self, exit: Option<&Exit>, is_stopped: bool) -> Heard {
        if let Some(line) = self.lines.finish() {
            self.line(&line.bytes);
        }
        let seen = self.stream.end(exit.and_then(|exit| exit.code));
        self.tell(&seen);
        self.look_at_log(is_stopped).await;
        let heard = self.heard(exit);
        if self.left_out > 0 {
            let (run, left_out) = (self.parts.claimed.run.id, self.left_out);
            tracing::warn!(%run, left_out, "events of the stream came too fast to be told to the session");
        }
        drop((self.told, self.latest));
        if timeout(TELL_MAX, self.teller).await.is_err() {
            let run = self.parts.claimed.run.id;
            tracing::warn!(%run, "the session was not told the end of the stream in time");
        }
        heard
    }

    /// A stream that was cut may have its end in the provider's log.
    async fn look_at_log(&mut self, is_stopped: bool) {
        let is_cut = self.stream.last().is_none() && !is_stopped;
        let Some(thread) = self.stream.external_id().filter(|_| is_cut).map(str::to_owned) else {
            return;
        };
        if self.stream.provider() != Provider::Codex {
            return;
        }
        if let Some(rollout) = rollouts::look(&self.parts, thread).await {
            let seen = self.stream.logged(rollout);
            self.tell(&seen);
        }
    }

    /// Text for a log is progress, and so is an event, but what only says that time goes by.
    fn line(&mut self, line: &[u8]) -> bool {
        let log_lines = self.stream.log_lines();
        let seen = self.stream.line(self.parts.clock.now(), line);
        self.tell(&seen);
        let is_notice = |seen: &Seen| matches!(seen.what, What::ToolProgress { .. });
        self.stream.log_lines() > log_lines || !seen.iter().all(is_notice)
    }

    fn tell(&mut self, seen: &[Seen]) {
        for seen in seen {
            match &seen.what {
                What::ToolFinished { .. } => self.call_ended = true,
                What::ToolStarted { name, input, .. } => {
                    self.last_call = Some(Deferred {
                        name: name.clone(),
                        input: input.clone(),
                    });
                }
                What::TurnFinished(turn) => {
                    let is_deferred = turn.how == TurnEnd::Deferred;
                    self.deferred = self.last_call.clone().filter(|_| is_deferred);
                }
                What::Bound { external_id, .. } if self.stream.provider().names_session() => {
                    let session = self.parts.scrubber().scrub(external_id);
                    self.latest.bound.send_replace(Some(session));
                }
                What::Usage(_) => {
                    self.latest.used.send_replace(Some(self.stream.used()));
                    self.latest.shown.send_replace(self.counters());
                }
                What::Warning { code, text } => {
                    self.warnings.insert(code);
                    let (run, text) = (self.parts.claimed.run.id, self.parts.scrubber().scrub(text));
                    tracing::warn!(%run, code, text = text.as_str(), "the worker's provider warns");
                }
                _ => {}
            }
            if let Some(event) = session_event(seen, self.parts.scrubber()) {
                self.tell_session(seen.seq, event);
            }
        }
    }

    /// Words that go on say nothing new of the session.
    fn tell_session(&mut self, seq: u64, event: SessionEvent) {
        let is_again = event.event == Event::Thinking && self.last_told.as_ref() == Some(&event.event);
        if is_again && !event.starts_turn {
            return;
        }
        self.last_told = Some(event.event.clone());
        let at = self.parts.clock.now();
        let seq = self.told_to.saturating_add(seq);
        if self.told.try_send(Told { seq, at, event }).is_err() {
            self.left_out += 1;
        }
    }

    /// What is kept for whoever resumes a thread.
    fn counters(&self) -> BTreeMap<String, Tokens> {
        if !self.stream.provider().counts_by_thread() {
            return BTreeMap::new();
        }
        let scrubber = self.parts.scrubber();
        let named = self.stream.shown();
        named
            .take(COUNTERS_KEPT)
            .map(|(name, shown)| (scrubber.scrub(name).into_string(), shown))
            .collect()
    }

    fn heard(&self, exit: Option<&Exit>) -> Heard {
        let (stream, scrubber) = (&self.stream, self.parts.scrubber());
        let scrub = |text: &str| scrubber.scrub(text);
        let finish = stream.last().map(|last| finish(last, scrubber));
        let says_done = matches!(finish, Some(Finish::Whole | Finish::Part(_)));
        let words = stream.last().and_then(|last| last.text.as_deref());
        let text = if says_done {
            words.or(stream.text())
        } else {
            stream.text()
        };
        Heard {
            text: text
                .map(scrub)
                .map(|text| text.truncate_to(crate::outcome::OUTCOME_TEXT_MAX)),
            deferred: self.deferred.clone(),
            last_place: self.told_to.saturating_add(stream.last_place()),
            calls: u32::try_from(stream.calls()).unwrap_or(u32::MAX),
            facts: StreamFacts {
                provider: stream.provider(),
                session: stream.external_id().map(scrub),
                model: stream.model().map(scrub),
                used: stream.used(),
                counters: self.counters(),
                denials: stream.denials(),
                unknown_events: stream.unknown(),
                lines_cut: self.lines_cut + self.lines.lines_cut(),
                log_lines: stream.log_lines(),
                warnings: self.warnings.iter().map(|code| (*code).to_owned()).collect(),
                exit_mismatch: says_done && exit.is_some_and(|exit| exit.code.is_some_and(|code| code != 0)),
                text: (!says_done)
                    .then(|| stream.text().map(scrub))
                    .flatten()
                    .map(|text| text.truncate_to(crate::outcome::OUTCOME_TEXT_MAX)),
            },
            finish,
        }
    }
}

/// What was used, as budgets count it.
pub(super) fn amounts(provider: Provider, used: Tokens) -> crate::budget::Amounts {
    use crate::budget::{Amounts, Dimension};
    let cached = if provider.counts_cache_apart() {
        used.cached.saturating_add(used.cache_write)
    } else {
        0
    };
    let amounts = Amounts::none()
        .with(Dimension::InputTokens, used.input.saturating_add(cached))
        .with(Dimension::OutputTokens, used.output);
    match used.usd_micros {
        Some(usd) => amounts.with(Dimension::UsdMicros, usd),
        None => amounts,
    }
}
