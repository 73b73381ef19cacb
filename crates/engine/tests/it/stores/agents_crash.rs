//! A deletion whose process is killed between any two of its commits: the agent is alive, or it is deleted by recovery.

use std::sync::Arc;
use std::time::Duration;

use dormouse_engine::agent::{AgentState, AtWork};
use dormouse_engine::gate::{GateFilter, NewGate};
use dormouse_engine::run::{ClaimOptions, Claimed};
use dormouse_engine::session::{NewSession, SessionIndex, SessionRow};
use dormouse_engine::task::{NewTask, Start, TaskFilter};
use dormouse_engine::{AgentName, CommandError, SessionId};
use dormouse_filesystem::{IndexValue, Query, RecordStore, Records};
use dormouse_secrets::Filter;

use super::agents_removal::{gone, task_of};
use super::credentials::{put, with_secret};
use super::cut::{self, Cut, say};
use super::gates::{call_of, open};
use super::house::{House, facts, name, operator};
use super::place::Place;

/// What a child is told: its store, its agent, and before which of the commits it stands still.
const CHILD: &str = "DORMOUSE_TEST_AGENTS_CHILD";
/// More commits than any deletion here has.
const COMMITS_MAX: u64 = 60;

/// ST-15
#[tokio::test]
async fn a_deletion_that_is_killed_between_any_two_commits_is_finished_by_recovery_in_sled() {
    killed_everywhere(Place::sled()).await;
}

/// ST-15
#[tokio::test]
async fn a_deletion_that_is_killed_between_any_two_commits_is_finished_by_recovery_on_a_server() {
    if let Some(place) = Place::postgres() {
        killed_everywhere(place).await;
    }
}

/// Does nothing but as a child of the tests here.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_child_that_deletes() {
    let Ok(told) = std::env::var(CHILD) else { return };
    let [place, agent, commits] = told.split('|').collect::<Vec<_>>()[..] else {
        panic!("{told}")
    };
    let store = Cut::over(Place::open_told(place).await);
    let house = House::over_shared(Arc::clone(&store) as Arc<dyn RecordStore>).await;
    let agent = name(agent);
    let task = task_of(&house, &agent, Start::Ready).await;
    let claimed = house.claim(&task).await;
    house.tenant.runs.started(&claimed, None).await.unwrap();
    let runs = house.tenant.runs.clone();
    tokio::spawn(async move {
        let reason = claimed.stop.stopped().await;
        runs.finish(&claimed, &reason.outcome(), &facts()).await
    });
    store.before(commits.parse().unwrap());
    let agents = &house.tenant.agents;
    agents
        .delete(&operator(), &agent, AtWork::Stop, None)
        .await
        .unwrap();
    gone(&house, &agent).await;
    say("gone");
    std::future::pending::<()>().await;
}

/// The child, killed when it says something: what it said.
fn killed(place: &Place, agent: &AgentName, commits: u64) -> String {
    let told = format!("{}|{agent}|{commits}", place.told());
    cut::killed("stores::agents_crash::a_child_that_deletes", CHILD, &told)
}

async fn killed_everywhere(place: Place) {
    let house = House::at(place).await;
    with_secret(&house).await;
    let mut place = house.closed().await;
    // Ends with the deletion that is not cut any more.
    for commits in 0..COMMITS_MAX {
        let house = House::at(place).await;
        let agent = furnished(&house, commits).await;
        place = house.closed().await;
        let said = killed(&place, &agent, commits);
        let house = House::at(place).await;
        let was = house.tenant.agents.get(&agent).await;
        let was = was.ok().map(|agent| agent.state);
        house.recover().await;
        match was {
            // Nothing was durable yet: it is as alive as before.
            Some(AgentState::Active) => assert!(commits == 0 && is_alive(&house, &agent).await),
            Some(AgentState::Deleting) | None => is_gone(&house, &agent).await,
            Some(other) => panic!("{other:?} after {commits} commits"),
        }
        place = house.closed().await;
        if said == "gone" {
            assert!(commits > 8, "each part is a commit at least: {commits}");
            return;
        }
    }
    panic!("it was never done");
}

