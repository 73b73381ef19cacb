//! Tasks that runs give away: to whom, how many, and what becomes of their ends.

use dormouse_engine::agent::{Agent, AgentConfig, AgentState};
use dormouse_engine::command::CommandSpec;
use dormouse_engine::outcome::Outcome;
use dormouse_engine::run::Claimed;
use dormouse_engine::step::StepContext;
use dormouse_engine::supervisor::RunEnd;
use dormouse_engine::task::{
    ChildEnd, Delegated, DelegationState, NewTask, Receiver, Task, TaskFilter, TaskState, Tree, Wait,
};
use dormouse_engine::thread::{MessageKind, MessageStatus};
use dormouse_engine::{AgentName, Clock, CommandError, TaskId};
use dormouse_filesystem::Records;
use jiff::SignedDuration;

use super::house::{House, facts, failed, name, operator, success};
use super::threads::{post, thread};

super::on_every_store! {
    a_task_is_given_to_an_agent_that_is_named_or_to_itself_and_to_no_other;
    who_gets_a_task_and_is_paused_or_gone_is_truthfully_said;
    only_a_live_run_gives_and_no_command_line;
    an_end_is_delivered_once_and_taken_once_by_a_run_of_its_parent;
    an_end_is_said_once_in_the_thread_of_its_parent;
    an_end_cuts_no_wait_of_its_parent_short_and_is_there_when_that_is_over;
    a_tree_has_a_depth_and_so_many_open_and_ever;
    what_nobody_can_take_any_more_is_given_up_and_frees_its_place;
    creations_and_delegations_share_a_commit;
}

const BOB: &str = "bob";

/// Alice, who may give tasks to these, and a run of hers.
async fn alice(house: &House, to: &[&str]) -> Claimed {
    let config = AgentConfig {
        delegates_to: to.iter().map(|to| name(to)).collect(),
        ..AgentConfig::default()
    };
    let agents = &house.tenant.agents;
    agents.create(&operator(), &name("alice"), config).await.unwrap();
    at_work(house).await
}

async fn at_work(house: &House) -> Claimed {
    let task = house.task(NewTask::new(name("alice"), "parent")).await;
    house.claim(&task).await
}

async fn give(house: &House, claimed: &Claimed, to: &str) -> Result<Delegated, CommandError> {
    let new = NewTask::new(name(to), "child");
    let delegations = &house.tenant.delegations;
    delegations.delegate(&operator(), claimed.run.id, new).await
}

async fn end(house: &House, task: &Task, outcome: &Outcome) {
    let claimed = house.claim(task).await;
    let runs = &house.tenant.runs;
    runs.finish(&claimed, outcome, &facts()).await.unwrap();
}

async fn tree(house: &House, root: TaskId) -> (u32, u32) {
    let tree = Records::<Tree>::new(house.tenant.space())
        .get(&root)
        .await
        .unwrap();
    tree.map_or((0, 0), |tree| (tree.open, tree.total))
}

fn parent(claimed: &Claimed) -> TaskId {
    claimed.run.task.unwrap()
}

async fn a_task_is_given_to_an_agent_that_is_named_or_to_itself_and_to_no_other(house: House) {
    let claimed = alice(&house, &[BOB]).await;
    house.agent(BOB).await;
    house.agent("carol").await;
    let given = give(&house, &claimed, BOB).await.unwrap();
    assert_eq!(given.receiver, Receiver::Active);
    let child = given.task;
    assert_eq!(
        (child.owner.clone(), child.parent, child.state.clone()),
        (Some(name("alice")), Some(parent(&claimed)), TaskState::Ready)
    );
    give(&house, &claimed, "alice").await.unwrap();
    let events = house.event_count().await;
    let refused = give(&house, &claimed, "carol").await.unwrap_err();
    assert_eq!(refused.code(), "forbidden");
    // Not told whether there is such an agent.
    let unknown = give(&house, &claimed, "nobody").await.unwrap_err();
    assert_eq!(unknown.code(), "forbidden");
    assert_eq!(events, house.event_count().await);
    assert_eq!(tree(&house, parent(&claimed)).await, (2, 2));
    let filter = TaskFilter {
        parent: Some(parent(&claimed)),
        ..TaskFilter::default()
    };
    let listed = house.tenant.tasks.list(&filter, None, 10).await.unwrap().rows;
    assert_eq!(listed.len(), 2);
    assert_eq!(listed[1].id, child.id);
}

