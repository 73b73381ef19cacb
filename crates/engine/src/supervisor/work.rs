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
use super::silence::Silence;
use crate::adapter::{Adapted, adapt};
use crate::command::CommandSpec;
use crate::outcome::CancelledBy;
use crate::run::StopReason;
use crate::transcript::Channel;
use crate::worker::classify::Stopped;
use crate::worker::clocks::{ClockLimits, Clocks, Expired};
use crate::worker::{Gone, Live, LiveEvent, Output, Stop};
use crate::{CommandError, GateId, PrefixedId as _};

/// How long after the kill the tree may need to empty: the keeper's five seconds, and as many for whoever is behind.
const END_MARGIN: Duration = Duration::from_secs(10);

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
    /// What is known of its silence.
    pub(super) silence: Silence,
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
            silence: Silence::default(),
        }
    }

    async fn ended(mut self, seen: Seen) -> Worked {
        if self.is_fenced {
            return Worked::Fenced;
        }
        let heard = self.heard(&seen).await;
        let end = Box::new(End {
            seen,
            stop: self.stop,
            clock: self.clocks.used(Instant::now()),
            spawns: self.spawns,
            isolation: self.isolation,
            formats: self.formats,
            heard,
        });
        match self.parks {
            Some(gate) if end.stop.is_none() && !end.left_by_itself() => Worked::Parks(gate, end),
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

    /// From the start of the process to its empty tree. Events and stops are served as they come, in no fixed order,
    /// so a worker that never pauses for breath is stopped as well.
    async fn attend(&mut self, mut live: Live) -> Option<Gone> {
        // It has used nothing yet: that need not be looked at.
        self.worked(Duration::ZERO);
        let mut sample_at = Instant::now() + self.sample_every().unwrap_or_default();
        let mut waiting = self.parts.asks.waiting();
        // What was asked before this is awaited too.
        waiting.mark_changed();
        // Ends with the last event: an empty tree. A tree that does not empty is ended by its row, which empties it.
        loop {
            let end_by = self.end_by.unwrap_or_else(Instant::now);
            let (stalls_at, sample_every) = (self.stalls_at(), self.sample_every());
            let is_timed = self.stop.is_none() && !self.has_left;
            tokio::select! {
                event = live.next() => match event {
                    Some(LiveEvent::Gone(gone)) => {
                        self.flush();
                        return Some(gone);
                    }
                    Some(event) => self.hear(event),
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
                () = self.parts.kill.notified() => self.kill(&live),
                () = self.signals.fenced.notified() => {
                    self.is_fenced = true;
                    self.kill(&live);
                }
                () = sleep_until(end_by), if self.end_by.is_some() => {
                    self.end_by = None;
                    end_processes(self.parts).await;
                }
                () = sleep_until(sample_at), if is_timed && sample_every.is_some() => {
                    let used = live.cpu().await;
                    self.worked(used);
                    sample_at = Instant::now() + sample_every.unwrap_or_default();
                }
                () = sleep_until(stalls_at.unwrap_or_else(Instant::now)), if is_timed && stalls_at.is_some() => self.stall(),
            }
        }
    }

    fn kill(&mut self, live: &Live) {
        live.kill();
        self.end_by = Some(Instant::now() + END_MARGIN);
    }

    fn hear(&mut self, event: LiveEvent) {
        match event {
            LiveEvent::Stdout(bytes) => self.print(Channel::Stdout, &bytes),
            LiveEvent::Stderr(bytes) => self.print(Channel::Stderr, &bytes),
            LiveEvent::Elided { output, bytes } => {
                // No value reaches across what is missing: the scrubber begins anew behind it.
                self.cut(match output {
                    Output::Stdout => Channel::Stdout,
                    Output::Stderr => Channel::Stderr,
                });
                self.parts.transcript.elide(bytes);
                self.progressed();
            }
            LiveEvent::Exited(_) => self.has_left = true,
            LiveEvent::Gone(_) => {}
        }
    }

    fn print(&mut self, channel: Channel, bytes: &[u8]) {
        let at = self.parts.clock.now();
        if let Some(stream) = self.stream(channel) {
            let clean = stream.push(bytes);
            if self.listen(channel, clean.as_slice()) {
                self.progressed();
            }
            self.parts.transcript.push(at, channel, clean);
        }
    }

    /// The stream of a provider is what it writes on standard output. Says whether it shows that the work goes on.
    fn listen(&mut self, channel: Channel, clean: &[u8]) -> bool {
        match (channel, &mut self.hearing) {
            (Channel::Stdout, Some(hearing)) => hearing.hear(clean),
            (Channel::Stdout | Channel::Stderr, _) => true,
        }
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
        live.stop(Stop {
            grace: self.command.grace(),
            ..Stop::default()
        });
        self.end_by = Some(Instant::now() + self.command.grace() + END_MARGIN);
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
        live.stop(Stop {
            grace: self.command.grace(),
            ..Stop::default()
        });
        self.end_by = Some(Instant::now() + self.command.grace() + END_MARGIN);
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
            Self::SelfStop => None,
        }
    }

    /// As the outcome is decided by it.
    pub(super) fn stopped(&self) -> Stopped {
        match self {
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
        }
    }
}
