//! A command's way to the store, found when it is needed and found again when an owner leaves.

use std::time::Duration;

use axum::http::StatusCode;
use bytes::Bytes;
use tokio::net::UnixStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::call::Call;
use super::lines::Lines;
use super::route::{Answer, Client, SendError, Server};
use crate::attach::{LockFound, SocketFound, Step, decide};
use crate::context::Context;
use crate::edge;
use crate::output::Ui;
use crate::owner::lock::{Attempt, OwnerLock};
use crate::owner::token::ControlToken;
use crate::owner::{Owner, Role};
use crate::problem::{Code, Problem, Result};

/// Tries of one request that was refused for now.
const ATTEMPTS_MAX: u32 = 4;
/// Longest wait between two looks at socket and lock.
const LOOK_AGAIN_MAX_MS: u64 = 60;
/// The wait before a second try; it doubles, and the real one is random up to it.
const DELAY: Duration = Duration::from_millis(100);

/// How long the owner of a store waits for who reads its stdout.
const READER_MAX: Duration = Duration::from_millis(100);
/// How long who made room waits before it looks for the next owner.
const MAKE_ROOM: Duration = Duration::from_millis(200);

/// The way to the store: as its owner, as a client of its owner, or as a client of a server.
#[derive(Debug)]
pub struct Session<'a> {
    context: &'a Context,
    role: Role,
    /// Whether it becomes the owner where there is none.
    may_own: bool,
    client: watch::Sender<Option<Client>>,
    owner: Option<Owner>,
}

impl<'a> Session<'a> {
    /// A session that has not looked yet.
    #[must_use]
    pub fn new(context: &'a Context, role: Role) -> Self {
        Self {
            context,
            role,
            may_own: true,
            client: watch::Sender::new(None),
            owner: None,
        }
    }

    /// The same, which asks an owner that is there and never becomes one.
    #[must_use]
    pub fn of_guest(context: &'a Context) -> Self {
        Self {
            may_own: false,
            ..Self::new(context, Role::Visitor)
        }
    }

    /// Who owns the store in this process, if it does.
    #[must_use]
    pub fn owner(&self) -> Option<&Owner> {
        self.owner.as_ref()
    }

    /// The client in use, now and whenever it changes: for tasks beside the main one.
    #[must_use]
    pub fn clients(&self) -> watch::Receiver<Option<Client>> {
        self.client.subscribe()
    }

    /// Looks for the owner again at the next request, unless this process is it.
    pub fn look_again(&mut self) {
        if self.owner.is_none() {
            self.client.send_replace(None);
        }
    }

    /// Waits until somebody wants this owner out of the way; for ever where this process is no owner.
    pub async fn is_in_the_way(&self) {
        match &self.owner {
            Some(owner) => owner.house().is_in_the_way().await,
            None => std::future::pending().await,
        }
    }

    /// Stops being the owner, and lets who waited for it be the next.
    ///
    /// # Errors
    /// What could not be flushed.
    pub async fn make_room(&mut self) -> Result<()> {
        self.client.send_replace(None);
        if let Some(owner) = self.owner.take() {
            owner.close().await?;
            sleep(MAKE_ROOM).await;
        }
        Ok(())
    }

    /// Writes what was held back for stdout. An owner whose reader is slow leaves the store first: others need it.
    /// What is being read from the store ends then.
    ///
    /// # Errors
    /// Of stdout, or what could not be flushed.
    pub async fn deliver(&mut self, ui: &Ui, reading: Option<&mut Lines>) -> Result<()> {
        let Some(held) = ui.held.as_ref().filter(|held| !held.is_empty()) else {
            return Ok(());
        };
        let mut written = std::pin::pin!(held.written());
        if self.owner.is_some() {
            if let Ok(written) = timeout(READER_MAX, &mut written).await {
                return written;
            }
            if let Some(reading) = reading {
                reading.close();
            }
            self.make_room().await?;
        }
        written.await
    }

