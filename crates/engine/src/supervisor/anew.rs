//! A session that its provider does not resume: the run goes on without it, once.

use super::finish::Seen;
use super::work::Hand;
use crate::adapter::{Provider, adapt};
use crate::worker::{Ended, Gone};
use crate::{PrefixedId as _, SessionId};

impl Hand<'_> {
    /// Whether the provider did nothing but to refuse the session that it was to resume.
    pub(super) fn is_refused(&self, seen: &Seen) -> bool {
        let Seen::Gone(Some(Gone {
            ended: Ended::Exited { exit, signalled },
            ..
        })) = seen
        else {
            return false;
        };
        let resumes = self
            .adapted
            .as_ref()
            .is_some_and(|adapted| adapted.provider == Provider::Claude)
            && self.parts.claimed.run.spawn > 1
            && self.spawns == 1;
        let is_left_alone = self.stop.is_none()
            && self.parks.is_none()
            && self.parts.block.get().is_none()
            && !self.is_fenced
            && !signalled;
        resumes
            && is_left_alone
            && exit.code.is_some_and(|code| code != 0)
            && self.hearing.as_ref().is_some_and(|hearing| !hearing.has_begun())
    }

    /// Its next process begins a session of its own, by which the run goes on from here.
    pub(super) async fn begin_anew(&mut self) {
        // What the refused one said is told, and what it used is counted, before the next is heard.
        if let Some(hearing) = self.hearing.take() {
            let heard = hearing.end(None, false).await;
            self.count(&heard);
        }
        self.said().await;
        let parts = self.parts;
        let environment = &parts.tenant.core.environment;
        let session = SessionId::make(environment.clock.now(), &environment.random);
        let session = session.uuid().to_string();
        tracing::warn!(run = %parts.claimed.run.id, "the provider does not resume its session; it is begun anew");
        // One that is not kept is begun anew again.
        let bound = parts.scrubber().scrub(&session);
        if let Err(error) = parts.tenant.runs.bind(&parts.claimed, &bound).await {
            tracing::warn!(run = %parts.claimed.run.id, %error, "the new session of the provider was not kept");
        }
        self.adapted = adapt(&self.command.argv, &session, &self.command.stdin, false);
        // Closed before another stands in its place.
        self.endpoint = None;
        // Whoever said it was told that it waits: it waits behind the next one's prompt.
        if let Some(mut talking) = self.talking.take() {
            self.unsaid = talking.dialogue_mut().take_unsaid();
        }
        self.input = None;
        (self.has_left, self.end_by, self.leave_by) = (false, None, None);
        self.is_asked_to_leave = false;
    }
}
