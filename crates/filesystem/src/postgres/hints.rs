//! Hints between processes: `NOTIFY` after commits, on a connection of its own, and `LISTEN` on the same.
//!
//! A notification inside a commit would let all commits of the database wait for one another. So it follows them,
//! gathered, at most every `notify_every`. Whoever loses the connection tells its watches that they missed something.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_postgres::{AsyncMessage, Client, Error, Notification};
use tokio_util::sync::CancellationToken;

use super::session::{Connector, Messages};
use super::shared::Shared;
use crate::Key;

/// Most keys told by name; above, all of the store is said to have changed.
const KEYS_MAX: usize = 512;
/// Most bytes of one notification: the server takes fewer than 8,000.
const PAYLOAD_MAX: usize = 7_900;
/// Most notifications received and not looked at; the connection waits for room.
const RECEIVED_MAX: usize = 1024;
/// Everything may have changed. No key begins with it.
const EVERYTHING: &str = "*";
/// Longest a notification waits for the server.
const NOTIFY_MAX: Duration = Duration::from_secs(10);
/// Between two tries to be connected again, at first; it doubles.
const RECONNECT_MIN: Duration = Duration::from_millis(50);
const RECONNECT_MAX: Duration = Duration::from_secs(5);

/// Keys that changed and were not yet told.
#[derive(Debug, Default)]
pub(super) struct Pending {
    untold: Mutex<Untold>,
    added: Notify,
}

#[derive(Debug, Default)]
struct Untold {
    keys: BTreeSet<Key>,
    /// Something was to be told and was not, so that nobody knows what.
    is_everything: bool,
}

impl Pending {
    fn untold(&self) -> MutexGuard<'_, Untold> {
        self.untold.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add<'a>(&self, changed: impl Iterator<Item = &'a Key>) {
        let mut untold = self.untold();
        // One more than are told by name says that there are too many.
        for key in changed {
            if untold.keys.len() > KEYS_MAX {
                break;
            }
            untold.keys.insert(key.clone());
        }
        drop(untold);
        self.added.notify_one();
    }

    fn take(&self) -> Vec<String> {
        let untold = std::mem::take(&mut *self.untold());
        if untold.is_everything {
            return vec![EVERYTHING.to_owned()];
        }
        payloads(&untold.keys)
    }

    /// What was taken was not told: all of the store is said to have changed, next time.
    fn put_back(&self) {
        self.untold().is_everything = true;
        self.added.notify_one();
    }
}

/// The notifications that tell of these keys.
fn payloads(keys: &BTreeSet<Key>) -> Vec<String> {
    if keys.len() > KEYS_MAX {
        return vec![EVERYTHING.to_owned()];
    }
    let mut payloads: Vec<String> = Vec::new();
    for key in keys.iter().map(Key::stored) {
        match payloads.last_mut() {
            Some(last) if last.len() + 1 + key.len() <= PAYLOAD_MAX => {
                last.push(' ');
                last.push_str(key);
            }
            Some(_) | None => payloads.push(key.to_owned()),
        }
    }
    payloads
}

