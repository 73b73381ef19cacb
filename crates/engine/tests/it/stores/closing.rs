//! A store that is closed under the engine.

use std::time::Duration;

use dormouse_engine::task::NewTask;
use dormouse_filesystem::Deadline;

use super::house::{House, operator};

super::on_every_store! {
    a_closed_store_is_told_at_once_and_not_fought;
}

async fn a_closed_store_is_told_at_once_and_not_fought(house: House) {
    let alice = house.agent("alice").await;
    let store = house.engine.system().store();
    store
        .close(Deadline::after(Duration::from_secs(10)))
        .await
        .unwrap();
    let by = operator();
    let create = |title: &str| house.tenant.tasks.create(&by, NewTask::new(alice.clone(), title));
    let (one, two) = tokio::join!(create("one"), create("two"));
    assert_eq!(
        (one.unwrap_err().code(), two.unwrap_err().code()),
        ("unavailable", "unavailable")
    );
    let paused = house.tenant.agents.pause(&by, &alice, None).await.unwrap_err();
    assert!(!paused.is_congestion(), "{paused}");
}
