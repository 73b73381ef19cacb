//! The loop of a driver.

use std::collections::HashSet;
use std::future::pending;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::handle::Message;
use super::{DriveError, Driven, Driver, Ended, Input, SaveError, SaveKind, Store, Why};
use crate::{Answer, CallId, Command, Event, Ignored, Lifecycle, Session, Step};

/// What woke the loop.
enum Woken {
    Told(Message),
    Look,
    Time,
    Deserted,
    Stopped,
}

impl<S: Store> Driver<S> {
    /// Drives the session until it rests, is told to stop, or is driven by another one.
    pub async fn run(mut self) -> Ended {
        let why = self.work().await;
        self.mailbox.close();
        if matches!(why, Why::Rest | Why::Stopped) {
            let stop_max = self.options.stop_max;
            // What a save that is cut off here wrote is unknown, so it counts as unsaved.
            let _cut_off = timeout(stop_max, self.save_to_the_end()).await;
        }
        Ended {
            why,
            unsaved: self.unsaved,
        }
    }

    /// Ends as [`run`](Self::run) says.
    async fn work(&mut self) -> Why {
        loop {
            // A deadline that passed comes before a message that waits.
            if let Err(why) = self.meet_deadlines().await {
                return why;
            }
            let woken = self.wait().await;
            match woken {
                Woken::Told(message) => {
                    if let Err(why) = self.answer(message).await {
                        return why;
                    }
                }
                Woken::Look => {
                    if let Err(why) = self.look_again().await {
                        return why;
                    }
                }
                Woken::Time if self.has_rested() => return self.leave().await,
                Woken::Time => {}
                Woken::Deserted => return Why::Rest,
                Woken::Stopped => return Why::Stopped,
            }
        }
    }

    async fn wait(&mut self) -> Woken {
        let wake_at = self.wake_at();
        tokio::select! {
            biased;
            () = stopped(&mut self.stop) => Woken::Stopped,
            () = self.look.notified() => Woken::Look,
            message = self.mailbox.recv() => message.map_or(Woken::Deserted, Woken::Told),
            () = sleep_until(wake_at) => Woken::Time,
        }
    }

    /// Nobody may be left waiting: what was sent before the mailbox closed is answered.
    async fn leave(&mut self) -> Why {
        self.mailbox.close();
        while let Some(message) = self.mailbox.recv().await {
            if let Err(why) = self.answer(message).await {
                return why;
            }
        }
        Why::Rest
    }

    /// The next time at which there is something to do. The clock may go back or jump, so it is only a time to look.
    fn wake_at(&self) -> Instant {
        let now = Instant::now();
        let idle_at = self.session.poll_timeout().map(|idle_at| {
            let left = until(idle_at, self.clock.now());
            // After trouble not before the retry, and never before it is due: a time gone by would wake it again and again.
            // Timers stand while a machine sleeps, so the clock is looked at again on the way.
            let due = now + left.min(self.options.look_every);
            self.retry_at.map_or(due, |retry_at| retry_at.max(due))
        });
        let flush_at = self.flush_at.filter(|_| self.is_ahead);
        let rest_at = self.busy_at + self.options.linger;
        let rest_at = self.may_rest().then_some(rest_at);
        let look_at = self.has_live_run().then(|| self.look_at());
        [idle_at, flush_at, rest_at, look_at]
            .into_iter()
            .flatten()
            .min()
            // What is retried is due at another time; this only looks again.
            .unwrap_or(now + self.options.look_every)
    }

    fn may_rest(&self) -> bool {
        !self.has_live_run() && !self.is_ahead && self.session.poll_timeout().is_none()
    }

    fn has_live_run(&self) -> bool {
        let state = self.session.view();
        state.run.is_some() && !self.is_parked && state.lifecycle != Lifecycle::Ended
    }

    /// When a run that says nothing is looked for again.
    fn look_at(&self) -> Instant {
        self.busy_at.max(self.looked_at) + self.options.look_every
    }

    fn has_rested(&self) -> bool {
        self.may_rest() && Instant::now() >= self.busy_at + self.options.linger
    }

    async fn meet_deadlines(&mut self) -> Result<(), Why> {
        let now = self.clock.now();
        self.pull_in(now);
        let may_try = self.retry_at.is_none_or(|at| Instant::now() >= at);
        if may_try && self.session.poll_timeout().is_some_and(|idle_at| now >= idle_at) {
            let became_idle = self.become_idle(now).await;
            self.note_trouble(became_idle)?;
        }
        if self.has_live_run() && Instant::now() >= self.look_at() {
            self.look_again().await?;
        }
        if self.is_ahead && self.flush_at.is_some_and(|at| Instant::now() >= at) {
            let saved = self.flush(SaveKind::Live).await;
            self.note_trouble(saved)?;
        }
        Ok(())
    }

    /// The clock went back: the deadline is not further away than it may ever be.
    fn pull_in(&mut self, now: Timestamp) {
        let is_far = self
            .session
            .poll_timeout()
            .is_some_and(|idle_at| until(idle_at, now) > self.options.session.auto_idle());
        if is_far && let Ok(session) = Session::restore(self.session.snapshot(), self.options.session, now) {
            self.session = session;
        }
    }

    /// Somebody else wrote the session.
    async fn look_again(&mut self) -> Result<(), Why> {
        self.looked_at = Instant::now();
        self.is_unsure = true;
        let seen = self.be_sure().await;
        self.note_trouble(seen)
    }

