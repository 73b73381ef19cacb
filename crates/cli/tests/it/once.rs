//! `Idempotency-Key`: what is posted under a key is done once.

use std::sync::Arc;

use dormouse_cli::api::{Caller, takes_key};
use dormouse_cli::owner::Role;
use dormouse_engine::idempotency::Once;
use dormouse_engine::task::NewTask;
use dormouse_engine::{Channel, Principal, PrincipalKind};
use futures::future::join_all;
use serde_json::{Value, json};

use crate::api::{Api, Got, post};

async fn under(api: &Api, key: &str, path: &str, body: &Value) -> Got {
    let mut request = post(path, body.to_string());
    request
        .headers_mut()
        .insert("idempotency-key", key.parse().unwrap());
    api.send(Some(Caller::Owner), request).await
}

fn was_replayed(got: &Got) -> bool {
    got.headers.contains_key("idempotency-replayed")
}

async fn events(api: &Api) -> usize {
    api.get("/v1/events?from=0&limit=1000").await.json()["items"]
        .as_array()
        .unwrap()
        .len()
}

async fn with_alice() -> Api {
    let api = Api::new(Role::Visitor).await;
    api.post("/v1/agents", &json!({ "name": "alice" })).await;
    api
}

fn task(title: &str) -> Value {
    json!({ "agent": "alice", "title": title, "command": { "argv": ["true"] } })
}

#[tokio::test]
async fn the_same_under_a_key_is_done_once_and_answered_alike() {
    let api = with_alice().await;
    let first = under(&api, "k", "/v1/tasks", &task("one")).await;
    assert_eq!((first.status.as_u16(), was_replayed(&first)), (201, false));
    let id = first.json()["id"].as_str().unwrap().to_owned();
    // What becomes of it since is in no answer that was given before.
    api.post(&format!("/v1/tasks/{id}/cancel"), &json!({})).await;
    let told = events(&api).await;
    let again = under(&api, "k", "/v1/tasks", &task("one")).await;
    assert_eq!((again.status, was_replayed(&again)), (first.status, true));
    assert_eq!(again.bytes, first.bytes);
    assert_eq!(again.headers["etag"], first.headers["etag"]);
    assert_eq!(again.headers["content-type"], "application/json");
    assert_eq!(events(&api).await, told);

    let other = under(&api, "k", "/v1/tasks", &task("two")).await;
    assert_eq!(
        (other.status.as_u16(), other.code().as_str()),
        (422, "key_reused")
    );
    let elsewhere = under(&api, "k", "/v1/agents", &json!({ "name": "bob" })).await;
    assert_eq!(elsewhere.status.as_u16(), 201, "a key is one route's");
}

#[tokio::test]
async fn equal_requests_at_once_have_one_effect_and_one_answer() {
    let api = with_alice().await;
    let wanted = task("one");
    let all = join_all((0..20).map(|_| under(&api, "k", "/v1/tasks", &wanted))).await;
    assert!(
        all.iter()
            .all(|got| got.status.as_u16() == 201 && got.bytes == all[0].bytes)
    );
    let agent = json!({ "name": "bob" });
    let all = join_all((0..20).map(|_| under(&api, "k", "/v1/agents", &agent))).await;
    assert!(
        all.iter()
            .all(|got| got.status.as_u16() == 201 && got.bytes == all[0].bytes)
    );
    let tasks = api.get("/v1/tasks").await.json();
    assert_eq!(tasks["items"].as_array().unwrap().len(), 1);
}

/// As when the owner died between the commit and the answer: the row of the key is there, and names what was made.
#[tokio::test]
async fn an_answer_that_was_never_given_is_made_of_what_was_done() {
    let api = with_alice().await;
    let body = task("one");
    let by = Principal {
        kind: PrincipalKind::System,
        name: "control".to_owned(),
        channel: Channel::Cli,
    };
    let tenant = api.engine.tenant(&"default".parse().unwrap()).await.unwrap();
    let key = "k".parse().unwrap();
    let bytes = body.to_string();
    let once = |path: &str, target: &str, bytes: &str| {
        let request = [target.as_bytes(), bytes.as_bytes()];
        Arc::new(Once::new(
            tenant.id(),
            &by,
            &format!("POST {path}"),
            &key,
            &request,
        ))
    };
    let asked = once("/v1/tasks", "/v1/tasks", &bytes);
    let new = NewTask::new("alice".parse().unwrap(), "one");
    let made = tenant.once(&asked).tasks.create(&by, new).await.unwrap();
    let told = events(&api).await;
    let got = under(&api, "k", "/v1/tasks", &body).await;
    assert_eq!((got.status.as_u16(), was_replayed(&got)), (201, true));
    assert_eq!(got.json()["id"], made.id.to_string());
    let again = under(&api, "k", "/v1/tasks", &body).await;
    assert_eq!(again.bytes, got.bytes);
    assert_eq!(events(&api).await, told);

    // The same of an action on something: it is shown as it is.
    let target = format!("/v1/tasks/{}/cancel", made.id);
    let asked = once("/v1/tasks/{id}/cancel", &target, "{}");
    tenant
        .once(&asked)
        .tasks
        .cancel(&by, made.id, None)
        .await
        .unwrap();
    let got = under(&api, "k", &target, &json!({})).await;
    assert_eq!((got.status.as_u16(), was_replayed(&got)), (200, true));
    assert_eq!(got.json()["state"], "cancelled");
}

#[tokio::test]
async fn a_refusal_is_judged_afresh_and_a_key_has_a_form() {
    let api = Api::new(Role::Visitor).await;
    let refused = under(&api, "k", "/v1/tasks", &task("one")).await;
    assert_eq!(refused.code(), "not_found");
    api.post("/v1/agents", &json!({ "name": "alice" })).await;
    let made = under(&api, "k", "/v1/tasks", &task("one")).await;
    assert_eq!((made.status.as_u16(), was_replayed(&made)), (201, false));
    let long = "k".repeat(129);
    for key in ["", " ", long.as_str()] {
        let got = under(&api, key, "/v1/tasks", &task("one")).await;
        assert_eq!(got.code(), "bad_request", "{key:?}");
    }
    let large = json!({ "agent": "alice", "title": "t", "body": "x".repeat(1024 * 1024) });
    assert_eq!(under(&api, "l", "/v1/tasks", &large).await.status.as_u16(), 413);
}

/// A run that could not be begun leaves nothing but a task that was called off: the same under its key is judged afresh.
#[tokio::test]
async fn what_was_undone_is_no_answer() {
    let api = Api::new(Role::Supervisor).await;
    api.post("/v1/agents", &json!({ "name": "alice" })).await;
    for tried in 1..=2 {
        let refused = under(&api, "k", "/v1/runs", &task("one")).await;
        // Nobody could be asked here, and its session's mode wants that.
        assert_eq!(
            (refused.code().as_str(), was_replayed(&refused)),
            ("invalid", false)
        );
        let tasks = api.get("/v1/tasks?state=cancelled").await.json();
        assert_eq!(tasks["items"].as_array().unwrap().len(), tried);
    }
}

#[test]
fn secrets_are_under_no_key() {
    assert!(takes_key("/v1/tasks") && !takes_key("/v1/secrets/unlock"));
}
