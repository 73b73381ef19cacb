//! `/v1/agents`: changed under a version, paused, deleted, and what a deletion that is cut comes to.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use dormouse_cli::api::Caller;
use dormouse_cli::owner::Role;
use dormouse_engine::run::{ClaimOptions, Claimed};
use dormouse_engine::{Principal, SystemClock, Tenant};
use dormouse_filesystem::wrapper::{Fault, FaultKind, Operation};
use dormouse_filesystem::{Memory, RecordStore};
use serde_json::{Value, json};

use crate::api::{Api, Got};

const ALICE: &str = "/v1/agents/alice";

/// A request, about this version if one is said.
async fn send(api: &Api, method: &str, path: &str, tag: Option<&str>, body: &Value) -> Got {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", "application/json");
    if let Some(tag) = tag {
        request = request.header("if-match", tag);
    }
    let request = request.body(Body::from(body.to_string())).unwrap();
    api.send(Some(Caller::Owner), request).await
}

async fn made() -> Api {
    let api = Api::new(Role::Supervisor).await;
    let made = api.post("/v1/agents", &json!({ "name": "alice" })).await;
    assert_eq!(made.status, StatusCode::CREATED);
    api
}

async fn tag(api: &Api) -> String {
    let found = api.get(ALICE).await;
    found.headers["etag"].to_str().unwrap().to_owned()
}

async fn tenant(api: &Api) -> Tenant {
    api.engine.tenant(&"default".parse().unwrap()).await.unwrap()
}

/// A run of alice that somebody holds.
async fn running(api: &Api) -> Claimed {
    let task = json!({ "agent": "alice", "title": "t", "command": { "argv": ["true"] } });
    let task = api.post("/v1/tasks", &task).await.json();
    let id = task["id"].as_str().unwrap().parse().unwrap();
    let by = Principal::engine();
    let runs = tenant(api).await.runs;
    runs.claim(&by, id, ClaimOptions::default()).await.unwrap()
}

/// Its holder hears the stop, and ends it.
async fn ends(api: &Api, claimed: &Claimed) {
    let reason = claimed.stop.stopped().await;
    let runs = tenant(api).await.runs;
    let ended = runs.finish(claimed, &reason.outcome(), &facts()).await;
    ended.unwrap();
}

fn facts() -> dormouse_engine::outcome::Facts {
    let usage = dormouse_engine::outcome::ResourceUsage::default();
    serde_json::from_value(json!({
        "exit": null, "usage": usage, "clock_ms": 12, "spawns": 1, "segments_completed": 0, "segment_current": null,
        "elided_bytes": 0, "after_stop": false, "strays": 0, "isolation": "off",
    }))
    .unwrap()
}

