//! What a task costs of the store: counted, so that it cannot creep up. Trips are what a process waits for, one after the
//! other; on a store of a server each is a round trip.

use std::sync::Arc;

use dormouse_engine::run::Next;
use dormouse_engine::task::NewTask;
use dormouse_filesystem::wrapper::{Counted, Operation};
use dormouse_filesystem::{Memory, RecordStore};
use jiff::Timestamp;

use super::house::{House, facts, name, operator, success};

/// Commits, and all else that the store was asked for.
fn spent(store: &Counted<Memory>, since: &mut (u64, u64)) -> (u64, u64) {
    let counts = store.counts();
    let commits = counts.of(Operation::Commit);
    let now = (commits, counts.operations() - commits);
    let spent = (now.0 - since.0, now.1 - since.1);
    *since = now;
    spent
}

#[tokio::test]
async fn a_task_of_no_steps_is_three_commits_and_a_bounded_number_of_reads() {
    let store = Arc::new(Counted::new(Memory::new(Timestamp::UNIX_EPOCH)));
    let house = House::over_exclusive(Arc::clone(&store) as Arc<dyn RecordStore>).await;
    let alice = house.agent("alice").await;
    for round in 0..3 {
        let since = &mut (0, 0);
        spent(&store, since);
        house.task(NewTask::new(name("alice"), "count the sheep")).await;
        let created = spent(&store, since);
        let next = house.tenant.runs.claim_next(&operator(), &alice, None).await;
        let Ok(Next::Claimed(claimed)) = next else {
            panic!("it is ready: {next:?}");
        };
        let taken = spent(&store, since);
        house
            .tenant
            .runs
            .finish(&claimed, &success(), &facts())
            .await
            .unwrap();
        let finished = spent(&store, since);
        let commits = (created.0, taken.0, finished.0);
        assert_eq!(commits, (1, 1, 1), "create, claim, finish in round {round}");
        let most = (5, 6, 3);
        let reads = (created.1, taken.1, finished.1);
        assert!(
            reads.0 <= most.0 && reads.1 <= most.1 && reads.2 <= most.2,
            "{reads:?} of {most:?} in round {round}"
        );
    }
}
