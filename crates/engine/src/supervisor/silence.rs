//! A worker of which nothing is heard for long: its session is told so, and that it goes on where no stream says it.

use std::sync::Arc;
use std::time::Duration;

use dormouse_state::{Confidence, Event, Evidence, Observed, Position, SourceId, Step};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::attempt::Parts;
use super::work::Hand;

/// The source of a session by which it hears of this.
const SOURCE: &str = "silence";
/// How often the tree's processor time is looked at, at most: silence with work is no idleness.
const CPU_SAMPLE: Duration = Duration::from_secs(5);

/// What is known of a worker's silence.
#[derive(Debug, Default)]
pub(super) struct Silence {
    /// It was told for the present one.
    is_told: bool,
    /// How often the session was told of any.
    told: u64,
    /// The session is being told; in order.
    telling: Option<AbortOnDropHandle<()>>,
}

impl Hand<'_> {
    /// When the session is to be told of the silence; none when it was, or nobody wants to know.
    pub(super) fn stalls_at(&self) -> Option<Instant> {
        let after = self.command.stall_after()?;
        if self.silence.is_told {
            return None;
        }
        self.clocks.silent_at(after)
    }

    /// How often it is looked whether a silent worker works: often enough for the shortest clock that asks.
    pub(super) fn sample_every(&self) -> Option<Duration> {
        let clocks = [self.command.idle_timeout(), self.command.stall_after()];
        let shortest = clocks.into_iter().flatten().min()?;
        Some(CPU_SAMPLE.min(shortest / 3))
    }

    /// Tells the session that nothing is heard.
    pub(super) fn stall(&mut self) {
        self.silence.is_told = true;
        if self.hearing.is_none() {
            // No stream says so, and its process runs.
            self.tell_at_work();
        }
        let silent = self.clocks.silent_for(Instant::now());
        let silent_for_ms = u64::try_from(silent.as_millis()).unwrap_or(u64::MAX);
        self.tell_session(
            Event::Stalled { silent_for_ms },
            Evidence::Inferred(Confidence::Medium),
        );
    }

    /// It is heard, or works: the idle clock starts again. Where no stream says that it goes on, the session is told.
    pub(super) fn progressed(&mut self) {
        self.clocks.progress(Instant::now());
        self.goes_on();
    }

    /// What its processes used so far; a share of a core is progress.
    pub(super) fn worked(&mut self, used: Duration) {
        let now = Instant::now();
        self.clocks.cpu(now, used);
        if self.clocks.silent_for(now).is_zero() {
            self.goes_on();
        }
    }

    fn goes_on(&mut self) {
        if std::mem::take(&mut self.silence.is_told) && self.hearing.is_none() {
            self.tell_at_work();
        }
    }

    fn tell_at_work(&mut self) {
        let (call, step) = (None, Step::Started);
        self.tell_session(Event::Working { call, step }, Evidence::Formal);
    }

    fn tell_session(&mut self, event: Event, evidence: Evidence) {
        self.silence.told += 1;
        let (parts, seq) = (Arc::clone(self.parts), self.silence.told);
        let before = self.silence.telling.take();
        let telling = tokio::spawn(async move {
            if let Some(before) = before {
                // What it said is said, or was logged.
                let _ = before.await;
            }
            tell(&parts, seq, event, evidence).await;
        });
        self.silence.telling = Some(AbortOnDropHandle::new(telling));
    }
}

/// What cannot be told is logged: no run fails for it.
async fn tell(parts: &Parts, seq: u64, event: Event, evidence: Evidence) {
    let run = &parts.claimed.run;
    let Some(session) = run.session else { return };
    let sessions = &parts.tenant.sessions;
    let told = async {
        let observed = Observed {
            incarnation: sessions.require(session).await?.state.incarnation,
            run: Some(dormouse_state::RunId::new(run.id.to_string())),
            source: SourceId::new(SOURCE),
            position: Position {
                spawn: run.spawn,
                seq,
            },
            subagent: false,
            starts_turn: false,
            evidence,
            at: parts.clock.now(),
            event,
        };
        sessions.observe(session, &observed).await
    };
    match told.await {
        Ok(told) => {
            tracing::debug!(run = %run.id, answer = ?told.answer, "the session was told of a silence");
        }
        Err(error) => tracing::warn!(run = %run.id, %error, "the session was not told of a silence"),
    }
}
