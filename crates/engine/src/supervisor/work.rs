//! The work of one run: its process from launch to empty tree.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use dormouse_secrets::ScrubStream;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::attempt::{Parts, end_processes};
use super::endpoint::Endpoint;
use super::finish::{Cause, End, Seen};
use super::hearing::{Heard, Hearing};
use super::heart::is_renewed;
use super::reports::{Reports, Said};
use super::talking::{Answered, Talking};
use crate::adapter::dialogue::Opening;
use crate::adapter::{Adapted, Provider, adapt};
use crate::command::CommandSpec;
use crate::outcome::CancelledBy;
use crate::run::StopReason;
use crate::transcript::Channel;
use crate::worker::classify::Stopped;
use crate::worker::clocks::{ClockLimits, Clocks, Expired};
use crate::worker::{FirstSignal, Gone, Live, LiveEvent, Output, Stop};
use crate::{CommandError, GateId, PrefixedId as _};

/// How often the tree's processor time is looked at: silence with work is no idleness.
const CPU_SAMPLE: Duration = Duration::from_secs(5);
/// How long after the kill the tree may need to empty: the keeper's five seconds, and as many for whoever is behind.
const END_MARGIN: Duration = Duration::from_secs(10);

/// How long a provider to which all was said has to leave by itself.
const LEAVE_MAX: Duration = Duration::from_secs(5);

/// What came of the work.
pub(super) enum Worked {
    /// It ended, and this was seen.
    Ended(Box<End>),
    /// Its worker was stopped so that it waits for this gate without holding anything; this was seen of it.
    Parks(GateId, Box<End>),
    /// Whether one of its steps happened is not known: it ends as if its holder had vanished.
    Lost,
    /// The lease is another's: nothing is to be written.
    Fenced,
}

/// What the work hears of from the heart beside it.
#[derive(Debug, Default)]
pub(super) struct Signals {
    /// No heartbeat was durable for too long.
    pub(super) self_stop: Notify,
    /// The lease is another's.
    pub(super) fenced: Notify,
}

/// Runs the claimed command. Dropped, its process tree is killed.
pub(super) async fn work(parts: &Arc<Parts>, signals: &Signals) -> Worked {
    let command = parts
        .claimed
        .task
        .command
        .clone()
        .expect("a task without command is not claimed for it");
    let mut hand = Hand::new(parts, &command, signals);
    let seen = match hand.spawn().await {
        Ok(live) => Seen::Gone(hand.attend(live).await),
        Err(seen) => seen,
    };
    hand.ended(seen).await
}

/// What is known of the run while it goes on.
pub(super) struct Hand<'a> {
    pub(super) parts: &'a Arc<Parts>,
    pub(super) command: &'a CommandSpec,
    pub(super) signals: &'a Signals,
    pub(super) clocks: Clocks,
    pub(super) stop: Option<Cause>,
    /// Its worker is stopped, and the run waits for this gate.
    parks: Option<GateId>,
    /// Where its worker asks; closed with this.
    pub(super) endpoint: Option<Endpoint>,
    /// Its first process has left by itself in time: no clock stops it any more.
    has_left: bool,
    /// The lease is another's: the worker is killed, and nothing is written.
    pub(super) is_fenced: bool,
    /// When processes that were told to end, and did not, are ended by their row.
    end_by: Option<Instant>,
    pub(super) spawns: u32,
    pub(super) isolation: String,
    /// Its streams, once what is to be taken out of them is known.
    pub(super) stdout: Option<ScrubStream>,
    pub(super) stderr: Option<ScrubStream>,
    /// Credentials that nobody registered, by kind.
    formats: BTreeMap<String, u64>,
    /// Its command line, where it is a known provider's.
    pub(super) adapted: Option<Adapted>,
    /// What is heard of that provider's stream.
    pub(super) hearing: Option<Hearing>,
    /// What is heard on its report channel.
    pub(super) reports: Option<Reports>,
    /// With what its dialogue begins, of a provider that is spoken to.
    pub(super) opening: Option<Opening>,
    /// That dialogue.
    pub(super) talking: Option<Talking>,
    /// When a provider that was told all, and has not left, is told to.
    leave_by: Option<Instant>,
}

