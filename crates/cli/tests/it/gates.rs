//! Gates and sessions over the API.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use dormouse_cli::api::Caller;
use dormouse_cli::owner::Role;
use dormouse_engine::agent::AgentConfig;
use dormouse_engine::gate::{
    Call, Caller as GateCaller, Canonical, Gate, Input, NewGate, Reply, SeenIn, Timeout,
};
use dormouse_engine::run::ClaimOptions;
use dormouse_engine::task::{NewTask, Task};
use dormouse_engine::{AgentName, Channel, Clock, Principal, PrincipalKind, SessionId, Tenant};
use dormouse_secrets::Scrubber;
use dormouse_state::{Evidence, Position, SourceId};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::api::{Api, Got};

/// A clock that a test moves on.
#[derive(Debug)]
struct Moved(AtomicI64);

impl Clock for Moved {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(self.0.load(Ordering::SeqCst)).unwrap()
    }
}

fn by() -> Principal {
    Principal {
        kind: PrincipalKind::System,
        name: "test".to_owned(),
        channel: Channel::Cli,
    }
}

fn alice() -> AgentName {
    "alice".parse().unwrap()
}

async fn tenant(api: &Api) -> Tenant {
    let tenant = api.engine.tenant(&"default".parse().unwrap()).await.unwrap();
    let made = tenant
        .agents
        .create(&by(), &alice(), AgentConfig::default())
        .await;
    made.unwrap();
    tenant
}

/// A task of alice's.
async fn task_of(tenant: &Tenant) -> Task {
    let task = tenant.tasks.create(&by(), NewTask::new(alice(), "t")).await;
    task.unwrap()
}

/// A gate of a task of alice's.
async fn gate(tenant: &Tenant, number: u32) -> Gate {
    let task = task_of(tenant).await;
    let input = Canonical::parse(&format!("{{\"n\":{number}}}")).unwrap();
    let new = NewGate {
        task: Some(task.id),
        timeout: Timeout::After(Duration::from_secs(60)),
        ..NewGate::approval(alice(), Call::new("pay", Input::Given(input)), "pay")
    };
    let opened = tenant.gates.open(&by(), &new, &Scrubber::empty()).await;
    opened.unwrap().gate
}

async fn decide(api: &Api, who: &str, gate: &Value, decision: &str) -> Got {
    let body = json!({
        "decision": decision, "shown_version": gate["version"], "shown_digest": gate["digest"]
    });
    let id = gate["id"].as_str().unwrap();
    let request = Request::put(format!("/v1/gates/{id}/decision"))
        .header("content-type", "application/json")
        .header("dormouse-who", who)
        .body(Body::from(body.to_string()));
    api.send(Some(Caller::Owner), request.unwrap()).await
}

async fn shown(api: &Api, gate: &Gate) -> Value {
    api.get(&format!("/v1/gates/{}", gate.id)).await.json()
}

/// PR-42
#[tokio::test]
async fn of_a_hundred_deciders_one_is_applied_and_the_others_hear_who_it_was() {
    let clock = Arc::new(Moved(AtomicI64::new(2_000_000_000)));
    let api = Api::with_clock(Role::Visitor, Arc::clone(&clock) as Arc<dyn Clock>).await;
    let tenant = tenant(&api).await;
    let one = shown(&api, &gate(&tenant, 1).await).await;
    let deciders = (0..100).map(|number| {
        let decision = if number % 2 == 0 { "approve" } else { "reject" };
        let (api, one) = (&api, &one);
        async move {
            let got = decide(api, &format!("person {number}"), one, decision).await;
            (number, decision, got)
        }
    });
    let answers = futures::future::join_all(deciders).await;
    let won: Vec<_> = answers.iter().filter(|(.., got)| got.status == 200).collect();
    let [(winner, decision, first)] = won[..] else {
        panic!("{} won", won.len())
    };
    let winner = format!("person {winner}");
    for (.., got) in answers.iter().filter(|(.., got)| got.status != 200) {
        assert_eq!((got.status.as_u16(), got.code().as_str()), (409, "state"));
        let detail = got.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(&winner), "{detail}");
    }
    let again = decide(&api, &winner, &one, decision).await;
    assert_eq!((again.status.as_u16(), again.json()), (200, first.json()));
    // Another gate: it has another digest.
    let mut two = shown(&api, &gate(&tenant, 2).await).await;
    let right = two["digest"].clone();
    two["digest"] = one["digest"].clone();
    let changed = decide(&api, "alice", &two, "approve").await;
    assert_eq!(changed.status, 412);
    assert_eq!(changed.json()["current_version"], two["version"]);
    // Its time is up: the decision is recorded, and not applied.
    two["digest"] = right;
    clock.0.fetch_add(61, Ordering::SeqCst);
    let late = decide(&api, "alice", &two, "approve").await;
    assert_eq!((late.status.as_u16(), late.code().as_str()), (409, "state"));
    let two = api
        .get(&format!("/v1/gates/{}", two["id"].as_str().unwrap()))
        .await
        .json();
    assert_eq!(two["status"], "expired", "{two:#}");
    let events = api
        .get("/v1/events?from=0&limit=1000&type=gate.refused")
        .await
        .json();
    let events = events["items"].as_array().unwrap();
    let is_late =
        |event: &&Value| event["data"]["reason"] == "too_late" && event["data"]["principal"] == "alice";
    assert_eq!(events.iter().filter(is_late).count(), 1, "{events:#?}");
}

