//! Changing tasks: what is said of them, whose they are, who sees them, and at which version.

use dormouse_engine::task::{NewTask, Priority, Start, Steps, Task, TaskEdit, TaskFilter, TaskState, Wait};
use dormouse_engine::{CommandError, PrefixedId, Reason, TaskId};
use dormouse_filesystem::Version;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::house::{House, name, operator};

super::on_every_store! {
    /// ST-21
    metadata_is_patched_or_refused_as_stated;
    an_edit_changes_what_it_names_and_tells_of_it_and_one_of_nothing_writes_nothing;
    a_priority_moves_a_ready_task_in_its_lane;
    a_time_not_to_be_tried_before_is_moved_while_it_is_waited_for;
    a_task_is_given_to_another_agent;
    assigning_shelving_and_deleting_a_running_task_is_rejected;
    what_a_task_leaves_has_nothing_of_what_was_said_of_it;
    an_agent_sees_what_it_owns_or_is_assigned_and_nothing_else;
    a_number_names_its_task;
    a_command_for_another_version_is_stale;
}

async fn edited(house: &House, task: TaskId, edit: TaskEdit) -> Result<Task, CommandError> {
    house.tenant.tasks.edit(&operator(), task, &edit).await
}

fn patch(patch: Value) -> TaskEdit {
    TaskEdit {
        metadata: Some(patch),
        ..TaskEdit::default()
    }
}

async fn metadata_is_patched_or_refused_as_stated(house: House) {
    let alice = house.agent("alice").await;
    let kept = json!({ "ticket": { "id": 7, "label": "a" }, "list": [1, 2], "gone": true });
    let new = NewTask {
        metadata: kept.as_object().unwrap().clone(),
        ..NewTask::new(alice, "sleep")
    };
    let task = house.task(new).await.id;
    let merged = json!({ "ticket": { "id": null, "owner": { "name": "bob" } }, "list": [3], "gone": null, "new": 1.5 });
    let after = edited(&house, task, patch(merged)).await.unwrap();
    let expected = json!({ "ticket": { "label": "a", "owner": { "name": "bob" } }, "list": [3], "new": 1.5 });
    assert_eq!(Value::Object(after.metadata), expected);
    let events = house.event_count().await;
    let deep = (0..8).fold(json!(1), |inner, _| json!({ "in": inner }));
    for (refused, code) in [
        (json!(7), "invalid_metadata"),
        (json!(null), "invalid_metadata"),
        (json!(["a"]), "invalid_metadata"),
        (json!({ "dormouse.own": 1 }), "invalid_metadata"),
        (json!({ "dormouse.own": null }), "invalid_metadata"),
        (json!({ "long": "x".repeat(17 * 1024) }), "too_large"),
        (json!({ "deep": deep }), "too_large"),
    ] {
        let error = edited(&house, task, patch(refused.clone())).await.unwrap_err();
        assert_eq!(error.code(), code, "{refused}");
    }
    // Each is small, and what they would make together is not.
    let half = |key: &str| json!({ key: "x".repeat(9 * 1024) });
    edited(&house, task, patch(half("one"))).await.unwrap();
    let error = edited(&house, task, patch(half("two"))).await.unwrap_err();
    assert_eq!(error.code(), "too_large");
    edited(&house, task, patch(json!({ "one": null }))).await.unwrap();
    edited(&house, task, patch(json!({}))).await.unwrap();
    let row = house.tenant.tasks.get(task).await.unwrap().into_inner();
    assert_eq!(Value::Object(row.metadata), expected);
    assert_eq!(house.event_count().await, events + 2);
}

async fn an_edit_changes_what_it_names_and_tells_of_it_and_one_of_nothing_writes_nothing(house: House) {
    let task = house.ready_task().await;
    let edit = TaskEdit {
        title: Some("count the goats".to_owned()),
        body: Some("all of them".to_owned()),
        ..TaskEdit::default()
    };
    let after = edited(&house, task.id, edit.clone()).await.unwrap();
    assert_eq!(
        (after.title.as_str(), after.body.as_str()),
        ("count the goats", "all of them")
    );
    let told = house.events().await.pop().unwrap();
    assert_eq!(
        (told.kind.as_str(), &told.data["fields"]),
        ("task.edited", &json!(["title", "body"]))
    );
    let version = house.tenant.tasks.get(task.id).await.unwrap().version();
    edited(&house, task.id, edit).await.unwrap();
    assert_eq!(house.tenant.tasks.get(task.id).await.unwrap().version(), version);
    for title in ["", "two\nlines"] {
        let edit = TaskEdit {
            title: Some(title.to_owned()),
            ..TaskEdit::default()
        };
        assert_eq!(edited(&house, task.id, edit).await.unwrap_err().code(), "invalid");
    }
}