/// A connection that listens.
pub(super) struct Listening {
    client: Client,
    /// Its own notifications come back to it, and are known by this.
    process: i32,
    received: mpsc::Receiver<Notification>,
    driver: JoinHandle<()>,
    channel: String,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Listening {
    /// Connects, and listens from then on.
    pub(super) async fn begin(connector: &Connector, store: &str) -> Result<Self, Error> {
        let (client, messages) = connector.connect_to_any().await?;
        let (sender, received) = mpsc::channel(RECEIVED_MAX);
        let mut listening = Self {
            client,
            process: 0,
            received,
            driver: tokio::spawn(drive(messages, sender)),
            channel: format!("dormouse_{store}"),
        };
        // As a session left it from which a pooler handed it on, it may take no writes, and so no hints. A standby lets
        // nobody listen. The store's id is hexadecimal digits.
        let listen = format!(
            "RESET default_transaction_read_only; LISTEN \"{}\"",
            listening.channel
        );
        listening.client.batch_execute(&listen).await?;
        let row = listening.client.query_one("SELECT pg_backend_pid()", &[]).await?;
        listening.process = row.try_get(0)?;
        Ok(listening)
    }

    async fn tell(&self, payloads: Vec<String>) -> Result<(), Error> {
        for payload in payloads {
            self.client
                .execute("SELECT pg_notify($1, $2)", &[&self.channel, &payload])
                .await?;
        }
        Ok(())
    }
}

async fn drive(mut messages: Messages, sender: mpsc::Sender<Notification>) {
    // Ends with the connection, or with whoever listened.
    while let Some(Ok(message)) = messages.next().await {
        if let AsyncMessage::Notification(notification) = message
            && sender.send(notification).await.is_err()
        {
            return;
        }
    }
}

/// Tells and hears until stopped, over as many connections as it takes. What is pending then is still told.
pub(super) async fn run(
    shared: Arc<Shared>,
    connector: Connector,
    store: String,
    notify_every: Duration,
    first: Listening,
    stop: CancellationToken,
) {
    let mut listening = first;
    // Ends when stopped.
    loop {
        if let Listened::Stopped = listen(&shared, &mut listening, notify_every, &stop).await {
            return;
        }
        shared.watches.miss();
        tracing::warn!("the store's connection for hints ended; it is made again");
        let again = tokio::select! {
            () = stop.cancelled() => return,
            again = reconnect(&connector, &store) => again,
        };
        listening = again;
        // What changed in between was told to nobody here.
        shared.watches.miss();
    }
}

async fn reconnect(connector: &Connector, store: &str) -> Listening {
    let mut delay = RECONNECT_MIN;
    // Ends with a connection.
    loop {
        match Listening::begin(connector, store).await {
            Ok(listening) => return listening,
            Err(error) => tracing::debug!(%error, "no connection for hints yet"),
        }
        sleep(delay).await;
        delay = (delay * 2).min(RECONNECT_MAX);
    }
}

enum Listened {
    Stopped,
    Disconnected,
}

async fn listen(
    shared: &Shared,
    listening: &mut Listening,
    notify_every: Duration,
    stop: &CancellationToken,
) -> Listened {
    let mut not_before = Instant::now();
    let mut has_pending = true;
    // Ends when stopped, or with the connection.
    loop {
        tokio::select! {
            received = listening.received.recv() => match received {
                Some(notification) => hear(shared, listening.process, &notification),
                None => return Listened::Disconnected,
            },
            () = shared.pending.added.notified(), if !has_pending => has_pending = true,
            () = sleep_until(not_before), if has_pending => {
                has_pending = false;
                if !told(shared, listening).await {
                    return Listened::Disconnected;
                }
                not_before = Instant::now() + notify_every;
            }
            () = stop.cancelled() => {
                told(shared, listening).await;
                return Listened::Stopped;
            }
        }
    }
}

/// Tells what is pending. What could not be told is a change of everything, for the next connection.
async fn told(shared: &Shared, listening: &Listening) -> bool {
    let payloads = shared.pending.take();
    match timeout(NOTIFY_MAX, listening.tell(payloads)).await {
        Ok(Ok(())) => true,
        Ok(Err(_)) | Err(_) => {
            shared.pending.put_back();
            false
        }
    }
}

fn hear(shared: &Shared, process: i32, notification: &Notification) {
    if notification.process_id() == process {
        return;
    }
    let names: Vec<&str> = notification.payload().split(' ').collect();
    let keys: Option<Vec<Key>> = names.iter().map(|name| Key::from_stored(name).ok()).collect();
    match keys {
        Some(keys) => shared.watches.ring(keys.iter()),
        // Everything, or something that a newer build says.
        None => shared.watches.miss(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(count: usize, longest: bool) -> BTreeSet<Key> {
        let tail = if longest { "x".repeat(120) } else { String::new() };
        let name = |n| Key::parse(&format!("p{n:04}{tail}")).unwrap();
        (0..count).map(name).collect()
    }

    #[test]
    fn every_key_is_told_in_notifications_that_the_server_takes() {
        for (count, longest) in [(1, false), (KEYS_MAX, false), (KEYS_MAX, true)] {
            let keys = keys(count, longest);
            let payloads = payloads(&keys);
            assert!(payloads.iter().all(|payload| payload.len() <= PAYLOAD_MAX));
            let told: BTreeSet<Key> = payloads
                .iter()
                .flat_map(|payload| payload.split(' '))
                .map(|name| Key::from_stored(name).unwrap())
                .collect();
            assert_eq!(told, keys);
        }
        assert_eq!(payloads(&BTreeSet::new()), Vec::<String>::new());
    }

    #[test]
    fn too_many_keys_are_everything() {
        assert_eq!(payloads(&keys(KEYS_MAX + 1, false)), [EVERYTHING]);
        assert!(Key::from_stored(EVERYTHING).is_err());
    }
}