async fn set_state(house: &House, agent: &str, state: AgentState) {
    let rows = Records::<Agent>::new(house.tenant.space());
    let read = rows.get(&name(agent)).await.unwrap().unwrap();
    let agent = Agent {
        state,
        ..Agent::clone(&read)
    };
    rows.replace(&read, &agent).await.unwrap();
}

async fn who_gets_a_task_and_is_paused_or_gone_is_truthfully_said(house: House) {
    let claimed = alice(&house, &[BOB, "dora"]).await;
    house.agent(BOB).await;
    let bob: AgentName = name(BOB);
    house.tenant.agents.pause(&operator(), &bob, None).await.unwrap();
    assert_eq!(
        give(&house, &claimed, BOB).await.unwrap().receiver,
        Receiver::Paused
    );
    set_state(&house, BOB, AgentState::Deleting).await;
    let refused = give(&house, &claimed, BOB).await.unwrap_err();
    assert_eq!(refused.code(), "undeliverable", "while it is being deleted");
    let missing = give(&house, &claimed, "dora").await.unwrap_err();
    assert_eq!(missing.code(), "undeliverable");
    assert_eq!(tree(&house, parent(&claimed)).await, (1, 1));
}

async fn only_a_live_run_gives_and_no_command_line(house: House) {
    let claimed = alice(&house, &[BOB]).await;
    house.agent(BOB).await;
    let new = NewTask {
        command: Some(CommandSpec::new(vec!["true".to_owned()])),
        ..NewTask::new(name(BOB), "child")
    };
    let delegations = &house.tenant.delegations;
    let refused = delegations.delegate(&operator(), claimed.run.id, new).await;
    assert_eq!(refused.unwrap_err().code(), "forbidden");
    let runs = &house.tenant.runs;
    runs.finish(&claimed, &success(), &facts()).await.unwrap();
    assert_eq!(give(&house, &claimed, BOB).await.unwrap_err().code(), "rejected");
    assert_eq!(tree(&house, parent(&claimed)).await, (0, 0));
}

async fn an_end_is_said_once_in_the_thread_of_its_parent(house: House) {
    let thread = thread(&house).await;
    let turn = post(&house, thread.id, "what are the others at?").await;
    let task = house.tenant.tasks.get(turn.task.unwrap()).await.unwrap();
    let claimed = house.claim(&task).await;
    let child = give(&house, &claimed, "alice").await.unwrap().task;
    end(&house, &child, &success()).await;
    let threads = &house.tenant.threads;
    let before = threads.messages(thread.id, 0, 10).await.unwrap().rows.len();
    assert_eq!(before, 1, "nobody was told yet");
    for _ in 0..2 {
        house.engine.settle_once().await.unwrap();
    }
    let messages = threads.messages(thread.id, 0, 10).await.unwrap().rows;
    let [_, said] = &messages[..] else {
        panic!("{messages:#?}");
    };
    assert_eq!(
        (said.kind, said.status),
        (MessageKind::System, MessageStatus::Final)
    );
    assert_eq!(said.provider["delegation"], child.id.to_string());
    let text = threads.text(said.text.as_ref().unwrap()).await.unwrap();
    assert_eq!(text.to_string(), format!("#{} child: done", child.number));
    // A thread that takes no more messages keeps nobody from the end.
    let late = give(&house, &claimed, "alice").await.unwrap().task;
    end(&house, &late, &success()).await;
    threads.close(&operator(), thread.id).await.unwrap();
    house.engine.settle_once().await.unwrap();
    assert_eq!(house.times("delegation.delivered", late.id).await, 1);
    assert_eq!(threads.messages(thread.id, 0, 10).await.unwrap().rows.len(), 2);
}

