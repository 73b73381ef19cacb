//! What the parent knows to be acknowledged. It lives through every kill.

use dormouse_filesystem::Version;
use dormouse_tests::workload::{FIGHTERS, Report, WRITERS};

/// Everything that must be there.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ledger {
    pub(crate) writers: [Line; WRITERS as usize],
    pub(crate) fighters: [Line; FIGHTERS as usize],
    /// Entries of each writer's log up to this one were looked at.
    pub(crate) seen: [u64; WRITERS as usize],
    /// The last version of the hot key that is certain.
    pub(crate) hot_version: Option<Version>,
    updates: u64,
}

/// What is certain of one writer or fighter.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Line {
    /// Its last batch or count.
    pub(crate) n: u64,
    /// The last version that was said: of that, or of an earlier one.
    pub(crate) version: Option<Version>,
    /// Whether it is of that.
    pub(crate) is_version_of_n: bool,
    /// It may have gone so much further: each child killed since can have committed once and not said so.
    pub(crate) unsaid: u64,
}

impl Line {
    /// Learns where it is.
    #[track_caller]
    pub(crate) fn is_at(&mut self, n: u64, who: &str) {
        let most = self.n + self.unsaid;
        assert!(
            (self.n..=most).contains(&n),
            "{who} is at {n}; {} was acknowledged, and {most} is the most it can be",
            self.n
        );
        self.is_version_of_n &= n == self.n;
        self.n = n;
        self.unsaid = 0;
    }

    /// Learns of a commit at this version.
    #[track_caller]
    fn goes_on(&mut self, n: u64, version: Version, who: &str) {
        self.is_at(n - 1, who);
        assert!(
            self.version < Some(version),
            "{who}: version {version} follows {:?}",
            self.version
        );
        self.n = n;
        self.version = Some(version);
        self.is_version_of_n = true;
    }
}

impl Ledger {
    /// Takes down what a child said before it was killed.
    pub(crate) fn take(&mut self, reports: &[Report]) {
        for report in reports {
            self.take_one(*report);
        }
        // Before it is ready, a child writes nothing.
        if reports.contains(&Report::Ready) {
            self.lines().for_each(|line| line.unsaid += 1);
        }
    }

    fn take_one(&mut self, report: Report) {
        match report {
            Report::Ready => {}
            // What was read is as durable as what was acknowledged.
            Report::Found { writer, n } => {
                self.writers[writer as usize].is_at(n, &format!("writer {writer}, found by a child,"));
            }
            Report::Done {
                writer,
                n,
                version,
                position,
            } => {
                let who = format!("writer {writer}");
                assert_eq!(
                    position, n,
                    "{who}: each batch has one entry, so positions and batches agree"
                );
                self.writers[writer as usize].goes_on(n, Version::new(version), &who);
            }
            Report::Hot {
                fighter,
                count,
                version,
            } => {
                let version = Version::new(version);
                self.fighters[fighter as usize].goes_on(count, version, &format!("fighter {fighter}"));
                self.hot_version = self.hot_version.max(Some(version));
                self.updates += 1;
            }
        }
    }

    fn lines(&mut self) -> impl Iterator<Item = &mut Line> {
        self.writers.iter_mut().chain(&mut self.fighters)
    }

    /// How many batches and updates were acknowledged.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.batches() + self.updates
    }

    fn batches(&self) -> u64 {
        self.writers.iter().map(|writer| writer.n).sum()
    }

    pub(crate) fn summary(&self) -> String {
        let (batches, updates) = (self.batches(), self.updates);
        format!("{batches} batches and {updates} updates of the hot key acknowledged, none lost")
    }
}
