//! From a claimed run to a worker that runs: what it is lent, its processes made durable, and the go.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use dormouse_secrets::SpawnWrites;

use super::attempt::{Parts, end_processes};
use super::calls::Calls;
use super::finish::{Cause, Seen, Unstarted};
use super::hearing::Hearing;
use super::heart::is_renewed;
use super::inbox::Lines;
use super::launch::{Unlaunchable, launch, layers, workspace};
use super::opening::{Words, first_line, opening};
use super::reports::Reports;
use super::stopping::cause;
use super::talking::Talking;
use super::threads_used::known;
use super::work::Hand;
use crate::CommandError;
use crate::adapter::can_resume;
use crate::command::{Effects, Stdin};
use crate::run::{self, Process, Started};
use crate::worker::environment::apart_from_secrets;
use crate::worker::{self, Feed, Live, Prepared};

impl Hand<'_> {
    /// From the launch to a worker that runs, or why there is none.
    pub(super) async fn spawn(&mut self) -> Result<Live, Seen> {
        self.admit()?;
        let (variables, lent) = match self.lent.take() {
            Some(variables) => (variables, None),
            None => self.lend().await?,
        };
        self.listen_anew().await?;
        let prepared = self.prepare(variables).await?;
        let row = Some(prepared.row().clone());
        *self
            .parts
            .processes
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = row;
        self.isolation = prepared.isolation().to_string();
        let process = Process::new(self.parts.claimed.run.id, prepared.row());
        match started(self.parts, &process, self.calls(), lent.as_ref()).await {
            Ok(Started::Go) => self.go(prepared).await,
            Ok(Started::Stop(reason)) => {
                self.stop.get_or_insert(Cause::Told(reason));
                Err(Seen::Unstarted(Unstarted::Stopped))
            }
            Err(CommandError::Fenced { .. } | CommandError::LeaseExpired { .. }) => {
                self.is_fenced = true;
                Err(Seen::Abandoned)
            }
            Err(error) => {
                let run = self.parts.claimed.run.id;
                tracing::warn!(%run, %error, "the worker's processes could not be written down");
                Err(Seen::Abandoned)
            }
        }
    }

    /// A worker whose agent says that it is resumable, and which is not, is not started.
    fn admit(&self) -> Result<(), Seen> {
        match (
            self.command.effects,
            can_resume(&self.command.argv, &self.command.stdin),
        ) {
            (Some(Effects::Resumable), Err(why)) => {
                let why = self.parts.scrubber().scrub(&why.to_string());
                Err(Seen::Unstarted(Unstarted::Unresumable(why)))
            }
            (Some(Effects::Resumable), Ok(())) | (Some(Effects::Opaque | Effects::Repeatable) | None, _) => {
                Ok(())
            }
        }
    }

    /// What is seen of its calls: those of a run that is resumable are asked for.
    fn calls(&self) -> run::Calls {
        match self.command.effects {
            Some(Effects::Resumable) => run::Calls::Asked,
            Some(Effects::Opaque | Effects::Repeatable) | None => run::Calls::Unseen,
        }
    }

    /// What the worker gets of its agent's secrets. From here on all texts of the run pass the scrubber of these.
    async fn lend(&mut self) -> Result<(BTreeMap<String, String>, Option<SpawnWrites>), Seen> {
        let (parts, command) = (self.parts, self.command);
        let lend = parts.tenant.credentials.lend(&parts.claimed.run, command);
        let lent = self.before_stop(lend).await?;
        let lent = lent.map_err(|why| Seen::Unstarted(Unstarted::Secrets(why)))?;
        parts.scrubber.get_or_init(|| lent.scrubber.clone());
        let others = layers(parts, self.command, BTreeMap::new());
        apart_from_secrets(&others, &lent.visible)
            .map_err(|error| Seen::Unstarted(Unstarted::Environment(error)))?;
        if parts.claimed.run.spawn > 1 {
            self.lent = Some(lent.variables.clone());
        }
        Ok((lent.variables, lent.writes))
    }

    /// Whoever hears the worker begins anew with each process.
    async fn listen_anew(&mut self) -> Result<(), Seen> {
        let (parts, scrubber) = (self.parts, self.parts.scrubber());
        (self.stdout, self.stderr) = (Some(scrubber.stream()), Some(scrubber.stream()));
        self.reports = Some(Reports::new(parts));
        self.words().await?;
        if let Some(adapted) = self.adapted.clone() {
            let known = self.before_stop(known(parts, &adapted)).await?;
            self.hearing = Some(Hearing::new(parts, &adapted, known, self.told_to));
        }
        Ok(())
    }

    /// What is said to it first, of one that is spoken to.
    async fn words(&mut self) -> Result<(), Seen> {
        let (parts, command, is_anew) = (self.parts, self.command, self.spawns > 0);
        let wordless = |why| Seen::Unstarted(Unstarted::Wordless(why));
        let spoken_to = self.adapted.as_ref().filter(|adapted| adapted.is_spoken_to);
        match spoken_to.map(|adapted| adapted.provider) {
            Some(provider) => {
                let workspace = workspace(parts);
                let opening = opening(parts, command, &workspace, provider, is_anew);
                let opening = self.before_stop(opening).await?.map_err(wordless)?;
                self.opening = Some(Words::Dialogue(opening));
            }
            None if command.stdin == Stdin::Stream => {
                let line = self.before_stop(first_line(parts)).await?.map_err(wordless)?;
                self.opening = Some(Words::Lines(line));
            }
            None => {}
        }
        Ok(())
    }

    async fn prepare(&mut self, leased: BTreeMap<String, String>) -> Result<Prepared, Seen> {
        let parts = self.parts;
        let adapted = self.adapted.as_ref();
        let argv = adapted.map_or_else(|| self.command.argv.clone(), |adapted| adapted.argv.clone());
        let feed = match &self.opening {
            Some(_) => Feed::Piped,
            None => Feed::Given,
        };
        let launched = launch(parts, self.command, &argv, feed, leased);
        let launched = self.before_stop(launched).await?;
        let (launch, endpoint) = launched.map_err(|error| match error {
            Unlaunchable::Environment(error) => Seen::Unstarted(Unstarted::Environment(error)),
            Unlaunchable::Spawn(error) => Seen::Unstarted(Unstarted::Spawn(error)),
        })?;
        self.endpoint = endpoint;
        let prepared = self.before_stop(worker::prepare(&launch)).await?;
        prepared.map_err(unspawned)
    }

    /// A stop that comes while the worker is being started may come too late for it: then it is ended by its row, so
    /// that nothing of it lives once its outcome is written.
    async fn go(&mut self, prepared: Prepared) -> Result<Live, Seen> {
        self.spawns += 1;
        let gone = self.before_stop(prepared.go()).await;
        let mut gone = gone.and_then(|gone| gone.map_err(unspawned));
        if let Ok(live) = &mut gone {
            self.talk(live);
        }
        if let Err(Seen::Unstarted(Unstarted::Stopped)) = gone {
            end_processes(self.parts).await;
        }
        gone
    }

    /// Begins to speak to a provider that is spoken to.
    fn talk(&mut self, live: &mut Live) {
        let provider = self.adapted.as_ref().map(|adapted| adapted.provider);
        let (Some(words), Some(feed)) = (self.opening.take(), live.take_feed()) else {
            return;
        };
        match (words, provider) {
            (Words::Dialogue(opening), Some(provider)) => {
                let heard = match self.calls() {
                    run::Calls::Asked => self.hearing.as_ref().map(Hearing::heard_by_now),
                    run::Calls::Unseen => None,
                };
                let calls = heard.map(|heard| Calls::new(self.parts, heard));
                self.talking = Talking::begin(self.parts, provider, opening, feed, calls);
                if let Some(talking) = &mut self.talking {
                    for text in std::mem::take(&mut self.unsaid) {
                        // There was room for as many where they waited before.
                        let _ = talking.dialogue_mut().follow_up(text);
                    }
                }
            }
            (Words::Lines(first), _) => {
                let lines = Lines::new(feed, self.parts.options.inbox_max.max(1));
                // Nothing waits yet.
                first.map(|first| lines.say(&first));
                self.input = Some(lines);
            }
            (Words::Dialogue(_), None) => {}
        }
    }

    /// A step of the start, unless a stop comes first: then the step is dropped, and a slow store delays no stop.
    async fn before_stop<T>(&mut self, step: impl Future<Output = T>) -> Result<T, Seen> {
        tokio::select! {
            done = step => return Ok(done),
            cause = cause(self.parts, &self.clocks, self.signals) => self.stop = Some(cause),
            () = self.signals.fenced.notified() => self.is_fenced = true,
        }
        Err(Seen::Unstarted(Unstarted::Stopped))
    }
}

fn unspawned(error: worker::SpawnError) -> Seen {
    Seen::Unstarted(Unstarted::Spawn(error))
}

/// Makes the processes durable before they may go. A lease whose time was up is renewed first where that can be.
async fn started(
    parts: &Parts,
    process: &Process,
    calls: run::Calls,
    lent: Option<&SpawnWrites>,
) -> Result<Started, CommandError> {
    let (runs, claimed) = (&parts.tenant.runs, &parts.claimed);
    match runs.started_with(claimed, Some(process), calls, lent).await {
        Err(CommandError::LeaseExpired { .. }) if is_renewed(parts).await => {
            runs.started_with(claimed, Some(process), calls, lent).await
        }
        answered => answered,
    }
}