    /// The whole body of a good answer.
    ///
    /// # Errors
    /// The problem that was answered, or that there was no answer.
    pub async fn ask(&mut self, call: &Call) -> Result<Bytes> {
        // One key for all tries.
        let call = &call.keyed()?;
        let deadline = self.deadline();
        let mut attempt = 1;
        // Ends with an answer, or after the deadline or the last attempt.
        loop {
            let answer = self.open(call).await?;
            match timeout_at(deadline, answer.bytes()).await {
                Ok(Ok(bytes)) => return Ok(bytes),
                Ok(Err(SendError::Lost(why) | SendError::NotSent(why))) => {
                    self.lost(call, &why, &mut attempt).await?;
                }
                Err(_) => return Err(no_answer(call, "the deadline passed").into()),
            }
        }
    }

    /// A good answer whose body may still be coming.
    ///
    /// # Errors
    /// As [`Session::ask`].
    pub async fn open(&mut self, call: &Call) -> Result<Answer> {
        let call = &call.keyed()?;
        let deadline = self.deadline();
        let patience = Instant::now() + self.patience();
        let mut attempt = 1;
        // Ends with an answer, or after the deadline or the last attempt.
        loop {
            let client = self.attached(patience).await?;
            let sent = timeout_at(deadline, client.send(call)).await;
            tracing::debug!(?call, answer = ?sent.as_ref().map(|sent| sent.as_ref().map(|answer| answer.status)), "asked");
            match sent {
                Ok(Ok(answer)) if answer.status.is_success() => return Ok(answer),
                Ok(Ok(answer)) => self.refused(answer, &mut attempt, patience, deadline).await?,
                Ok(Err(SendError::NotSent(why))) => self.not_sent(&why, &mut attempt, patience).await?,
                Ok(Err(SendError::Lost(why))) => self.lost(call, &why, &mut attempt).await?,
                Err(_) => return Err(no_answer(call, "the deadline passed").into()),
            }
        }
    }

    fn deadline(&self) -> Instant {
        Instant::now()
            + self
                .context
                .config
                .duration("client.deadline")
                .unwrap_or_default()
    }

    fn patience(&self) -> Duration {
        self.context
            .config
            .duration("client.attach_timeout")
            .unwrap_or_default()
    }

    /// An answer that is no success: waits if it is worth another try, else it is the failure.
    async fn refused(
        &mut self,
        answer: Answer,
        attempt: &mut u32,
        patience: Instant,
        deadline: Instant,
    ) -> Result<()> {
        let (status, after) = (answer.status, answer.retry_after());
        let bytes = answer.bytes().await.unwrap_or_default();
        let problem: Problem = serde_json::from_slice(&bytes).unwrap_or_else(|_| {
            Problem::new(Code::Internal, format!("the server answered {status}")).status(status.as_u16())
        });
        // What passes says when to come again. What a person has to mend, as a key file that is gone, does not.
        let is_owner_leaving = status == StatusCode::SERVICE_UNAVAILABLE
            && after.is_some()
            && self.context.server.is_none()
            && self.owner.is_none();
        if is_owner_leaving && Instant::now() < patience {
            tracing::debug!(%status, "the owner makes room");
            self.client.send_replace(None);
            sleep(look_again()?).await;
            return Ok(());
        }
        let is_for_now = after.is_some()
            && matches!(
                status,
                StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
            );
        let wait = after.unwrap_or_default() + jittered(*attempt)?;
        if !is_for_now || *attempt == ATTEMPTS_MAX || Instant::now() + wait >= deadline {
            return Err(problem.into());
        }
        *attempt += 1;
        sleep(wait).await;
        Ok(())
    }

