//! The work of one run: its process from launch to empty tree.

use std::time::Duration;

use dormouse_secrets::ScrubStream;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::attempt::Parts;
use super::finish::{Cause, End, Seen, Unstarted};
use super::launch::{Unlaunchable, launch};
use crate::CommandError;
use crate::command::CommandSpec;
use crate::outcome::CancelledBy;
use crate::run::{Process, Started, StopReason};
use crate::transcript::Channel;
use crate::worker::classify::Stopped;
use crate::worker::clocks::{ClockLimits, Clocks, Expired};
use crate::worker::{self, Gone, Live, LiveEvent, Output, Prepared, Stop};

/// How often the tree's processor time is looked at: silence with work is no idleness.
const CPU_SAMPLE: Duration = Duration::from_secs(5);

/// What came of the work.
pub(super) enum Worked {
    /// It ended, and this was seen.
    Ended(Box<End>),
    /// The lease is another's: nothing is to be written.
    Fenced,
}

/// Runs the claimed command. Dropped, its process tree is killed.
pub(super) async fn work(parts: &Parts, self_stop: &Notify) -> Worked {
    let command = parts
        .claimed
        .task
        .command
        .clone()
        .expect("a task without command is not claimed for it");
    let mut hand = Hand::new(parts, &command);
    let prepared = match hand.prepare(self_stop).await {
        Ok(prepared) => prepared,
        Err(seen) => return hand.ended(seen),
    };
    match parts
        .tenant
        .runs
        .started(
            &parts.claimed,
            Some(&Process::new(parts.claimed.run.id, prepared.row())),
        )
        .await
    {
        Ok(Started::Go) => {}
        Ok(Started::Stop(reason)) => {
            hand.stop.get_or_insert_with(|| cause_of(&reason));
            return hand.ended(Seen::Unstarted(Unstarted::Stopped));
        }
        Err(CommandError::Fenced { .. } | CommandError::LeaseExpired { .. }) => return Worked::Fenced,
        Err(error) => {
            tracing::warn!(run = %parts.claimed.run.id, %error, "the worker's processes could not be written down");
            return hand.ended(Seen::Abandoned);
        }
    }
    let isolation = prepared.isolation();
    hand.isolation = isolation.to_string();
    let live = match hand.go(prepared, self_stop).await {
        Ok(live) => live,
        Err(seen) => return hand.ended(seen),
    };
    let gone = hand.attend(live, self_stop).await;
    hand.ended(Seen::Gone(gone))
}

/// What is known of the run while it goes on.
struct Hand<'a> {
    parts: &'a Parts,
    command: &'a CommandSpec,
    clocks: Clocks,
    claimed_at: Instant,
    stop: Option<Cause>,
    /// Its first process has left by itself in time: no clock stops it any more.
    has_left: bool,
    spawns: u32,
    isolation: String,
    stdout: Option<ScrubStream>,
    stderr: Option<ScrubStream>,
}

impl<'a> Hand<'a> {
    fn new(parts: &'a Parts, command: &'a CommandSpec) -> Self {
        let claimed_at = Instant::now();
        let limits = ClockLimits {
            wall: command.wall_clock(),
            idle: command.idle_timeout(),
            grace: command.grace(),
        };
        Self {
            parts,
            command,
            clocks: Clocks::new(limits, claimed_at),
            claimed_at,
            stop: None,
            has_left: false,
            spawns: 0,
            isolation: "off".to_owned(),
            stdout: Some(parts.options.scrubber.stream()),
            stderr: Some(parts.options.scrubber.stream()),
        }
    }

    fn ended(self, seen: Seen) -> Worked {
        Worked::Ended(Box::new(End {
            seen,
            stop: self.stop,
            clock: self.claimed_at.elapsed(),
            spawns: self.spawns,
            isolation: self.isolation,
        }))
    }

    async fn prepare(&mut self, self_stop: &Notify) -> Result<Prepared, Seen> {
        let parts = self.parts;
        let launch = launch(parts, self.command).await.map_err(|error| match error {
            Unlaunchable::Environment(error) => Seen::Unstarted(Unstarted::Environment(error)),
            Unlaunchable::Spawn(error) => Seen::Unstarted(Unstarted::Spawn(error)),
        })?;
        self.before_stop(self_stop, worker::prepare(&launch)).await
    }