async fn an_end_cuts_no_wait_of_its_parent_short_and_is_there_when_that_is_over(house: House) {
    let claimed = alice(&house, &[]).await;
    let (asleep, run) = (parent(&claimed), claimed.run.id);
    let child = give(&house, &claimed, "alice").await.unwrap().task;
    let until = house.clock.now() + SignedDuration::from_secs(600);
    let sleeps = async move |steps: StepContext| {
        steps.sleep_until("nap", until).await?;
        Ok(())
    };
    let end_of_it = house.tenant.runs.drive(claimed, sleeps).await;
    assert!(matches!(end_of_it, RunEnd::Parked(_)), "{end_of_it:?}");
    end(&house, &child, &success()).await;
    house.engine.settle_once().await.unwrap();
    let delegations = &house.tenant.delegations;
    assert_eq!(delegations.delivered(asleep).await.unwrap().len(), 1);
    let state = async || house.tenant.tasks.get(asleep).await.unwrap().state.clone();
    let on = Wait::Until { until };
    assert_eq!(state().await, TaskState::Waiting { on });
    house.clock.advance(600);
    house.engine.serve_due_once().await.unwrap();
    assert_eq!(state().await, TaskState::Ready);
    let goes_on = house.claim(&house.tenant.tasks.get(asleep).await.unwrap()).await;
    assert_eq!(goes_on.run.id, run);
    let taken = delegations.consume(&operator(), run, child.id).await.unwrap();
    assert_eq!(taken.state, DelegationState::Consumed);
}

async fn an_end_is_delivered_once_and_taken_once_by_a_run_of_its_parent(house: House) {
    let claimed = alice(&house, &[BOB]).await;
    house.agent(BOB).await;
    let child = give(&house, &claimed, BOB).await.unwrap().task;
    let delegations = &house.tenant.delegations;
    let (by, run) = (operator(), claimed.run.id);
    let early = delegations.consume(&by, run, child.id).await.unwrap_err();
    assert_eq!(early.code(), "rejected");
    end(&house, &child, &failed(true)).await;
    assert!(delegations.delivered(parent(&claimed)).await.unwrap().is_empty());
    for _ in 0..3 {
        house.engine.settle_once().await.unwrap();
    }
    let delivered = delegations.delivered(parent(&claimed)).await.unwrap();
    assert_eq!(delivered.len(), 1);
    assert_eq!(
        (delivered[0].child, delivered[0].end),
        (child.id, Some(ChildEnd::Failed))
    );
    assert_eq!(house.times("delegation.delivered", child.id).await, 1);
    assert_eq!(tree(&house, parent(&claimed)).await, (1, 1));

    let stranger = at_work(&house).await;
    let refused = delegations.consume(&by, stranger.run.id, child.id).await;
    assert_eq!(refused.unwrap_err().code(), "not_found");
    for _ in 0..2 {
        let taken = delegations.consume(&by, run, child.id).await.unwrap();
        assert_eq!(taken.state, DelegationState::Consumed);
    }
    assert_eq!(house.times("delegation.consumed", child.id).await, 1);
    assert_eq!(tree(&house, parent(&claimed)).await, (0, 1));
    assert!(delegations.delivered(parent(&claimed)).await.unwrap().is_empty());
    // Tried again it ends again, and nobody hears of it twice.
    let tasks = &house.tenant.tasks;
    tasks.retry(&by, child.id, Default::default()).await.unwrap();
    end(&house, &child, &success()).await;
    house.engine.settle_once().await.unwrap();
    assert_eq!(house.times("delegation.delivered", child.id).await, 1);
}

fn limit_of(refused: Result<Delegated, CommandError>) -> &'static str {
    match refused.unwrap_err() {
        CommandError::TreeFull { limit, .. } => limit,
        other => panic!("{other}"),
    }
}

