//! The network between a store and its server, to be cut at any byte.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_postgres::Config;
use tokio_postgres::config::Host;
use tokio_util::sync::CancellationToken;

use super::place::url;

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    ToServer,
    ToStore,
}

/// Bytes that still pass, and those that have passed.
#[derive(Debug)]
struct Lane {
    left: AtomicI64,
    passed: AtomicU64,
}

/// Passes everything on until it is told when to cut. What comes after a cut passes again, unless the server is gone.
#[derive(Debug)]
pub(super) struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    lanes: [Lane; 2],
    has_cut: AtomicBool,
    is_gone: AtomicBool,
    spoils_begin: AtomicBool,
    is_held: AtomicBool,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Proxy {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let lane = || Lane {
            left: AtomicI64::new(i64::MAX),
            passed: AtomicU64::new(0),
        };
        let shared = Arc::new(Shared {
            lanes: [lane(), lane()],
            has_cut: AtomicBool::new(false),
            is_gone: AtomicBool::new(false),
            spoils_begin: AtomicBool::new(false),
            is_held: AtomicBool::new(false),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self {
            port,
            shared,
            accepting,
        }
    }

    /// The server's url, by way of this proxy.
    pub(super) fn url(&self) -> String {
        by_port(self.port)
    }

    /// Cuts the connection once this many bytes more have gone this way.
    pub(super) fn cut_after(&self, way: Way, bytes: i64) {
        self.shared.has_cut.store(false, Ordering::SeqCst);
        self.shared.lanes[way as usize]
            .left
            .store(bytes, Ordering::SeqCst);
    }

    /// Whether the cut came.
    pub(super) fn has_cut(&self) -> bool {
        self.shared.has_cut.load(Ordering::SeqCst)
    }

    /// Passes everything again.
    pub(super) fn heal(&self) {
        for lane in &self.shared.lanes {
            lane.left.store(i64::MAX, Ordering::SeqCst);
        }
        self.shared.is_gone.store(false, Ordering::SeqCst);
        self.shared.spoils_begin.store(false, Ordering::SeqCst);
        self.shared.is_held.store(false, Ordering::SeqCst);
    }

    /// Every `BEGIN` is something that the server does not know: it fails, and its connection lives.
    pub(super) fn spoil_begin(&self) {
        self.shared.spoils_begin.store(true, Ordering::SeqCst);
    }

    /// Nothing is answered any more, and no connection ends.
    pub(super) fn hold(&self) {
        self.shared.is_held.store(true, Ordering::SeqCst);
    }

    /// After the cut nobody is let in.
    pub(super) fn is_gone_after(&self) {
        self.shared.is_gone.store(true, Ordering::SeqCst);
    }

    pub(super) fn passed(&self, way: Way) -> u64 {
        self.shared.lanes[way as usize].passed.load(Ordering::SeqCst)
    }
}

/// The server's url, by way of who listens at this port.
pub(super) fn by_port(port: u16) -> String {
    let (url, (host, direct)) = (url(), server());
    let direct = format!("@{host}:{direct}");
    assert!(url.contains(&direct), "the url names host and port");
    url.replace(&direct, &format!("@127.0.0.1:{port}"))
}

pub(super) fn server() -> (String, u16) {
    let config: Config = url().parse().unwrap();
    let Some(Host::Tcp(host)) = config.get_hosts().first() else {
        panic!("the tests' server is reached by TCP")
    };
    (host.clone(), config.get_ports().first().copied().unwrap_or(5432))
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    // Ends with the proxy.
    loop {
        let Ok((store, _)) = listener.accept().await else {
            return;
        };
        if shared.is_gone.load(Ordering::SeqCst) && shared.has_cut.load(Ordering::SeqCst) {
            continue;
        }
        let server = TcpStream::connect(server()).await.unwrap();
        let (from_store, to_store) = store.into_split();
        let (from_server, to_server) = server.into_split();
        let cut = CancellationToken::new();
        let (there, back) = (Arc::clone(&shared), Arc::clone(&shared));
        tokio::spawn(pass(there, Way::ToServer, from_store, to_server, cut.clone()));
        tokio::spawn(pass(back, Way::ToStore, from_server, to_store, cut));
    }
}

fn spoil(bytes: &mut [u8]) {
    let begin = b"BEGIN ISOLATION";
    while let Some(at) = bytes.windows(begin.len()).position(|window| window == begin) {
        bytes[at..][..5].copy_from_slice(b"BEGAN");
    }
}

async fn pass(
    shared: Arc<Shared>,
    way: Way,
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    cut: CancellationToken,
) {
    let lane = &shared.lanes[way as usize];
    let mut bytes = vec![0; 16 * 1024];
    // Ends with either side, or the cut.
    loop {
        let read = tokio::select! {
            read = from.read(&mut bytes) => read.unwrap_or(0),
            () = cut.cancelled() => 0,
        };
        if read == 0 {
            break;
        }
        if way == Way::ToServer && shared.spoils_begin.load(Ordering::SeqCst) {
            spoil(&mut bytes[..read]);
        }
        if way == Way::ToStore && shared.is_held.load(Ordering::SeqCst) {
            continue;
        }
        let count = i64::try_from(read).unwrap();
        let left = lane.left.fetch_sub(count, Ordering::SeqCst);
        let passing = usize::try_from(left.clamp(0, count)).unwrap();
        lane.passed.fetch_add(passing as u64, Ordering::SeqCst);
        let is_written = to.write_all(&bytes[..passing]).await.is_ok();
        if left < count {
            // One cut a time: what is made anew passes.
            lane.left.store(i64::MAX, Ordering::SeqCst);
            shared.has_cut.store(true, Ordering::SeqCst);
        }
        if left < count || !is_written {
            break;
        }
    }
    cut.cancel();
}
