//! The work of one run: its process from launch to empty tree.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use dormouse_secrets::{ScrubStream, Scrubbed};
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep_until};

use super::attempt::{Parts, emptied, end_processes};
use super::deferring;
use super::endpoint::Endpoint;
use super::finish::{Cause, End, Seen};
use super::hearing::{COUNTERS_KEPT, Heard, Hearing};
use super::inbox::{Letter, Lines};
use super::opening::Words;
use super::reports::{Reports, Said};
use super::silence::Silence;
use super::stopping::cause;
use super::talking::{Answered, Talking};
use crate::adapter::{Adapted, adapt};
use crate::command::CommandSpec;
use crate::pause::pause_until;
use crate::run::UsedBefore;
use crate::worker::clocks::{ClockLimits, Clocks};
use crate::worker::{Gone, Live, LiveEvent};
use crate::{GateId, PrefixedId as _};

/// How long after the kill the tree may need to empty: the keeper's five seconds, and as many for whoever is behind.
pub(super) const END_MARGIN: Duration = Duration::from_secs(10);

/// How long a provider to which all was said has to leave by itself.
pub(super) const LEAVE_MAX: Duration = Duration::from_secs(5);

/// What came of the work.
pub(super) enum Worked {
    /// It ended, and this was seen.
    Ended(Box<End>),
    /// Its worker was stopped so that it waits for this gate without holding anything; this was seen of it.
    Parks(GateId, Box<End>),
    /// Whether one of its steps happened is not known: it ends as if its holder had vanished. How many of its processes live.
    Lost(u32),
    /// The lease is another's: nothing is to be written. How many of its processes live.
    Fenced(u32),
}