async fn a_priority_moves_a_ready_task_in_its_lane(house: House) {
    let task = house.ready_task().await;
    let edit = TaskEdit {
        priority: Some(Priority::Critical),
        ..TaskEdit::default()
    };
    let after = edited(&house, task.id, edit).await.unwrap();
    assert_eq!(
        (after.priority, after.state),
        (Priority::Critical, TaskState::Ready)
    );
    house.claim(&task).await;
}

async fn a_time_not_to_be_tried_before_is_moved_while_it_is_waited_for(house: House) {
    let alice = house.agent("alice").await;
    let later: Timestamp = "2027-01-01T00:00:00Z".parse().unwrap();
    let new = |start, not_before| NewTask {
        start,
        not_before,
        ..NewTask::new(alice.clone(), "sleep")
    };
    let waiting = house.task(new(Start::Ready, Some(later))).await.id;
    let at = |at| TaskEdit {
        not_before: Some(at),
        ..TaskEdit::default()
    };
    let sooner: Timestamp = "2026-06-01T00:00:00Z".parse().unwrap();
    let moved = edited(&house, waiting, at(Some(sooner))).await.unwrap();
    let until = |until| TaskState::Waiting {
        on: Wait::Until { until },
    };
    assert_eq!((moved.state, moved.not_before), (until(sooner), Some(sooner)));
    edited(&house, waiting, at(None)).await.unwrap();
    let due = house.tenant.tasks.due(&operator(), waiting).await.unwrap();
    assert_eq!((due.state, due.not_before), (TaskState::Ready, None));
    match edited(&house, waiting, at(Some(later))).await.unwrap_err() {
        CommandError::Rejected { reason, .. } => assert_eq!(reason, Reason::State),
        other => panic!("{other}"),
    }
    let aside = house.task(new(Start::Backlog, None)).await.id;
    edited(&house, aside, at(Some(later))).await.unwrap();
    let taken_up = house.tenant.tasks.enqueue(&operator(), aside).await.unwrap();
    assert_eq!(taken_up.state, until(later));
}

async fn a_task_is_given_to_another_agent(house: House) {
    let task = house.ready_task().await;
    let bob = house.agent("bob").await;
    let tasks = &house.tenant.tasks;
    let given = tasks.assign(&operator(), task.id, &bob).await.unwrap();
    assert_eq!((&given.assignee, &given.state), (&bob, &TaskState::Ready));
    assert_ne!(given.agent_incarnation, task.agent_incarnation);
    let told = house.events().await.pop().unwrap();
    assert_eq!(told.kind, "task.assigned");
    assert_eq!(
        (&told.data["from"], &told.data["to"]),
        (&json!("alice"), &json!("bob"))
    );
    let events = house.event_count().await;
    tasks.assign(&operator(), task.id, &bob).await.unwrap();
    assert_eq!(house.event_count().await, events);
    let nobody = tasks.assign(&operator(), task.id, &name("nobody")).await;
    assert_eq!(nobody.unwrap_err().code(), "not_found");
    assert_eq!(house.claim(&task).await.run.agent, bob);
}

async fn assigning_shelving_and_deleting_a_running_task_is_rejected(house: House) {
    let task = house.ready_task().await;
    let bob = house.agent("bob").await;
    house.claim(&task).await;
    let (tasks, events) = (&house.tenant.tasks, house.event_count().await);
    let before = tasks.get(task.id).await.unwrap();
    for refused in [
        tasks.assign(&operator(), task.id, &bob).await.map(drop),
        tasks.shelve(&operator(), task.id).await.map(drop),
        tasks.delete(&operator(), task.id).await,
    ] {
        match refused.unwrap_err() {
            CommandError::Rejected { reason, .. } => assert_eq!(reason, Reason::Run),
            other => panic!("{other}"),
        }
    }
    assert_eq!(tasks.get(task.id).await.unwrap(), before);
    assert_eq!(house.event_count().await, events);
}

async fn what_a_task_leaves_has_nothing_of_what_was_said_of_it(house: House) {
    let alice = house.agent("alice").await;
    let new = NewTask {
        body: "the-body".to_owned(),
        metadata: json!({ "key": "the-value" }).as_object().unwrap().clone(),
        ..NewTask::new(alice, "the-title")
    };
    let task = house.task(new).await;
    house.tenant.tasks.delete(&operator(), task.id).await.unwrap();
    let stored = house.stored().await;
    for word in ["the-title", "the-body", "the-value"] {
        assert!(!stored.contains(word), "{word}");
    }
    let left = house.entry("task_tombstone", &task.id).await;
    let left: Value = serde_json::from_slice(&left.value).unwrap();
    assert_eq!(left["value"]["number"], 1);
    // Every command on it says what it says of one that never was.
    let tasks = &house.tenant.tasks;
    let events = house.event_count().await;
    let never = TaskId::make(task.created_at, &house.engine.environment().random);
    for (gone, missing) in [
        (
            tasks.approve(&operator(), task.id).await,
            tasks.approve(&operator(), never).await,
        ),
        (
            tasks.retry(&operator(), task.id, Steps::Kept).await,
            tasks.retry(&operator(), never, Steps::Kept).await,
        ),
        (
            edited(&house, task.id, patch(json!({}))).await,
            edited(&house, never, patch(json!({}))).await,
        ),
    ] {
        let [gone, missing] = [gone, missing].map(|answer| answer.unwrap_err().to_string());
        assert_eq!(
            gone.replace(&task.id.to_string(), "?"),
            missing.replace(&never.to_string(), "?")
        );
    }
    assert_eq!(house.event_count().await, events);
}

