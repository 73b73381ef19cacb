//! The steps of one attempt, as whoever works on it calls them.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use dormouse_filesystem::Records;
use dormouse_secrets::{Scrubbed, Scrubber};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout_at};

use super::begin::{Began, Running};
use super::books::{Books, Leave, Ticket};
use super::conclude::{Kept, StepReport};
use super::within::within;
use super::{Effect, Step, StepError, StepFault, StepId, StepKey, StepName, StepPlace};
use crate::block::{BlockSlot, Met};
use crate::core::Core;
use crate::credentials::Credentials;
use crate::gate::{Canonical, InvalidInput};
use crate::limits::{PAGE_MAX, STEPS_MAX};
use crate::outcome::BlockReason;
use crate::run::{Claimed, Inbox, Runs, StopReason};
use crate::{CommandError, Subject};

/// How long a half waits for another call of its key to be over: that who began that one is gone is heard of a little late.
const HANG_UP: Duration = Duration::from_secs(1);

/// The durable steps of one attempt. Cloning is cheap, and all clones count the same calls.
#[derive(Clone)]
pub struct StepContext {
    pub(super) hand: Arc<Hand>,
    version: Option<u32>,
}

/// What the steps of an attempt share.
pub(super) struct Hand {
    pub(super) core: Arc<Core>,
    pub(super) claimed: Arc<Claimed>,
    pub(super) books: Books,
    /// The block that the run met, once it met one.
    block: BlockSlot,
    /// What is said to the run while it works.
    inbox: Inbox,
    /// What results and messages pass, once it is known.
    scrubber: Arc<OnceLock<Scrubber>>,
    /// How many steps of this origin and epoch there are.
    count: OnceCell<AtomicU64>,
}

impl fmt::Debug for StepContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StepContext({})", self.hand.claimed.run.id)
    }
}

/// A step that was asked for in two halves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// It is to be done, under this key, and ended with this ticket.
    Do {
        /// What ends it.
        ticket: Ticket,
        /// What it hands to whom it asks.
        key: StepKey,
    },
    /// It was done: this is its result, as JSON.
    Done(String),
}

impl StepContext {
    /// The steps of this run. Its texts pass the scrubber once that is there; until then that of its agent is read.
    pub(crate) fn new(core: &Arc<Core>, claimed: &Arc<Claimed>, scrubber: &Arc<OnceLock<Scrubber>>) -> Self {
        let hand = Hand {
            core: Arc::clone(core),
            claimed: Arc::clone(claimed),
            books: Books::new(),
            block: BlockSlot::default(),
            inbox: Inbox::default(),
            scrubber: Arc::clone(scrubber),
            count: OnceCell::new(),
        };
        Self {
            hand: Arc::new(hand),
            version: None,
        }
    }

    /// The same steps, whose inputs mean something else under each version: a step that was done under another one is
    /// `StepChanged`.
    #[must_use]
    pub fn version(&self, version: u32) -> Self {
        Self {
            hand: Arc::clone(&self.hand),
            version: Some(version),
        }
    }

    /// The run.
    #[must_use]
    pub fn claimed(&self) -> &Claimed {
        &self.hand.claimed
    }

    /// Whether what an external step did is not known to be durable.
    pub(crate) fn has_open(&self) -> bool {
        self.hand.books.has_open()
    }

    /// Whether an external step is in the middle of what it does.
    pub(crate) fn is_in_effect(&self) -> bool {
        self.hand.books.is_flying()
    }

    /// Says that a defence of somebody else's was met: the run ends as blocked, whatever else its work says. The first that is
    /// said stands; false for another. Address and words are kept scrubbed and cut.
    ///
    /// # Errors
    /// As any read: what is to be taken out of texts is not known.
    pub async fn block(
        &self,
        reason: BlockReason,
        url: Option<&str>,
        detail: Option<&str>,
    ) -> Result<bool, CommandError> {
        let scrubber = self.hand.scrubber().await?;
        Ok(self.hand.block.fill(Met::said(reason, url, detail, &scrubber)))
    }

    /// The next text that somebody says to the run ([`Runs::send`]), in their order; waits until there is one. What was not
    /// taken when the run ends or parks is not kept. Dropping this loses none.
    pub async fn next_text(&self) -> String {
        self.hand.inbox.next().await
    }

    /// What is said to the run.
    pub(super) fn inbox(&self) -> &Inbox {
        &self.hand.inbox
    }

    /// The block that the run met.
    pub(crate) fn block_slot(&self) -> &BlockSlot {
        &self.hand.block
    }

    /// Waits until the run is told to stop; at once when it was. Who goes on is dropped when its grace is over.
    pub async fn stopped(&self) -> StopReason {
        self.hand.claimed.stop.stopped().await
    }