async fn a_tree_has_a_depth_and_so_many_open_and_ever(house: House) {
    let root = alice(&house, &[]).await;
    let mut above = give(&house, &root, "alice").await.unwrap().task;
    for depth in 2..=8 {
        let claimed = house.claim(&above).await;
        above = give(&house, &claimed, "alice").await.unwrap().task;
        let row = house.tenant.delegations.get(above.id).await.unwrap();
        assert_eq!((row.depth, row.root), (depth, parent(&root)));
    }
    let deepest = house.claim(&above).await;
    assert_eq!(limit_of(give(&house, &deepest, "alice").await), "tasks.depth_max");
    for _ in 8..64 {
        give(&house, &root, "alice").await.unwrap();
    }
    assert_eq!(tree(&house, parent(&root)).await, (64, 64));
    assert_eq!(
        limit_of(give(&house, &root, "alice").await),
        "tasks.tree_open_max"
    );
    let filter = TaskFilter {
        parent: Some(parent(&root)),
        ..TaskFilter::default()
    };
    let last = house
        .tenant
        .tasks
        .list(&filter, None, 1)
        .await
        .unwrap()
        .rows
        .remove(0);
    house
        .tenant
        .delegations
        .abandon(&operator(), last.id)
        .await
        .unwrap();
    give(&house, &root, "alice").await.unwrap();
    let rows = Records::<Tree>::new(house.tenant.space());
    let read = rows.get(&parent(&root)).await.unwrap().unwrap();
    let tree = Tree {
        open: 0,
        total: 999,
        ..Tree::clone(&read)
    };
    rows.replace(&read, &tree).await.unwrap();
    give(&house, &root, "alice").await.unwrap();
    assert_eq!(
        limit_of(give(&house, &root, "alice").await),
        "tasks.tree_total_max"
    );
}

async fn what_nobody_can_take_any_more_is_given_up_and_frees_its_place(house: House) {
    let claimed = alice(&house, &[BOB]).await;
    house.agent(BOB).await;
    let open = give(&house, &claimed, BOB).await.unwrap().task;
    let settled = give(&house, &claimed, BOB).await.unwrap().task;
    let gone = give(&house, &claimed, BOB).await.unwrap().task;
    end(&house, &settled, &success()).await;
    house.tenant.tasks.delete(&operator(), gone.id).await.unwrap();
    house.engine.settle_once().await.unwrap();
    let row = house.tenant.delegations.get(gone.id).await.unwrap();
    assert_eq!(
        (row.state, row.end),
        (DelegationState::Delivered, Some(ChildEnd::Deleted))
    );
    assert_eq!(tree(&house, parent(&claimed)).await, (3, 3));
    let runs = &house.tenant.runs;
    runs.finish(&claimed, &success(), &facts()).await.unwrap();
    house.engine.settle_once().await.unwrap();
    for child in [&open, &settled, &gone] {
        let row = house.tenant.delegations.get(child.id).await.unwrap();
        assert_eq!(row.state, DelegationState::Abandoned);
        assert_eq!(house.times("delegation.abandoned", child.id).await, 1);
    }
    assert_eq!(tree(&house, parent(&claimed)).await, (0, 3));
    // What was given goes on.
    end(&house, &open, &success()).await;
    house.engine.settle_once().await.unwrap();
    let row = house.tenant.delegations.get(open.id).await.unwrap();
    assert_eq!((row.state, row.end), (DelegationState::Abandoned, None));
}

async fn creations_and_delegations_share_a_commit(house: House) {
    let claimed = alice(&house, &[BOB]).await;
    house.agent(BOB).await;
    let given = (0..20).map(|_| give(&house, &claimed, BOB));
    let made = (0..20).map(|_| house.task(NewTask::new(name(BOB), "other")));
    let (given, made) = tokio::join!(futures::future::join_all(given), futures::future::join_all(made));
    let mut numbers: Vec<u64> = given
        .into_iter()
        .map(|given| given.unwrap().task.number)
        .chain(made.into_iter().map(|task| task.number))
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (2..=41).collect::<Vec<_>>());
    assert_eq!(tree(&house, parent(&claimed)).await, (20, 20));
}
