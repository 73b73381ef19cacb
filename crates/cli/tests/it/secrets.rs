//! `/v1/secrets`: each answer's status, and that none has a value.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use data_encoding::{BASE64, HEXLOWER};
use dormouse_cli::api::{Caller, EXPORT_BYTES_MAX, IMPORT_BODY_BYTES_MAX};
use dormouse_cli::owner::Role;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::api::{Api, Got};

/// Long enough, and with nothing that an id has.
const VALUE: &str = "kR7-wombat-sleeps+9Zx";
const PATH: &str = "/v1/secrets/agent:alice/GH_TOKEN";

async fn send(api: &Api, method: &str, path: &str, body: &Value) -> Got {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("if-match", "*")
        .header("content-type", "application/json")
        .body(Body::from(body.to_string()))
        .unwrap();
    let got = api.send(Some(Caller::Owner), request).await;
    assert!(
        !String::from_utf8_lossy(&got.bytes).contains(VALUE),
        "{method} {path}"
    );
    got
}

async fn put(api: &Api, path: &str, value: &str) -> Got {
    send(api, "PUT", path, &json!({ "value": value })).await
}

async fn delete(api: &Api, path: &str) -> Got {
    send(api, "DELETE", path, &json!({})).await
}

/// An API with a vault and one secret of alice.
async fn api() -> Api {
    let api = Api::new(Role::Visitor).await;
    let made = api.post("/v1/agents", &json!({ "name": "alice" })).await;
    assert_eq!(made.status, StatusCode::CREATED);
    assert_eq!(put(&api, PATH, VALUE).await.status, StatusCode::CREATED);
    api
}

async fn vault(api: &Api) -> String {
    let status = api.get("/v1/secrets/status").await;
    assert_eq!(status.status, StatusCode::OK);
    status.json()["vault"].as_str().unwrap().to_owned()
}