    /// Nothing arrived: the owner has left, or the server cannot be reached.
    async fn not_sent(&mut self, why: &str, attempt: &mut u32, patience: Instant) -> Result<()> {
        if self.context.server.is_none() {
            if Instant::now() >= patience {
                let detail = format!("the owner of the store hangs up: {why}");
                return Err(Problem::new(Code::Unavailable, detail)
                    .hint("see dormouse doctor; client.attach_timeout says how long a command waits")
                    .into());
            }
            self.client.send_replace(None);
            sleep(look_again()?).await;
            return Ok(());
        }
        if *attempt == ATTEMPTS_MAX {
            let detail = format!("the server cannot be reached: {why}");
            return Err(Problem::new(Code::Unavailable, detail)
                .hint("check --server, DORMOUSE_SERVER and client.server; without them the store of this host is used")
                .into());
        }
        sleep(jittered(*attempt)?).await;
        *attempt += 1;
        Ok(())
    }

    /// It was sent and the answer was lost: a read is sent again, and so is what has a key; anything else is not.
    async fn lost(&mut self, call: &Call, why: &str, attempt: &mut u32) -> Result<()> {
        if !call.is_repeatable() || *attempt == ATTEMPTS_MAX {
            return Err(no_answer(call, why).into());
        }
        if self.context.server.is_none() {
            self.client.send_replace(None);
        }
        sleep(jittered(*attempt)?).await;
        *attempt += 1;
        Ok(())
    }

    /// The client, found in the order of program.md where there is none.
    async fn attached(&mut self, patience: Instant) -> Result<Client> {
        let mut lock = LockFound::Untried;
        let mut holder = None;
        let mut held = None;
        // Ends with a client, or when patience does.
        loop {
            let found = self.client.borrow().clone();
            if let Some(client) = found {
                return Ok(client);
            }
            let socket = if held.is_none() {
                self.look().await
            } else {
                SocketFound::Silent
            };
            tracing::debug!(?socket, ?lock, "looked for the owner of the store");
            match decide(
                self.context.server.is_some(),
                socket,
                lock,
                Instant::now() < patience,
            ) {
                Step::UseServer => drop(self.client.send_replace(Some(self.server_client()?))),
                Step::UseSocket => drop(self.client.send_replace(Some(self.socket_client()?))),
                Step::TryLock if !self.may_own => return Err(nobody().into()),
                Step::TryLock => {
                    self.context.places.ensure()?;
                    lock = match OwnerLock::attempt(&self.context.places.lock, &note())? {
                        Attempt::Held(taken) => {
                            held = Some(taken);
                            LockFound::Held
                        }
                        Attempt::Busy(note) => {
                            holder = note;
                            LockFound::Busy
                        }
                    };
                }
                Step::Own => {
                    let taken = held.take().expect("the lock was found held");
                    lock = LockFound::Untried;
                    self.own(taken, patience).await?;
                }
                Step::Retry => {
                    sleep(look_again()?).await;
                    lock = LockFound::Untried;
                }
                Step::GiveUp => return Err(self.busy(holder).into()),
            }
        }
    }

    /// Becomes the owner of the store of this host, and nothing else.
    ///
    /// # Errors
    /// `Config` when a server is named; `State` when another process serves the store, and does not leave in time.
    pub async fn own_or_refuse(&mut self) -> Result<&Owner> {
        if self.context.server.is_some() {
            return Err(Problem::new(
                Code::Usage,
                "a server is named, and what is served is the store of this host",
            )
            .hint("leave --server, DORMOUSE_SERVER and client.server out")
            .into());
        }
        let patience = Instant::now() + self.patience();
        // Ends as the owner, or when patience does.
        while self.owner.is_none() {
            self.context.places.ensure()?;
            match OwnerLock::attempt(&self.context.places.lock, &note())? {
                Attempt::Held(taken) => self.own(taken, patience).await?,
                Attempt::Busy(holder) if Instant::now() >= patience => return Err(served(holder).into()),
                Attempt::Busy(_) => sleep(look_again()?).await,
            }
        }
        Ok(self.owner.as_ref().expect("the loop ends with one"))
    }