    async fn become_idle(&mut self, now: Timestamp) -> Result<(), SaveError> {
        self.be_sure().await?;
        if !matches!(self.session.view().lifecycle, Lifecycle::Completed { .. }) {
            return Ok(());
        }
        let mut next = self.session.clone();
        match next.handle_timeout(now) {
            Answer::Applied(applied) => match self.save_durably(&next, applied).await {
                // Somebody else moved it; whether it is still due is seen on what is there.
                Err(SaveError::Conflict) => self.reload().await,
                saved => saved,
            },
            Answer::Ignored(_) | Answer::Rejected(_) => Ok(()),
        }
    }

    async fn answer(&mut self, message: Message) -> Result<(), Why> {
        self.busy_at = Instant::now();
        let heard = self.hear(&message.input).await;
        let end = match &heard {
            Err(error) => end_of(error),
            Ok(driven) => {
                self.note_parking(&message.input, &driven.answer);
                None
            }
        };
        // Who asked may have gone; the answer stands all the same.
        let _gone = message.reply.send(heard.map_err(DriveError::Save));
        end.map_or(Ok(()), Err)
    }

    async fn hear(&mut self, input: &Input) -> Result<Driven, SaveError> {
        self.be_sure().await?;
        let mut conflicts = 0;
        // Ends at the latest after CONFLICTS_MAX conflicts.
        loop {
            match self.hear_once(input).await {
                Err(SaveError::Conflict) if conflicts < CONFLICTS_MAX => {
                    conflicts += 1;
                    self.reload().await?;
                }
                answered => return answered,
            }
        }
    }

    async fn hear_once(&mut self, input: &Input) -> Result<Driven, SaveError> {
        self.make_room().await?;
        let mut next = self.session.clone();
        let answer = apply(&mut next, input, self.clock.now());
        let applied = match answer {
            Answer::Applied(applied) => applied,
            refused @ (Answer::Ignored(_) | Answer::Rejected(_)) => {
                // It was read: its position is noted, and on another state it might have said more.
                if next != self.session {
                    self.session = next;
                    self.unsaved.push(input.clone());
                    self.get_ahead();
                }
                let durable = !self.is_ahead && self.unsaved.is_empty();
                return Ok(Driven {
                    answer: refused,
                    durable,
                });
            }
        };
        let answer = Answer::Applied(applied.clone());
        if applied.durable {
            self.save_durably(&next, applied).await?;
            return Ok(Driven {
                answer,
                durable: true,
            });
        }
        self.session = next;
        self.unsaved.push(input.clone());
        self.changes.push(applied);
        self.get_ahead();
        self.publish();
        Ok(Driven {
            answer,
            durable: false,
        })
    }

    /// Of what a source said of its work only the newest counts when it is applied again.
    async fn make_room(&mut self) -> Result<(), SaveError> {
        if self.unsaved.len() < self.options.unsaved_max {
            return Ok(());
        }
        drop_overtaken(&mut self.unsaved);
        self.changes.retain(|applied| !applied.effects.is_empty());
        if self.unsaved.len() >= self.options.unsaved_max {
            self.flush(SaveKind::Durable).await?;
        }
        Ok(())
    }

    fn note_parking(&mut self, input: &Input, answer: &Answer) {
        let is_parking = matches!(input, Input::Command(Command::RunParked { .. }));
        if is_parking {
            self.is_parked = *answer != Answer::Ignored(Ignored::StaleRun);
        } else if answer.applied().is_some() && !is_resolution(input) {
            self.is_parked = false;
        }
    }

    /// Trouble with what nobody waits for is tried again; trouble that cannot pass ends the driver.
    fn note_trouble(&mut self, done: Result<(), SaveError>) -> Result<(), Why> {
        let Err(error) = done else {
            self.retry_at = None;
            self.retry_delay = self.options.retry_min;
            return Ok(());
        };
        if let Some(why) = end_of(&error) {
            return Err(why);
        }
        let at = Instant::now() + self.retry_delay;
        self.retry_delay = (self.retry_delay * 2).min(self.options.retry_max);
        self.retry_at = Some(at);
        self.flush_at = self.flush_at.map(|_| at);
        Ok(())
    }
}

/// How often an input is decided again because somebody else was faster.
pub(super) const CONFLICTS_MAX: u32 = 8;

pub(super) fn apply(session: &mut Session, input: &Input, now: Timestamp) -> Answer {
    match input {
        Input::Observed(observed) => session.observe(observed, now),
        Input::Command(command) => session.command(command, now),
    }
}

fn drop_overtaken(inputs: &mut Vec<Input>) {
    let mut newer = HashSet::new();
    let mut kept: Vec<Input> = std::mem::take(inputs)
        .into_iter()
        .rev()
        .filter(|input| match input {
            Input::Command(_) => true,
            Input::Observed(observed) => newer.insert((
                observed.source.clone(),
                std::mem::discriminant(&observed.event),
                finished_call(&observed.event),
            )),
        })
        .collect();
    kept.reverse();
    *inputs = kept;
}

/// The end of a call may be what a gate waits for, so no other call's overtakes it.
fn finished_call(event: &Event) -> Option<CallId> {
    if let Event::Working {
        call,
        step: Step::Finished,
    } = event
    {
        return call.clone();
    }
    None
}

/// A gate may be decided while its run is parked; the run is then parked still.
fn is_resolution(input: &Input) -> bool {
    matches!(input, Input::Command(Command::ResolveGate { .. }))
}

fn end_of(error: &SaveError) -> Option<Why> {
    match error {
        SaveError::Fenced => Some(Why::Fenced),
        SaveError::Corrupt(_) => Some(Why::Corrupt),
        SaveError::Conflict | SaveError::Indeterminate(_) | SaveError::Unavailable(_) => None,
    }
}

/// Waits until somebody says so; for ever when nobody can any more, which the mailbox says.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        pending::<()>().await;
    }
}

fn until(at: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO)
}
