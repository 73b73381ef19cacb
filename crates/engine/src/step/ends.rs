//! How the work of a future ended, by the same table as that of a process.

use dormouse_secrets::{Scrubbed, Scrubber};
use tokio::task::JoinError;

use super::{Failure, Report};
use crate::block::BlockSlot;
use crate::outcome::Outcome;
use crate::run::StopReason;
use crate::worker::classify::{Codes, End, Observed, Stopped, Verdict, classify};

/// What is seen of a future that is over.
pub(super) enum Said {
    /// It returned.
    Joined(Result<Result<Report, Failure>, JoinError>),
    /// It was dropped, having said nothing.
    Nothing,
}

/// What its run comes to: a block first, whatever else it says; what it finished by itself, though it was told to stop; the
/// stop; what it failed by.
pub(super) fn verdict(
    said: Said,
    stop: Option<&StopReason>,
    block: &BlockSlot,
    scrubber: &Scrubber,
) -> Verdict {
    let (end, text) = match said {
        Said::Joined(Ok(Ok(report))) => {
            let (finish, text) = report.finish(scrubber);
            (End::Finished(finish), text)
        }
        Said::Joined(Ok(Err(failure))) => (End::Finished(failure.finish(scrubber)), None),
        // The panic's text goes to the log of the panic hook, not into a record.
        Said::Joined(Err(_)) => (End::Panicked(Scrubbed::constant("the work panicked")), None),
        Said::Nothing => (End::Abandoned, None),
    };
    let observed = Observed {
        block: block
            .get()
            .map(|met| (met.reason.clone(), Some(met.evidence.clone()))),
        stop: stop.map(Stopped::of),
        end,
        text,
        codes: Codes::default(),
    };
    classify(&observed, scrubber)
}

/// An outcome that nobody has to judge.
pub(super) fn plain(outcome: Outcome) -> Verdict {
    Verdict {
        outcome,
        after_stop: false,
    }
}
