//! Restoring sessions from a store that was reopened: rows read, checked and taken up again, a second.

use std::sync::Arc;

use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use dormouse_engine::session::SessionRow;
use dormouse_engine::{AgentName, Incarnation, OpId, PrefixedId, Random, SessionId};
use dormouse_filesystem::{
    Deadline, Namespace, Opener, RecordStore, Records, Requirements, Segment, Sled, SledOptions, System,
    Tenant,
};
use dormouse_state::{Options, Session};
use jiff::Timestamp;
use tokio::runtime::Runtime;

const NOW: Timestamp = Timestamp::constant(1_790_000_000, 0);
const SESSIONS: usize = 10_000;
const BATCH: usize = 100;

async fn open(path: &std::path::Path) -> (Arc<dyn RecordStore>, Namespace<Tenant>) {
    let store: Arc<dyn RecordStore> = Arc::new(
        Sled::open(path, SledOptions::new(NOW))
            .await
            .expect("the folder opens"),
    );
    let need = Requirements::volatile();
    let system = Namespace::<System>::open(Arc::clone(&store), &need, Opener::at(NOW, 7)).await;
    let tenant = Segment::parse("default").expect("a name");
    let tenant = system.expect("the store suffices").tenant(&tenant);
    (store, tenant)
}

fn row(random: &Random) -> SessionRow {
    SessionRow {
        id: SessionId::make(NOW, random),
        agent: "alice".parse::<AgentName>().expect("a name"),
        agent_incarnation: Incarnation::make(NOW, random),
        external: None,
        state: Session::new(Options::default(), NOW).snapshot(),
        turn_task: None,
        ends: Vec::new(),
        created_at: NOW,
        updated_at: NOW,
        op: OpId::make(NOW, random),
    }
}

/// Fills a store and closes it. Returns the ids.
async fn fill(path: &std::path::Path) -> Vec<SessionId> {
    let (store, tenant) = open(path).await;
    let (rows, random) = (Records::<SessionRow>::new(&tenant), Random::seeded(7));
    let mut ids = Vec::new();
    for _ in 0..SESSIONS / BATCH {
        let mut batch = tenant.batch();
        for _ in 0..BATCH {
            let row = row(&random);
            ids.push(row.id);
            rows.stage_create(&mut batch, &row).expect("a row");
        }
        tenant.commit(batch).await.expect("it is committed");
    }
    let soon = Deadline::after(std::time::Duration::from_secs(10));
    store.close(soon).await.expect("it is closed");
    ids
}

async fn restore(tenant: &Namespace<Tenant>, ids: &[SessionId]) -> usize {
    let rows = Records::<SessionRow>::new(tenant);
    let found = rows.get_many(ids).await.expect("they can be read");
    let sessions = found
        .iter()
        .flatten()
        .map(|row| row.session(NOW).expect("a session"));
    sessions
        .filter(|session| session.poll_timeout().is_none())
        .count()
}

fn restored(c: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("store");
    let ids = runtime.block_on(fill(&path));
    let (_store, tenant) = runtime.block_on(open(&path));
    let mut group = c.benchmark_group("sessions");
    group.sampling_mode(SamplingMode::Flat).sample_size(10);
    group.throughput(Throughput::Elements(SESSIONS as u64));
    group.bench_function("restored from sled", |b| {
        b.iter(|| assert_eq!(runtime.block_on(restore(&tenant, &ids)), SESSIONS));
    });
    group.finish();
}

criterion_group!(benches, restored);
criterion_main!(benches);
