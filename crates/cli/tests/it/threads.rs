//! `/v1/threads`.

use dormouse_cli::api::Caller;
use dormouse_cli::owner::Role;
use serde_json::{Value, json};

use crate::api::{Api, post};

async fn thread(api: &Api) -> String {
    api.post("/v1/agents", &json!({ "name": "alice" })).await;
    let made = api.post("/v1/threads", &json!({ "agent": "alice" })).await;
    assert_eq!(made.status.as_u16(), 201);
    made.json()["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn what_is_posted_is_a_turn_listed_read_whole_and_redacted() {
    let api = Api::new(Role::Visitor).await;
    let id = thread(&api).await;
    let long = "a sheep, ".repeat(2_000);
    let body = json!({ "text": long, "command": { "argv": ["true"] } });
    let messages = format!("/v1/threads/{id}/messages");
    let posted = api.post(&messages, &body).await;
    assert_eq!(posted.status.as_u16(), 201);
    let posted = posted.json();
    assert_eq!(
        (&posted["status"], &posted["text"]),
        (&json!("submitted"), &Value::Null)
    );
    let task = posted["task"].as_str().unwrap();
    assert_eq!(
        api.get(&format!("/v1/tasks/{task}")).await.json()["state"],
        "ready"
    );
    let second = api.post(&messages, &json!({ "text": "and then?" })).await.json();
    assert_eq!(second["status"], "queued");
    let note = json!({ "kind": "system", "text": "be brief" });
    assert_eq!(api.post(&messages, &note).await.json()["status"], "final");

    let list = api.get(&messages).await.json();
    assert_eq!(list["items"][0]["is_cut"], true);
    assert_eq!(list["items"][1]["text"], "and then?");
    let page = api.get(&format!("{messages}?limit=2")).await.json();
    let cursor = page["next_cursor"].as_str().unwrap();
    let rest = api.get(&format!("{messages}?cursor={cursor}")).await.json();
    assert_eq!(rest["items"][0]["text"], "be brief");
    for name in ["1", posted["id"].as_str().unwrap()] {
        let whole = api.get(&format!("{messages}/{name}")).await.json();
        assert_eq!(whole["text"], long);
    }
    let redacted = api.post(&format!("{messages}/1/redact"), &json!({})).await;
    assert_eq!(redacted.json()["status"], "redacted");
    let gone = api.get(&format!("{messages}/1")).await.json();
    assert_eq!((&gone["text"], &gone["bytes"]), (&Value::Null, &json!(0)));
    let shown = api.get(&format!("/v1/threads/{id}")).await.json();
    assert_eq!(
        (&shown["queued"], &shown["last_sequence"]),
        (&json!(1), &json!(3))
    );
    let listed = api.get("/v1/threads?agent=alice").await.json();
    assert_eq!(listed["items"][0], shown);
}

/// What is redacted is in no row: also not in that of a key.
#[tokio::test]
async fn no_answer_that_is_kept_says_what_a_message_says() {
    let api = Api::new(Role::Visitor).await;
    let id = thread(&api).await;
    let path = format!("/v1/threads/{id}/messages");
    let send = async |body: &Value| {
        let mut request = post(&path, body.to_string());
        request
            .headers_mut()
            .insert("idempotency-key", "k".parse().unwrap());
        api.send(Some(Caller::Owner), request).await
    };
    let body = json!({ "text": "the-spoken-thing" });
    let first = send(&body).await;
    assert!(!String::from_utf8_lossy(&first.bytes).contains("the-spoken-thing"));
    let again = send(&body).await;
    assert_eq!((again.status.as_u16(), &again.bytes), (201, &first.bytes));
    assert_eq!(send(&json!({ "text": "another" })).await.code(), "key_reused");
    let list = api.get(&path).await.json();
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_thread_is_closed_and_deleted_when_no_turn_is_under_way() {
    let api = Api::new(Role::Visitor).await;
    let id = thread(&api).await;
    let (path, messages) = (format!("/v1/threads/{id}"), format!("/v1/threads/{id}/messages"));
    let posted = api.post(&messages, &json!({ "text": "hello" })).await.json();
    let delete = async || {
        let request = axum::http::Request::delete(&path).body(axum::body::Body::empty());
        api.send(Some(Caller::Owner), request.unwrap()).await
    };
    assert_eq!(delete().await.code(), "state");
    let task = posted["task"].as_str().unwrap();
    api.post(&format!("/v1/tasks/{task}/cancel"), &json!({})).await;
    let closed = api.post(&format!("{path}/close"), &json!({})).await.json();
    assert_eq!(closed["state"], "closed");
    assert_eq!(
        api.post(&messages, &json!({ "text": "more" })).await.code(),
        "state"
    );
    assert_eq!(delete().await.status.as_u16(), 204);
    assert_eq!(api.get(&path).await.code(), "not_found");
    assert_eq!(api.get(&messages).await.code(), "not_found");
    assert_eq!(api.get("/v1/threads").await.json()["items"], json!([]));
}

#[tokio::test]
async fn a_summary_names_what_it_tells_of() {
    let api = Api::new(Role::Visitor).await;
    let id = thread(&api).await;
    let messages = format!("/v1/threads/{id}/messages");
    for text in ["one", "two"] {
        api.post(&messages, &json!({ "kind": "system", "text": text }))
            .await;
    }
    let incarnation = api.get(&format!("/v1/threads/{id}")).await.json()["incarnation"].clone();
    let body = json!({ "incarnation": incarnation, "covers": [1, 2], "text": "both" });
    let made = api.post(&format!("/v1/threads/{id}/summarise"), &body).await;
    assert_eq!(
        (made.status.as_u16(), &made.json()["covers"]),
        (201, &json!([1, 2]))
    );
    let overlap = json!({ "incarnation": incarnation, "covers": [2], "text": "one of them" });
    let refused = api.post(&format!("/v1/threads/{id}/summarise"), &overlap).await;
    assert_eq!(refused.code(), "invalid");
    let by = json!({ "by": 2 });
    let superseded = api.post(&format!("{messages}/1/supersede"), &by).await.json();
    assert_eq!(superseded["status"], "superseded");
}