impl<'a> Hand<'a> {
    fn new(parts: &'a Arc<Parts>, command: &'a CommandSpec, signals: &'a Signals) -> Self {
        let claimed_at = Instant::now();
        let limits = ClockLimits {
            wall: command.wall_clock(),
            idle: command.idle_timeout(),
            grace: command.grace(),
            waited_max: parts.tenant.core.gate_options.wait_max,
        };
        Self {
            parts,
            command,
            signals,
            clocks: Clocks::resumed(
                limits,
                claimed_at,
                Duration::from_millis(parts.claimed.run.clock_ms),
            ),
            stop: None,
            parks: None,
            endpoint: None,
            has_left: false,
            is_fenced: false,
            end_by: None,
            spawns: 0,
            isolation: "off".to_owned(),
            stdout: None,
            stderr: None,
            formats: BTreeMap::new(),
            adapted: adapted(parts, command),
            hearing: None,
            reports: None,
            opening: None,
            talking: None,
            leave_by: None,
        }
    }

    async fn ended(mut self, seen: Seen) -> Worked {
        if self.is_fenced {
            return Worked::Fenced;
        }
        let heard = self.heard(&seen).await;
        let said = self.said().await;
        let end = Box::new(End {
            seen,
            stop: self.stop,
            clock: self.clocks.used(Instant::now()),
            spawns: self.spawns,
            isolation: self.isolation,
            formats: self.formats,
            heard,
            said,
        });
        match self.parks {
            Some(gate) if end.stop.is_none() && !end.left_by_itself() && self.parts.block.get().is_none() => {
                Worked::Parks(gate, end)
            }
            _ => Worked::Ended(end),
        }
    }

    /// What was heard of its stream, of a worker that ran.
    async fn heard(&mut self, seen: &Seen) -> Option<Heard> {
        let hearing = self.hearing.take()?;
        let exit = match seen {
            Seen::Gone(Some(Gone {
                ended: crate::worker::Ended::Exited { exit, .. },
                ..
            })) => Some(exit),
            Seen::Gone(_) => None,
            Seen::Unstarted(_) | Seen::Abandoned | Seen::Panicked(_) => return None,
        };
        Some(hearing.end(exit, self.stop.is_some()).await)
    }

    /// What it said on its report channel.
    async fn said(&mut self) -> Said {
        match self.reports.take() {
            Some(reports) => reports.end().await,
            None => Said::default(),
        }
    }

    /// From the start of the process to its empty tree. Events and stops are served as they come, in no fixed order,
    /// so a worker that never pauses for breath is stopped as well.
    async fn attend(&mut self, mut live: Live) -> Option<Gone> {
        let mut sample_at = Instant::now() + CPU_SAMPLE;
        let mut waiting = self.parts.asks.waiting();
        // Ends with the last event: an empty tree. A tree that does not empty is ended by its row, which empties it.
        loop {
            let end_by = self.end_by.unwrap_or_else(Instant::now);
            let leave_by = self.leave_by.unwrap_or_else(Instant::now);
            tokio::select! {
                event = live.next() => match event {
                    Some(LiveEvent::Gone(gone)) => {
                        self.flush();
                        return Some(gone);
                    }
                    Some(event) => {
                        self.hear(event);
                        if self.is_blocked() {
                            self.begin_stop(&live, Cause::Blocked).await;
                        }
                    }
                    None => return None,
                },
                cause = cause(self.parts, &self.clocks, self.signals), if self.stop.is_none() && !self.has_left => {
                    self.begin_stop(&live, cause).await;
                }
                Ok(()) = waiting.changed() => {
                    let now = Instant::now();
                    match *waiting.borrow_and_update() {
                        0 => self.clocks.answered(now),
                        _ => self.clocks.ask(now),
                    }
                }
                gate = self.parts.asks.parks(), if self.parks.is_none() && self.stop.is_none() && !self.has_left => {
                    self.park(&live, gate);
                }
                answered = answered(&mut self.talking) => {
                    if let Some(hearing) = &mut self.hearing {
                        hearing.answered(&answered.request, answered.is_allowed);
                    }
                }
                () = sleep_until(leave_by), if self.leave_by.is_some() => self.leave(&live),
                () = self.parts.kill.notified() => self.kill(&live),
                () = self.signals.fenced.notified() => {
                    self.is_fenced = true;
                    self.kill(&live);
                }
                () = sleep_until(end_by), if self.end_by.is_some() => {
                    self.end_by = None;
                    end_processes(self.parts).await;
                }
                () = sleep_until(sample_at), if self.stop.is_none() && self.command.idle_timeout().is_some() => {
                    self.clocks.cpu(Instant::now(), live.cpu().await);
                    sample_at = Instant::now() + CPU_SAMPLE;
                }
            }
        }
    }

