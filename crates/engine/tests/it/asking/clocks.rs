//! Clocks of runs that ask: they stand while an answer is awaited, and go on where they were.

use dormouse_engine::outcome::Outcome;

use super::*;

/// How late a clock may be on a machine that is busy.
const LATE_MAX_MS: u64 = 10_000;

impl Worker {
    /// Waits for the answer to this, beside the test.
    async fn waits(&self, question: Question) -> (Gate, tokio::task::JoinHandle<()>) {
        let gate = self.asks(&question).await;
        let (asking, id) = (self.asking.clone(), gate.id);
        let waits = tokio::spawn(async move { drop(asking.answer(id, &question).await) });
        let gate = self.house.tenant.gates.get(gate.id).await.unwrap().into_inner();
        (gate, waits)
    }

    /// The parked run goes on.
    async fn goes_on(&mut self) {
        let tenant = &self.house.tenant;
        let task = tenant.runs.get(self.run).await.unwrap().run.task.unwrap();
        self.handed.mark_unchanged();
        let started = self
            .house
            .supervisor
            .start_with(tenant, &operator(), task, OnGate::Park)
            .await;
        assert_eq!(started.unwrap(), self.run, "it is the same run");
        self.handed.changed().await.unwrap();
        self.asking = self.handed.borrow().clone().unwrap();
    }

    async fn ended(&self) -> (Outcome, u64, u32) {
        self.house.supervisor.wait(self.run).await;
        let row = self.house.tenant.runs.get(self.run).await.unwrap();
        let facts = facts(&row);
        (outcome(&row), facts.clock_ms, row.run.spawn)
    }
}

/// WK-17
#[tokio::test]
async fn who_asks_is_not_timed_and_the_clock_of_a_parked_run_goes_on_where_it_was() {
    // Asks for more than twice its time, and has what was left of it behind that.
    let command = CommandSpec {
        wall_clock_ms: Some(4_000),
        ..sh("sleep 9; echo still here; sleep 60")
    };
    let engine = asking_options(GateOptions::default());
    let worker = Worker::begin_in(bed(), engine, command, OnGate::Wait).await;
    let (gate, waits) = worker.waits(pay(1)).await;
    worker.house.printed(worker.run, "still here").await;
    let row = worker.house.tenant.runs.get(worker.run).await.unwrap();
    assert!(row.outcome.is_none(), "{row:?}");
    worker.approve(&gate).await;
    waits.await.unwrap();
    let (how, clock_ms, _) = worker.ended().await;
    assert_eq!(how, wall_timeout(4_000));
    assert!((4_000..4_000 + LATE_MAX_MS).contains(&clock_ms), "{clock_ms} ms");

    // No process of it takes as long as it may, and together they do.
    let counts =
        "n=$(cat n 2>/dev/null || echo 0); n=$((n+1)); echo $n > n; sleep 0.9; echo part $n; sleep 60";
    let command = CommandSpec {
        wall_clock_ms: Some(6_000),
        ..sh(counts)
    };
    let engine = asking_options(GateOptions::default());
    let mut worker = Worker::begin_in(bed(), engine, command, OnGate::Park).await;
    let mut used = 0;
    for part in 1..=2 {
        worker.house.printed(worker.run, &format!("part {part}")).await;
        let (gate, waits) = worker.waits(pay(part)).await;
        worker.house.supervisor.wait(worker.run).await;
        waits.abort();
        let row = worker.house.tenant.runs.get(worker.run).await.unwrap().run;
        assert_eq!(row.state, RunState::Waiting);
        assert!(row.clock_ms >= used + 900, "{} ms after {used} ms", row.clock_ms);
        used = row.clock_ms;
        worker.approve(&gate).await;
        worker.goes_on().await;
    }
    let (how, clock_ms, spawn) = worker.ended().await;
    assert_eq!((how, spawn), (wall_timeout(6_000), 3));
    assert!((6_000..6_000 + LATE_MAX_MS).contains(&clock_ms), "{clock_ms} ms");
}