#[tokio::test]
async fn several_are_decided_as_they_were_shown_each_with_an_answer_of_its_own() {
    let api = Api::new(Role::Visitor).await;
    let tenant = tenant(&api).await;
    let mut gates = Vec::new();
    for number in 0..3 {
        gates.push(shown(&api, &gate(&tenant, number).await).await);
    }
    decide(&api, "bob", &gates[2], "reject").await;
    let listed: Vec<Value> = gates
        .iter()
        .map(|gate| json!({ "gate": gate["id"], "shown_version": gate["version"], "shown_digest": gate["digest"] }))
        .collect();
    let body = json!({ "decision": "approve", "gates": listed });
    let got = api.post("/v1/gates/decisions", &body).await;
    assert_eq!(got.status, 200);
    let items = got.json()["items"].clone();
    let states: Vec<u64> = (0..3).map(|at| items[at]["status"].as_u64().unwrap()).collect();
    assert_eq!(states, [200, 200, 409], "{items:#}");
    assert!(
        items[2]["problem"]["detail"]
            .as_str()
            .unwrap()
            .contains("rejected by bob")
    );
    let none = api
        .post(
            "/v1/gates/decisions",
            &json!({ "decision": "approve", "gates": [] }),
        )
        .await;
    assert_eq!(none.status, 422);
    let answer = json!({ "decision": "answer", "gates": listed });
    assert_eq!(api.post("/v1/gates/decisions", &answer).await.status, 422);
}

#[tokio::test]
async fn what_is_listed_is_shown_and_what_is_discarded_is_not_listed() {
    let api = Api::new(Role::Visitor).await;
    let tenant = tenant(&api).await;
    let one = gate(&tenant, 1).await;
    let list = api.get("/v1/gates?state=pending").await.json();
    let mut item = shown(&api, &one).await;
    assert!(item["effect"].is_string());
    item.as_object_mut().unwrap().remove("effect");
    assert_eq!(list["items"][0], item);
    let shown_at = format!("/v1/gates/{}/shown", one.id);
    let here = json!({ "surface": "terminal", "reference": "ann" });
    assert_eq!(api.post(&shown_at, &here).await.status, 204);
    let told = shown(&api, &one).await["shown"].clone();
    assert_eq!(
        (&told[0]["surface"], &told[0]["reference"]),
        (&here["surface"], &here["reference"])
    );
    let nowhere = json!({ "surface": "Not a name" });
    assert_eq!(api.post(&shown_at, &nowhere).await.status, 400);
    for wrong in [
        "/v1/gates?state=open",
        "/v1/gates?cursor=x",
        "/v1/gates?limit=0",
        "/v1/gates?who=me",
    ] {
        assert_eq!(api.get(wrong).await.status, 400, "{wrong}");
    }
    let discard = Request::delete(format!("/v1/gates/{}", one.id)).body(Body::empty());
    let discarded = api.send(Some(Caller::Owner), discard.unwrap()).await;
    assert_eq!((discarded.status.as_u16(), discarded.bytes.len()), (204, 0));
    let list = api.get("/v1/gates").await.json();
    assert_eq!(list["items"], json!([]));
    let late = decide(&api, "bob", &item, "approve").await;
    assert_eq!(late.status, 409);
    assert_eq!(
        shown(&api, &one).await["summary"],
        Value::Null,
        "its content is gone"
    );
}