    /// Whether it is stopped because it met a block: looked at when a call of its provider has ended. A worker without
    /// calls that are seen ends by itself.
    fn is_blocked(&mut self) -> bool {
        let call_ended = self.hearing.as_mut().is_some_and(Hearing::take_call_ended);
        call_ended && self.stop.is_none() && !self.has_left && self.parts.block.get().is_some()
    }

    fn kill(&mut self, live: &Live) {
        live.kill();
        self.end_by = Some(Instant::now() + END_MARGIN);
    }

    fn hear(&mut self, event: LiveEvent) {
        match event {
            LiveEvent::Stdout(bytes) => self.print(Channel::Stdout, &bytes),
            LiveEvent::Stderr(bytes) => self.print(Channel::Stderr, &bytes),
            LiveEvent::Report(bytes) => {
                self.clocks.progress(Instant::now());
                if let Some(reports) = &mut self.reports {
                    reports.hear(&bytes);
                }
            }
            LiveEvent::Elided { output, bytes } => {
                self.clocks.progress(Instant::now());
                match output {
                    Output::Stdout => self.elide(Channel::Stdout, bytes),
                    Output::Stderr => self.elide(Channel::Stderr, bytes),
                    Output::Report => {
                        if let Some(reports) = &mut self.reports {
                            reports.cut();
                        }
                    }
                }
            }
            LiveEvent::Exited(_) => self.has_left = true,
            LiveEvent::Gone(_) => {}
        }
    }

    fn print(&mut self, channel: Channel, bytes: &[u8]) {
        self.clocks.progress(Instant::now());
        let at = self.parts.clock.now();
        if let Some(stream) = self.stream(channel) {
            let clean = stream.push(bytes);
            self.listen(channel, clean.as_slice());
            self.parts.transcript.push(at, channel, clean);
        }
    }

    /// The stream of a provider is what it writes on standard output.
    fn listen(&mut self, channel: Channel, clean: &[u8]) {
        if channel != Channel::Stdout {
            return;
        }
        if let Some(hearing) = &mut self.hearing {
            hearing.hear(clean);
        }
        if let Some(talking) = &mut self.talking {
            talking.hear(clean);
            if talking.is_over() && self.leave_by.is_none() {
                self.leave_by = Some(Instant::now() + LEAVE_MAX);
            }
        }
    }

    /// All is said, and its provider stays: it is asked to leave. What its stream said stands.
    fn leave(&mut self, live: &Live) {
        self.leave_by = None;
        if live.exit().is_none() {
            self.ask_to_leave(live);
        }
    }

    fn ask_to_leave(&mut self, live: &Live) {
        let first = match &self.adapted {
            Some(adapted) if adapted.provider == Provider::Codex => FirstSignal::Interrupt,
            Some(_) | None => FirstSignal::Terminate,
        };
        let grace = self.command.grace();
        live.stop(Stop { first, grace });
        self.end_by = Some(Instant::now() + grace + END_MARGIN);
    }

    /// No value reaches across what is missing: the scrubber begins anew behind it.
    fn elide(&mut self, channel: Channel, bytes: u64) {
        self.cut(channel);
        self.parts.transcript.elide(bytes);
    }

    fn cut(&mut self, channel: Channel) {
        let fresh = self.parts.scrubber().stream();
        let former = match channel {
            Channel::Stdout => self.stdout.replace(fresh),
            Channel::Stderr => self.stderr.replace(fresh),
        };
        self.finish_stream(channel, former);
        if let (Channel::Stdout, Some(hearing)) = (channel, &mut self.hearing) {
            hearing.cut();
        }
        if let (Channel::Stdout, Some(talking)) = (channel, &mut self.talking) {
            talking.cut();
        }
    }

    fn flush(&mut self) {
        let (stdout, stderr) = (self.stdout.take(), self.stderr.take());
        self.finish_stream(Channel::Stdout, stdout);
        self.finish_stream(Channel::Stderr, stderr);
    }

    fn finish_stream(&mut self, channel: Channel, stream: Option<ScrubStream>) {
        if let Some(stream) = stream {
            let (rest, seen) = stream.finish_counted();
            for (kind, count) in seen {
                *self.formats.entry(kind.to_owned()).or_default() += count;
            }
            self.listen(channel, rest.as_slice());
            if !rest.is_empty() {
                self.parts.transcript.push(self.parts.clock.now(), channel, rest);
            }
        }
    }

