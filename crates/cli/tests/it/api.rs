use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use dormouse_cli::api::{BODY_BYTES_MAX, Caller, Guard, House, router};
use dormouse_cli::owner::peer::Verdict;
use dormouse_cli::owner::phase::Phase;
use dormouse_cli::owner::token::ControlToken;
use dormouse_cli::owner::{Keys, Role};
use dormouse_engine::event::EventFilter;
use dormouse_engine::relay::FileSink;
use dormouse_engine::run::ClaimOptions;
use dormouse_engine::session::Sessions;
use dormouse_engine::supervisor::{Supervisor, SupervisorOptions};
use dormouse_engine::worker::isolation::Offered;
use dormouse_engine::{
    Channel, Clock, Engine, EngineOptions, Environment, Epoch, HostIdentity, Principal, PrincipalKind,
    Random, SystemClock, TenantRow,
};
use dormouse_filesystem::{Backend, Memory, Namespace, Opener, RecordStore, Records, Requirements, System};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::watch;
use tower::ServiceExt;

const ADMITTED: Option<Caller> = Some(Caller::Peer(Verdict::Admitted));

/// A router over a store in memory, and what its gate compares with.
pub(crate) struct Api {
    pub(crate) engine: Engine,
    pub(crate) supervisor: Supervisor,
    router: Router,
    token: ControlToken,
    phase: watch::Sender<Phase>,
    /// The configuration's, with the key file.
    pub(crate) folder: TempDir,
}

/// An answer.
pub(crate) struct Got {
    pub(crate) status: StatusCode,
    pub(crate) headers: axum::http::HeaderMap,
    pub(crate) bytes: Vec<u8>,
}

impl Got {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes)
            .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&self.bytes)))
    }

    pub(crate) fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }
}

impl Api {
    pub(crate) async fn new(role: Role) -> Self {
        Self::with_clock(role, Arc::new(SystemClock)).await
    }

    pub(crate) async fn with_clock(role: Role, clock: Arc<dyn Clock>) -> Self {
        Self::over(role, clock, Arc::new(Memory::new(dormouse_cli::edge::now()))).await
    }

    /// Over this store.
    pub(crate) async fn over(role: Role, clock: Arc<dyn Clock>, store: Arc<dyn RecordStore>) -> Self {
        Self::set(role, clock, store, EngineOptions::default()).await
    }

    /// The same, of an engine that is set so.
    pub(crate) async fn set(
        role: Role,
        clock: Arc<dyn Clock>,
        store: Arc<dyn RecordStore>,
        options: EngineOptions,
    ) -> Self {
        Self::whole(role, clock, store, options, None).await
    }

    /// The same on a kernel that has this to wall workers in.
    pub(crate) async fn on(
        role: Role,
        clock: Arc<dyn Clock>,
        store: Arc<dyn RecordStore>,
        offered: Option<Offered>,
    ) -> Self {
        Self::whole(role, clock, store, EngineOptions::default(), offered).await
    }

    async fn whole(
        role: Role,
        clock: Arc<dyn Clock>,
        store: Arc<dyn RecordStore>,
        options: EngineOptions,
        offered: Option<Offered>,
    ) -> Self {
        let now = dormouse_cli::edge::now();
        let random = Arc::new(Random::seeded(7));
        let epoch = Epoch::make(now, &random);
        let host = HostIdentity {
            host: "here".to_owned(),
            boot_id: "boot".to_owned(),
            pid: 1,
            epoch,
            seat: None,
        };
        let environment = Environment {
            clock,
            random: random.clone(),
            host,
        };
        let system = Namespace::<System>::open(
            store,
            &Requirements::volatile(),
            Opener::at(jiff::Timestamp::UNIX_EPOCH, 7),
        )
        .await
        .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let keys = Keys::in_file(folder.path().join("config/secrets.key"), random);
        let options = EngineOptions {
            companions: vec![Arc::new(Sessions)],
            vault: keys.vault(),
            ..options
        };
        let engine = Engine::open(system, environment, options);
        let nowhere = PathBuf::from("/nonexistent");
        let supervisor = Supervisor::new(
            &engine,
            SupervisorOptions {
                keeper: nowhere.clone(),
                workspaces: nowhere.clone(),
                run_folders: nowhere,
                path: String::new(),
                user: String::new(),
                lang: String::new(),
                tz: String::new(),
                passed: BTreeMap::new(),
                isolation: None,
                closed: Vec::new(),
                offered,
                inbox_max: dormouse_engine::run::INBOX_MAX,
            },
        );
        let (phase, seen) = watch::channel(Phase::Serving);
        let token = ControlToken::make().unwrap();
        let guard = Guard {
            token: token.clone(),
            phase: seen.clone(),
        };
        Self {
            router: router(
                House::new(
                    engine.clone(),
                    supervisor.clone(),
                    role,
                    seen,
                    Backend::Memory,
                    keys,
                    Default::default(),
                ),
                guard,
            ),
            engine,
            supervisor,
            token,
            phase,
            folder,
        }
    }