impl Worked {
    /// How many of its processes the kernel had not let go of.
    pub(super) fn alive(&self) -> u32 {
        match self {
            Self::Ended(end) | Self::Parks(_, end) => end.alive(),
            Self::Lost(alive) | Self::Fenced(alive) => *alive,
        }
    }
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
    let mut seen = hand.carry().await;
    if hand.is_refused(&seen) {
        hand.begin_anew().await;
        seen = hand.carry().await;
    }
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
    pub(super) parks: Option<GateId>,
    /// Where its worker asks; closed with this.
    pub(super) endpoint: Option<Endpoint>,
    /// Its first process has left by itself in time: no clock stops it any more.
    pub(super) has_left: bool,
    /// The lease is another's: the worker is killed, and nothing is written.
    pub(super) is_fenced: bool,
    /// When processes that were told to end, and did not, are ended by their row.
    pub(super) end_by: Option<Instant>,
    pub(super) spawns: u32,
    pub(super) isolation: String,
    /// Its streams, once what is to be taken out of them is known.
    pub(super) stdout: Option<ScrubStream>,
    pub(super) stderr: Option<ScrubStream>,
    /// What its first process was lent, for another one.
    pub(super) lent: Option<BTreeMap<String, String>>,
    /// Credentials that nobody registered, by kind.
    pub(super) formats: BTreeMap<String, u64>,
    /// Its command line, where it is a known provider's.
    pub(super) adapted: Option<Adapted>,
    /// What is heard of that provider's stream.
    pub(super) hearing: Option<Hearing>,
    /// What is heard on its report channel.
    pub(super) reports: Option<Reports>,
    /// What it hears first, of a worker that is spoken to.
    pub(super) opening: Option<Words>,
    /// That dialogue.
    pub(super) talking: Option<Talking>,
    /// What waited in a dialogue that another takes the place of.
    pub(super) unsaid: Vec<String>,
    /// The standard input of a worker that is no provider's, where it is kept open.
    pub(super) input: Option<Lines>,
    /// What is to be said to the worker.
    pub(super) inbox: mpsc::Receiver<Letter>,
    /// It was told to come to an end before its wall clock runs out.
    pub(super) is_wrapped_up: bool,
    /// When a provider that was told all, and has not left, is told to.
    pub(super) leave_by: Option<Instant>,
    /// Whether it was told.
    pub(super) is_asked_to_leave: bool,
    /// What is known of its silence.
    pub(super) silence: Silence,
    /// What its processes used that are over, those before a park among them.
    pub(super) used: Option<UsedBefore>,
    /// The last place of their streams that its session was told, of those behind the last park.
    pub(super) told_to: u64,
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
            lent: None,
            formats: BTreeMap::new(),
            adapted: adapted(parts, command),
            hearing: None,
            reports: None,
            opening: None,
            talking: None,
            unsaid: Vec::new(),
            input: None,
            inbox: parts.take_inbox(),
            is_wrapped_up: false,
            leave_by: None,
            is_asked_to_leave: false,
            silence: Silence::default(),
            used: parts.claimed.run.used_before.clone(),
            told_to: 0,
        }
    }

    /// One process, from its start to its empty tree.
    async fn carry(&mut self) -> Seen {
        match self.spawn().await {
            Ok(live) => Seen::Gone(self.attend(live).await),
            Err(seen) => seen,
        }
    }

    async fn ended(mut self, seen: Seen) -> Worked {
        if self.is_fenced {
            return Worked::Fenced(seen.alive());
        }
        // What is done behind it is no work of its.
        let clock = self.clocks.used(Instant::now());
        // What is known of its effects decides what becomes of its task.
        if let Some(talking) = &mut self.talking
            && let Some(calls) = talking.settled_calls().await
        {
            // Written with its end; there is one end.
            let _ = self.parts.claimed.unnoted.set(calls);
        }
        let heard = self.heard(&seen).await;
        if let Some(heard) = &heard {
            self.count(heard);
        }
        let said = self.said().await;
        let end = Box::new(End {
            seen,
            stop: self.stop,
            clock,
            spawns: self.spawns,
            isolation: self.isolation,
            formats: self.formats,
            heard: heard.map(|heard| heard.with(self.used.as_ref())),
            used: self.used,
            said,
        });
        if let Some(gate) = deferred(self.parts, &end).await {
            return Worked::Parks(gate, end);
        }
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

    /// Adds what a stream told that is over, before another is heard or the run parks.
    pub(super) fn count(&mut self, heard: &Heard) {
        let before = self.used.get_or_insert_default();
        before.used = before.used.plus(heard.facts.used);
        let mut counters = heard.facts.counters.clone();
        for (thread, shown) in std::mem::take(&mut before.counters) {
            if counters.len() < COUNTERS_KEPT {
                counters.entry(thread).or_insert(shown);
            }
        }
        before.counters = counters;
        self.told_to = heard.last_place;
    }

    /// What it said on its report channel.
    pub(super) async fn said(&mut self) -> Said {
        match self.reports.take() {
            Some(reports) => reports.end().await,
            None => Said::default(),
        }
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
            self.leave_soon();
            let (stalls_at, sample_every) = (self.stalls_at(), self.sample_every());
            let is_timed = self.stop.is_none() && !self.has_left;
            let wrap_up_at = self.wrap_up_at();
            tokio::select! {
                event = live.next() => match event {
                    Some(LiveEvent::Gone(gone)) => {
                        self.flush();
                        return Some(emptied(self.parts, gone).await);
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
                Some(letter) = self.inbox.recv() => self.post(letter),
                () = pause_until(wrap_up_at), if is_timed => self.wrap_up(),
                () = pause_until(self.leave_by) => self.leave(&live),
                () = self.parts.kill.notified() => self.kill(&live),
                () = self.signals.fenced.notified() => {
                    self.is_fenced = true;
                    self.kill(&live);
                }
                () = pause_until(self.end_by) => {
                    self.end_by = None;
                    end_processes(self.parts).await;
                }
                () = sleep_until(sample_at), if is_timed && sample_every.is_some() => {
                    let used = live.cpu().await;
                    self.worked(used);
                    sample_at = Instant::now() + sample_every.unwrap_or_default();
                }
                () = pause_until(stalls_at), if is_timed => self.stall(),
            }
        }
    }

    /// When it is told to come to an end; none when it was, or is not to be.
    fn wrap_up_at(&self) -> Option<Instant> {
        let wrap_up = self.command.wrap_up.as_ref().filter(|_| !self.is_wrapped_up)?;
        self.clocks
            .wall_at()?
            .checked_sub(Duration::from_millis(wrap_up.before_ms))
    }

    /// Whether it is stopped because it met a block: looked at when a call of its provider has ended. A worker without
    /// calls that are seen ends by itself.
    fn is_blocked(&mut self) -> bool {
        let call_ended = self.hearing.as_mut().is_some_and(Hearing::take_call_ended);
        call_ended && self.stop.is_none() && !self.has_left && self.parts.block.get().is_some()
    }
}

/// The gate for which a provider ended its turn, unless something else ended the run.
async fn deferred(parts: &Arc<Parts>, end: &End) -> Option<GateId> {
    let call = end.heard.as_ref()?.deferred.as_ref()?;
    if end.stop.is_some() || parts.block.get().is_some() {
        return None;
    }
    deferring::gate(parts, call).await
}

/// The command line of a known provider, with a session of its own: one run is one session there, however often it parks.
fn adapted(parts: &Parts, command: &CommandSpec) -> Option<Adapted> {
    let run = &parts.claimed.run;
    let session = run.provider_session.as_ref();
    let session = session.map_or_else(|| run.id.uuid().to_string(), Scrubbed::to_string);
    adapt(&command.argv, &session, &command.stdin, run.spawn > 1)
}

/// The next answer of a person in the dialogue, if there is one.
async fn answered(talking: &mut Option<Talking>) -> Answered {
    match talking {
        Some(talking) => talking.answered().await,
        None => std::future::pending().await,
    }
}
