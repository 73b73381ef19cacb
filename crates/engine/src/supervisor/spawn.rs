//! From a claimed run to a worker that runs: what it is lent, its processes made durable, and the go.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use dormouse_secrets::SpawnWrites;

use super::attempt::{Parts, end_processes};
use super::finish::{Cause, Seen, Unstarted};
use super::hearing::Hearing;
use super::heart::is_renewed;
use super::launch::{Unlaunchable, launch, layers, workspace};
use super::opening::opening;
use super::reports::Reports;
use super::stopping::cause;
use super::talking::Talking;
use super::threads_used::known;
use super::work::Hand;
use crate::CommandError;
use crate::run::{Process, Started};
use crate::worker::environment::apart_from_secrets;
use crate::worker::{self, Feed, Live, Prepared};

impl Hand<'_> {
    /// From the launch to a worker that runs, or why there is none.
    pub(super) async fn spawn(&mut self) -> Result<Live, Seen> {
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
        match started(self.parts, &process, lent.as_ref()).await {
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

    /// What the worker gets of its agent's secrets. From here on all texts of the run pass the scrubber of these.
    async fn lend(&mut self) -> Result<(BTreeMap<String, String>, Option<SpawnWrites>), Seen> {
        let parts = self.parts;
        let lent = parts
            .tenant
            .credentials
            .lend(&parts.claimed.run, self.command)
            .await;
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
        if self
            .adapted
            .as_ref()
            .is_some_and(|adapted| adapted.provider.is_spoken_to())
        {
            let opening = opening(parts, self.command, &workspace(parts)).await;
            self.opening = Some(opening.map_err(|why| Seen::Unstarted(Unstarted::Wordless(why)))?);
        }
        if let Some(adapted) = &self.adapted {
            let known = known(parts, adapted).await;
            self.hearing = Some(Hearing::new(parts, adapted, known));
        }
        Ok(())
    }

    async fn prepare(&mut self, leased: BTreeMap<String, String>) -> Result<Prepared, Seen> {
        let parts = self.parts;
        let argv = self
            .adapted
            .as_ref()
            .map_or(&self.command.argv, |adapted| &adapted.argv);
        let feed = match &self.opening {
            Some(_) => Feed::Piped,
            None => Feed::Given,
        };
        let launched = launch(parts, self.command, argv, feed, leased).await;
        let (launch, endpoint) = launched.map_err(|error| match error {
            Unlaunchable::Environment(error) => Seen::Unstarted(Unstarted::Environment(error)),
            Unlaunchable::Spawn(error) => Seen::Unstarted(Unstarted::Spawn(error)),
        })?;
        self.endpoint = endpoint;
        self.before_stop(worker::prepare(&launch)).await
    }

    /// A stop that comes while the worker is being started may come too late for it: then it is ended by its row, so
    /// that nothing of it lives once its outcome is written.
    async fn go(&mut self, prepared: Prepared) -> Result<Live, Seen> {
        self.spawns += 1;
        let mut gone = self.before_stop(prepared.go()).await;
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
        if let (Some(provider), Some(opening), Some(feed)) = (provider, self.opening.take(), live.take_feed())
        {
            self.talking = Talking::begin(self.parts, provider, opening, feed);
        }
    }

    /// A step of the start, unless a stop comes first: then the step is dropped.
    async fn before_stop<T>(
        &mut self,
        step: impl Future<Output = Result<T, worker::SpawnError>>,
    ) -> Result<T, Seen> {
        tokio::select! {
            done = step => return done.map_err(|error| Seen::Unstarted(Unstarted::Spawn(error))),
            cause = cause(self.parts, &self.clocks, self.signals) => self.stop = Some(cause),
            () = self.signals.fenced.notified() => self.is_fenced = true,
        }
        Err(Seen::Unstarted(Unstarted::Stopped))
    }
}

/// Makes the processes durable before they may go. A lease whose time was up is renewed first where that can be.
async fn started(
    parts: &Parts,
    process: &Process,
    lent: Option<&SpawnWrites>,
) -> Result<Started, CommandError> {
    let (runs, claimed) = (&parts.tenant.runs, &parts.claimed);
    match runs.started_with(claimed, Some(process), lent).await {
        Err(CommandError::LeaseExpired { .. }) if is_renewed(parts).await => {
            runs.started_with(claimed, Some(process), lent).await
        }
        answered => answered,
    }
}
