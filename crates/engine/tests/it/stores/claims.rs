//! Which task a claim takes, and what others do in the middle of it: every order is forced, on every backend.

use std::collections::HashSet;

use dormouse_engine::agent::{AgentConfig, AtWork};
use dormouse_engine::run::{ClaimOptions, Next};
use dormouse_engine::task::{NewTask, Priority, Task, TaskState, Wait};
use dormouse_engine::wake::{Starter as _, Wake, WakeOptions, WakeState};
use dormouse_engine::{AgentName, Clock as _, Epoch, Random, TaskId};
use dormouse_filesystem::Records;
use futures::future::join_all;
use jiff::SignedDuration;
use tokio::sync::watch;

use super::gates::{self, Asker, open};
use super::hooked::{Hooked, hooked};
use super::house::{House, name, operator, tenant_id};
use super::place::Place;
use super::wakes::{Doer, Served, agent_of, are_done, tasks, until};

/// What of a command is met by others.
#[derive(Debug, Clone, Copy)]
enum At {
    /// Its commit of this number, from 0.
    Commit(usize),
    /// Its first read of a row of this kind.
    Read(&'static str),
}

impl At {
    fn does(self, store: &Hooked, others: impl Future<Output = ()> + Send + 'static) {
        match self {
            Self::Commit(nth) => store.before_nth_commit(nth, others),
            Self::Read(kind) => store.after_read(kind, others),
        }
    }
}

async fn mixed(house: &House, ranks: &[Priority]) -> Vec<TaskId> {
    let mut made = Vec::new();
    for priority in ranks {
        let new = NewTask {
            priority: *priority,
            ..NewTask::new(name("alice"), "one of many")
        };
        made.push(house.task(new).await.id);
    }
    made
}

async fn claims_next(house: &House) -> Option<TaskId> {
    let runs = &house.tenant.runs;
    match runs.claim_next(&operator(), &name("alice"), None).await.unwrap() {
        Next::Claimed(claimed) => Some(claimed.task.id),
        Next::Empty => None,
        Next::Full => panic!("a hundred may run"),
    }
}

async fn a_lane_gives_the_highest_rank_and_then_the_lowest_number(place: Place) {
    let (_store, house) = hooked(&place).await;
    agent_of(&house, "alice", 100).await;
    let ranks: Vec<Priority> = (0..3).flat_map(|_| Priority::ALL.into_iter().rev()).collect();
    let made = mixed(&house, &ranks).await;
    let mut expected: Vec<(Priority, usize)> = ranks.iter().copied().zip(0..).collect();
    let place_of = |rank: Priority| Priority::ALL.iter().position(|of| *of == rank).unwrap();
    expected.sort_by_key(|(rank, number)| (place_of(*rank), *number));
    for (rank, number) in expected {
        assert_eq!(claims_next(&house).await, Some(made[number]), "{rank:?}");
    }
    assert_eq!(claims_next(&house).await, None);
}

async fn a_lost_race_takes_the_next_in_the_same_call(place: Place) {
    let (store, house) = hooked(&place).await;
    agent_of(&house, "alice", 100).await;
    let ranks = [Priority::Low, Priority::High, Priority::Normal, Priority::High];
    let made = mixed(&house, &ranks).await;
    let rival = house.neighbour().await.tenant(&tenant_id()).await.unwrap();
    for (lost, won) in [(made[1], made[3]), (made[2], made[0])] {
        let runs = rival.runs.clone();
        store.before_commit(async move {
            let claim = runs.claim(&operator(), lost, ClaimOptions::default()).await;
            assert_eq!(claim.unwrap().task.id, lost);
        });
        assert_eq!(claims_next(&house).await, Some(won));
        assert!(store.was_met());
    }
    assert_eq!(claims_next(&house).await, None, "each is somebody's");
}

/// When a lane that is being left may be rung.
fn moments() -> impl Iterator<Item = At> {
    (0..3)
        .map(At::Commit)
        .chain([At::Read("wake"), At::Read("agent")])
}

/// Whoever serves finds a wake row and nothing to do: while he lets it go, a task is made ready.
async fn a_task_made_ready_while_its_wake_row_goes_is_claimed(place: Place) {
    let (store, house) = hooked(&place).await;
    let mut met = 0;
    for (nth, at) in moments().enumerate() {
        let agent = agent_of(&house, &format!("alice-{nth}"), 5).await;
        // Claimed by itself: the row of its agent is left.
        let first = tasks(&house, &agent, 1).await;
        let _held = house.claim(&first[0]).await;
        let rival = house.neighbour().await.tenant(&tenant_id()).await.unwrap();
        let (tell, told) = std::sync::mpsc::channel::<Task>();
        let new = NewTask::new(agent, "made meanwhile");
        at.does(&store, async move {
            tell.send(rival.tasks.create(&operator(), new).await.unwrap())
                .unwrap();
        });
        let (_go, may_end) = watch::channel(true);
        let served = Served::by(&house.engine, &Doer::new(may_end), WakeOptions::default());
        // Where there are fewer commits than that, there is no such moment.
        if let Some(made) = made_meanwhile(&told).await {
            met += 1;
            until("it is done", async || {
                are_done(&house, std::slice::from_ref(&made)).await
            })
            .await;
        }
        served.end().await;
        store.was_met();
    }
    assert!(met >= 3, "{met} moments");
}

/// What others did at a moment, as soon as they did it; none where there was no such moment.
async fn made_meanwhile(told: &std::sync::mpsc::Receiver<Task>) -> Option<Task> {
    for _ in 0..200 {
        if let Ok(made) = told.try_recv() {
            return Some(made);
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    None
}

/// Whoever serves finds the agent paused: while he puts its row to rest, it is resumed.
async fn an_agent_resumed_while_its_row_is_put_to_rest_is_served(place: Place) {
    let (store, house) = hooked(&place).await;
    let mut met = 0;
    for (nth, at) in moments().enumerate() {
        let agent = agent_of(&house, &format!("alice-{nth}"), 5).await;
        let made = tasks(&house, &agent, 1).await;
        let agents = &house.tenant.agents;
        agents.pause(&operator(), &agent, None).await.unwrap();
        let rival = house.neighbour().await.tenant(&tenant_id()).await.unwrap();
        let (tell, told) = std::sync::mpsc::channel::<Task>();
        let (resumed, first) = (agent.clone(), made[0].clone());
        at.does(&store, async move {
            rival.agents.resume(&operator(), &resumed).await.unwrap();
            tell.send(first).unwrap();
        });
        let (_go, may_end) = watch::channel(true);
        let served = Served::by(&house.engine, &Doer::new(may_end), WakeOptions::default());
        if made_meanwhile(&told).await.is_some() {
            met += 1;
            until("it is done", async || are_done(&house, &made).await).await;
        }
        served.end().await;
        store.was_met();
    }
    assert!(met >= 4, "{met} moments");
}

/// Whoever serves finds the agent gone: while he removes its row, one of its name is made and gets a task.
async fn an_agent_made_anew_while_the_row_of_the_former_goes_is_served(place: Place) {
    let (store, house) = hooked(&place).await;
    let moments = (0..2)
        .map(At::Commit)
        .chain([At::Read("wake"), At::Read("agent")]);
    for (nth, at) in moments.enumerate() {
        let agent = agent_of(&house, &format!("alice-{nth}"), 5).await;
        tasks(&house, &agent, 1).await;
        left_by_a_dead_process(&house, &agent).await;
        let agents = &house.tenant.agents;
        agents
            .delete(&operator(), &agent, AtWork::Stop, None)
            .await
            .unwrap();
        until("it is gone", async || agents.get(&agent).await.is_err()).await;
        house.clock.advance(120);
        let rival = house.neighbour().await.tenant(&tenant_id()).await.unwrap();
        let (tell, told) = std::sync::mpsc::channel::<Task>();
        at.does(&store, async move {
            let config = AgentConfig::default();
            rival.agents.create(&operator(), &agent, config).await.unwrap();
            let new = NewTask::new(agent, "made meanwhile");
            tell.send(rival.tasks.create(&operator(), new).await.unwrap())
                .unwrap();
        });
        let (_go, may_end) = watch::channel(true);
        let served = Served::by(&house.engine, &Doer::new(may_end), WakeOptions::default());
        let made = made_meanwhile(&told).await;
        let made = made.unwrap_or_else(|| panic!("{at:?}: there is no such moment"));
        until("it is done", async || {
            are_done(&house, std::slice::from_ref(&made)).await
        })
        .await;
        served.end().await;
        store.was_met();
    }
}

/// A process was at the lane of this agent, for a minute, when it died: nobody else removes the row.
async fn left_by_a_dead_process(house: &House, agent: &AgentName) {
    let rows = Records::<Wake>::new(house.tenant.space());
    let read = rows.get(agent).await.unwrap().unwrap();
    let now = house.clock.now();
    let picked = Wake {
        state: WakeState::Picked,
        picked_by: Some(Epoch::make(now, &Random::seeded(77))),
        picked_until: Some(now + SignedDuration::from_secs(60)),
        ..Wake::clone(&read)
    };
    rows.replace(&read, &picked).await.unwrap();
}

/// A gate is decided before its run parks, at each point of its parking, and behind it.
async fn a_gate_decided_while_its_run_parks_lets_the_task_be_claimed(place: Place) {
    let (store, house) = hooked(&place).await;
    house.agent("alice").await;
    let moments = [At::Commit(0), At::Read("run"), At::Read("task"), At::Read("gate")];
    let mut met = 0;
    for at in moments.map(Some).into_iter().chain([None]) {
        let asker = Asker::next(&house).await;
        house.tenant.runs.started(&asker.claimed, None).await.unwrap();
        let gate = open(&house, &asker.approval("call-1", "{}")).await;
        let rival = house.neighbour().await.tenant(&tenant_id()).await.unwrap();
        let decide = gates::shown(&house, &gate, gates::yes()).await;
        let decided = decide.clone();
        if let Some(at) = at {
            at.does(&store, async move {
                rival.gates.decide(&operator(), &decided).await.unwrap();
            });
        }
        let parked = house
            .tenant
            .runs
            .park(&asker.claimed, gate.id, std::time::Duration::ZERO);
        parked.await.unwrap();
        if at.is_some() && store.was_met() {
            met += 1;
        } else {
            let task = house.tenant.tasks.get(asker.claimed.task.id).await.unwrap();
            let on = Wait::Gate { gate: gate.id };
            assert_eq!(task.state, TaskState::Waiting { on });
            house.tenant.gates.decide(&operator(), &decide).await.unwrap();
        }
        let runs = &house.tenant.runs;
        let next = runs.claim_next(&operator(), &name("alice"), None).await.unwrap();
        let Next::Claimed(next) = next else {
            panic!("{at:?}: {next:?}");
        };
        assert_eq!(next.run.id, asker.claimed.run.id, "{at:?}");
        let outcome = super::house::success();
        runs.started(&next, None).await.unwrap();
        runs.finish(&next, &outcome, &super::house::facts())
            .await
            .unwrap();
    }
    assert!(met >= 2, "{met} moments");
}

/// So many ready tasks, spread over these agents.
async fn crowd(house: &House, agents: &[AgentName], count: usize) -> HashSet<String> {
    let mut made = HashSet::new();
    for from in (0..count).step_by(250) {
        let making = (from..count.min(from + 250)).map(|nth| {
            let agent = agents[nth % agents.len()].clone();
            house.task(NewTask::new(agent, "one of thousands"))
        });
        made.extend(join_all(making).await.iter().map(|task| task.id.to_string()));
    }
    made
}

async fn a_lane_at_its_quota_is_passed_over_without_a_read_of_its_tasks(place: Place) {
    let (store, house) = hooked(&place).await;
    let alice = agent_of(&house, "alice", 1).await;
    let of_alice = crowd(&house, &[alice], 5000).await;
    let bob = agent_of(&house, "bob", 1).await;
    let (go, may_end) = watch::channel(false);
    let doer = Doer::new(may_end);
    let served = Served::by(&house.engine, &doer, WakeOptions::default());
    until("alice is at her quota", async || doer.at_work() == 1).await;
    // Her lane is read once more, and found full.
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    store.note("task");
    let of_bob = tasks(&house, &bob, 1).await;
    until("bob's is claimed", async || doer.at_work() == 2).await;
    let read = store.noted();
    assert_eq!(doer.begun()[1..], [of_bob[0].id]);
    let of_hers = read.iter().filter(|key| {
        let key = key.to_string();
        key.rsplit('/').next().is_some_and(|id| of_alice.contains(id))
    });
    assert_eq!(of_hers.count(), 0, "rows of hers among {}", read.len());
    assert!(!read.is_empty(), "bob's is read");
    go.send_replace(true);
    served.end().await;
}

async fn ten_thousand_of_one_tenant_delay_no_other(place: Place) {
    let (_store, house) = hooked(&place).await;
    let mut agents = Vec::new();
    for nth in 0..20 {
        agents.push(agent_of(&house, &format!("alice-{nth}"), 1000).await);
    }
    crowd(&house, &agents, 10_000).await;
    let other = house.engine.tenant(&"other".parse().unwrap()).await.unwrap();
    let bob = name("bob");
    other
        .agents
        .create(&operator(), &bob, AgentConfig::default())
        .await
        .unwrap();
    let (_go, may_end) = watch::channel(true);
    let doer = Doer::new(may_end);
    let options = WakeOptions {
        instance_max: 4,
        ..WakeOptions::default()
    };
    let served = Served::by(&house.engine, &doer, options);
    until("the crowd is being worked off", async || doer.begun().len() > 10).await;
    for _ in 0..3 {
        let before = doer.begun().len();
        let new = NewTask::new(bob.clone(), "one of few");
        let task = other.tasks.create(&operator(), new).await.unwrap().id;
        until("it is claimed", async || doer.begun().contains(&task)).await;
        let begun = doer.begun();
        let behind = begun.iter().position(|of| *of == task).unwrap() - before;
        assert!(behind <= 100, "{behind} of ten thousand were claimed before it");
    }
    served.end().await;
}

super::on_every_hooked_store! {
    /// ST-25
    a_lane_at_its_quota_is_passed_over_without_a_read_of_its_tasks;
    /// ST-25
    ten_thousand_of_one_tenant_delay_no_other;
    /// ST-24
    a_lane_gives_the_highest_rank_and_then_the_lowest_number;
    /// ST-24
    a_lost_race_takes_the_next_in_the_same_call;
    /// ST-28
    a_task_made_ready_while_its_wake_row_goes_is_claimed;
    /// ST-28
    an_agent_resumed_while_its_row_is_put_to_rest_is_served;
    /// ST-28
    an_agent_made_anew_while_the_row_of_the_former_goes_is_served;
    /// ST-28
    a_gate_decided_while_its_run_parks_lets_the_task_be_claimed;
}