    /// Becomes the owner. What a former owner still holds while it dies is waited for.
    async fn own(&mut self, lock: OwnerLock, patience: Instant) -> Result<()> {
        match Owner::open(self.context, lock, self.role).await {
            Ok(owner) => {
                self.client.send_replace(Some(owner.client()));
                self.owner = Some(owner);
            }
            Err(problem) if problem.is(Code::Unavailable) && Instant::now() < patience => {
                sleep(look_again()?).await;
            }
            Err(problem) => return Err(problem.into()),
        }
        Ok(())
    }

    async fn look(&self) -> SocketFound {
        match UnixStream::connect(&self.context.places.socket).await {
            Ok(_) => SocketFound::Live,
            Err(_) => SocketFound::Silent,
        }
    }

    fn server_client(&self) -> Result<Client> {
        let server = self.context.server.clone().expect("a server was named");
        let token = match (&self.context.token_file, &server) {
            (Some(file), _) => Some(ControlToken::read(file).map_err(Problem::from)?),
            (None, Server::Unix(_)) => ControlToken::read(&self.context.places.token).ok(),
            // The control token is for the control socket; it is never sent over a network.
            (None, Server::Http(_)) => None,
        };
        Ok(Client::to(server, token, self.context.tenant_header()))
    }

    fn socket_client(&self) -> Result<Client> {
        let token = ControlToken::read(&self.context.places.token).map_err(Problem::from)?;
        Ok(Client::to(
            Server::Unix(self.context.places.socket.clone()),
            Some(token),
            self.context.tenant_header(),
        ))
    }

    fn busy(&self, holder: Option<String>) -> Problem {
        let holder = holder.map_or_else(|| "another process".to_owned(), |note| note.trim().to_owned());
        let detail = format!(
            "the store is held by {holder}, which does not answer on {}",
            self.context.places.socket.display()
        );
        Problem::new(Code::Unavailable, detail)
            .hint("wait for it or stop it; client.attach_timeout says how long a command waits")
    }

    /// Leaves. An owner finishes what it was asked, closes the store and frees the lock.
    ///
    /// # Errors
    /// What could not be flushed.
    pub async fn close(self) -> Result<()> {
        match self.owner {
            Some(owner) => Ok(owner.close().await?),
            None => Ok(()),
        }
    }
}

fn served(holder: Option<String>) -> Problem {
    let holder = holder.map_or_else(|| "another process".to_owned(), |note| note.trim().to_owned());
    Problem::new(Code::State, format!("the store is served by {holder}"))
        .hint("use it: every command finds it; or stop it first")
}

fn nobody() -> Problem {
    Problem::new(Code::Unavailable, "nobody serves the store")
        .hint("each command reads the settings when it begins; dormouse serve reads them at its start")
}

fn note() -> String {
    format!("process {} (dormouse)\n", std::process::id())
}

fn look_again() -> Result<Duration> {
    Ok(Duration::from_millis(
        5 + edge::random_number()? % LOOK_AGAIN_MAX_MS,
    ))
}

/// Full jitter: from nothing to the delay of this attempt.
fn jittered(attempt: u32) -> Result<Duration> {
    let max = DELAY * 2_u32.pow(attempt.min(8));
    let max_ms = u64::try_from(max.as_millis()).unwrap_or(u64::MAX);
    Ok(Duration::from_millis(edge::random_number()? % (max_ms + 1)))
}

fn no_answer(call: &Call, why: &str) -> Problem {
    if let Some(key) = call.key() {
        return Problem::new(Code::Unknown, format!("whether it was done is not known: {why}")).hint(format!(
            "the same under its key is done once: --key {key} where the command takes it; else look before trying again"
        ));
    }
    if call.is_repeatable() {
        return Problem::new(Code::Unavailable, format!("there was no answer: {why}")).hint("try again");
    }
    Problem::new(Code::Unknown, format!("whether it was done is not known: {why}"))
        .hint("look with dormouse task list and dormouse runs list before trying again")
}
