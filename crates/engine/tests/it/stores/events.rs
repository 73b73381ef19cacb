//! The event log: read in commit order, followed without gap or repeat.

use std::sync::Arc;

use dormouse_engine::event::{Begin, EventFilter, Glob};
use dormouse_engine::limits::REASON_MAX;
use dormouse_engine::outcome::Outcome;
use dormouse_engine::run::{OutcomeKind, RunFilter};
use dormouse_engine::task::NewTask;
use dormouse_engine::{CommandError, TenantId};
use dormouse_filesystem::wrapper::{Counted, Operation};
use dormouse_filesystem::{Memory, Position, RecordStore};
use dormouse_secrets::Scrubbed;
use futures::StreamExt;
use jiff::Timestamp;

use super::house::{House, facts, failed, name, operator};

super::on_every_store! {
    events_are_read_page_by_page_in_order;
    a_position_that_is_not_there_is_a_gap;
    a_follower_sees_each_event_once_while_others_write;
    an_event_says_who_did_what_to_what;
    a_reason_of_any_length_is_cut_so_that_it_fits_its_event;
    /// ST-66
    a_cursor_is_good_for_its_tenant_its_filter_and_its_log;
    a_filter_is_read_page_by_page_and_what_it_leaves_out_is_passed;
    /// ST-67, with `a_subscription_that_sleeps_holds_a_page_and_no_more`.
    a_subscription_sees_what_comes_while_it_begins_and_sleeps;
    sixteen_appenders_and_a_tailer_agree;
    text_that_a_terminal_would_obey_is_clean_as_stored_and_as_read;
    an_outcome_of_an_older_build_is_clean_as_read_and_stays_as_it_is_stored;
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

fn of_type(kind: &str) -> EventFilter {
    EventFilter {
        kind: Some(Glob::new(kind)),
        ..EventFilter::default()
    }
}

async fn a_cursor_is_good_for_its_tenant_its_filter_and_its_log(house: House) {
    let events = &house.tenant.events;
    let every = EventFilter::default();
    // Of an empty log only the zero is good.
    let zero = events.cursor(&every, Position::START).await.unwrap();
    assert!(events.read(&every, zero, 10).await.unwrap().events.is_empty());
    let beyond = events.cursor(&every, Position::FIRST).await.unwrap();
    assert_eq!(
        events.read(&every, beyond, 10).await.unwrap_err().code(),
        "replay_gap"
    );
    for agent in ["alice", "bob", "carol"] {
        house.agent(agent).await;
    }
    // It is good still, now that there are some.
    let first = events.read(&every, zero, 2).await.unwrap();
    assert_eq!((first.events.len(), first.is_end), (2, false));
    let text = first.next.to_string();
    let next = events.read(&every, text.parse().unwrap(), 2).await.unwrap();
    assert_eq!((next.events.len(), next.is_end), (1, true));
    assert_eq!(next.events[0].position.get(), 3);
    // Of another filter, of another tenant, or of no log at all.
    let other = of_type("agent.*");
    assert_eq!(
        events.read(&other, first.next, 2).await.unwrap_err().code(),
        "cursor_scope"
    );
    let neighbour: TenantId = "neighbour".parse().unwrap();
    let neighbour = house.engine.tenant(&neighbour).await.unwrap();
    neighbour
        .agents
        .create(&operator(), &name("alice"), Default::default())
        .await
        .unwrap();
    let foreign = neighbour.events.read(&every, first.next, 2).await.unwrap_err();
    assert_eq!(foreign.code(), "cursor_scope");
    for text in ["", "1", "1-2", "1-2-zz", "1-2-3-4", "-1-2-3"] {
        assert_eq!(
            text.parse::<dormouse_engine::event::EventCursor>()
                .unwrap_err()
                .code(),
            "cursor_scope"
        );
    }
    let (_, log) = text.split_once('-').unwrap();
    let (incarnation, scope) = log.split_once('-').unwrap();
    let of_another_log = format!("2-{}-{scope}", incarnation.parse::<u64>().unwrap() + 1);
    let of_another_log = of_another_log.parse().unwrap();
    assert_eq!(
        events.read(&every, of_another_log, 2).await.unwrap_err().code(),
        "cursor_scope"
    );
    // Too new, and too old.
    let future = events.cursor(&every, Position::new(9)).await.unwrap();
    assert_eq!(
        events.read(&every, future, 2).await.unwrap_err().code(),
        "replay_gap"
    );
    let mut sweeper = house.engine.sweeper();
    house.clock.advance(31 * 24 * 60 * 60);
    house.agent("dora").await;
    assert_eq!(
        sweeper.look().await.unwrap().events,
        4,
        "and the one of the neighbour"
    );
    let old = events.read(&every, first.next, 2).await.unwrap_err();
    assert!(
        matches!(old, CommandError::ReplayGap { first, .. } if first.get() == 4),
        "{old}"
    );
}

async fn a_filter_is_read_page_by_page_and_what_it_leaves_out_is_passed(house: House) {
    let alice = house.agent("alice").await;
    house.agent("bob").await;
    for n in 0..20 {
        house
            .task(NewTask::new(alice.clone(), format!("sheep {n}")))
            .await;
    }
    let events = &house.tenant.events;
    let filter = EventFilter {
        agent: Some(alice),
        ..of_type("task.*")
    };
    let (mut after, mut positions) = (events.cursor(&filter, Position::START).await.unwrap(), Vec::new());
    loop {
        let page = events.read(&filter, after, 7).await.unwrap();
        positions.extend(page.events.iter().map(|event| event.position.get()));
        after = page.next;
        if page.is_end {
            break;
        }
    }
    assert_eq!(positions, (3..=22).collect::<Vec<_>>());
    // No hits advance it too, and an event without the field is left out.
    let none = EventFilter {
        agent: Some(name("nobody")),
        ..EventFilter::default()
    };
    let begin = events.cursor(&none, Position::START).await.unwrap();
    let page = events.read(&none, begin, 7).await.unwrap();
    assert!(page.events.is_empty() && page.is_end);
    assert_eq!(page.next.after().get(), 22);
}

async fn a_subscription_sees_what_comes_while_it_begins_and_sleeps(house: House) {
    let alice = house.agent("alice").await;
    let (tasks, agent) = (house.tenant.tasks.clone(), alice.clone());
    let (rang, bell) = tokio::sync::oneshot::channel();
    let writer = tokio::spawn(async move {
        let mut rang = Some(rang);
        for n in 0..120 {
            let new = NewTask::new(agent.clone(), format!("sheep {n}"));
            tasks.create(&operator(), new).await.unwrap();
            if n == 40 {
                rang.take().unwrap().send(()).unwrap();
            }
        }
    });
    bell.await.unwrap();
    let filter = of_type("task.*");
    let begin = Begin::Earliest;
    let mut all = house.tenant.events.subscribe(&filter, begin).await.unwrap();
    let mut now = house.tenant.events.subscribe(&filter, Begin::Now).await.unwrap();
    let mut seen = Vec::new();
    for _ in 0..60 {
        seen.push(all.next().await.unwrap().unwrap().position.get());
    }
    // It sleeps until everything was written.
    writer.await.unwrap();
    let from = all.cursor().await.unwrap();
    for _ in 60..120 {
        seen.push(all.next().await.unwrap().unwrap().position.get());
    }
    assert_eq!(seen, (2..=121).collect::<Vec<_>>());
    let first = now.next().await.unwrap().unwrap().position.get();
    assert!((42..=121).contains(&first), "{first}");
    let mut again = house
        .tenant
        .events
        .subscribe(&filter, Begin::After(from))
        .await
        .unwrap();
    assert_eq!(again.next().await.unwrap().unwrap().position.get(), seen[60]);
    house.task(NewTask::new(alice, "one more")).await;
    assert_eq!(all.next().await.unwrap().unwrap().position.get(), 122);
}

/// However much is written meanwhile, it reads a page when it is asked, and nothing before.
#[tokio::test]
async fn a_subscription_that_sleeps_holds_a_page_and_no_more() {
    let store = Arc::new(Counted::new(Memory::new(Timestamp::UNIX_EPOCH)));
    let house = House::over_exclusive(Arc::clone(&store) as Arc<dyn RecordStore>).await;
    let alice = house.agent("alice").await;
    let every = EventFilter::default();
    let mut sleeper = house
        .tenant
        .events
        .subscribe(&every, Begin::Earliest)
        .await
        .unwrap();
    sleeper.next().await.unwrap().unwrap();
    let tails = store.counts().of(Operation::Tail);
    for n in 0..1_500 {
        house
            .task(NewTask::new(alice.clone(), format!("sheep {n}")))
            .await;
    }
    assert_eq!(store.counts().of(Operation::Tail), tails, "nothing is read ahead");
    let read = store.counts().items_read;
    for _ in 0..1_000 {
        sleeper.next().await.unwrap().unwrap();
    }
    assert_eq!(store.counts().of(Operation::Tail), tails + 1);
    assert_eq!(store.counts().items_read, read + 1_000);
    for position in 1_002..=1_501 {
        assert_eq!(sleeper.next().await.unwrap().unwrap().position.get(), position);
    }
}

/// Falling behind what is kept is said, and nothing is left out silently.
#[tokio::test]
async fn a_subscription_that_falls_behind_what_is_kept_gets_the_gap() {
    let house = House::in_memory().await;
    house.agent("alice").await;
    let every = EventFilter::default();
    let mut sleeper = house
        .tenant
        .events
        .subscribe(&every, Begin::Earliest)
        .await
        .unwrap();
    sleeper.next().await.unwrap().unwrap();
    house.agent("bob").await;
    house.clock.advance(31 * 24 * 60 * 60);
    house.agent("carol").await;
    house.engine.sweeper().look().await.unwrap();
    assert_eq!(sleeper.next().await.unwrap_err().code(), "replay_gap");
}

async fn sixteen_appenders_and_a_tailer_agree(house: House) {
    let alice = house.agent("alice").await;
    let appenders: Vec<_> = (0..16)
        .map(|nth| {
            let (tasks, alice) = (house.tenant.tasks.clone(), alice.clone());
            tokio::spawn(async move {
                let mut ids = Vec::new();
                for n in 0..12 {
                    let new = NewTask::new(alice.clone(), format!("sheep {n} of {nth}"));
                    ids.push(tasks.create(&operator(), new).await.unwrap().id);
                }
                ids
            })
        })
        .collect();
    let mut tail = Box::pin(house.tenant.events.follow(Position::START));
    let mut seen = Vec::new();
    while seen.len() < 1 + 16 * 12 {
        seen.push(tail.next().await.unwrap().unwrap());
    }
    let positions: Vec<u64> = seen.iter().map(|event| event.position.get()).collect();
    assert_eq!(
        positions,
        (1..=193).collect::<Vec<_>>(),
        "none found late, none twice"
    );
    let mut numbers = Vec::new();
    for event in &seen[1..] {
        numbers.push(event.event.data["number"].as_u64().unwrap());
    }
    assert_eq!(
        numbers,
        (1..=192).collect::<Vec<_>>(),
        "in the order of the commits"
    );
    for appender in appenders {
        for id in appender.await.unwrap() {
            let subject = format!("task:{id}");
            assert_eq!(
                seen.iter().filter(|event| event.event.subject == subject).count(),
                1
            );
        }
    }
}

async fn text_that_a_terminal_would_obey_is_clean_as_stored_and_as_read(house: House) {
    let alice = house.agent("alice").await;
    let token: &'static str = Box::leak(format!("ghp_{}", "a1B2".repeat(9)).into_boxed_str());
    let unsafe_text: &'static str = Box::leak(format!("\u{1b}[2Jrefused by {token}").into_boxed_str());
    let reason = Scrubbed::constant(unsafe_text);
    house
        .tenant
        .agents
        .pause(&operator(), &alice, Some(reason))
        .await
        .unwrap();
    let event = house.events().await.pop().unwrap();
    let said = event.data["reason"].as_str().unwrap().to_owned();
    assert!(
        said.contains("refused by") && !said.contains(token) && !said.contains('\u{1b}'),
        "{said}"
    );
    let logged = house.logged().await;
    assert!(!logged.contains(token), "{logged}");
    // An older build wrote it as it was.
    let mut older = serde_json::to_value(&event).unwrap();
    older["data"]["reason"] = unsafe_text.into();
    house.append_event(&older).await;
    let read = house.events().await.pop().unwrap();
    assert_eq!(read.data["reason"].as_str().unwrap(), said);
}

async fn an_outcome_of_an_older_build_is_clean_as_read_and_stays_as_it_is_stored(house: House) {
    let task = house.ready_task().await;
    let claimed = house.claim(&task).await;
    let runs = &house.tenant.runs;
    runs.finish(&claimed, &failed(true), &facts()).await.unwrap();
    let run = claimed.run.id;
    let entry = house.entry("outcome", &run).await;
    let token = format!("ghp_{}", "a1B2".repeat(9));
    let mut form: serde_json::Value = serde_json::from_slice(&entry.value).unwrap();
    form["value"]["outcome"]["message"] = format!("\u{1b}[2Jrefused by {token}").into();
    house
        .plant(&entry.key.to_string(), "outcome", &form.to_string())
        .await;

    let got = runs.get(run).await.unwrap().outcome.unwrap();
    let listed = async |filter| {
        runs.list(&filter, None, 10)
            .await
            .unwrap()
            .rows
            .remove(0)
            .outcome
            .unwrap()
    };
    let all = listed(RunFilter::All).await;
    let ended = listed(RunFilter::Outcome(OutcomeKind::Failed)).await;
    for outcome in [got, all, ended] {
        let Outcome::Failed { message, .. } = &outcome.outcome else {
            panic!("{outcome:?}")
        };
        let said = message.as_str();
        assert!(
            said.contains("refused by") && !said.contains(&token) && !said.contains('\u{1b}'),
            "{said}"
        );
        assert_eq!(outcome.facts, Some(facts()));
    }
    assert_eq!(
        house.entry("outcome", &run).await.value,
        form.to_string().as_bytes()
    );
}
