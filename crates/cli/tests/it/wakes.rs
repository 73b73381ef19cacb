//! `/v1/agents/{name}/wake` and `/v1/wakes`: what is answered, and what comes of it.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use dormouse_cli::api::Caller;
use dormouse_cli::owner::Role;
use dormouse_engine::run::{ClaimOptions, Claimed};
use dormouse_engine::wake::WakeOptions;
use dormouse_engine::{EngineOptions, Principal, SystemClock};
use dormouse_filesystem::{Memory, RecordStore};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::api::{Api, Got, post};

async fn with(options: EngineOptions, agents: &[&str]) -> Api {
    let store = Arc::new(Memory::new(dormouse_cli::edge::now())) as Arc<dyn RecordStore>;
    let api = Api::set(Role::Supervisor, Arc::new(SystemClock), store, options).await;
    for agent in agents {
        api.post("/v1/agents", &json!({ "name": agent })).await;
    }
    api
}

async fn wake(api: &Api, agent: &str) -> Got {
    api.post(&format!("/v1/agents/{agent}/wake"), &json!({})).await
}

fn refused(got: &Got) -> (u16, String, bool) {
    (
        got.status.as_u16(),
        got.code(),
        got.headers.contains_key("retry-after"),
    )
}

/// A run of the agent that somebody holds.
async fn running(api: &Api, agent: &str) -> Claimed {
    let task = json!({ "agent": agent, "title": "t", "command": { "argv": ["true"] } });
    let task = api.post("/v1/tasks", &task).await.json();
    let id = task["id"].as_str().unwrap().parse().unwrap();
    let tenant = api.engine.tenant(&"default".parse().unwrap()).await.unwrap();
    let by = Principal::engine();
    tenant.runs.claim(&by, id, ClaimOptions::default()).await.unwrap()
}

/// PR-36
#[tokio::test]
async fn a_wake_is_answered_as_things_are() {
    let narrow = EngineOptions {
        wakes_due_max: 1,
        ..EngineOptions::default()
    };
    let api = with(narrow, &["alice", "bob", "carol", "dora"]).await;
    assert_eq!(
        refused(&wake(&api, "nobody").await),
        (404, "not_found".to_owned(), false)
    );
    api.post("/v1/agents/carol/pause", &json!({})).await;
    let paused = wake(&api, "carol").await;
    assert_eq!(refused(&paused), (409, "state".to_owned(), false));
    assert!(
        paused.json()["hint"]
            .as_str()
            .unwrap()
            .contains("agent resume carol")
    );
    let unknown = api.post("/v1/agents/alice/wake", &json!({ "soon": true })).await;
    assert_eq!(unknown.status.as_u16(), 400);

    // Nobody serves: it is queued, and waits.
    for coalesced in [false, true] {
        let queued = wake(&api, "alice").await;
        let expected = json!({ "queued": true, "coalesced": coalesced, "served": false });
        assert_eq!((queued.status.as_u16(), queued.json()), (202, expected));
    }
    assert_eq!(refused(&wake(&api, "bob").await), (429, "limit".to_owned(), true));

    let (leave, left) = oneshot::channel::<()>();
    let (engine, starter) = (api.engine.clone(), Arc::new(api.supervisor.clone()));
    let served = tokio::spawn(async move {
        let left = async { drop(left.await) };
        engine.serve_wakes(starter, WakeOptions::default(), left).await;
    });
    // Alice has nothing to do: she is looked at, and there is room for bob.
    let mut queued = wake(&api, "bob").await;
    while queued.status.as_u16() == 429 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        queued = wake(&api, "bob").await;
    }
    let expected = json!({ "queued": true, "coalesced": false, "served": true });
    assert_eq!((queued.status.as_u16(), queued.json()), (202, expected));

    let _held = running(&api, "dora").await;
    let deleted = Request::delete("/v1/agents/dora?force=true").body(Body::empty());
    let deleted = api.send(Some(Caller::Owner), deleted.unwrap()).await;
    assert_eq!(deleted.json()["state"], "deleting");
    assert_eq!(
        refused(&wake(&api, "dora").await),
        (404, "not_found".to_owned(), false)
    );

    leave.send(()).unwrap();
    served.await.unwrap();
    for agent in ["alice", "nobody"] {
        let gone = refused(&wake(&api, agent).await);
        assert_eq!(
            gone,
            (503, "unavailable".to_owned(), true),
            "it comes first: {agent}"
        );
    }
    api.engine.keep("wakes", || async { panic!("on purpose") }).await;
    let broken = wake(&api, "alice").await;
    assert_eq!(
        refused(&broken),
        (503, "unavailable".to_owned(), false),
        "a person mends it"
    );
}

fn in_an_hour() -> Timestamp {
    dormouse_cli::edge::now() + SignedDuration::from_hours(1)
}

