//! Runs, failures and silence.

use super::{Change, Said};
use crate::{
    Command, Effect, Event, LastError, Lifecycle, Observed, RunEnd, RunId,
    chart::{Input, RunEnding},
};

impl Change<'_> {
    pub(super) fn note_run(&mut self, input: Input) {
        match (input, self.said) {
            (Input::BindRun, Said::Command(Command::BindRun { run })) => {
                let is_kept = |of: &Option<RunId>| of.as_ref().is_none_or(|of| of == run);
                self.state.sources.retain(|_, mark| is_kept(&mark.run));
                self.state.turn_authority = None;
                self.state.run = Some(run.clone());
                self.tell(Effect::RunBound { run: run.clone() });
            }
            (Input::RunEnded(_), _) => self.unbind(),
            _ => {}
        }
    }

    pub(super) fn note_error(&mut self, input: Input, next: Lifecycle) {
        let (reason, text) = match (input, self.said) {
            (
                Input::Errored,
                Said::Event {
                    observed:
                        Observed {
                            event: Event::Errored { reason, text },
                            ..
                        },
                    ..
                },
            ) => (reason, text),
            // A run whose task is tried again while its gates wait has not failed the session.
            (
                Input::RunEnded(RunEnding::Failed),
                Said::Command(Command::RunEnded {
                    end: RunEnd::Failed { reason, text, .. },
                    ..
                }),
            ) if next == Lifecycle::Error => (reason, text),
            _ => return,
        };
        self.state.last_error = Some(LastError::of(reason, text, self.at));
        self.applied.durable = true;
        self.tell(Effect::Errored {
            reason: reason.clone(),
        });
    }

    pub(super) fn note_stall(&mut self) {
        self.state.stalled = true;
        if let Said::Event {
            observed:
                Observed {
                    event: Event::Stalled { silent_for_ms },
                    ..
                },
            ..
        } = self.said
        {
            self.tell(Effect::Stalled {
                silent_for_ms: *silent_for_ms,
            });
        }
    }
}
