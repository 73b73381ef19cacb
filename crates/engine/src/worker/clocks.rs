//! The clocks of a run: wall, idle and grace, as a value that is asked and never asks the time itself.

use std::time::Duration;

use tokio::time::Instant;

use crate::outcome::ClockKind;

/// What the clocks are set to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockLimits {
    /// From the claim to the stop, time spent waiting for an answer left out.
    pub wall: Duration,
    /// From the last progress to the stop; none is off.
    pub idle: Option<Duration>,
    /// From the stop to the kill.
    pub grace: Duration,
    /// How long in all wall and idle stand still while an answer is awaited: longer, and they run on.
    pub waited_max: Duration,
}

/// A clock that ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expired {
    /// Which.
    pub clock: ClockKind,
    /// What it was set to.
    pub limit: Duration,
}

/// Share of one core that is progress though nothing is said: 1 in so many.
const BUSY_SHARE: u32 = 100;

/// The clocks of one run. Wall and idle stand still while the run waits for an answer, for as long as it may.
#[derive(Debug, Clone)]
pub struct Clocks {
    limits: ClockLimits,
    /// The wall clock as of `since`: used up in former spawns and stretches.
    used: Duration,
    /// When the present stretch began; none while an answer is awaited.
    since: Option<Instant>,
    progress_at: Instant,
    sampled: Option<(Instant, Duration)>,
    asked_at: Option<Instant>,
    waited: Duration,
}

impl Clocks {
    /// Clocks that run since `started`, the moment of the claim: a spawn that hangs is timed too.
    #[must_use]
    pub fn new(limits: ClockLimits, started: Instant) -> Self {
        Self {
            limits,
            used: Duration::ZERO,
            since: Some(started),
            progress_at: started,
            sampled: None,
            asked_at: None,
            waited: Duration::ZERO,
        }
    }

    /// The same for a later spawn of the run, with what former ones used of the wall clock.
    #[must_use]
    pub fn resumed(limits: ClockLimits, started: Instant, used: Duration) -> Self {
        Self {
            used,
            ..Self::new(limits, started)
        }
    }

    /// Output, a report, a completed part: the idle clock starts again.
    pub fn progress(&mut self, now: Instant) {
        self.progress_at = self.progress_at.max(now);
    }

    /// The tree's processor time so far: a share of a core since the last sample is progress.
    pub fn cpu(&mut self, now: Instant, total: Duration) {
        if let Some((at, before)) = self.sampled.replace((now, total)) {
            let (elapsed, used) = (now.saturating_duration_since(at), total.saturating_sub(before));
            if !elapsed.is_zero() && used * BUSY_SHARE >= elapsed {
                self.progress(now);
            }
        }
    }

    /// An answer is awaited: wall and idle stand still.
    pub fn ask(&mut self, now: Instant) {
        if let Some(since) = self.since.take() {
            self.used += now.saturating_duration_since(since);
            self.asked_at = Some(now);
        }
    }

    /// Every answer is there: they run again, the idle clock from its beginning.
    pub fn answered(&mut self, now: Instant) {
        let runs_since = self.runs_since();
        if let Some(asked_at) = self.asked_at.take() {
            if let Some(since) = runs_since {
                self.used += now.saturating_duration_since(since);
            }
            self.waited += now.saturating_duration_since(asked_at);
            self.since = Some(now);
            self.progress(now);
            self.sampled = None;
        }
    }

    /// Since when the wall clock runs, or from when on it will though an answer is awaited; none is never.
    fn runs_since(&self) -> Option<Instant> {
        let left = self.limits.waited_max.saturating_sub(self.waited);
        self.since.or_else(|| self.asked_at?.checked_add(left))
    }

    /// What is used of the wall clock.
    #[must_use]
    pub fn used(&self, now: Instant) -> Duration {
        let stretch = self.runs_since();
        self.used + stretch.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }

    /// The earliest moment at which a clock can run out; none while they stand still without end.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let wall = self.wall_at()?;
        let idle = self.limits.idle.and_then(|idle| Some(self.idle_since()? + idle));
        Some(idle.map_or(wall, |idle| idle.min(wall)))
    }

    /// When the wall clock runs out; none while it stands still without end.
    #[must_use]
    pub fn wall_at(&self) -> Option<Instant> {
        Some(self.runs_since()? + self.limits.wall.saturating_sub(self.used))
    }

    /// Since when the idle clock runs: it stood still at least as long as the wall clock did.
    fn idle_since(&self) -> Option<Instant> {
        Some(self.progress_at.max(self.runs_since()?))
    }

    /// When there will have been no progress for so long; none while it stands still without end.
    #[must_use]
    pub fn silent_at(&self, after: Duration) -> Option<Instant> {
        Some(self.idle_since()? + after)
    }

    /// For how long there was no progress.
    #[must_use]
    pub fn silent_for(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.progress_at)
    }

    /// The clock that ran out; the wall clock when both did.
    #[must_use]
    pub fn expired(&self, now: Instant) -> Option<Expired> {
        if self.used(now) >= self.limits.wall {
            return Some(Expired {
                clock: ClockKind::Wall,
                limit: self.limits.wall,
            });
        }
        let idle = self.limits.idle?;
        let silent = now.saturating_duration_since(self.idle_since()?);
        (silent >= idle).then_some(Expired {
            clock: ClockKind::Idle,
            limit: idle,
        })
    }

    /// When a stop that begins now ends in the kill.
    #[must_use]
    pub fn kill_at(&self, now: Instant) -> Instant {
        now + self.limits.grace
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    fn clocks(wall: u32, idle: Option<u32>) -> (Clocks, Instant) {
        let limits = ClockLimits {
            wall: S * wall,
            idle: idle.map(|i| S * i),
            grace: S,
            waited_max: S * 2000,
        };
        let started = Instant::now();
        (Clocks::new(limits, started), started)
    }

    #[test]
    fn the_wall_clock_runs_from_the_claim_whatever_the_progress() {
        let (mut clocks, t) = clocks(10, Some(5));
        for second in 1..10 {
            clocks.progress(t + S * second);
            assert_eq!(clocks.expired(t + S * second), None);
        }
        assert_eq!(clocks.next_deadline(), Some(t + S * 10));
        assert_eq!(
            clocks.expired(t + S * 10),
            Some(Expired {
                clock: ClockKind::Wall,
                limit: S * 10
            })
        );
    }

    #[test]
    fn the_idle_clock_starts_again_at_every_progress() {
        let (mut clocks, t) = clocks(100, Some(5));
        clocks.progress(t + S * 4);
        assert_eq!(clocks.next_deadline(), Some(t + S * 9));
        assert_eq!(clocks.expired(t + S * 8), None);
        assert_eq!(
            clocks.expired(t + S * 9),
            Some(Expired {
                clock: ClockKind::Idle,
                limit: S * 5
            })
        );
    }

    #[test]
    fn an_idle_clock_that_is_off_never_runs_out() {
        let (clocks, t) = clocks(100, None);
        assert_eq!(clocks.expired(t + S * 99), None);
        assert_eq!(clocks.next_deadline(), Some(t + S * 100));
    }

    #[test]
    fn one_hundredth_of_a_core_is_progress_and_less_is_none() {
        let (mut clocks, t) = clocks(100, Some(5));
        clocks.cpu(t, S);
        clocks.cpu(t + S * 4, S + Duration::from_millis(40));
        assert_eq!(clocks.next_deadline(), Some(t + S * 9));
        clocks.cpu(t + S * 8, S + Duration::from_millis(79));
        assert_eq!(clocks.next_deadline(), Some(t + S * 9));
    }

    #[test]
    fn waiting_for_an_answer_stops_both_clocks() {
        let (mut clocks, t) = clocks(10, Some(5));
        clocks.ask(t + S * 4);
        assert_eq!(clocks.expired(t + S * 1000), None);
        assert_eq!(clocks.used(t + S * 1000), S * 4);
        clocks.answered(t + S * 1004);
        assert_eq!(clocks.next_deadline(), Some(t + S * 1009));
        clocks.progress(t + S * 1008);
        assert_eq!(clocks.next_deadline(), Some(t + S * 1010));
    }

    #[test]
    fn who_waits_for_longer_than_may_be_is_timed_again() {
        let (mut clocks, t) = clocks(10, Some(5));
        clocks.ask(t + S * 4);
        clocks.answered(t + S * 1004);
        // Half of what may be waited is used up, and the wall clock stands at four.
        clocks.ask(t + S * 1004);
        let from = t + S * 2004;
        assert_eq!(clocks.next_deadline(), Some(from + S * 5));
        assert_eq!(clocks.expired(from + S * 4), None);
        assert_eq!(
            clocks.expired(from + S * 5).map(|expired| expired.clock),
            Some(ClockKind::Idle)
        );
        clocks.progress(from + S * 3);
        assert_eq!(clocks.next_deadline(), Some(from + S * 6));
        assert_eq!(
            clocks.expired(from + S * 6).map(|expired| expired.clock),
            Some(ClockKind::Wall)
        );
        clocks.answered(from + S * 3);
        assert_eq!(clocks.used(from + S * 3), S * 7, "what came after it counts");
        clocks.ask(from + S * 3);
        assert_eq!(
            clocks.next_deadline(),
            Some(from + S * 6),
            "nothing stands still any more"
        );
    }

    #[test]
    fn a_second_spawn_has_what_the_first_one_left() {
        let limits = ClockLimits {
            wall: S * 10,
            idle: None,
            grace: S,
            waited_max: S,
        };
        let t = Instant::now();
        let clocks = Clocks::resumed(limits, t, S * 7);
        assert_eq!(clocks.next_deadline(), Some(t + S * 3));
        assert!(clocks.expired(t + S * 3).is_some());
    }
}
