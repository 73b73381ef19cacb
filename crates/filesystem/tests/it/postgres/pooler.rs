//! A pooler in the way: it hands connections to the server on from one session to the next, as they were left.

use std::io;
use std::sync::{Arc, Mutex};

use dormouse_filesystem::{Deadline, Key, Postgres, RecordKind, RecordStore, RecordStoreExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::place::{NOW, Place, is_here, run};
use super::proxy::{by_port, server};

/// A message as it is on the way: a letter, how long the rest is, the rest.
type Message = Vec<u8>;

/// In session mode, and without a reset.
struct Pooler {
    port: u16,
    shared: Arc<Mutex<Shared>>,
    accepting: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    idle: Vec<Server>,
    sessions: usize,
    handed_on: usize,
}

impl Drop for Pooler {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Pooler {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Mutex::new(Shared::default()));
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self {
            port,
            shared,
            accepting,
        }
    }

    /// Until every session has ended.
    async fn rests(&self) {
        while self.shared.lock().unwrap().sessions > 0 {
            tokio::task::yield_now().await;
        }
    }
}

async fn accept(listener: TcpListener, shared: Arc<Mutex<Shared>>) {
    // Ends with the pooler.
    while let Ok((client, _)) = listener.accept().await {
        shared.lock().unwrap().sessions += 1;
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let left = serve(client, &shared).await;
            let mut shared = shared.lock().unwrap();
            shared.idle.extend(left);
            shared.sessions -= 1;
        });
    }
}

/// A connection to the server.
struct Server {
    to: OwnedWriteHalf,
    messages: mpsc::Receiver<Message>,
    /// What it says first, to each that it is handed to.
    greeting: Vec<u8>,
}

impl Server {
    /// Connects, while the client and the server settle who the client is; none when they do not.
    async fn connect(
        startup: &[u8],
        asked: &mut mpsc::Receiver<Message>,
        client: &mut OwnedWriteHalf,
    ) -> Option<Self> {
        let (from, to) = TcpStream::connect(server()).await.ok()?.into_split();
        let mut server = Self {
            to,
            messages: messages(from),
            greeting: Vec::new(),
        };
        server.to.write_all(startup).await.ok()?;
        while !server.greeting.ends_with(b"Z\0\0\0\x05I") {
            let message = server.messages.recv().await?;
            client.write_all(&message).await.ok()?;
            match authentication(&message) {
                None | Some(LET_IN) => server.greeting.extend(message),
                // It says something, and asks nothing.
                Some(SETTLED) => {}
                Some(_) => server.to.write_all(&asked.recv().await?).await.ok()?,
            }
        }
        Some(server)
    }
}

const LET_IN: u32 = 0;
const SETTLED: u32 = 12;

/// What a message about who the client is says.
fn authentication(message: &Message) -> Option<u32> {
    let code = message.get(5..9)?.try_into().ok()?;
    (message[0] == b'R').then(|| u32::from_be_bytes(code))
}

/// Whole ones only: what is cut off in one never was.
fn messages(mut from: OwnedReadHalf) -> mpsc::Receiver<Message> {
    let (sender, received) = mpsc::channel(16);
    tokio::spawn(async move {
        // Ends with either side.
        while let Ok(message) = message(&mut from).await {
            if sender.send(message).await.is_err() {
                return;
            }
        }
    });
    received
}

async fn message(from: &mut OwnedReadHalf) -> io::Result<Message> {
    let mut message = vec![0; 5];
    from.read_exact(&mut message).await?;
    let len = u32::from_be_bytes(message[1..].try_into().unwrap());
    message.resize(1 + len as usize, 0);
    from.read_exact(&mut message[5..]).await?;
    Ok(message)
}

/// One session; what is left of it, once the server has answered all that it was asked.
async fn serve(mut client: TcpStream, shared: &Mutex<Shared>) -> Option<Server> {
    let len = client.read_u32().await.ok()?;
    let mut startup = len.to_be_bytes().to_vec();
    startup.resize(len as usize, 0);
    client.read_exact(&mut startup[4..]).await.ok()?;
    let (from, mut to) = client.into_split();
    let mut asked = messages(from);
    let taken = taken(shared);
    let (mut server, mut is_there) = match taken {
        Some(server) => {
            let is_greeted = to.write_all(&server.greeting).await.is_ok();
            (server, is_greeted)
        }
        None => (Server::connect(&startup, &mut asked, &mut to).await?, true),
    };
    let mut unanswered = 0_usize;
    // Ends when the client is gone and all of its is answered.
    while is_there || unanswered > 0 {
        tokio::select! {
            message = asked.recv(), if is_there => match message {
                Some(message) if message[0] != b'X' => {
                    unanswered += usize::from(matches!(message[0], b'S' | b'Q'));
                    server.to.write_all(&message).await.ok()?;
                }
                Some(_) | None => is_there = false,
            },
            message = server.messages.recv() => {
                let message = message?;
                unanswered -= usize::from(message[0] == b'Z');
                is_there = to.write_all(&message).await.is_ok() && is_there;
            }
        }
    }
    Some(server)
}

fn taken(shared: &Mutex<Shared>) -> Option<Server> {
    let mut shared = shared.lock().unwrap();
    let server = shared.idle.pop()?;
    shared.handed_on += 1;
    Some(server)
}

/// A session that was there before left its settings: the next one reads what the server is, not what they make of it.
#[test]
fn a_connection_that_another_session_left_is_one_to_write_on() {
    if !is_here() {
        return;
    }
    run(async {
        let (place, pooler) = (Place::default(), Pooler::start().await);
        let options = place.options(NOW);
        for name in ["a", "b"] {
            let store = Postgres::open(&by_port(pooler.port), options.clone())
                .await
                .unwrap();
            let deadline = Deadline::after(std::time::Duration::from_secs(10));
            let created = store
                .create(Key::parse(name).unwrap(), RecordKind::of("test"), "", deadline)
                .await;
            created.unwrap();
            store.close(deadline).await.unwrap();
            drop(store);
            pooler.rests().await;
        }
        assert!(pooler.shared.lock().unwrap().handed_on > 0);
    });
}