/// A key file in the API's folder.
fn key_file(api: &Api, name: &str, content: &str) -> String {
    use std::os::unix::fs::PermissionsExt;
    let path = api.folder.path().join(name);
    std::fs::write(&path, content).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_secret_is_put_told_and_deleted_and_no_answer_has_its_value() {
    let api = api().await;
    assert!(api.folder.path().join("config/secrets.key").is_file());
    let again = put(&api, PATH, VALUE).await;
    assert_eq!(
        (again.status, &again.json()["generation"]),
        (StatusCode::OK, &json!(1))
    );
    let other = put(&api, PATH, &format!("{VALUE}-other")).await;
    assert_eq!(
        (other.status, &other.json()["generation"]),
        (StatusCode::OK, &json!(2))
    );
    put(&api, "/v1/secrets/shared/DEPLOY_KEY", VALUE).await;
    let list = api.get("/v1/secrets").await.json();
    let refs: Vec<&str> = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["ref"].as_str().unwrap())
        .collect();
    assert_eq!(refs, ["shared:DEPLOY_KEY", "agent:alice:GH_TOKEN"]);
    let first = api.get("/v1/secrets?limit=1").await.json();
    let next = format!(
        "/v1/secrets?limit=1&cursor={}",
        first["next_cursor"].as_str().unwrap()
    );
    let second = api.get(&next).await.json();
    assert_eq!(second["items"][0]["ref"], "agent:alice:GH_TOKEN");
    assert_eq!(second["next_cursor"], Value::Null);
    let seen = api.get("/v1/secrets/effective?agent=alice").await.json();
    assert_eq!(seen["items"].as_array().unwrap().len(), 2, "{seen:#}");
    for (path, status) in [
        ("/v1/secrets/shared/NONE", StatusCode::NOT_FOUND),
        ("/v1/secrets/agent:bob/GH_TOKEN", StatusCode::NOT_FOUND),
        ("/v1/secrets/shared/gh_token", StatusCode::UNPROCESSABLE_ENTITY),
        (
            "/v1/secrets/agent:A%2Fb/GH_TOKEN",
            StatusCode::UNPROCESSABLE_ENTITY,
        ),
        ("/v1/secrets/elsewhere/GH_TOKEN", StatusCode::UNPROCESSABLE_ENTITY),
    ] {
        assert_eq!(api.get(path).await.status, status, "{path}");
        assert_ne!(
            put(&api, path, "1234567").await.status,
            StatusCode::CREATED,
            "{path}"
        );
    }
    let short = put(&api, PATH, "1234567").await;
    assert_eq!(short.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(delete(&api, PATH).await.status, StatusCode::NO_CONTENT);
    assert_eq!(delete(&api, PATH).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_secret_that_an_agent_names_is_deleted_by_force_alone() {
    let api = api().await;
    let named = send(
        &api,
        "PATCH",
        "/v1/agents/alice",
        &json!({ "secrets": ["GH_TOKEN"] }),
    )
    .await;
    assert_eq!(
        (named.status, &named.json()["secrets"]),
        (StatusCode::OK, &json!(["GH_TOKEN"]))
    );
    let refused = delete(&api, PATH).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert!(refused.json()["detail"].as_str().unwrap().contains("agent alice"));
    assert_eq!(
        delete(&api, &format!("{PATH}?force=true")).await.status,
        StatusCode::NO_CONTENT
    );
}

/// SE-23 PR-39: the token is the control token's, and 401 is answered to no key.
#[tokio::test]
async fn a_key_that_does_not_open_is_told_by_what_is_wrong_with_it() {
    let api = api().await;
    let unlock = async |body: Value| send(&api, "POST", "/v1/secrets/unlock", &body).await;
    let open = unlock(json!({})).await;
    assert_eq!(
        (open.status, open.code()),
        (StatusCode::CONFLICT, "state".to_owned())
    );
    assert_eq!(
        send(&api, "POST", "/v1/secrets/lock", &json!({})).await.status,
        StatusCode::OK
    );
    let twice = send(&api, "POST", "/v1/secrets/lock", &json!({})).await;
    assert_eq!(twice.status, StatusCode::CONFLICT);
    let wrong = key_file(&api, "wrong.key", &"00112233445566778899aabbccddeeff".repeat(2));
    let malformed = key_file(&api, "malformed.key", "too short");
    for (file, status, code) in [
        (&wrong, StatusCode::FORBIDDEN, "wrong_key"),
        (&malformed, StatusCode::BAD_REQUEST, "bad_request"),
        (&wrong, StatusCode::FORBIDDEN, "wrong_key"),
        (&wrong, StatusCode::FORBIDDEN, "wrong_key"),
        (&wrong, StatusCode::FORBIDDEN, "wrong_key"),
    ] {
        let refused = unlock(json!({ "key_file": file })).await;
        assert_eq!((refused.status, refused.code().as_str()), (status, code));
        assert_eq!(vault(&api).await, "locked");
    }
    // The right one too: none is tried.
    let sixth = unlock(json!({})).await;
    assert_eq!(
        (sixth.status, sixth.code()),
        (StatusCode::TOO_MANY_REQUESTS, "limit".to_owned())
    );
    assert_eq!(vault(&api).await, "locked");
}

/// A version 2 export in clear, of these entries.
fn export(entries: &[Value]) -> String {
    let head = json!({ "format": "dormouse-secrets", "version": 2, "tenant": "default", "at": "2026-01-02T03:04:05Z" });
    let lines = [&head].into_iter().chain(entries);
    let mut text: String = lines.map(|line| format!("{line}\n")).collect();
    let sha256 = HEXLOWER.encode(&Sha256::digest(text.as_bytes()));
    text += &format!("{}\n", json!({ "count": entries.len(), "sha256": sha256 }));
    BASE64.encode(text.as_bytes())
}

fn entry(name: &str) -> Value {
    json!({
        "scope": { "kind": "agent", "agent_id": "alice" },
        "name": name,
        "category": "tool",
        "value": BASE64.encode(format!("{VALUE}-{name}").as_bytes()),
        "created_at": "2025-01-02T03:04:05Z",
        "updated_at": "2025-02-03T04:05:06Z",
        "times_known": true,
    })
}

#[tokio::test]
async fn an_import_has_room_for_the_largest_export_and_no_more() {
    let api = api().await;
    let key_max = 64 * 1024;
    assert!(IMPORT_BODY_BYTES_MAX > BASE64.encode_len(EXPORT_BYTES_MAX) + key_max);
    let body = json!({ "export": export(&[entry("ONE")]) }).to_string();
    for (length, status) in [
        (IMPORT_BODY_BYTES_MAX + 1, StatusCode::PAYLOAD_TOO_LARGE),
        (IMPORT_BODY_BYTES_MAX, StatusCode::OK),
    ] {
        let request = Request::post("/v1/secrets/import")
            .header("content-type", "application/json")
            .body(Body::from(body.clone() + &" ".repeat(length - body.len())))
            .unwrap();
        let got = api.send(Some(Caller::Owner), request).await;
        assert_eq!(got.status, status, "{length} bytes");
    }
}

/// PR-40, SE-24 with `agents::an_agent_is_deleted_with_its_secrets_while_the_vault_is_locked`
#[tokio::test]
async fn an_import_is_all_or_nothing_keeps_times_and_waits_for_no_lock() {
    let api = api().await;
    let import = async |entries: &[Value]| {
        let body = json!({ "export": export(entries) });
        send(&api, "POST", "/v1/secrets/import", &body).await
    };
    let bad = import(&[entry("ONE"), entry("node_options")]).await;
    assert_eq!(bad.status, StatusCode::UNPROCESSABLE_ENTITY);
    let bad = import(&[entry("ONE"), entry("NODE_OPTIONS")]).await;
    assert_eq!(bad.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(
        api.get("/v1/secrets/agent:alice/ONE").await.status,
        StatusCode::NOT_FOUND
    );
    let good = import(&[entry("ONE"), entry("TWO")]).await;
    assert_eq!(
        (good.status, good.json()["written"].as_array().unwrap().len()),
        (StatusCode::OK, 2)
    );
    let one = api.get("/v1/secrets/agent:alice/ONE").await.json();
    assert_eq!(
        (&one["created_at"], &one["updated_at"]),
        (&json!("2025-01-02T03:04:05Z"), &json!("2025-02-03T04:05:06Z"))
    );
    send(&api, "POST", "/v1/secrets/lock", &json!({})).await;
    for (method, path, body) in [
        ("PUT", PATH, json!({ "value": VALUE })),
        ("DELETE", PATH, json!({})),
        (
            "POST",
            "/v1/secrets/export",
            json!({ "passphrase": "correct horse battery" }),
        ),
        (
            "POST",
            "/v1/secrets/import",
            json!({ "export": export(&[entry("THREE")]) }),
        ),
        ("POST", "/v1/secrets/rotate", json!({})),
        ("POST", "/v1/secrets/rekey", json!({})),
        (
            "POST",
            "/v1/secrets/slots",
            json!({ "passphrase": "correct horse battery" }),
        ),
        ("DELETE", "/v1/secrets/slots/1", json!({})),
    ] {
        let refused = send(&api, method, path, &body).await;
        assert_eq!(
            (refused.status, refused.code()),
            (StatusCode::LOCKED, "locked".to_owned()),
            "{method} {path}"
        );
    }
    for path in [
        PATH,
        "/v1/secrets",
        "/v1/secrets/status",
        "/v1/secrets/slots",
        "/v1/secrets/effective?agent=alice",
    ] {
        assert_eq!(api.get(path).await.status, StatusCode::OK, "{path}");
    }
}

const PASSPHRASE: &str = "correct horse battery staple";

/// An API whose vault a passphrase opens too.
async fn with_passphrase() -> Api {
    let api = api().await;
    let added = send(
        &api,
        "POST",
        "/v1/secrets/slots",
        &json!({ "passphrase": PASSPHRASE }),
    )
    .await;
    assert_eq!(added.status, StatusCode::CREATED);
    api
}

async fn opens(api: &Api) -> (Value, Value) {
    let status = api.get("/v1/secrets/status").await.json();
    (
        status["key_file_opens"].clone(),
        status["opens_by_itself"].clone(),
    )
}

#[tokio::test]
async fn a_key_file_is_made_anew_also_while_the_vault_is_open() {
    let api = with_passphrase().await;
    let key = api.folder.path().join("config/secrets.key");
    let restore = async |body: Value| {
        let mut body = body;
        body["restore_key_file"] = true.into();
        send(&api, "POST", "/v1/secrets/unlock", &body).await
    };
    assert_eq!(opens(&api).await, (json!(true), json!(true)));
    let there = restore(json!({ "passphrase": PASSPHRASE })).await;
    assert_eq!(there.status, StatusCode::CONFLICT);
    std::fs::remove_file(&key).unwrap();
    assert_eq!(opens(&api).await, (json!(false), json!(false)));
    let nothing = restore(json!({})).await;
    assert_eq!(nothing.status, StatusCode::BAD_REQUEST);
    let wrong = restore(json!({ "passphrase": "correct horse battery stable" })).await;
    assert_eq!(wrong.status, StatusCode::FORBIDDEN);
    assert!(!key.exists(), "no key that does not open makes one");
    let restored = restore(json!({ "passphrase": PASSPHRASE })).await;
    assert_eq!(restored.status, StatusCode::OK);
    assert_eq!(opens(&api).await, (json!(true), json!(true)));
}

#[tokio::test]
async fn a_rekey_says_what_it_dropped_and_whether_its_keys_are_new() {
    let api = with_passphrase().await;
    let rekey = async |body: Value| send(&api, "POST", "/v1/secrets/rekey", &body).await;
    let first = rekey(json!({ "passphrase": PASSPHRASE })).await.json();
    assert_eq!(
        (&first["dropped"], &first["went_on"]),
        (&json!([1]), &Value::Null)
    );
    assert_eq!(opens(&api).await, (json!(false), json!(false)));
    let by_the_file = rekey(json!({})).await;
    assert_eq!(by_the_file.code(), "wrong_key");
    let again = rekey(json!({ "passphrase": PASSPHRASE })).await.json();
    assert!(again["went_on"].is_string(), "{again:#}");
    assert_eq!(again["dropped"], json!([1]));
}

#[tokio::test]
async fn a_slot_that_is_no_number_and_a_short_passphrase_are_problems_with_their_hints() {
    let api = api().await;
    let slot = delete(&api, "/v1/secrets/slots/abc").await;
    assert_eq!(
        (slot.status, slot.code().as_str()),
        (StatusCode::NOT_FOUND, "not_found")
    );
    let short = send(
        &api,
        "POST",
        "/v1/secrets/slots",
        &json!({ "passphrase": "short" }),
    )
    .await;
    assert_eq!(short.status, StatusCode::BAD_REQUEST);
    assert!(short.json()["hint"].as_str().unwrap().contains("12 bytes"));
}