async fn an_agent_sees_what_it_owns_or_is_assigned_and_nothing_else(house: House) {
    let task = house.ready_task().await;
    house.agent("bob").await;
    let theirs = house.task(NewTask::new(name("bob"), "theirs")).await;
    let claimed = house.claim(&task).await;
    let delegations = &house.tenant.delegations;
    let given = delegations
        .delegate(&operator(), claimed.run.id, NewTask::new(name("alice"), "mine"))
        .await
        .unwrap()
        .task;
    let given = house
        .tenant
        .tasks
        .assign(&operator(), given.id, &name("bob"))
        .await
        .unwrap();
    let all = &house.tenant.tasks;
    let seen = all.seen_by(&name("alice"), task.agent_incarnation);
    let list = seen.list(&TaskFilter::default(), None, 10).await.unwrap();
    let ids: Vec<TaskId> = list.rows.iter().map(|task| task.id).collect();
    assert_eq!(ids, [given.id, task.id], "its own and what it gave, newest first");
    let running = TaskFilter {
        state: Some("running".to_owned()),
        ..TaskFilter::default()
    };
    assert_eq!(seen.list(&running, None, 10).await.unwrap().rows.len(), 1);
    let of_bob = TaskFilter {
        assignee: Some(name("bob")),
        ..TaskFilter::default()
    };
    assert_eq!(seen.list(&of_bob, None, 10).await.unwrap().rows.len(), 1);

    let unknown = TaskId::make(task.created_at, &house.engine.environment().random);
    let events = house.event_count().await;
    for (foreign, missing) in [
        (
            seen.get(theirs.id).await.map(drop),
            seen.get(unknown).await.map(drop),
        ),
        (
            seen.shelve(&operator(), theirs.id).await.map(drop),
            seen.shelve(&operator(), unknown).await.map(drop),
        ),
        (
            seen.delete(&operator(), theirs.id).await,
            seen.delete(&operator(), unknown).await,
        ),
    ] {
        let [foreign, missing] = [foreign, missing].map(|answer| answer.unwrap_err().to_string());
        assert_eq!(
            foreign.replace(&theirs.id.to_string(), "?"),
            missing.replace(&unknown.to_string(), "?")
        );
    }
    let by_number = seen.resolve("#2").await.unwrap_err().to_string();
    assert_eq!(
        by_number.replace('2', "9"),
        seen.resolve("#9").await.unwrap_err().to_string()
    );
    assert_eq!(seen.resolve("1").await.unwrap(), task.id);
    let (own, short) = (task.id.to_string()[..12].to_owned(), theirs.id.to_string());
    assert!(seen.resolve(&own).await.is_ok() || own == short[..12]);
    assert_eq!(
        seen.resolve(&short[..36]).await.unwrap(),
        theirs.id,
        "a whole id is not looked up"
    );
    assert_eq!(seen.resolve(&short[..30]).await.unwrap_err().code(), "not_found");
    assert_eq!(house.event_count().await, events);
    // A former alice's are not this one's.
    let another = all.seen_by(&name("alice"), theirs.agent_incarnation);
    assert!(
        another
            .list(&TaskFilter::default(), None, 10)
            .await
            .unwrap()
            .rows
            .is_empty()
    );
}

async fn a_number_names_its_task(house: House) {
    let task = house.ready_task().await;
    let tasks = &house.tenant.tasks;
    for given in ["1", "#1", "0001"] {
        assert_eq!(tasks.resolve(given).await.unwrap(), task.id);
    }
    for given in ["2", "#0", "99999999999999999999999"] {
        let error = tasks.resolve(given).await.unwrap_err();
        assert!(matches!(error.code(), "not_found" | "invalid"), "{error}");
    }
}

async fn a_command_for_another_version_is_stale(house: House) {
    let task = house.ready_task().await.id;
    let tasks = &house.tenant.tasks;
    let version = tasks.get(task).await.unwrap().version();
    let other = tasks.expecting(Some(Version::new(version.get() + 1)));
    match other.shelve(&operator(), task).await.unwrap_err() {
        CommandError::Stale { current, .. } => assert_eq!(current, version),
        error => panic!("{error}"),
    }
    let right = tasks.expecting(Some(version));
    right.shelve(&operator(), task).await.unwrap();
    assert_eq!(
        right.enqueue(&operator(), task).await.unwrap_err().code(),
        "stale"
    );
    tasks.expecting(None).enqueue(&operator(), task).await.unwrap();
}