/// Waits until there is no such agent.
async fn gone(api: &Api) {
    while api.get(ALICE).await.status != StatusCode::NOT_FOUND {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_mode_is_one_of_two_words_and_shown() {
    let api = made().await;
    assert_eq!(api.get(ALICE).await.json()["mode"], "dormant");
    let set = send(&api, "PATCH", ALICE, Some("*"), &json!({ "mode": "resident" })).await;
    assert_eq!(set.json()["mode"], "resident");
    assert_eq!(api.get("/v1/agents").await.json()["items"][0]["mode"], "resident");
    let wrong = send(&api, "PATCH", ALICE, Some("*"), &json!({ "mode": "awake" })).await;
    assert_eq!(wrong.code(), "bad_request");
    let new = json!({ "name": "bob", "mode": "resident" });
    assert_eq!(api.post("/v1/agents", &new).await.json()["mode"], "resident");
}

#[tokio::test]
async fn who_runs_nothing_and_who_was_given_its_settings_reads_none_again() {
    for role in [Role::Visitor, Role::Supervisor] {
        let api = Api::new(role).await;
        let answer = api.post("/v1/config/reload", &json!({})).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (503, "unavailable")
        );
        let answer = api.post("/v1/config/reload", &json!({ "file": "x" })).await;
        assert_eq!(answer.code(), "bad_request");
    }
}

#[tokio::test]
async fn an_agent_changes_under_its_version_only() {
    let api = made().await;
    let listed = api.get("/v1/agents").await.json()["items"][0].clone();
    let first = format!("\"{}\"", listed["version"]);
    assert_eq!(first, tag(&api).await);
    let two = json!({ "concurrency": 2, "delegates_to": ["bob"] });
    let unsaid = send(&api, "PATCH", ALICE, None, &two).await;
    assert_eq!(
        (unsaid.status.as_u16(), unsaid.code().as_str()),
        (428, "version_required")
    );
    for bad in ["7", "W/\"7\"", "\"x\"", "\"1\", \"2\""] {
        let bad = send(&api, "PATCH", ALICE, Some(bad), &two).await;
        assert_eq!(bad.code(), "bad_request");
    }
    let changed = send(&api, "PATCH", ALICE, Some(&first), &two).await;
    assert_eq!(changed.status, StatusCode::OK);
    let changed = changed.json();
    assert_eq!(
        (&changed["concurrency"], &changed["delegates_to"]),
        (&json!(2), &json!(["bob"]))
    );
    for (method, path) in [("PATCH", ALICE), ("DELETE", ALICE)] {
        let stale = send(&api, method, path, Some(&first), &two).await;
        assert_eq!(
            (stale.status.as_u16(), stale.code().as_str()),
            (412, "stale"),
            "{method}"
        );
        assert_eq!(stale.json()["current_version"], changed["version"]);
    }
    let any = send(&api, "PATCH", ALICE, Some("*"), &json!({ "concurrency": 3 })).await;
    assert_eq!(any.json()["concurrency"], 3);
    for (method, tag) in [("GET", None), ("PATCH", Some("\"1\"")), ("DELETE", None)] {
        let missing = send(&api, method, "/v1/agents/bob", tag, &two).await;
        assert_eq!(
            (missing.status.as_u16(), missing.code().as_str()),
            (404, "not_found")
        );
    }
    let invalid = send(&api, "PATCH", ALICE, Some("*"), &json!({ "concurrency": 0 })).await;
    assert_eq!(invalid.status.as_u16(), 422);
    let unknown = send(&api, "PATCH", ALICE, Some("*"), &json!({ "concurency": 1 })).await;
    assert_eq!(unknown.status.as_u16(), 400);
    let made = api
        .post("/v1/agents", &json!({ "name": "bob", "concurrency": 0 }))
        .await;
    assert_eq!(made.status.as_u16(), 422);
    let made = api
        .post("/v1/agents", &json!({ "name": "bob", "concurency": 1 }))
        .await;
    assert_eq!(made.status.as_u16(), 400);
    let tag = tag(&api).await;
    let deleted = send(&api, "DELETE", ALICE, Some(&tag), &json!({})).await;
    assert_eq!(
        (deleted.status.as_u16(), &deleted.json()["state"]),
        (202, &json!("deleting"))
    );
    gone(&api).await;
}

#[tokio::test]
async fn an_agent_is_paused_with_its_runs_or_without_and_resumed() {
    let api = made().await;
    let claimed = running(&api).await;
    let path = format!("{ALICE}/pause");
    let paused = api.post(&path, &json!({ "reason": "too loud" })).await;
    assert_eq!(paused.status, StatusCode::OK);
    assert_eq!(paused.json()["state"], "paused");
    assert_eq!(paused.json()["paused_reason"], "too loud");
    assert!(claimed.stop.reason().is_none());
    let again = api.post(&path, &json!({ "stop_runs": true })).await;
    assert_eq!(
        again.json()["paused_reason"],
        "too loud",
        "the first reason stands"
    );
    ends(&api, &claimed).await;
    let task = api.get(&format!("/v1/tasks/{}", claimed.task.id)).await.json();
    assert_eq!((&task["state"], &task["failures"]), (&json!("ready"), &json!(0)));
    let resumed = api.post(&format!("{ALICE}/resume"), &json!({})).await;
    assert_eq!(resumed.json()["state"], "active");
    for verb in ["pause", "resume"] {
        let missing = api.post(&format!("/v1/agents/bob/{verb}"), &json!({})).await;
        assert_eq!(missing.code(), "not_found");
    }
}

#[tokio::test]
async fn an_agent_with_runs_is_deleted_by_force_and_its_name_is_free_when_they_have_ended() {
    let api = made().await;
    let claimed = running(&api).await;
    let refused = send(&api, "DELETE", ALICE, None, &json!({})).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (409, "state"));
    assert!(refused.json()["hint"].as_str().unwrap().contains("--force"));
    let path = format!("{ALICE}?force=true");
    for _ in 0..2 {
        let deleted = send(&api, "DELETE", &path, None, &json!({})).await;
        assert_eq!(
            (deleted.status.as_u16(), &deleted.json()["state"]),
            (202, &json!("deleting"))
        );
    }
    for (method, path, body) in [
        ("POST", format!("{ALICE}/pause"), json!({})),
        ("POST", format!("{ALICE}/resume"), json!({})),
        ("PATCH", ALICE.to_owned(), json!({ "concurrency": 2 })),
        ("POST", "/v1/agents".to_owned(), json!({ "name": "alice" })),
        (
            "POST",
            "/v1/tasks".to_owned(),
            json!({ "agent": "alice", "title": "t" }),
        ),
    ] {
        let refused = send(&api, method, &path, Some("*"), &body).await;
        assert_eq!(
            (refused.status.as_u16(), refused.code().as_str()),
            (409, "state"),
            "{path}"
        );
    }
    ends(&api, &claimed).await;
    gone(&api).await;
    let made = api.post("/v1/agents", &json!({ "name": "alice" })).await;
    assert_eq!(made.status, StatusCode::CREATED);
    let tasks = api.get("/v1/tasks?agent=alice").await.json();
    assert_eq!(tasks["items"], json!([]));
}

