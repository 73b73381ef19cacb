//! The deletion of an agent: what is its goes with it, what a former agent wrote is nobody's, and a name may be taken again.

use std::time::Duration;

use dormouse_engine::agent::{AgentConfig, AgentState, AtWork};
use dormouse_engine::budget::{AccountPath, Chain};
use dormouse_engine::gate::{Gate, GateFilter, NewGate};
use dormouse_engine::outcome::{CancelledBy, Outcome};
use dormouse_engine::run::{Checkpoint, ClaimOptions, Claimed, RunFilter, RunState, StopReason};
use dormouse_engine::session::NewSession;
use dormouse_engine::task::{NewTask, Start, Steps, Task, TaskFilter};
use dormouse_engine::thread::{Append, NewMessage, NewThread, Thread};
use dormouse_engine::{AgentName, CommandError, HoldId, Reason, SessionId};
use dormouse_secrets::{Filter, Scrubbed};
use dormouse_state::Row;

use super::budgets::{chain, limit, set, tokens, wanted};
use super::credentials::{put, with_secret};
use super::gates::{Asker, call_of, open};
use super::house::{House, facts, failed, name, operator, success};
use super::sessions::row;
use super::threads::post;

super::on_every_store! {
    a_deleted_agent_takes_what_is_its_with_it;
    a_row_that_cannot_be_believed_is_left_and_keeps_no_agent_and_no_secret;
    /// ST-16
    a_name_taken_again_has_nothing_of_the_former_agent_whose_writers_are_fenced;
    an_agent_with_runs_is_deleted_only_when_they_are_to_be_stopped;
    a_deleting_agent_gets_nothing_new;
    a_paused_agent_stops_its_runs_and_their_tasks_are_ready_with_nothing_counted;
    a_parked_run_of_a_paused_agent_waits_on;
    a_change_or_a_deletion_at_another_version_is_stale;
    a_tombstone_keeps_name_life_digest_and_time;
}

/// Everything that an agent can have.
struct Belongings {
    agent: AgentName,
    tasks: Vec<Task>,
    running: Claimed,
    parked: Asker,
    gates: Vec<Gate>,
    session: SessionId,
    thread: Thread,
    /// One that no run has.
    hold: HoldId,
    chain: Chain,
}

pub(super) async fn task_of(house: &House, agent: &AgentName, start: Start) -> Task {
    house
        .task(NewTask {
            start,
            ..NewTask::new(agent.clone(), "count the sheep")
        })
        .await
}

