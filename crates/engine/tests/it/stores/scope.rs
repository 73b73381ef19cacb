//! Tenants: what is another's is missing, and so is what was deleted.

use dormouse_engine::task::{NewTask, Steps, TaskEdit, TaskFilter, Tasks};
use dormouse_engine::{PrefixedId as _, Subject, TaskId};
use serde_json::json;

use super::house::{House, operator};

super::on_every_store! {
    /// ST-22
    an_update_of_a_deleted_or_foreign_task_is_refused_in_the_words_of_a_missing_one_and_told_nobody;
    anothers_task_is_in_no_list;
}

/// What each update of a task is answered, which has to be a refusal.
async fn refusals(house: &House, tasks: &Tasks, id: TaskId) -> Vec<(&'static str, String)> {
    let (by, alice) = (operator(), "alice".parse().unwrap());
    let edit = TaskEdit {
        title: Some("another".to_owned()),
        ..TaskEdit::default()
    };
    let patch = TaskEdit {
        metadata: Some(json!({ "seen": true })),
        ..TaskEdit::default()
    };
    let before = house.stored().await;
    let refused = vec![
        ("edit", tasks.edit(&by, id, &edit).await.map(drop)),
        ("patch", tasks.edit(&by, id, &patch).await.map(drop)),
        ("assign", tasks.assign(&by, id, &alice).await.map(drop)),
        ("approve", tasks.approve(&by, id).await.map(drop)),
        ("refuse", tasks.refuse(&by, id).await.map(drop)),
        ("shelve", tasks.shelve(&by, id).await.map(drop)),
        ("enqueue", tasks.enqueue(&by, id).await.map(drop)),
        ("due", tasks.due(&by, id).await.map(drop)),
        ("cancel", tasks.cancel(&by, id, None).await.map(drop)),
        ("retry", tasks.retry(&by, id, Steps::Fresh).await.map(drop)),
        ("delete", tasks.delete(&by, id).await),
        ("get", tasks.get(id).await.map(drop)),
    ];
    assert_eq!(house.stored().await, before, "no row and no event");
    let refused = refused.into_iter().map(|(update, answer)| {
        let refusal = answer.expect_err(update);
        assert_eq!(refusal.code(), "not_found", "{update}");
        (update, refusal.to_string().replace(&id.to_string(), "?"))
    });
    refused.collect()
}

async fn an_update_of_a_deleted_or_foreign_task_is_refused_in_the_words_of_a_missing_one_and_told_nobody(
    house: House,
) {
    let deleted = house.ready_task().await;
    house.tenant.tasks.delete(&operator(), deleted.id).await.unwrap();
    let never = TaskId::make(deleted.created_at, &house.engine.environment().random);
    let other = house.engine.tenant(&"other".parse().unwrap()).await.unwrap();
    let alice = "alice".parse().unwrap();
    other
        .agents
        .create(&operator(), &alice, Default::default())
        .await
        .unwrap();
    let foreign = NewTask::new(alice, "theirs");
    let foreign = other.tasks.create(&operator(), foreign).await.unwrap();
    let tasks = &house.tenant.tasks;
    let missing = refusals(&house, tasks, never).await;
    assert_eq!(refusals(&house, tasks, deleted.id).await, missing);
    assert_eq!(refusals(&house, tasks, foreign.id).await, missing);
}

async fn anothers_task_is_in_no_list(house: House) {
    let task = house.ready_task().await;
    let other = house.engine.tenant(&"other".parse().unwrap()).await.unwrap();
    let all = other.tasks.list(&TaskFilter::default(), None, 10).await.unwrap();
    assert!(all.rows.is_empty());
    assert_eq!(other.events.head().await.unwrap().incarnation, None);
    let subject: Subject = format!("task:{}", task.id).parse().unwrap();
    assert_eq!(subject, Subject::Task(task.id));
}