    /// The stored result of this step; if there is none, the closure is called and its result stored. The number of the
    /// call among those of its name is part of what names it, so the same calls have to come in the same order in every
    /// attempt: concurrent ones use [`step_keyed`](Self::step_keyed).
    ///
    /// The closure is given a key that is the same in every attempt. What is returned is what is stored: scrubbed, so a
    /// step carries no secret.
    ///
    /// # Errors
    /// [`StepError`]; each variant says whether the closure was called.
    pub async fn step<T, I, F, Fut>(
        &self,
        name: &str,
        input: &I,
        effect: Effect,
        call: F,
    ) -> Result<T, StepError>
    where
        T: Serialize + DeserializeOwned,
        I: Serialize + ?Sized,
        F: FnOnce(StepKey) -> Fut,
        Fut: Future<Output = Result<T, StepFault>>,
    {
        self.named(name, None, input, effect, call).await
    }

    /// The same, named by this key, any text of up to 1,024 bytes, and not by the number of the call.
    ///
    /// # Errors
    /// As [`step`](Self::step); `StepInProgress` while another call of the key goes on.
    pub async fn step_keyed<T, I, F, Fut>(
        &self,
        name: &str,
        key: &str,
        input: &I,
        effect: Effect,
        call: F,
    ) -> Result<T, StepError>
    where
        T: Serialize + DeserializeOwned,
        I: Serialize + ?Sized,
        F: FnOnce(StepKey) -> Fut,
        Fut: Future<Output = Result<T, StepFault>>,
    {
        self.named(name, Some(key), input, effect, call).await
    }

    async fn named<T, I, F, Fut>(
        &self,
        name: &str,
        key: Option<&str>,
        input: &I,
        effect: Effect,
        call: F,
    ) -> Result<T, StepError>
    where
        T: Serialize + DeserializeOwned,
        I: Serialize + ?Sized,
        F: FnOnce(StepKey) -> Fut,
        Fut: Future<Output = Result<T, StepFault>>,
    {
        let name: StepName = name.parse()?;
        let input = canonical(&name, input)?;
        let place = match key {
            Some(key) => StepPlace::keyed(key)?,
            None => StepPlace::Ordinal(self.hand.books.next(&name)),
        };
        let json = match self.begin(&name, place, &input, effect).await? {
            Began::Kept(running, kept) => running.told(kept).await,
            Began::Run(running) => {
                let called = within(&name, effect, call(running.key()));
                let end = match called.await {
                    Ok(result) => StepReport::of(&result),
                    Err(fault) => fault.into(),
                };
                self.hand.conclude(running, end).await
            }
        };
        let json = match json {
            // The attempt is being ended: nothing of it goes on.
            Err(StepError::Lost { .. }) => std::future::pending().await,
            json => json?,
        };
        serde_json::from_str(&json).map_err(|source| StepError::Unreadable { name, source })
    }

    /// Begins a call, which goes on with whatever is returned. Its number, taken just before, is the call's from the first
    /// poll of this.
    pub(super) async fn begin(
        &self,
        name: &StepName,
        place: StepPlace,
        input: &Canonical,
        effect: Effect,
    ) -> Result<Began, StepError> {
        if self.hand.books.is_leaving() {
            // The attempt is left: nothing begins any more.
            return std::future::pending().await;
        }
        let input = super::value::digest(input, self.version);
        match self.hand.begin(name, place, input, effect).await {
            Err(StepError::Lost { .. }) => std::future::pending().await,
            began => began,
        }
    }

    /// The first half of a step that somebody else does. While another call of the key goes on, or one of the name where
    /// neither has a key, it is `StepInProgress`. While the attempt is being left this never returns.
    pub(crate) async fn begin_half(
        &self,
        name: &str,
        key: Option<&str>,
        input: &Canonical,
        effect: Effect,
    ) -> Result<Begun, StepError> {
        let name: StepName = name.parse()?;
        let place = self.place_of_half(&name, key).await?;
        match self.begin(&name, place, input, effect).await? {
            Began::Kept(running, kept) => running.told(kept).await.map(Begun::Done),
            Began::Run(running) => {
                let key = running.key();
                let ticket = self.hand.books.keep(running);
                Ok(Begun::Do { ticket, key })
            }
        }
    }

    /// Which call a half is, once no other may be the same one.
    async fn place_of_half(&self, name: &StepName, key: Option<&str>) -> Result<StepPlace, StepError> {
        let (books, place) = (&self.hand.books, key.map(StepPlace::keyed).transpose()?);
        let (mut exits, deadline) = (books.exits(), Instant::now() + HANG_UP);
        // Ends with the other call, or when that goes on.
        loop {
            match place {
                Some(place) if !books.is_called(&self.hand.id(name, place)) => return Ok(place),
                Some(_) => {}
                None => {
                    if let Some(nth) = books.next_alone(name) {
                        return Ok(StepPlace::Ordinal(nth));
                    }
                }
            }
            if timeout_at(deadline, exits.changed()).await.is_err() {
                return Err(StepError::StepInProgress { name: name.clone() });
            }
        }
    }

