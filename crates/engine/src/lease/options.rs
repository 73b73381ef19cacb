//! How leases behave: what lies between a heartbeat, the end of a lease, and its taking over.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::limits::{
    HEARTBEATS_MAX, LEASE_HEARTBEAT, LEASE_RUNWAY, LEASE_SELF_STOP, LEASE_SKEW, LEASE_TTL, LEASE_TTL_MAX,
};

/// How the leases of every subject behave. All processes that share a store are set alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseOptions {
    /// `lease.ttl`: how long a lease lives after a heartbeat. 90 s; an hour at most.
    pub ttl: Duration,
    /// `lease.heartbeat`: how often its holder renews it; at most a third of the time to live. 20 s.
    pub heartbeat: Duration,
    /// `lease.skew`: a lease is taken over this long after its expiry, since clocks differ. 5 s.
    pub skew: Duration,
    /// `lease.self_stop`: a holder without a durable heartbeat for so long stops its work, before anybody can take it
    /// over. 45 s.
    pub self_stop: Duration,
    /// `lease.runway`: what must be left of a lease before a side effect, or it is renewed first. 15 s.
    pub runway: Duration,
    /// `lease.batch_max`: most heartbeats of one commit. 256, which is also the most.
    pub batch_max: usize,
}

impl Default for LeaseOptions {
    fn default() -> Self {
        Self {
            ttl: LEASE_TTL,
            heartbeat: LEASE_HEARTBEAT,
            skew: LEASE_SKEW,
            self_stop: LEASE_SELF_STOP,
            runway: LEASE_RUNWAY,
            batch_max: HEARTBEATS_MAX,
        }
    }
}

impl LeaseOptions {
    /// The first thing that is wrong with them, by the names of the settings; none when they go together. To be looked
    /// at before an engine is opened with them: for every subject it must hold that
    /// `store.checkout < store.commit_deadline < lease.heartbeat <= lease.ttl / 3`, and all are more than nothing.
    ///
    /// # Example
    /// ```
    /// use std::time::Duration;
    /// use dormouse_engine::lease::LeaseOptions;
    ///
    /// let (checkout, commit_deadline) = (Duration::from_secs(3), Duration::from_secs(10));
    /// assert_eq!(LeaseOptions::default().fault(checkout, commit_deadline), None);
    /// let slow = LeaseOptions { heartbeat: Duration::from_secs(31), ..LeaseOptions::default() };
    /// let fault = slow.fault(checkout, commit_deadline).unwrap();
    /// assert!(fault.starts_with("lease.heartbeat, lease.ttl: "), "{fault}");
    /// ```
    #[must_use]
    pub fn fault(&self, checkout: Duration, commit_deadline: Duration) -> Option<String> {
        let times = [
            ("store.checkout", checkout),
            ("store.commit_deadline", commit_deadline),
            ("lease.heartbeat", self.heartbeat),
            ("lease.ttl", self.ttl),
            ("lease.skew", self.skew),
            ("lease.self_stop", self.self_stop),
            ("lease.runway", self.runway),
        ];
        if let Some((key, _)) = times.iter().find(|(_, time)| time.is_zero()) {
            return Some(format!("{key}: is to be more than nothing"));
        }
        if !(1..=HEARTBEATS_MAX).contains(&self.batch_max) {
            return Some(format!("lease.batch_max: is to be 1 to {HEARTBEATS_MAX}"));
        }
        if self.ttl > LEASE_TTL_MAX {
            return Some(format!("lease.ttl: is to be {LEASE_TTL_MAX:?} at most"));
        }
        let orders = [
            (
                checkout < commit_deadline,
                "store.checkout, store.commit_deadline: the first is to be shorter",
            ),
            (
                commit_deadline < self.heartbeat,
                "store.commit_deadline, lease.heartbeat: the first is to be shorter",
            ),
            (
                self.heartbeat <= self.ttl / 3,
                "lease.heartbeat, lease.ttl: the first is to be a third of the second at most",
            ),
            (
                self.heartbeat < self.self_stop,
                "lease.heartbeat, lease.self_stop: the first is to be shorter",
            ),
            (
                self.self_stop < self.ttl,
                "lease.self_stop, lease.ttl: the first is to be shorter",
            ),
            (
                self.runway < self.ttl,
                "lease.runway, lease.ttl: the first is to be shorter",
            ),
            (
                self.skew < self.ttl,
                "lease.skew, lease.ttl: the first is to be shorter",
            ),
        ];
        let broken = orders.iter().find(|(holds, _)| !holds);
        broken.map(|(_, what)| (*what).to_owned())
    }

    /// Until when a lease lives that is taken or renewed at this time.
    pub(crate) fn expiry(&self, now: Timestamp) -> Timestamp {
        now.checked_add(signed(self.ttl)).unwrap_or(Timestamp::MAX)
    }

    /// By how much clocks may differ.
    pub(crate) fn skew(&self) -> SignedDuration {
        signed(self.skew)
    }
}

fn signed(time: Duration) -> SignedDuration {
    SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX)
}