/// PR-37
#[tokio::test]
async fn a_deletion_that_fails_at_any_step_leaves_an_agent_alive_or_is_driven_to_its_end() {
    for fault in [FaultKind::LoseBefore, FaultKind::LoseAfter] {
        // Ends with the deletion that needs no more commits.
        for step in 0.. {
            if !fails_at(fault, step).await {
                assert!(step > 4, "each part is a commit at least: {step}");
                break;
            }
        }
    }
}

/// Whether the deletion met the fault at its so many-th commit.
async fn fails_at(fault: FaultKind, step: usize) -> bool {
    let store = Arc::new(Fault::scripted(Memory::new(dormouse_cli::edge::now())));
    let (dynamic, clock) = (Arc::clone(&store) as Arc<dyn RecordStore>, Arc::new(SystemClock));
    let api = Api::over(Role::Supervisor, clock, dynamic).await;
    api.post("/v1/agents", &json!({ "name": "alice" })).await;
    let claimed = running(&api).await;
    let task = json!({ "agent": "alice", "title": "t", "command": { "argv": ["true"] } });
    let waiting = api.post("/v1/tasks", &task).await.json();
    let secret = json!({ "value": "kR7-wombat-sleeps+9Zx" });
    let put = send(&api, "PUT", "/v1/secrets/agent:alice/GH_TOKEN", None, &secret).await;
    assert_eq!(put.status, StatusCode::CREATED);
    let met = store.met();
    for _ in 0..step {
        store.next(Operation::Commit, FaultKind::Delay(Duration::ZERO));
    }
    store.next(Operation::Commit, fault);
    let deleted = send(&api, "DELETE", &format!("{ALICE}?force=true"), None, &json!({})).await;
    let is_durable = match deleted.status.as_u16() {
        202 => true,
        504 => api.get(ALICE).await.json()["state"] == "deleting",
        other => panic!("{other}"),
    };
    if !is_durable {
        assert_eq!((step, fault), (0, FaultKind::LoseBefore));
        store.forget();
        is_wakeable(&api).await;
        return true;
    }
    if deleted.status.as_u16() == 504 {
        // Whoever is not answered asks again.
        let again = send(&api, "DELETE", &format!("{ALICE}?force=true"), None, &json!({})).await;
        assert!(matches!(again.status.as_u16(), 202 | 404), "{}", again.status);
    }
    let ended = tokio::spawn(ended_somehow(tenant(&api).await, claimed));
    gone(&api).await;
    ended.await.unwrap();
    let failed = store.met() - met > step as u64;
    store.forget();
    let id = waiting["id"].as_str().unwrap();
    assert_eq!(
        api.get(&format!("/v1/tasks/{id}")).await.json()["state"],
        "cancelled"
    );
    let runs = api.get("/v1/runs").await.json();
    for run in runs["items"].as_array().unwrap() {
        assert_eq!(run["state"], "ended", "{run:#}");
    }
    failed
}

/// Its holder reports the stop until that is known to be stored.
async fn ended_somehow(tenant: Tenant, claimed: Claimed) {
    let reason = claimed.stop.stopped().await;
    while let Err(error) = tenant.runs.finish(&claimed, &reason.outcome(), &facts()).await {
        if error.code() == "fenced" {
            return;
        }
    }
}

/// A task of it is made, and claimed.
async fn is_wakeable(api: &Api) {
    assert_eq!(api.get(ALICE).await.json()["state"], "active");
    running(api).await;
}

/// SE-24, with `an_import_is_all_or_nothing_keeps_times_and_waits_for_no_lock`.
#[tokio::test]
async fn an_agent_is_deleted_with_its_secrets_while_the_vault_is_locked() {
    let api = made().await;
    let path = "/v1/secrets/agent:alice/GH_TOKEN";
    let secret = json!({ "value": "kR7-wombat-sleeps+9Zx" });
    assert_eq!(
        send(&api, "PUT", path, None, &secret).await.status,
        StatusCode::CREATED
    );
    send(&api, "POST", "/v1/secrets/lock", None, &json!({})).await;
    assert_eq!(api.get("/v1/secrets/status").await.json()["vault"], "locked");
    let deleted = send(&api, "DELETE", ALICE, None, &json!({})).await;
    assert_eq!(deleted.status, StatusCode::ACCEPTED);
    gone(&api).await;
    assert_eq!(api.get("/v1/secrets").await.json()["items"], json!([]));
    api.post("/v1/agents", &json!({ "name": "alice" })).await;
    assert_eq!(api.get(path).await.status, StatusCode::NOT_FOUND);
    let told = tenant(&api).await.events;
    let told = told
        .read_after(dormouse_filesystem::Position::START, 100)
        .await
        .unwrap();
    let kinds = told.events.iter().map(|at| at.event.kind.as_str());
    assert_eq!(kinds.filter(|kind| *kind == "secret.quarantined").count(), 1);
}