#[tokio::test]
async fn an_approval_for_the_session_is_listed_and_can_be_taken_back_once() {
    let api = Api::new(Role::Visitor).await;
    let tenant = tenant(&api).await;
    let task = task_of(&tenant).await;
    let id = "ses_0198c0de7f3a7c11a2b3c4d5e6f70819";
    let session: SessionId = id.parse().unwrap();
    let options = ClaimOptions {
        session: Some(session),
        ..ClaimOptions::default()
    };
    let claimed = tenant.runs.claim(&by(), task.id, options).await.unwrap();
    let input = Canonical::parse("{}").unwrap();
    let new = NewGate {
        caller: Some(GateCaller {
            run: claimed.run.id,
            spawn: 1,
        }),
        session: Some(SeenIn {
            session,
            incarnation: 1,
            source: SourceId::new("stream"),
            position: Position { spawn: 1, seq: 1 },
            evidence: Evidence::Formal,
        }),
        reply: Reply::Acp,
        offers_session: true,
        ..NewGate::approval(alice(), Call::new("pay", Input::Given(input)), "pay")
    };
    let opened = tenant.gates.open(&by(), &new, &Scrubber::empty()).await;
    let gate = opened.unwrap().gate;
    let shown = shown(&api, &gate).await;
    let body = json!({
        "decision": "approve", "scope": "session", "shown_version": shown["version"],
        "shown_digest": shown["digest"]
    });
    let request = Request::put(format!("/v1/gates/{}/decision", gate.id))
        .header("content-type", "application/json")
        .body(Body::from(body.to_string()));
    let decided = api.send(Some(Caller::Owner), request.unwrap()).await;
    assert_eq!(decided.status, 200, "{:?}", decided.json());
    for list in ["/v1/grants".to_owned(), format!("/v1/grants?session={id}")] {
        let items = api.get(&list).await.json()["items"].clone();
        assert_eq!(
            (&items[0]["id"], items.as_array().unwrap().len()),
            (&json!(gate.id), 1)
        );
    }
    let revoke = async || {
        let request = Request::delete(format!("/v1/grants/{}", gate.id)).body(Body::empty());
        api.send(Some(Caller::Owner), request.unwrap()).await
    };
    assert_eq!(revoke().await.status, 204);
    assert_eq!(revoke().await.code(), "not_found");
    assert_eq!(api.get("/v1/grants").await.json()["items"], json!([]));
}

#[tokio::test]
async fn a_session_is_listed_shown_and_ended_once() {
    let api = Api::new(Role::Visitor).await;
    let tenant = tenant(&api).await;
    let task = task_of(&tenant).await;
    let options = ClaimOptions {
        session: Some(
            "ses_0198c0de7f3a7c11a2b3c4d5e6f70819"
                .parse::<SessionId>()
                .unwrap(),
        ),
        ..ClaimOptions::default()
    };
    let claimed = tenant.runs.claim(&by(), task.id, options).await.unwrap();
    let id = "ses_0198c0de7f3a7c11a2b3c4d5e6f70819";
    let listed = api.get("/v1/sessions").await.json();
    let short = api.get(&format!("/v1/sessions/{}", &id[..20])).await;
    assert_eq!((&listed["items"][0], short.status.as_u16()), (&short.json(), 200));
    assert_eq!(
        api.get("/v1/sessions?agent=alice").await.json()["items"],
        listed["items"]
    );
    assert_eq!(api.get("/v1/sessions?agent=bob").await.json()["items"], json!([]));
    assert_eq!(short.json()["display"], "queued", "{:#}", short.json());
    let end = format!("/v1/sessions/{id}/end");
    let unknown = api.post(&end, &json!({ "why": 1 })).await;
    assert_eq!(unknown.status, 400);
    let ended = api.post(&end, &json!({})).await;
    assert_eq!(
        (ended.status.as_u16(), &ended.json()["display"]),
        (200, &json!("offline"))
    );
    assert_eq!(
        api.post(&end, &json!({})).await.json(),
        ended.json(),
        "ended again it is as it was"
    );
    let run = api.get(&format!("/v1/runs/{}", claimed.run.id)).await.json();
    assert_eq!(
        run["state"], "stopping",
        "its run has nothing to go on with: {run:#}"
    );
    let missing = format!("/v1/sessions/ses_{}", "0".repeat(32));
    for verb in ["end", "reopen"] {
        let none = api.post(&format!("{missing}/{verb}"), &json!({})).await;
        assert_eq!(none.code(), "not_found");
    }
    let reopen = format!("/v1/sessions/{id}/reopen");
    let reopened = api.post(&reopen, &json!({})).await;
    assert_eq!(
        (reopened.status.as_u16(), &reopened.json()["incarnation"]),
        (201, &json!(2))
    );
    let again = api.post(&reopen, &json!({})).await;
    assert_eq!((again.status.as_u16(), again.code().as_str()), (409, "state"));
    let set = async |body: Value| {
        let request = Request::patch(format!("/v1/sessions/{id}"))
            .header("content-type", "application/json")
            .body(Body::from(body.to_string()));
        api.send(Some(Caller::Owner), request.unwrap()).await
    };
    let denied = set(json!({ "mode": "deny" })).await;
    assert_eq!(
        (denied.status.as_u16(), &denied.json()["mode"]),
        (200, &json!("deny"))
    );
    assert_eq!(
        set(json!({ "mode": "open" })).await.status,
        422,
        "it is not allowed"
    );
    assert_eq!(set(json!({ "mode": "yolo" })).await.status, 400);
    assert_eq!(api.get(&missing).await.code(), "not_found");
    assert_eq!(
        api.post(&format!("{missing}/end"), &json!({})).await.code(),
        "not_found"
    );
}
