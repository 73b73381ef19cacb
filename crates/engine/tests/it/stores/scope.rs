//! Tenants: what is another's is missing.

use dormouse_engine::Subject;
use dormouse_engine::task::TaskFilter;

use super::house::{House, operator};

super::on_every_store! {
    /// ST-22. Tasks cannot be deleted yet, so the foreign one stands for both.
    anothers_task_is_missing_in_the_words_of_one_that_never_was;
}

async fn anothers_task_is_missing_in_the_words_of_one_that_never_was(house: House) {
    let task = house.ready_task().await;
    let other = house.engine.tenant(&"other".parse().unwrap()).await.unwrap();
    let foreign = other.tasks.get(task.id).await.unwrap_err();
    assert_eq!(foreign.to_string(), format!("there is no task {}", task.id));
    let cancel = other.tasks.cancel(&operator(), task.id, None).await.unwrap_err();
    assert_eq!(cancel.to_string(), foreign.to_string());
    assert!(
        other
            .tasks
            .list(&TaskFilter::default(), None, 10)
            .await
            .unwrap()
            .rows
            .is_empty()
    );
    assert_eq!(other.events.head().await.unwrap().incarnation, None);
    let subject: Subject = format!("task:{}", task.id).parse().unwrap();
    assert_eq!(subject, Subject::Task(task.id));
}
