//! Making tasks, and finding them again.

use std::collections::BTreeSet;

use dormouse_engine::command::CommandSpec;
use dormouse_engine::task::{NewTask, Start, TaskFilter, TaskState};
use dormouse_engine::{CommandError, TaskId};
use dormouse_filesystem::Cursor;
use futures::future::join_all;
use jiff::Timestamp;
use serde_json::json;

use super::house::{House, name, operator};

super::on_every_store! {
    concurrent_creations_are_numbered_without_gap_or_repeat_in_log_order;
    creations_at_once_share_commits;
    what_spoils_a_shared_commit_spoils_it_for_itself_alone;
    a_caller_that_is_gone_makes_no_task_or_one;
    a_task_begins_where_it_is_told;
    what_is_out_of_bounds_is_refused_and_nothing_written;
    lists_go_newest_first_page_by_page;
    lists_are_filtered_by_agent_and_state;
    a_short_id_finds_its_task_or_names_both;
}

async fn concurrent_creations_are_numbered_without_gap_or_repeat_in_log_order(house: House) {
    let alice = house.agent("alice").await;
    let made = join_all((0..100).map(|n| {
        let (tenant, new) = (
            house.tenant.clone(),
            NewTask::new(alice.clone(), format!("sheep {n}")),
        );
        tokio::spawn(async move { tenant.tasks.create(&operator(), new).await.unwrap().number })
    }));
    let numbers: BTreeSet<u64> = made.await.into_iter().map(Result::unwrap).collect();
    assert_eq!(numbers, (1..=100).collect());

    let events = house.events().await;
    let logged = events.iter().filter(|event| event.kind == "task.created");
    let logged: Vec<u64> = logged
        .map(|event| event.data["number"].as_u64().unwrap())
        .collect();
    assert_eq!(logged, (1..=100).collect::<Vec<_>>());
}

async fn creations_at_once_share_commits(house: House) {
    let alice = house.agent("alice").await;
    let made = (0..200).map(|n| house.task(NewTask::new(alice.clone(), format!("sheep {n}"))));
    let ids: Vec<TaskId> = join_all(made).await.into_iter().map(|task| task.id).collect();
    let mut commits = BTreeSet::new();
    for id in ids {
        commits.insert(house.tenant.tasks.get(id).await.unwrap().version());
    }
    // The first alone or not, the others by 64.
    assert!(commits.len() <= 5, "{} commits", commits.len());
    house.engine.close().await;
}

/// Two bodies whose stored form is over the limit of a batch, and one for nobody, among good ones.
async fn what_spoils_a_shared_commit_spoils_it_for_itself_alone(house: House) {
    let alice = house.agent("alice").await;
    let swollen = |title: &str| NewTask {
        body: "\u{1}".repeat(200 * 1024),
        ..NewTask::new(alice.clone(), title)
    };
    let new = [
        NewTask::new(alice.clone(), "one"),
        swollen("two"),
        NewTask::new(name("nobody"), "three"),
        NewTask::new(alice.clone(), "four"),
        swollen("five"),
        NewTask::new(alice.clone(), "six"),
    ];
    let by = operator();
    let answers = join_all(new.map(|new| house.tenant.tasks.create(&by, new))).await;
    let codes = answers
        .iter()
        .map(|answer| answer.as_ref().map_or_else(CommandError::code, |_| "made"));
    let expected = ["made", "too_large", "not_found", "made", "too_large", "made"];
    assert_eq!(codes.collect::<Vec<_>>(), expected);
    assert_eq!(numbers(&house, &TaskFilter::default()).await, [3, 2, 1]);
}

async fn a_caller_that_is_gone_makes_no_task_or_one(house: House) {
    let alice = house.agent("alice").await;
    for n in 0..50 {
        let new = NewTask::new(alice.clone(), format!("sheep {n}"));
        let by = operator();
        let create = house.tenant.tasks.create(&by, new);
        // Polled once, then dropped.
        drop(futures::poll!(Box::pin(create)));
    }
    let last = house.task(NewTask::new(alice, "the last")).await;
    house.engine.close().await;
    assert_eq!(
        numbers(&house, &TaskFilter::default()).await,
        (1..=last.number).rev().collect::<Vec<_>>()
    );
}

async fn a_task_begins_where_it_is_told(house: House) {
    let alice = house.agent("alice").await;
    let new = |start| NewTask {
        start,
        ..NewTask::new(alice.clone(), "sleep")
    };
    assert_eq!(house.task(new(Start::Ready)).await.state, TaskState::Ready);
    assert_eq!(house.task(new(Start::Backlog)).await.state, TaskState::Backlog);
    assert_eq!(
        house.task(new(Start::PendingApproval)).await.state,
        TaskState::PendingApproval
    );
    let later: Timestamp = "2027-01-01T00:00:00Z".parse().unwrap();
    let waiting = NewTask {
        not_before: Some(later),
        ..new(Start::Ready)
    };
    assert_eq!(house.task(waiting).await.state.word(), "waiting");
}