    fn stream(&mut self, channel: Channel) -> Option<&mut ScrubStream> {
        match channel {
            Channel::Stdout => self.stdout.as_mut(),
            Channel::Stderr => self.stderr.as_mut(),
        }
    }

    /// A stop that comes first stands. At a deadline the exit is looked at first: a worker that left in time is not stopped.
    async fn begin_stop(&mut self, live: &Live, cause: Cause) {
        if live.exit().is_some() {
            self.has_left = true;
            return;
        }
        match &mut self.talking {
            // It has time to call its turn off, and leaves when that is told.
            Some(talking) if !talking.is_over() => {
                talking.interrupt();
                self.leave_by = Some(Instant::now() + self.command.grace().min(LEAVE_MAX));
            }
            Some(_) | None => self.ask_to_leave(live),
        }
        // The signal goes first, so that a slow store delays no stop. Whoever stopped it by a command has recorded
        // it already; then this writes nothing.
        if let Some(reason) = cause.reason() {
            self.record(&reason).await;
        }
        self.stop = Some(cause);
    }

    /// The worker is asked to leave, since nobody holds a parked run. One that has left by itself is not parked.
    fn park(&mut self, live: &Live, gate: GateId) {
        if live.exit().is_some() {
            self.has_left = true;
            return;
        }
        self.parks = Some(gate);
        self.ask_to_leave(live);
    }

    async fn record(&self, reason: &StopReason) {
        let (runs, claimed) = (&self.parts.tenant.runs, &self.parts.claimed);
        let recorded = match runs.stopping(claimed, reason).await {
            Err(CommandError::LeaseExpired { .. }) if is_renewed(self.parts).await => {
                runs.stopping(claimed, reason).await
            }
            recorded => recorded,
        };
        if let Err(error) = recorded {
            tracing::warn!(run = %claimed.run.id, %error, "the stop was not recorded");
        }
    }
}

/// The command line of a known provider, with a session of its own: one run is one session there, however often it parks.
fn adapted(parts: &Parts, command: &CommandSpec) -> Option<Adapted> {
    let run = &parts.claimed.run;
    adapt(&command.argv, &run.id.uuid().to_string(), run.spawn > 1)
}

/// The next answer of a person in the dialogue, if there is one.
async fn answered(talking: &mut Option<Talking>) -> Answered {
    match talking {
        Some(talking) => talking.answered().await,
        None => std::future::pending().await,
    }
}

/// Waits for the first reason to stop: a command, a clock, or a heart that cannot beat.
pub(super) async fn cause(parts: &Parts, clocks: &Clocks, signals: &Signals) -> Cause {
    let clock = async {
        // Ends when a clock has run out: progress moves the deadline.
        loop {
            if let Some(expired) = clocks.expired(Instant::now()) {
                return expired;
            }
            match clocks.next_deadline() {
                Some(deadline) => sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        }
    };
    tokio::select! {
        reason = parts.claimed.stop.stopped() => Cause::Told(reason),
        expired = clock => Cause::Clock(expired),
        () = signals.self_stop.notified() => Cause::SelfStop,
        () = parts.over_budget.notified() => Cause::OverBudget,
    }
}

impl Cause {
    /// What is recorded of it; a holder that cannot reach the store records nothing.
    fn reason(&self) -> Option<StopReason> {
        match self {
            Self::Told(reason) => Some(reason.clone()),
            Self::Clock(expired) => Some(StopReason::Clock {
                clock: expired.clock,
                limit_ms: u64::try_from(expired.limit.as_millis()).unwrap_or(u64::MAX),
            }),
            Self::SelfStop | Self::Blocked | Self::OverBudget => None,
        }
    }

    /// As the outcome is decided by it; a block decides by itself, and so does a part that was paid for.
    pub(super) fn stopped(&self) -> Option<Stopped> {
        Some(match self {
            Self::Blocked | Self::OverBudget => return None,
            Self::Told(StopReason::Cancel { reason, .. }) => {
                Stopped::By(CancelledBy::Principal, reason.clone())
            }
            Self::Told(StopReason::AgentPause) => Stopped::By(CancelledBy::AgentPause, None),
            Self::Told(StopReason::Shutdown) | Self::SelfStop => Stopped::By(CancelledBy::Shutdown, None),
            Self::Told(StopReason::Clock { clock, limit_ms }) => Stopped::Clock(Expired {
                clock: *clock,
                limit: Duration::from_millis(*limit_ms),
            }),
            Self::Clock(expired) => Stopped::Clock(*expired),
        })
    }
}