async fn items(api: &Api, path: &str) -> Vec<Value> {
    let listed = api.get(path).await.json();
    listed["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_timed_wake_is_added_listed_and_called_off() {
    let narrow = EngineOptions {
        wakes_timed_max: 2,
        ..EngineOptions::default()
    };
    let api = with(narrow, &["alice", "bob"]).await;
    let due = in_an_hour();
    let wanted = json!({ "agent": "alice", "due": due, "reason": "look at the mail", "command": { "argv": ["true"] } });
    let added = api.post("/v1/wakes", &wanted).await;
    assert_eq!(added.status.as_u16(), 202);
    let added = added.json();
    assert_eq!(
        (
            &added["agent"],
            &added["due"],
            &added["reason"],
            &added["command"]["argv"]
        ),
        (
            &json!("alice"),
            &json!(due),
            &json!("look at the mail"),
            &json!(["true"])
        )
    );
    let path = format!("/v1/wakes/{}", added["id"].as_str().unwrap());
    let shown = api.get(&path).await;
    assert_eq!(shown.json(), added);
    assert_eq!(
        shown.headers["etag"].to_str().unwrap(),
        format!("\"{}\"", added["version"])
    );
    assert_eq!(items(&api, "/v1/wakes").await, std::slice::from_ref(&added));
    assert_eq!(items(&api, "/v1/wakes?agent=alice").await, [added]);
    assert_eq!(items(&api, "/v1/wakes?agent=bob").await, Vec::<Value>::new());

    let bad = |field: &str, value: Value| {
        let mut bad = wanted.clone();
        bad[field] = value;
        bad
    };
    for (wanted, status, code) in [
        (bad("agent", json!("nobody")), 404, "not_found"),
        (bad("reason", json!("")), 422, "invalid"),
        (
            bad("due", json!(due + SignedDuration::from_hours(24 * 367))),
            422,
            "invalid",
        ),
        (bad("command", json!({ "argv": [] })), 422, "invalid"),
        (bad("when", json!("soon")), 400, "bad_request"),
    ] {
        let refused = api.post("/v1/wakes", &wanted).await;
        assert_eq!(
            (refused.status.as_u16(), refused.code().as_str()),
            (status, code),
            "{wanted}"
        );
    }
    assert_eq!(api.post("/v1/wakes", &wanted).await.status.as_u16(), 202);
    assert_eq!(api.post("/v1/wakes", &wanted).await.status.as_u16(), 429);

    let delete = async || {
        let delete = Request::delete(&path).body(Body::empty()).unwrap();
        api.send(Some(Caller::Owner), delete).await.status.as_u16()
    };
    assert_eq!((delete().await, delete().await), (204, 404));
    assert_eq!(items(&api, "/v1/wakes").await.len(), 1);
    assert_eq!(api.get("/v1/wakes/tsk_0198c0de").await.status.as_u16(), 400);
}

#[tokio::test]
async fn a_timed_wake_is_added_once_under_its_key_and_an_agent_may_be_woken_again_under_its() {
    let api = with(EngineOptions::default(), &["alice"]).await;
    let wanted = json!({ "agent": "alice", "due": in_an_hour(), "reason": "look at the mail" });
    let under = async |path: &str, body: &Value| {
        let mut request = post(path, body.to_string());
        request
            .headers_mut()
            .insert("idempotency-key", "k".parse().unwrap());
        api.send(Some(Caller::Owner), request).await
    };
    let (first, again) = (
        under("/v1/wakes", &wanted).await,
        under("/v1/wakes", &wanted).await,
    );
    assert_eq!((first.status.as_u16(), again.status), (202, first.status));
    assert_eq!(first.bytes, again.bytes);
    assert_eq!(items(&api, "/v1/wakes").await.len(), 1);
    let path = "/v1/agents/alice/wake";
    let (first, again) = (under(path, &json!({})).await, under(path, &json!({})).await);
    assert_eq!((first.status.as_u16(), first.bytes), (202, again.bytes));
    assert!(again.headers.contains_key("idempotency-replayed"));
}

/// A task that is shown says why it waits; one of a list, and one that a verb answers with, does not.
#[tokio::test]
async fn a_task_says_why_it_waits() {
    let api = with(EngineOptions::default(), &["alice"]).await;
    let wanted = json!({ "agent": "alice", "title": "t", "command": { "argv": ["true"] } });
    let made = api.post("/v1/tasks", &wanted).await.json();
    assert_eq!(made["reason"], Value::Null);
    let path = format!("/v1/tasks/{}", made["id"].as_str().unwrap());
    assert_eq!(api.get(&path).await.json()["reason"], "no_supervisor");
    api.post("/v1/agents/alice/pause", &json!({})).await;
    assert_eq!(api.get(&path).await.json()["reason"], "paused");
    assert_eq!(items(&api, "/v1/tasks").await[0]["reason"], Value::Null);
    let later = json!({ "agent": "alice", "title": "t", "not_before": in_an_hour() });
    let later = api.post("/v1/tasks", &later).await.json();
    let path = format!("/v1/tasks/{}", later["id"].as_str().unwrap());
    assert_eq!(api.get(&path).await.json()["reason"], "not_due");
}