async fn what_is_out_of_bounds_is_refused_and_nothing_written(house: House) {
    let alice = house.agent("alice").await;
    let new = || NewTask::new(alice.clone(), "sleep");
    let with = |metadata: serde_json::Value| NewTask {
        metadata: metadata.as_object().unwrap().clone(),
        ..new()
    };
    let mut deep = json!({});
    for _ in 0..8 {
        deep = json!({ "in": deep });
    }
    let refused = [
        NewTask::new(alice.clone(), ""),
        NewTask::new(alice.clone(), "x".repeat(201)),
        NewTask::new(alice.clone(), "two\nlines"),
        NewTask {
            body: "x".repeat(256 * 1024 + 1),
            ..new()
        },
        NewTask {
            command: Some(CommandSpec::new(vec![])),
            ..new()
        },
        with(json!({ "dormouse.key": 1 })),
        with(json!({ "long": "x".repeat(17 * 1024) })),
        with(deep),
    ];
    for new in refused {
        house
            .tenant
            .tasks
            .create(&operator(), new.clone())
            .await
            .expect_err(&format!("{new:?}"));
    }
    assert_eq!(house.event_types().await, ["agent.created"]);
}

async fn numbers(house: &House, filter: &TaskFilter) -> Vec<u64> {
    let (mut numbers, mut after) = (Vec::new(), None);
    loop {
        let page = house.tenant.tasks.list(filter, after, 3).await.unwrap();
        numbers.extend(page.rows.iter().map(|task| task.number));
        after = page.next;
        if after.is_none() {
            return numbers;
        }
    }
}

async fn lists_go_newest_first_page_by_page(house: House) {
    let alice = house.agent("alice").await;
    for n in 0..10 {
        house
            .task(NewTask::new(alice.clone(), format!("sheep {n}")))
            .await;
    }
    assert_eq!(
        numbers(&house, &TaskFilter::default()).await,
        (1..=10).rev().collect::<Vec<_>>()
    );

    let list = &house.tenant.tasks;
    let foreign = Some(Cursor::from_text("bm90IG91cnM"));
    let refused = list.list(&TaskFilter::default(), foreign, 3).await.unwrap_err();
    assert!(matches!(refused, CommandError::CursorScope), "{refused}");
    assert_eq!(
        list.list(&TaskFilter::default(), None, 0)
            .await
            .unwrap_err()
            .code(),
        "invalid"
    );
}

async fn lists_are_filtered_by_agent_and_state(house: House) {
    let (alice, bob) = (house.agent("alice").await, house.agent("bob").await);
    for agent in [&alice, &bob, &alice, &bob] {
        house.clock.advance(1);
        house.task(NewTask::new(agent.clone(), "sleep")).await;
    }
    let filter = |assignee: Option<&str>, state: Option<&str>| TaskFilter {
        assignee: assignee.map(name),
        state: state.map(str::to_owned),
        ..TaskFilter::default()
    };
    let third = house
        .tenant
        .tasks
        .list(&filter(Some("alice"), None), None, 1)
        .await
        .unwrap();
    house
        .tenant
        .tasks
        .cancel(&operator(), third.rows[0].id, None)
        .await
        .unwrap();
    assert_eq!(numbers(&house, &filter(Some("alice"), None)).await, [3, 1]);
    assert_eq!(numbers(&house, &filter(None, Some("ready"))).await, [4, 2, 1]);
    assert_eq!(numbers(&house, &filter(Some("bob"), Some("ready"))).await, [4, 2]);
    assert_eq!(
        numbers(&house, &filter(Some("alice"), Some("cancelled"))).await,
        [3]
    );
    let unknown = house
        .tenant
        .tasks
        .list(&filter(None, Some("asleep")), None, 3)
        .await;
    assert!(
        unknown
            .unwrap_err()
            .to_string()
            .starts_with("state: is none of pending_approval, ")
    );
}

async fn a_short_id_finds_its_task_or_names_both(house: House) {
    let alice = house.agent("alice").await;
    let first = house.task(NewTask::new(alice.clone(), "sleep")).await.id;
    house.clock.advance(600);
    let second = house.task(NewTask::new(alice.clone(), "sleep")).await.id;
    house.clock.advance(1);
    let third = house.task(NewTask::new(alice, "sleep")).await.id;

    let tasks = &house.tenant.tasks;
    let short = |id: TaskId| id.to_string()[..12].to_owned();
    assert_eq!(tasks.resolve(&short(first)).await.unwrap(), first);
    assert_eq!(tasks.resolve(&first.to_string()).await.unwrap(), first);
    match tasks.resolve(&short(second)).await.unwrap_err() {
        CommandError::Ambiguous {
            first, second: other, ..
        } => {
            assert_eq!([first, other], [second.to_string(), third.to_string()]);
        }
        other => panic!("{other}"),
    }
    assert_eq!(
        tasks.resolve("tsk_ffffffff").await.unwrap_err().code(),
        "not_found"
    );
    let other_kind = tasks.resolve("run_ffffffff").await.unwrap_err();
    assert_eq!(other_kind.to_string(), "run_… is a run, a task (tsk_…) is wanted");
}