    /// A stop that comes while the worker is being started may come too late for it: then it is ended by its row, so
    /// that nothing of it lives once its outcome is written.
    async fn go(&mut self, prepared: Prepared, self_stop: &Notify) -> Result<Live, Seen> {
        self.spawns = 1;
        let row = prepared.row().clone();
        let gone = self.before_stop(self_stop, prepared.go()).await;
        if let Err(Seen::Unstarted(Unstarted::Stopped)) = gone
            && let Err(error) = worker::orphans::end(&row).await
        {
            tracing::error!(run = %self.parts.claimed.run.id, %error, "a worker stopped at its start still lives");
        }
        gone
    }

    /// A step of the start, unless a stop comes first: then the step is dropped, and nothing runs.
    async fn before_stop<T>(
        &mut self,
        self_stop: &Notify,
        step: impl Future<Output = Result<T, worker::SpawnError>>,
    ) -> Result<T, Seen> {
        tokio::select! {
            done = step => done.map_err(|error| Seen::Unstarted(Unstarted::Spawn(error))),
            cause = cause(self.parts, &self.clocks, self_stop) => {
                self.stop = Some(cause);
                Err(Seen::Unstarted(Unstarted::Stopped))
            }
        }
    }

    /// From the start of the process to its empty tree. Events and stops are served as they come, in no fixed order,
    /// so a worker that never pauses for breath is stopped as well.
    async fn attend(&mut self, mut live: Live, self_stop: &Notify) -> Option<Gone> {
        let mut sample_at = Instant::now() + CPU_SAMPLE;
        // Ends with the last event: an empty tree.
        loop {
            tokio::select! {
                event = live.next() => match event {
                    Some(LiveEvent::Gone(gone)) => {
                        self.flush();
                        return Some(gone);
                    }
                    Some(event) => self.hear(event),
                    None => return None,
                },
                cause = cause(self.parts, &self.clocks, self_stop), if self.stop.is_none() && !self.has_left => self.begin_stop(&live, cause).await,
                () = self.parts.kill.notified() => live.kill(),
                () = sleep_until(sample_at), if self.stop.is_none() && self.command.idle_timeout().is_some() => {
                    self.clocks.cpu(Instant::now(), live.cpu().await);
                    sample_at = Instant::now() + CPU_SAMPLE;
                }
            }
        }
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
                self.clocks.progress(Instant::now());
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
            self.parts.transcript.push(at, channel, clean);
        }
    }

    fn cut(&mut self, channel: Channel) {
        let fresh = self.parts.options.scrubber.stream();
        let former = match channel {
            Channel::Stdout => self.stdout.replace(fresh),
            Channel::Stderr => self.stderr.replace(fresh),
        };
        self.finish_stream(channel, former);
    }

    fn flush(&mut self) {
        let (stdout, stderr) = (self.stdout.take(), self.stderr.take());
        self.finish_stream(Channel::Stdout, stdout);
        self.finish_stream(Channel::Stderr, stderr);
    }

    fn finish_stream(&self, channel: Channel, stream: Option<ScrubStream>) {
        if let Some(stream) = stream {
            let rest = stream.finish();
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
        // The signal goes first, so that a slow store delays no stop. Whoever stopped it by a command has recorded
        // it already; then this writes nothing.
        if let Some(reason) = cause.reason()
            && let Err(error) = self
                .parts
                .tenant
                .runs
                .stopping(&self.parts.claimed, &reason)
                .await
        {
            tracing::warn!(run = %self.parts.claimed.run.id, %error, "the stop was not recorded");
        }
        self.stop = Some(cause);
    }
}

/// Waits for the first reason to stop: a command, a clock, or a heart that cannot beat.
async fn cause(parts: &Parts, clocks: &Clocks, self_stop: &Notify) -> Cause {
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
        reason = parts.claimed.stop.stopped() => cause_of(&reason),
        expired = clock => Cause::Clock(expired),
        () = self_stop.notified() => Cause::SelfStop,
    }
}

pub(super) fn cause_of(reason: &StopReason) -> Cause {
    Cause::Told(reason.clone())
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