impl Belongings {
    async fn of_alice(house: &House) -> Self {
        with_secret(house).await;
        put(house, "shared:NPM_TOKEN", "another-wombat-sleeps+1Ab").await;
        let agent = name("alice");
        let mut tasks = Vec::new();
        for start in [Start::PendingApproval, Start::Backlog, Start::Ready] {
            tasks.push(task_of(house, &agent, start).await);
        }
        let waiting = task_of(house, &agent, Start::Ready).await;
        let claimed = house.claim(&waiting).await;
        let runs = &house.tenant.runs;
        runs.finish(&claimed, &failed(false), &facts()).await.unwrap();
        tasks.push(waiting);
        let parked = Asker::next(house).await;
        runs.started(&parked.claimed, None).await.unwrap();
        let asked = open(house, &parked.approval("1", "{}")).await;
        runs.park(&parked.claimed, asked.id, Duration::ZERO)
            .await
            .unwrap();
        tasks.push(parked.claimed.task.clone());
        // Of a task that no run is at: it goes with nothing but its agent.
        let bare = NewGate {
            task: Some(tasks[1].id),
            ..NewGate::approval(agent.clone(), call_of(r#"{"b":1}"#), "run it")
        };
        let bare = open(house, &bare).await;
        let session = house
            .tenant
            .sessions
            .create(&operator(), &NewSession::new(agent.clone()))
            .await;
        let running = task_of(house, &agent, Start::Ready).await;
        let running = house.claim(&running).await;
        runs.started(&running, None).await.unwrap();
        tasks.push(running.task.clone());
        let threads = &house.tenant.threads;
        let thread = threads.create(&operator(), &NewThread::new(agent.clone())).await;
        let thread = thread.unwrap();
        let turn = post(house, thread.id, "count the grey sheep").await;
        tasks.push(
            house
                .tenant
                .tasks
                .get(turn.task.unwrap())
                .await
                .unwrap()
                .into_inner(),
        );
        set(house, &AccountPath::Tenant, &limit(100)).await;
        let chain = chain(house, &agent).await;
        let held = house
            .tenant
            .budgets
            .reserve(&operator(), &wanted(&chain, tokens(10)))
            .await;
        Self {
            thread,
            hold: held.unwrap().hold.unwrap(),
            chain,
            agent,
            tasks,
            running,
            parked,
            gates: vec![asked, bare],
            session: session.unwrap().session,
        }
    }
}

async fn delete(house: &House, agent: &AgentName) {
    let agents = &house.tenant.agents;
    let deleting = agents
        .delete(&operator(), agent, AtWork::Stop, None)
        .await
        .unwrap();
    assert_eq!(deleting.state, AgentState::Deleting);
}

/// Waits until there is no such agent.
pub(super) async fn gone(house: &House, agent: &AgentName) {
    while house.tenant.agents.get(agent).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The holder of a run hears that it is to stop, and ends it.
async fn ends(house: &House, claimed: &Claimed) -> Outcome {
    let reason = claimed.stop.stopped().await;
    let ended = house
        .tenant
        .runs
        .finish(claimed, &reason.outcome(), &facts())
        .await
        .unwrap();
    ended.outcome.outcome
}

pub(super) async fn a_deleted_agent_takes_what_is_its_with_it(house: House) {
    let had = Belongings::of_alice(&house).await;
    delete(&house, &had.agent).await;
    let ended = ends(&house, &had.running).await;
    assert!(
        matches!(
            &ended,
            Outcome::Cancelled { by: CancelledBy::Principal, reason: Some(said) } if said.to_string() == "its agent is deleted"
        ),
        "{ended:?}"
    );
    gone(&house, &had.agent).await;
    let tenant = &house.tenant;
    for task in &had.tasks {
        let task = tenant.tasks.get(task.id).await.unwrap();
        assert_eq!(task.state.word(), "cancelled", "{task:#?}");
    }
    let parked = tenant.runs.get(had.parked.claimed.run.id).await.unwrap();
    assert_eq!(parked.run.state, RunState::Ended);
    for gate in &had.gates {
        let gate = tenant.gates.get(gate.id).await.unwrap();
        assert_eq!(gate.word(), "invalidated", "{gate:#?}");
    }
    for session in [had.session, had.parked.session] {
        assert_eq!(row(&house, session).await, Row::Ended);
    }
    let threads = &tenant.threads;
    assert_eq!(threads.get(had.thread.id).await.unwrap_err().code(), "not_found");
    assert!(!tenant.budgets.hold(had.hold).await.unwrap().is_open());
    let secrets = tenant.credentials.secrets();
    let left = secrets.list(&Filter::All).await.unwrap();
    let left: Vec<String> = left.iter().map(|secret| secret.at.to_string()).collect();
    assert_eq!(left, ["shared:NPM_TOKEN"]);
    let events = house.events().await;
    let because = events.iter().filter(|event| event.kind == "session.ended");
    for ended in because {
        assert_eq!(ended.data["reason"], "agent_deleted");
    }
    let told = house.event_types().await;
    assert_eq!(told.iter().filter(|kind| *kind == "agent.deleting").count(), 1);
    assert_eq!(told.last().unwrap(), "agent.deleted");
    assert!(told.contains(&"secret.quarantined".to_owned()), "{told:?}");
    assert!(tenant.agents.list(None, 10).await.unwrap().rows.is_empty());
    let again = tenant
        .agents
        .delete(&operator(), &had.agent, AtWork::Stop, None)
        .await;
    assert_eq!(again.unwrap_err().code(), "not_found");
}

async fn a_row_that_cannot_be_believed_is_left_and_keeps_no_agent_and_no_secret(house: House) {
    let had = Belongings::of_alice(&house).await;
    let spoiled = had.parked.claimed.run.id;
    house.spoil("run", &spoiled).await;
    delete(&house, &had.agent).await;
    ends(&house, &had.running).await;
    gone(&house, &had.agent).await;
    let tenant = &house.tenant;
    // Its task cannot be called off; all others are.
    for task in had.tasks.iter().filter(|task| task.last_run != Some(spoiled)) {
        let task = tenant.tasks.get(task.id).await.unwrap();
        assert_eq!(task.state.word(), "cancelled", "{task:#?}");
    }
    assert_eq!(tenant.runs.get(spoiled).await.unwrap_err().code(), "corrupt");
    let left = tenant.credentials.secrets().list(&Filter::All).await.unwrap();
    let left: Vec<String> = left.iter().map(|secret| secret.at.to_string()).collect();
    assert_eq!(left, ["shared:NPM_TOKEN"]);
}

async fn a_name_taken_again_has_nothing_of_the_former_agent_whose_writers_are_fenced(house: House) {
    let had = Belongings::of_alice(&house).await;
    let former = house.tenant.agents.get(&had.agent).await.unwrap().into_inner();
    delete(&house, &had.agent).await;
    ends(&house, &had.running).await;
    gone(&house, &had.agent).await;
    house.agent("alice").await;
    let (tenant, alice) = (&house.tenant, &had.agent);
    let new = tenant.agents.get(alice).await.unwrap();
    assert_ne!(new.incarnation, former.incarnation);
    assert_eq!((new.state, new.created_at), (AgentState::Active, new.updated_at));

    let of_alice = TaskFilter {
        assignee: Some(alice.clone()),
        ..TaskFilter::default()
    };
    assert!(
        tenant
            .tasks
            .list(&of_alice, None, 100)
            .await
            .unwrap()
            .rows
            .is_empty()
    );
    let runs = RunFilter::Agent(alice.clone());
    assert!(tenant.runs.list(&runs, None, 100).await.unwrap().rows.is_empty());
    let sessions = tenant.sessions.list(alice, None, 100).await.unwrap();
    assert!(sessions.0.is_empty());
    let gates = GateFilter {
        agent: Some(alice.clone()),
        ..GateFilter::default()
    };
    assert!(
        tenant
            .gates
            .list(&gates, None, 100)
            .await
            .unwrap()
            .rows
            .is_empty()
    );
    let threads = &tenant.threads;
    let of_agent = threads.list(Some(alice), None, 100).await.unwrap();
    assert!(of_agent.rows.is_empty());
    assert_eq!(threads.get(had.thread.id).await.unwrap_err().code(), "not_found");
    let account = tenant.budgets.get(&AccountPath::Tenant).await.unwrap().unwrap();
    assert!(account.reserved.is_zero(), "nothing is held: {account:#?}");
    let own_account = tenant.budgets.get(&AccountPath::Agent(alice.clone())).await;
    assert!(own_account.unwrap().is_none_or(|own| own.reserved.is_zero()));
    let secrets = tenant.credentials.secrets();
    let own = Filter::Agent(alice.as_str().parse().unwrap());
    assert!(secrets.list(&own).await.unwrap().is_empty());
    let visible = secrets.effective(&alice.as_str().parse().unwrap()).await.unwrap();
    assert_eq!(visible.len(), 1, "the shared one: {visible:?}");

    let runs = &tenant.runs;
    let late = [
        runs.heartbeat(&had.running, None).await.err(),
        runs.started(&had.running, None).await.err(),
        runs.stopping(&had.running, &StopReason::Shutdown).await.err(),
        runs.finish(&had.running, &success(), &facts()).await.err(),
        runs.park(&had.running, had.gates[0].id, Duration::ZERO)
            .await
            .err(),
    ];
    for late in late {
        assert!(matches!(late, Some(CommandError::Fenced { .. })), "{late:?}");
    }
    let before = house.stored().await;
    for task in &had.tasks {
        let retried = tenant.tasks.retry(&operator(), task.id, Steps::Kept).await;
        assert_eq!(retried.unwrap_err().code(), "not_found");
        let claimed = runs.claim(&operator(), task.id, ClaimOptions::default()).await;
        assert_eq!(claimed.unwrap_err().code(), "not_found");
    }
    let held = tenant
        .budgets
        .reserve(&operator(), &wanted(&had.chain, tokens(1)))
        .await;
    assert_eq!(held.unwrap_err().code(), "not_found");
    let grown = tenant.budgets.grow(&operator(), had.hold, &tokens(1)).await;
    assert_eq!(grown.unwrap_err().code(), "rejected");
    let said = Append::submit(NewMessage::user("are you there?"));
    let said = threads.append(&operator(), had.thread.id, &said).await;
    assert_eq!(said.unwrap_err().code(), "not_found");
    let reopened = tenant.sessions.reopen(&operator(), had.session).await;
    assert_eq!(reopened.unwrap_err().code(), "not_found");
    assert_eq!(house.stored().await, before);

    let task = task_of(&house, alice, Start::Ready).await;
    let in_former = ClaimOptions {
        session: Some(had.session),
        ..ClaimOptions::default()
    };
    let refused = runs.claim(&operator(), task.id, in_former).await;
    assert_eq!(refused.unwrap_err().code(), "not_found");
    let claimed = house.claim(&task).await;
    runs.finish(&claimed, &success(), &facts()).await.unwrap();
    assert_eq!(
        tenant.tasks.list(&of_alice, None, 100).await.unwrap().rows.len(),
        1
    );
}

async fn an_agent_with_runs_is_deleted_only_when_they_are_to_be_stopped(house: House) {
    let task = house.ready_task().await;
    let claimed = house.claim(&task).await;
    let (agents, alice) = (&house.tenant.agents, name("alice"));
    let before = house.stored().await;
    let refused = agents.delete(&operator(), &alice, AtWork::Refuse, None).await;
    assert!(
        matches!(
            refused,
            Err(CommandError::Rejected {
                reason: Reason::Run,
                event: "delete",
                ..
            })
        ),
        "{refused:?}"
    );
    assert_eq!(house.stored().await, before);
    house
        .tenant
        .runs
        .finish(&claimed, &success(), &facts())
        .await
        .unwrap();
    agents
        .delete(&operator(), &alice, AtWork::Refuse, None)
        .await
        .unwrap();
    gone(&house, &alice).await;
    let task = house.tenant.tasks.get(task.id).await.unwrap();
    assert_eq!(task.state.word(), "done", "what had ended stays as it ended");
}

async fn a_deleting_agent_gets_nothing_new(house: House) {
    let task = house.ready_task().await;
    let held = house.claim(&task).await;
    let (tenant, alice) = (&house.tenant, name("alice"));
    delete(&house, &alice).await;
    let again = tenant
        .agents
        .delete(&operator(), &alice, AtWork::Refuse, None)
        .await;
    assert_eq!(
        again.unwrap().state,
        AgentState::Deleting,
        "the same again is no error"
    );
    let config = AgentConfig::default();
    let refused = [
        tenant.agents.create(&operator(), &alice, config).await.err(),
        tenant.agents.configure(&operator(), &alice, |_| {}).await.err(),
        tenant.agents.pause(&operator(), &alice, None).await.err(),
        tenant.agents.resume(&operator(), &alice).await.err(),
        tenant
            .tasks
            .create(&operator(), NewTask::new(alice.clone(), "one more"))
            .await
            .err(),
        tenant
            .sessions
            .create(&operator(), &NewSession::new(alice.clone()))
            .await
            .err(),
    ];
    for refused in refused {
        assert!(
            matches!(refused, Some(CommandError::AgentDeleting { .. })),
            "{refused:?}"
        );
    }
    ends(&house, &held).await;
    gone(&house, &alice).await;
}

async fn a_paused_agent_stops_its_runs_and_their_tasks_are_ready_with_nothing_counted(house: House) {
    let task = house.ready_task().await;
    let (tenant, alice) = (&house.tenant, name("alice"));
    let claimed = house.claim(&task).await;
    tenant.runs.started(&claimed, None).await.unwrap();
    let reason = Some(Scrubbed::constant("too loud"));
    tenant.agents.pause(&operator(), &alice, reason).await.unwrap();
    assert!(claimed.stop.reason().is_none(), "a pause alone stops nothing");
    assert_eq!(tenant.agents.stop_runs(&operator(), &alice).await.unwrap(), 1);
    assert_eq!(tenant.agents.stop_runs(&operator(), &alice).await.unwrap(), 0);
    assert_eq!(claimed.stop.stopped().await, StopReason::AgentPause);
    assert_eq!(claimed.run.checkpoint, Checkpoint::None);
    ends(&house, &claimed).await;
    let ready = tenant.tasks.get(task.id).await.unwrap();
    assert_eq!(
        (ready.state.word(), ready.failures, ready.reclaims),
        ("ready", 0, 0)
    );
    let refused = tenant
        .runs
        .claim(&operator(), task.id, ClaimOptions::default())
        .await;
    assert!(matches!(refused, Err(CommandError::AgentPaused { .. })));
    tenant.agents.resume(&operator(), &alice).await.unwrap();
    let again = house.claim(&ready).await;
    assert_eq!(again.run.attempt, 2);
}

async fn a_parked_run_of_a_paused_agent_waits_on(house: House) {
    let asker = Asker::new(&house).await;
    let (tenant, alice) = (&house.tenant, name("alice"));
    tenant.runs.started(&asker.claimed, None).await.unwrap();
    let gate = open(&house, &asker.approval("1", "{}")).await;
    tenant
        .runs
        .park(&asker.claimed, gate.id, Duration::ZERO)
        .await
        .unwrap();
    tenant.agents.pause(&operator(), &alice, None).await.unwrap();
    assert_eq!(tenant.agents.stop_runs(&operator(), &alice).await.unwrap(), 0);
    let run = tenant.runs.get(asker.claimed.run.id).await.unwrap();
    assert_eq!(run.run.state, RunState::Waiting);
    assert!(tenant.gates.get(gate.id).await.unwrap().is_pending());
}

async fn a_change_or_a_deletion_at_another_version_is_stale(house: House) {
    let alice = house.agent("alice").await;
    let agents = &house.tenant.agents;
    let read = agents.get(&alice).await.unwrap();
    let of = |concurrency| move |config: &mut AgentConfig| config.concurrency = concurrency;
    agents
        .configure_at(&operator(), &alice, read.version(), of(2))
        .await
        .unwrap();
    let now = agents.get(&alice).await.unwrap();
    let before = house.stored().await;
    let stale = [
        agents
            .configure_at(&operator(), &alice, read.version(), of(3))
            .await
            .err(),
        agents
            .delete(&operator(), &alice, AtWork::Refuse, Some(read.version()))
            .await
            .err(),
    ];
    for stale in stale {
        assert!(
            matches!(stale, Some(CommandError::Stale { current, .. }) if current == now.version()),
            "{stale:?}"
        );
    }
    assert_eq!(house.stored().await, before);
    agents
        .delete(&operator(), &alice, AtWork::Refuse, Some(now.version()))
        .await
        .unwrap();
    gone(&house, &alice).await;
}

async fn a_tombstone_keeps_name_life_digest_and_time(house: House) {
    let alice = house.agent("alice").await;
    let agents = &house.tenant.agents;
    let former = agents.get(&alice).await.unwrap().into_inner();
    agents
        .delete(&operator(), &alice, AtWork::Refuse, None)
        .await
        .unwrap();
    gone(&house, &alice).await;
    let entry = house.entry("agent", &alice).await;
    let stored: serde_json::Value = serde_json::from_slice(&entry.value).unwrap();
    let tombstone = &stored["value"];
    let fields: Vec<&String> = tombstone.as_object().unwrap().keys().collect();
    let kept = [
        "config_digest",
        "created_at",
        "deleted_at",
        "incarnation",
        "name",
        "op",
        "state",
        "updated_at",
    ];
    let mut fields: Vec<&str> = fields.into_iter().map(String::as_str).collect();
    fields.sort_unstable();
    assert_eq!(fields, kept);
    assert_eq!(tombstone["incarnation"], serde_json::json!(former.incarnation));
    assert_eq!(tombstone["config_digest"], former.config_digest);
}