    pub(crate) async fn send(&self, caller: Option<Caller>, mut request: Request<Body>) -> Got {
        if let Some(caller) = caller {
            request.extensions_mut().insert(caller);
        }
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes().to_vec();
        Got {
            status: parts.status,
            headers: parts.headers,
            bytes,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Got {
        self.send(
            Some(Caller::Owner),
            Request::get(path).body(Body::empty()).unwrap(),
        )
        .await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Got {
        self.send(Some(Caller::Owner), post(path, body.to_string())).await
    }
}

pub(crate) fn post(path: &str, body: impl Into<Body>) -> Request<Body> {
    Request::post(path)
        .header("content-type", "application/json")
        .body(body.into())
        .unwrap()
}

fn health(bearer: Option<&str>) -> Request<Body> {
    let mut request = Request::get("/v1/health");
    if let Some(bearer) = bearer {
        request = request.header("authorization", format!("Bearer {bearer}"));
    }
    request.body(Body::empty()).unwrap()
}

/// The gate of PR-26. That a real peer is judged so is shown with real processes.
#[tokio::test]
async fn who_may_not_speak_is_answered_before_anything_else() {
    let api = Api::new(Role::Visitor).await;
    let right = api.token.expose();
    let wrong = ControlToken::make().unwrap().expose();
    for (caller, bearer, status, code) in [
        (ADMITTED, Some(right.as_str()), 200, ""),
        (ADMITTED, None, 401, "unauthorized"),
        (ADMITTED, Some(wrong.as_str()), 401, "unauthorized"),
        (ADMITTED, Some(""), 401, "unauthorized"),
        (ADMITTED, Some(&right[..63]), 401, "unauthorized"),
        (
            Some(Caller::Peer(Verdict::OtherUser)),
            Some(right.as_str()),
            403,
            "forbidden",
        ),
        (
            Some(Caller::Peer(Verdict::Descendant)),
            Some(right.as_str()),
            403,
            "forbidden",
        ),
        (
            Some(Caller::Peer(Verdict::Untraceable)),
            Some(right.as_str()),
            403,
            "forbidden",
        ),
        (None, Some(right.as_str()), 403, "forbidden"),
        (Some(Caller::Owner), None, 200, ""),
    ] {
        let got = api.send(caller, health(bearer)).await;
        assert_eq!(
            (got.status.as_u16(), got.code().as_str()),
            (status, code),
            "{caller:?}"
        );
        assert!(!String::from_utf8_lossy(&got.bytes).contains(&right));
    }
    let unknown = Request::get("/nothing").body(Body::empty()).unwrap();
    assert_eq!(
        api.send(ADMITTED, unknown).await.status,
        401,
        "no route is told from another without a token"
    );
}

#[tokio::test]
async fn an_owner_that_leaves_answers_503_and_says_when_to_try_again() {
    let api = Api::new(Role::Visitor).await;
    api.phase.send_replace(Phase::Draining);
    let got = api.send(ADMITTED, health(Some(&api.token.expose()))).await;
    assert_eq!(got.status, 503);
    assert!(got.headers.contains_key("retry-after"));
    assert_eq!(
        api.send(Some(Caller::Owner), health(None)).await.status,
        200,
        "its own command is still served"
    );
}

#[tokio::test]
async fn an_agent_is_made_once_and_found() {
    let api = Api::new(Role::Visitor).await;
    let made = api.post("/v1/agents", &json!({ "name": "alice" })).await;
    assert_eq!(made.status, 201);
    assert_eq!(
        api.post("/v1/agents", &json!({ "name": "alice" })).await.code(),
        "exists"
    );
    let found = api.get("/v1/agents/alice").await;
    assert_eq!((found.status, found.bytes.clone()), (StatusCode::OK, made.bytes));
    let version = found.json()["version"].to_string();
    assert_eq!(found.headers["etag"], format!("\"{version}\"").as_str());
    let list = api.get("/v1/agents").await.json();
    assert_eq!(list["items"][0], found.json(), "a listed item is the item");
    assert_eq!(list["next_cursor"], Value::Null);
    assert_eq!(api.get("/v1/agents/bob").await.code(), "not_found");
}

#[tokio::test]
async fn a_task_is_made_found_by_a_short_id_cancelled_and_tried_again() {
    let api = Api::new(Role::Visitor).await;
    let new = json!({ "agent": "alice", "title": "one", "command": { "argv": ["true"] } });
    assert_eq!(
        api.post("/v1/tasks", &new).await.code(),
        "not_found",
        "there is no agent"
    );
    api.post("/v1/agents", &json!({ "name": "alice" })).await;
    let made = api.post("/v1/tasks", &new).await;
    assert_eq!(made.status, 201);
    let id = made.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(made.json()["state"], "ready");
    let short = api.get(&format!("/v1/tasks/{}", &id[..20])).await;
    assert_eq!(short.json()["id"], id);
    let cancelled = api.post(&format!("/v1/tasks/{id}/cancel"), &json!({})).await;
    assert_eq!(
        (cancelled.status, cancelled.json()["state"].as_str().unwrap()),
        (StatusCode::OK, "cancelled")
    );
    let again = api.post(&format!("/v1/tasks/{id}/retry"), &json!({})).await;
    assert_eq!(again.json()["state"], "ready");
    assert_eq!(
        api.post(&format!("/v1/tasks/{id}/retry"), &json!({}))
            .await
            .code(),
        "state"
    );
    let filtered = api.get("/v1/tasks?agent=alice&state=ready").await.json();
    assert_eq!(filtered["items"].as_array().unwrap().len(), 1);
}

fn patch(path: &str, version: Option<&str>, body: &Value) -> Request<Body> {
    let mut request = Request::patch(path).header("content-type", "application/json");
    if let Some(version) = version {
        request = request.header("if-match", version);
    }
    request.body(Body::from(body.to_string())).unwrap()
}

#[tokio::test]
async fn a_task_is_changed_at_the_version_that_is_said_and_at_no_other() {
    let api = Api::new(Role::Visitor).await;
    api.post("/v1/agents", &json!({ "name": "alice" })).await;
    api.post("/v1/agents", &json!({ "name": "bob" })).await;
    let new = json!({ "agent": "alice", "title": "one", "body": "the words", "metadata": { "a": 1 } });
    let made = api.post("/v1/tasks", &new).await;
    let (etag, version) = (
        made.headers["etag"].to_str().unwrap(),
        made.json()["version"].clone(),
    );
    assert_eq!(made.json()["body"], "the words");
    let body = json!({ "title": "two", "metadata": { "a": null, "b": [2] } });
    let owner = Some(Caller::Owner);
    for (said, status, code) in [
        (None, 428, "version_required"),
        (Some("\"1000000\""), 412, "stale"),
        (Some("abc"), 400, "bad_request"),
        (Some(etag), 200, ""),
        (Some(etag), 412, "stale"),
        (Some("*"), 200, ""),
    ] {
        let got = api.send(owner, patch("/v1/tasks/1", said, &body)).await;
        assert_eq!(
            (got.status.as_u16(), got.code().as_str()),
            (status, code),
            "{said:?}"
        );
        if status == 412 {
            assert!(got.json()["current_version"].as_u64() >= version.as_u64());
        }
    }
    let task = api.get("/v1/tasks/1").await.json();
    assert_eq!(
        (&task["title"], &task["metadata"]),
        (&json!("two"), &json!({ "b": [2] }))
    );
    for refused in [
        json!({ "metadata": 7 }),
        json!({ "title": "" }),
        json!({ "agent": "bob", "title": "three" }),
    ] {
        let got = api.send(owner, patch("/v1/tasks/1", Some("*"), &refused)).await;
        assert_eq!(
            (got.status.as_u16(), got.code().as_str()),
            (422, "invalid"),
            "{refused}"
        );
    }
    let given = api
        .send(owner, patch("/v1/tasks/1", Some("*"), &json!({ "agent": "bob" })))
        .await;
    assert_eq!(given.json()["agent"], "bob");
}

#[tokio::test]
async fn every_verb_of_a_task_has_its_route() {
    let api = Api::new(Role::Visitor).await;
    api.post("/v1/agents", &json!({ "name": "alice" })).await;
    let new = json!({ "agent": "alice", "title": "one", "start": "pending_approval" });
    api.post("/v1/tasks", &new).await;
    let after = json!({ "agent": "alice", "title": "two", "after": ["1"], "on_failed": "cancel" });
    let waiting = api.post("/v1/tasks", &after).await.json();
    assert_eq!(
        (&waiting["state"], &waiting["wait"]),
        (&json!("waiting"), &json!({ "for": "tasks" }))
    );
    for (verb, state) in [("approve", "ready"), ("shelve", "backlog"), ("enqueue", "ready")] {
        let got = api.post(&format!("/v1/tasks/1/{verb}"), &json!({})).await;
        assert_eq!(
            (got.status.as_u16(), &got.json()["state"]),
            (200, &json!(state)),
            "{verb}"
        );
    }
    assert_eq!(api.post("/v1/tasks/1/refuse", &json!({})).await.code(), "state");
    let stale = Request::delete("/v1/tasks/1").header("if-match", "\"1000000\"");
    let stale = api
        .send(Some(Caller::Owner), stale.body(Body::empty()).unwrap())
        .await;
    assert_eq!(stale.code(), "stale");
    let gone = Request::delete("/v1/tasks/1").body(Body::empty()).unwrap();
    assert_eq!(api.send(Some(Caller::Owner), gone).await.status, 204);
    assert_eq!(api.get("/v1/tasks/1").await.code(), "not_found");
    api.engine.settle_once().await.unwrap();
    assert_eq!(api.get("/v1/tasks/2").await.json()["state"], "cancelled");
    let unknown = json!({ "agent": "alice", "title": "three", "after": ["7"] });
    assert_eq!(api.post("/v1/tasks", &unknown).await.code(), "not_found");
    let listed = api.get("/v1/tasks?owner=alice").await.json();
    assert!(listed["items"].as_array().unwrap().is_empty());
    let both = api.get("/v1/tasks?owner=alice&agent=alice").await;
    assert_eq!(both.code(), "invalid");
}

#[tokio::test]
async fn an_owner_that_only_visits_runs_nothing() {
    let api = Api::new(Role::Visitor).await;
    let got = api
        .post(
            "/v1/runs",
            &json!({ "task": "tsk_0198c0de7f3a7c11a2b3c4d5e6f70819" }),
        )
        .await;
    assert_eq!((got.status.as_u16(), got.code().as_str()), (503, "unavailable"));
}

/// PR-44
#[tokio::test]
async fn who_waits_for_a_run_that_nobody_is_at_is_told_that_its_end_is_not_known() {
    let api = Api::new(Role::Supervisor).await;
    api.post("/v1/agents", &json!({ "name": "alice" })).await;
    let task = json!({ "agent": "alice", "title": "t", "command": { "argv": ["true"] } });
    let task = api.post("/v1/tasks", &task).await.json();
    // As when the store took the claim and, being full, not the end.
    let by = Principal {
        kind: PrincipalKind::System,
        name: "test".to_owned(),
        channel: Channel::Cli,
    };
    let tenant = api.engine.tenant(&"default".parse().unwrap()).await.unwrap();
    let id = task["id"].as_str().unwrap().parse().unwrap();
    let claimed = tenant.runs.claim(&by, id, ClaimOptions::default()).await.unwrap();
    let run = format!("/v1/runs/{}", claimed.run.id);
    let got = api.get(&run).await;
    assert_eq!(got.status, StatusCode::OK);
    let got = api.get(&format!("{run}?wait=true")).await;
    assert_eq!((got.status.as_u16(), got.code().as_str()), (504, "unknown"));
}

#[tokio::test]
async fn a_parameter_that_cannot_be_read_is_named() {
    let api = Api::new(Role::Visitor).await;
    let got = api.get("/v1/tasks?limit=abc").await.json();
    let detail = got["detail"].as_str().unwrap();
    assert!(detail.starts_with("limit: "), "{detail}");
}

#[tokio::test]
async fn a_run_is_made_of_a_task_or_of_what_a_task_is_made_of() {
    let api = Api::new(Role::Supervisor).await;
    let new = json!({ "agent": "alice", "title": "t", "command": { "argv": ["true"] } });
    let mixed =
        json!({ "task": "tsk_0198c0de", "agent": "alice", "title": "t", "command": { "argv": ["true"] } });
    for wanted in [json!({}), json!({ "agent": "alice", "title": "t" }), mixed] {
        assert_eq!(
            api.post("/v1/runs", &wanted).await.code(),
            "bad_request",
            "{wanted}"
        );
    }
    assert_eq!(
        api.post("/v1/runs", &new).await.code(),
        "not_found",
        "no such agent"
    );
    let tasks = api.get("/v1/tasks").await.json();
    assert_eq!(tasks["items"], json!([]), "nothing is left of a refused one");
}

#[tokio::test]
async fn reading_under_a_name_that_is_no_tenant_makes_none() {
    let api = Api::new(Role::Visitor).await;
    let request = Request::get("/v1/tasks").header("dormouse-tenant", "nobody");
    let got = api
        .send(Some(Caller::Owner), request.body(Body::empty()).unwrap())
        .await;
    assert_eq!(got.status, StatusCode::OK);
    let rows = Records::<TenantRow>::new(api.engine.system());
    let nobody = "nobody".parse().unwrap();
    assert!(rows.get(&nobody).await.unwrap().is_none());
    let mut request = post("/v1/agents", json!({ "name": "alice" }).to_string());
    request
        .headers_mut()
        .insert("dormouse-tenant", "nobody".parse().unwrap());
    api.send(Some(Caller::Owner), request).await;
    assert!(rows.get(&nobody).await.unwrap().is_some(), "a write makes it");
}

#[tokio::test]
async fn a_page_has_bounds_and_a_cursor_its_list_and_inserts_cost_no_old_item() {
    let api = Api::new(Role::Visitor).await;
    for name in ["a", "b", "c", "d"] {
        api.post("/v1/agents", &json!({ "name": name })).await;
    }
    for bad in ["limit=0", "limit=1001", "limit=x", "cursor=zzz", "nope=1"] {
        assert_eq!(
            api.get(&format!("/v1/agents?{bad}")).await.code(),
            "bad_request",
            "{bad}"
        );
    }
    let (mut names, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = api.get(&format!("/v1/agents?limit=2{cursor}")).await.json();
        names.extend(
            page["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|agent| agent["name"].as_str().unwrap().to_owned()),
        );
        for new in ["aa", "e"] {
            api.post("/v1/agents", &json!({ "name": new })).await;
        }
        let Some(next) = page["next_cursor"].as_str() else {
            break;
        };
        assert_eq!(
            api.get(&format!("/v1/tasks?cursor={next}")).await.code(),
            "bad_request",
            "a cursor of another list"
        );
        cursor = format!("&cursor={next}");
    }
    assert_eq!(names, ["a", "b", "c", "d", "e"]);
}

/// PR-47
#[tokio::test]
async fn a_body_that_cannot_be_taken_is_refused_by_kind() {
    let api = Api::new(Role::Visitor).await;
    let deep = format!("{{\"name\":{}1{}}}", "[".repeat(65), "]".repeat(65));
    let large = format!("{{\"name\":\"{}\"}}", "a".repeat(BODY_BYTES_MAX + 1 - 11));
    assert_eq!(large.len(), BODY_BYTES_MAX + 1);
    let pieces: Vec<Result<Vec<u8>, std::io::Error>> = large
        .as_bytes()
        .chunks(4096)
        .map(|piece| Ok(piece.to_vec()))
        .collect();
    let chunked = post("/v1/agents", Body::from_stream(futures::stream::iter(pieces)));
    assert_eq!(api.send(Some(Caller::Owner), chunked).await.status, 413);
    for (body, status) in [
        (large.as_bytes(), 413),
        (deep.as_bytes(), 400),
        (b"{\"name\":\"\xff\"}", 400),
        (b"{\"name\":\"a\",\"name\":\"b\"}", 400),
        (b"{\"name\":\"a\",\"naem\":1}", 400),
        (b"{\"name\":\"a\"} x", 400),
        (b"", 400),
    ] {
        let got = api
            .send(Some(Caller::Owner), post("/v1/agents", body.to_vec()))
            .await;
        assert_eq!(
            got.status,
            status,
            "{}",
            String::from_utf8_lossy(&body[..body.len().min(60)])
        );
    }
    let text = Request::post("/v1/agents")
        .header("content-type", "text/plain")
        .body(Body::from("{}"))
        .unwrap();
    assert_eq!(api.send(Some(Caller::Owner), text).await.status, 415);
    let mut gzip = post("/v1/agents", "{}");
    gzip.headers_mut()
        .insert("content-encoding", "gzip".parse().unwrap());
    assert_eq!(api.send(Some(Caller::Owner), gzip).await.status, 415);
    assert!(
        api.get("/v1/agents").await.json()["items"]
            .as_array()
            .unwrap()
            .is_empty(),
        "no row"
    );
}

/// PR-15, at the HTTP API; there is no MCP, import or webhook yet.
#[tokio::test]
async fn hostile_ids_and_names_are_refused_and_make_no_row() {
    let api = Api::new(Role::Visitor).await;
    for bad in ["", "a/b", "..", "a\nb", "a\0b", "Alice", &"a".repeat(64)] {
        let got = api.post("/v1/agents", &json!({ "name": bad })).await;
        assert!(got.status.is_client_error(), "{bad:?}");
    }
    for bad in [
        "%00",
        "a%2Fb",
        "..%2f..",
        "%0a",
        "run_0198c0de7f3a7c11a2b3c4d5e6f70819",
        "tsk_0198C0DE7F3A7C11A2B3C4D5E6F70819",
        "tsk_0",
        "%ff",
    ] {
        let got = api.get(&format!("/v1/tasks/{bad}")).await;
        assert_eq!(got.status, 400, "{bad}");
    }
    assert!(
        api.get("/v1/agents").await.json()["items"]
            .as_array()
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn another_tenants_rows_are_not_found() {
    let api = Api::new(Role::Visitor).await;
    api.post("/v1/agents", &json!({ "name": "alice" })).await;
    let of_other = |path: &str| {
        Request::get(path)
            .header("dormouse-tenant", "other")
            .body(Body::empty())
            .unwrap()
    };
    let hidden = api.send(Some(Caller::Owner), of_other("/v1/agents/alice")).await;
    let missing = api.send(Some(Caller::Owner), of_other("/v1/agents/alicf")).await;
    assert_eq!(
        (hidden.status, missing.status),
        (StatusCode::NOT_FOUND, StatusCode::NOT_FOUND)
    );
    assert_eq!(
        String::from_utf8_lossy(&hidden.bytes).replace("alice", "alicf"),
        String::from_utf8_lossy(&missing.bytes)
    );
    let bad = Request::get("/v1/agents")
        .header("dormouse-tenant", "../x")
        .body(Body::empty())
        .unwrap();
    assert_eq!(api.send(Some(Caller::Owner), bad).await.status, 400);
}

#[tokio::test]
async fn routes_and_methods_that_are_none_are_told_apart() {
    let api = Api::new(Role::Visitor).await;
    assert_eq!(api.get("/v1/nothing").await.code(), "no_route");
    assert_eq!(api.get("/").await.code(), "no_route");
    let delete = Request::delete("/v1/agents").body(Body::empty()).unwrap();
    let got = api.send(Some(Caller::Owner), delete).await;
    assert_eq!((got.status.as_u16(), got.code().as_str()), (405, "method"));
    assert_eq!(got.headers["content-type"], "application/problem+json");
}

#[tokio::test]
async fn events_are_read_from_a_position_once_and_in_order() {
    let api = Api::new(Role::Visitor).await;
    for name in ["a", "b", "c"] {
        api.post("/v1/agents", &json!({ "name": name })).await;
    }
    let subjects = |list: &Value| -> Vec<String> {
        list["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|event| event["subject"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        subjects(&api.get("/v1/events?from=0").await.json()),
        ["agent:a", "agent:b", "agent:c"]
    );
    assert_eq!(
        subjects(&api.get("/v1/events?from=2").await.json()),
        ["agent:b", "agent:c"]
    );
    assert_eq!(
        subjects(&api.get("/v1/events").await.json()),
        ["agent:a", "agent:b", "agent:c"]
    );
    assert!(subjects(&api.get("/v1/events?from=0&type=task.*").await.json()).is_empty());
    let first = api.get("/v1/events?from=0&limit=2").await.json();
    let cursor = first["next_cursor"].as_str().unwrap();
    assert_eq!(
        subjects(
            &api.get(&format!("/v1/events?limit=2&cursor={cursor}"))
                .await
                .json()
        ),
        ["agent:c"]
    );
    assert_eq!(api.get("/v1/events?from=99").await.status, 410);
}

#[tokio::test]
async fn events_of_an_agent_in_a_range_are_read_with_a_cursor_of_theirs() {
    let api = Api::new(Role::Visitor).await;
    for name in ["a", "b", "c"] {
        api.post("/v1/agents", &json!({ "name": name })).await;
    }
    let positions = |list: &Value| -> Vec<u64> {
        let items = list["items"].as_array().unwrap();
        items
            .iter()
            .map(|event| event["position"].as_u64().unwrap())
            .collect()
    };
    let of_b = api.get("/v1/events?from=0&agent=b").await.json();
    assert_eq!((positions(&of_b), of_b["last"].as_u64()), (vec![2], Some(3)));
    let range = api.get("/v1/events?from=2&to=2").await.json();
    assert_eq!(
        (positions(&range), &range["next_cursor"]),
        (vec![2], &Value::Null)
    );
    assert_eq!(api.get("/v1/events?from=2&to=1").await.status, 400);
    let first = api.get("/v1/events?from=0&limit=1").await.json();
    let cursor = first["next_cursor"].as_str().unwrap();
    let foreign = api.get(&format!("/v1/events?agent=b&cursor={cursor}")).await;
    assert_eq!(
        (
            foreign.status.as_u16(),
            api.get("/v1/events?cursor=x").await.status.as_u16()
        ),
        (400, 400)
    );
}

#[tokio::test]
async fn positions_that_are_no_longer_kept_are_a_gap_or_refused() {
    let api = Api::new(Role::Visitor).await;
    for name in ["a", "b", "c"] {
        api.post("/v1/agents", &json!({ "name": name })).await;
    }
    let tenant: dormouse_engine::TenantId = "default".parse().unwrap();
    let log = api.engine.tenant(&tenant).await.unwrap();
    let log = log
        .space()
        .log(&[dormouse_filesystem::Segment::parse("events").unwrap()]);
    log.truncate(dormouse_filesystem::Position::new(3)).await.unwrap();
    assert_eq!(api.get("/v1/events?from=1").await.status, 410);
    let list = api.get("/v1/events?from=1&gaps=true").await.json();
    assert_eq!(list["gap"], json!({ "from": 1, "to": 2 }));
    assert_eq!(list["items"][0]["position"], 3);
    assert_eq!(api.get("/v1/events?from=9&gaps=true").await.status, 410);
    let mut request = Request::get("/v1/events?from=1&follow=true&to=3")
        .body(Body::empty())
        .unwrap();
    request.extensions_mut().insert(Caller::Owner);
    let response = api.router.clone().oneshot(request).await.unwrap();
    let mut lines = dormouse_cli::client::Lines::new(response.into_body());
    let mut said = Vec::new();
    while let Some(line) = lines.next().await.unwrap() {
        said.push(serde_json::from_slice::<Value>(&line).unwrap());
    }
    assert_eq!(
        said[..2],
        [json!({ "from": 1 }), json!({ "gap": { "from": 1, "to": 2 } })]
    );
    assert_eq!((said.len(), &said[2]["subject"]), (3, &json!("agent:c")));
}

#[tokio::test]
async fn a_sink_is_listed_paused_resumed_and_forgotten() {
    let api = Api::new(Role::Visitor).await;
    api.post("/v1/agents", &json!({ "name": "a" })).await;
    assert!(
        api.get("/v1/sinks").await.json()["items"]
            .as_array()
            .unwrap()
            .is_empty()
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("events.jsonl");
    let sink = FileSink::new("file".parse().unwrap(), &file, EventFilter::default());
    let written = async {
        while !std::fs::read_to_string(&file).is_ok_and(|text| text.ends_with('\n')) {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    api.engine.serve_relay(vec![Arc::new(sink)], written).await;
    let list = api.get("/v1/sinks").await.json();
    assert_eq!(
        (&list["items"][0]["name"], &list["items"][0]["state"]),
        (&json!("file"), &json!("active"))
    );
    let paused = api.post("/v1/sinks/file/pause", &json!({})).await.json();
    assert_eq!(paused["state"], "paused");
    let resumed = api.post("/v1/sinks/file/resume", &json!({})).await.json();
    assert_eq!(resumed["state"], "active");
    assert_eq!(api.post("/v1/sinks/nobody/resume", &json!({})).await.status, 404);
    assert_eq!(api.post("/v1/sinks/..%2Fx/pause", &json!({})).await.status, 400);
    let delete = || Request::delete("/v1/sinks/file").body(Body::empty()).unwrap();
    assert_eq!(api.send(Some(Caller::Owner), delete()).await.status, 204);
    assert_eq!(api.send(Some(Caller::Owner), delete()).await.status, 404);
}

#[tokio::test]
async fn a_stream_of_events_goes_on_and_ends_with_bye() {
    let api = Api::new(Role::Visitor).await;
    api.post("/v1/agents", &json!({ "name": "a" })).await;
    let mut request = Request::get("/v1/events?from=0&follow=true")
        .body(Body::empty())
        .unwrap();
    request.extensions_mut().insert(Caller::Owner);
    let response = api.router.clone().oneshot(request).await.unwrap();
    let mut lines = dormouse_cli::client::Lines::new(response.into_body());
    let line: Value = serde_json::from_slice(&lines.next().await.unwrap().unwrap()).unwrap();
    assert_eq!(line, json!({ "from": 1 }));
    let line: Value = serde_json::from_slice(&lines.next().await.unwrap().unwrap()).unwrap();
    assert_eq!(
        (line["position"].as_u64(), line["subject"].as_str()),
        (Some(1), Some("agent:a"))
    );
    api.post("/v1/agents", &json!({ "name": "b" })).await;
    let line: Value = serde_json::from_slice(&lines.next().await.unwrap().unwrap()).unwrap();
    assert_eq!(
        (line["position"].as_u64(), line["subject"].as_str()),
        (Some(2), Some("agent:b"))
    );
    api.phase.send_replace(Phase::Draining);
    let line: Value = serde_json::from_slice(&lines.next().await.unwrap().unwrap()).unwrap();
    assert!(line.get("bye").is_some());
    assert_eq!(lines.next().await, Ok(None));
}