/// An agent with tasks, a parked run and its gate, another gate, a session, a secret.
async fn furnished(house: &House, nth: u64) -> AgentName {
    let agent = house.agent(&format!("agent-{nth}")).await;
    task_of(house, &agent, Start::PendingApproval).await;
    let shelved = task_of(house, &agent, Start::Backlog).await;
    parked(house, &agent).await;
    let bare = NewGate {
        task: Some(shelved.id),
        ..NewGate::approval(agent.clone(), call_of(r#"{"b":1}"#), "run it")
    };
    open(house, &bare).await;
    let sessions = &house.tenant.sessions;
    sessions
        .create(&operator(), &NewSession::new(agent.clone()))
        .await
        .unwrap();
    house.engine.start_vault(&operator()).await.unwrap();
    put(house, &format!("agent:{agent}:GH_TOKEN"), "kR7-wombat-sleeps+9Zx").await;
    agent
}

async fn parked(house: &House, agent: &AgentName) -> Claimed {
    use dormouse_engine::PrefixedId;
    let now = dormouse_engine::Clock::now(&*house.clock);
    let session = SessionId::make(now, &house.engine.environment().random);
    let task = house.task(NewTask::new(agent.clone(), "ask first")).await;
    let options = ClaimOptions {
        session: Some(session),
        ..ClaimOptions::default()
    };
    let runs = &house.tenant.runs;
    let claimed = runs.claim(&operator(), task.id, options).await.unwrap();
    runs.started(&claimed, None).await.unwrap();
    let asks = NewGate {
        task: claimed.run.task,
        caller: Some(dormouse_engine::gate::Caller {
            run: claimed.run.id,
            spawn: 1,
        }),
        call_id: Some("1".to_owned()),
        ..NewGate::approval(agent.clone(), call_of("{}"), "run it")
    };
    let gate = open(house, &asks).await;
    runs.park(&claimed, gate.id, Duration::ZERO).await.unwrap();
    claimed
}

/// A task of it is made, claimed and done.
async fn is_alive(house: &House, agent: &AgentName) -> bool {
    let task = task_of(house, agent, Start::Ready).await;
    let claimed = house.claim(&task).await;
    let done = house
        .tenant
        .runs
        .finish(&claimed, &super::house::success(), &facts())
        .await;
    done.unwrap().task.unwrap().state.word() == "done"
}

async fn is_gone(house: &House, agent: &AgentName) {
    let tenant = &house.tenant;
    let there = tenant.agents.get(agent).await;
    assert!(
        matches!(there, Err(CommandError::NotFound { .. })),
        "{agent}: {there:?}"
    );
    let tasks = tenant
        .tasks
        .list(&TaskFilter::default(), None, 1000)
        .await
        .unwrap();
    let own = tasks.rows.iter().filter(|task| task.assignee == *agent);
    let states: Vec<&str> = own.map(|task| task.state.word()).collect();
    assert_eq!(states.len(), 4, "{agent}");
    assert!(
        states.iter().all(|state| *state == "cancelled"),
        "{agent}: {states:?}"
    );
    let runs = tenant
        .runs
        .list(&dormouse_engine::run::RunFilter::All, None, 1000)
        .await;
    let live = runs
        .unwrap()
        .rows
        .into_iter()
        .filter(|row| row.run.agent == *agent);
    assert!(live.clone().all(|row| row.outcome.is_some()), "{agent}");
    assert_eq!(live.count(), 2, "{agent}");
    let pending = GateFilter {
        is_pending: true,
        ..GateFilter::default()
    };
    let gates = tenant.gates.list(&pending, None, 1000).await.unwrap();
    assert!(gates.rows.iter().all(|gate| gate.agent != *agent), "{agent}");
    let open = Query::of(SessionIndex::Open).equals([IndexValue::segment(agent.segment())]);
    let open = Records::<SessionRow>::new(tenant.space())
        .find(&open)
        .await
        .unwrap();
    assert!(open.rows.is_empty(), "{agent}");
    let secrets = tenant.credentials.secrets();
    let left = secrets.list(&Filter::All).await.unwrap();
    let own = format!("agent:{agent}:GH_TOKEN");
    assert!(left.iter().all(|secret| secret.at.to_string() != own), "{agent}");
    let told = house.tenant.events.head().await.unwrap();
    assert!(told.next.get() > 1);
}