    /// Whoever began this step is gone and ends it no more: its call is over, as if it had been dropped.
    pub(crate) fn abandon_half(&self, ticket: Ticket) {
        drop(self.hand.books.take(ticket));
    }

    /// The second half. A ticket ends one step, once.
    pub(crate) async fn end_half(&self, ticket: Ticket, end: StepReport) -> Result<String, StepError> {
        let running = self.hand.books.take(ticket);
        let running = running.ok_or_else(|| CommandError::not_found("begun step", &ticket.0))?;
        self.hand.conclude(running, end).await
    }

    /// Waits until the attempt is to leave in the middle of its work, and may. May be dropped and called again.
    pub(crate) async fn left(&self) -> Leave {
        self.hand.books.left().await
    }
}

impl Hand {
    /// What names a step of this attempt.
    pub(super) fn id(&self, name: &StepName, place: StepPlace) -> StepId {
        StepId {
            origin: self.origin(),
            epoch: self.epoch(),
            name: name.clone(),
            place,
        }
    }

    fn origin(&self) -> Subject {
        match self.claimed.run.task {
            Some(task) => Subject::Task(task),
            None => Subject::Run(self.claimed.run.id),
        }
    }

    fn epoch(&self) -> u32 {
        self.claimed.task.step_epoch
    }

    pub(super) fn runs(&self) -> Runs {
        Runs::new(&self.core)
    }

    /// What results and messages pass: the set of the run's worker, or what its agent sees as the first step ends.
    pub(super) async fn scrubber(&self) -> Result<Scrubber, CommandError> {
        if let Some(scrubber) = self.scrubber.get() {
            return Ok(scrubber.clone());
        }
        let credentials = Credentials::new(&self.core);
        let scrubber = credentials.scrubber(&self.claimed.run.agent).await?;
        Ok(self.scrubber.get_or_init(|| scrubber).clone())
    }

    pub(super) async fn clean(&self, text: &str) -> Result<Scrubbed, CommandError> {
        Ok(self.scrubber().await?.scrub(text))
    }

    /// A place for one more step.
    pub(super) async fn reserve(&self) -> Result<(), StepError> {
        let count = self.count.get_or_try_init(|| self.counted()).await?;
        if count.fetch_add(1, Ordering::Relaxed) >= STEPS_MAX {
            count.fetch_sub(1, Ordering::Relaxed);
            return Err(StepError::StepsExhausted);
        }
        Ok(())
    }

    /// Gives such a place back.
    pub(super) fn release(&self) {
        if let Some(count) = self.count.get() {
            count.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// How many there are: nobody else makes any, since every step is written under this run's lease.
    async fn counted(&self) -> Result<AtomicU64, CommandError> {
        let rows = Records::<Step>::new(&self.core.space);
        let first = StepId::of_epoch(&self.origin(), self.epoch());
        let (mut count, mut after) = (0, None);
        // Ends with the last page: there are STEPS_MAX at most.
        loop {
            let page = rows.range(&first, after.as_ref(), PAGE_MAX).await?;
            count += (page.rows.len() + page.issues.len()) as u64;
            after = page.next;
            if after.is_none() {
                return Ok(AtomicU64::new(count));
            }
        }
    }
}

/// An input in its canonical form.
pub(super) fn canonical<I: Serialize + ?Sized>(name: &StepName, input: &I) -> Result<Canonical, StepError> {
    let canonical = serde_json::to_string(input)
        .map_err(InvalidInput::from)
        .and_then(|json| Canonical::parse(&json));
    canonical.map_err(|source| StepError::Input {
        name: name.clone(),
        source,
    })
}

/// Where a call goes on.
impl Running {
    /// The key its closure is given.
    pub(super) fn key(&self) -> StepKey {
        self.id.derived(&self.hand.core.tenant, &self.input)
    }

    /// What a kept end tells its caller. One that cannot be read is not had: the next call is this one again.
    pub(super) async fn told(mut self, kept: Kept) -> Result<String, StepError> {
        let name = self.id.name.clone();
        let told = match kept {
            Kept::Result(result) => Ok(super::value::read(&self.hand.core.space, &result).await?),
            Kept::Permanent(message) => Err(StepError::Permanent { name, message }),
            Kept::TooLarge(bytes) => Err(StepError::TooLarge { name, bytes }),
        };
        self.is_spent = true;
        told
    }
}
