//! The event log: read in commit order, followed without gap or repeat.

use dormouse_engine::CommandError;
use dormouse_engine::limits::REASON_MAX;
use dormouse_engine::task::NewTask;
use dormouse_filesystem::Position;
use dormouse_secrets::Scrubbed;
use futures::StreamExt;

use super::house::{House, operator};

super::on_every_store! {
    events_are_read_page_by_page_in_order;
    a_position_that_is_not_there_is_a_gap;
    a_follower_sees_each_event_once_while_others_write;
    an_event_says_who_did_what_to_what;
    a_reason_of_any_length_is_cut_so_that_it_fits_its_event;
}

async fn events_are_read_page_by_page_in_order(house: House) {
    let alice = house.agent("alice").await;
    for n in 0..9 {
        house
            .task(NewTask::new(alice.clone(), format!("sheep {n}")))
            .await;
    }
    let (events, mut positions, mut after) = (&house.tenant.events, Vec::new(), Position::START);
    loop {
        let page = events.read_after(after, 4).await.unwrap();
        positions.extend(page.events.iter().map(|event| event.position.get()));
        if page.next == after {
            break;
        }
        after = page.next;
    }
    assert_eq!(positions, (1..=10).collect::<Vec<_>>());
    assert_eq!(events.read_after(after, 0).await.unwrap_err().code(), "invalid");
}

async fn a_position_that_is_not_there_is_a_gap(house: House) {
    let beyond = house
        .tenant
        .events
        .read_after(Position::FIRST, 10)
        .await
        .unwrap_err();
    assert!(matches!(beyond, CommandError::ReplayGap { .. }), "{beyond}");
    house.agent("alice").await;
    let events = &house.tenant.events;
    assert!(
        events
            .read_after(Position::FIRST, 10)
            .await
            .unwrap()
            .events
            .is_empty()
    );
    let beyond = events.read_after(Position::new(2), 10).await.unwrap_err();
    assert_eq!(beyond.code(), "replay_gap");
}

async fn a_follower_sees_each_event_once_while_others_write(house: House) {
    let alice = house.agent("alice").await;
    let writer = {
        let tasks = house.tenant.tasks.clone();
        tokio::spawn(async move {
            for n in 0..100 {
                tasks
                    .create(&operator(), NewTask::new(alice.clone(), format!("sheep {n}")))
                    .await
                    .unwrap();
            }
        })
    };
    let followed = house.tenant.events.follow(Position::START).take(101);
    let positions: Vec<u64> = followed
        .map(|event| event.unwrap().position.get())
        .collect()
        .await;
    writer.await.unwrap();
    assert_eq!(positions, (1..=101).collect::<Vec<_>>());
}

async fn an_event_says_who_did_what_to_what(house: House) {
    let task = house.ready_task().await;
    let event = house.events().await.pop().unwrap();
    let printed = serde_json::to_value(&event).unwrap();
    assert_eq!(printed["type"], "task.created");
    assert_eq!(printed["subject"], format!("task:{}", task.id));
    assert_eq!(printed["op"], task.op.to_string());
    assert_eq!(printed["tenant"], "default");
    assert_eq!(printed["agent"], "alice");
    assert_eq!(
        printed["actor"],
        serde_json::json!({ "kind": "operator", "name": "olga", "channel": "cli" })
    );
    let data = serde_json::json!({ "number": 1, "priority": "normal", "state": "ready" });
    assert_eq!(printed["data"], data);
}

/// Control characters are the worst: each is six bytes of JSON.
async fn a_reason_of_any_length_is_cut_so_that_it_fits_its_event(house: House) {
    let alice = house.agent("alice").await;
    let essay: &'static str = Box::leak("\u{1}".repeat(12 * 1024).into_boxed_str());
    let agents = &house.tenant.agents;
    let paused = agents
        .pause(&operator(), &alice, Some(Scrubbed::constant(essay)))
        .await
        .unwrap();
    assert_eq!(paused.paused_reason.unwrap().len(), REASON_MAX);
    assert_eq!(
        house
            .tenant
            .events
            .read_after(Position::FIRST, 1)
            .await
            .unwrap()
            .events
            .len(),
        1
    );
}
