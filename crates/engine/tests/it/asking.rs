//! What a run may ask, by the mode of its session, and what an answer is an answer to.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use dormouse_engine::capability::CapabilityError;
use dormouse_engine::gate::{
    Asked, Canonical, Choice, Decide, GateFilter, GateOptions, Modes, Rule, RuleEffect, Scope,
};
use dormouse_engine::supervisor::{AskError, Asking, Endpoint, Endpoints, Question, Supervisor};
use dormouse_engine::task::{NewTask, TaskState};
use dormouse_engine::{CommandError, EngineOptions, RunId, SessionId};
use dormouse_state::{Command, GateKind, Mode};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::supervisor::{House, alice, bed, operator, options, outcome, sh};

/// Endpoints that hand out what asks in the name of the run: a test is its worker.
#[derive(Debug)]
struct Handed(watch::Sender<Option<Asking>>);

#[async_trait]
impl Endpoints for Handed {
    async fn open(&self, _: &Path, asking: Asking) -> std::io::Result<Endpoint> {
        self.0.send_replace(Some(asking));
        Ok(Endpoint {
            serving: AbortOnDropHandle::new(tokio::spawn(std::future::pending())),
            programs: None,
            readable: Vec::new(),
        })
    }
}

/// A run at work, and what asks for it.
struct Worker {
    house: House,
    run: RunId,
    session: SessionId,
    asking: Asking,
    _folder: super::supervisor::Bed,
}

fn asking_options(gates: GateOptions) -> EngineOptions {
    EngineOptions {
        gates,
        ..EngineOptions::default()
    }
}

impl Worker {
    async fn begin(gates: GateOptions, wall_ms: u64) -> Self {
        let bed = bed();
        let mut house = bed.open_with_alice_and(asking_options(gates)).await;
        let (sender, mut handed) = watch::channel(None);
        let endpoints: Arc<dyn Endpoints> = Arc::new(Handed(sender));
        house.supervisor = Supervisor::with_endpoints(&house.engine, options(bed.folder()), endpoints);
        let mut command = sh("sleep 60");
        command.wall_clock_ms = wall_ms;
        command.idle_timeout_ms = None;
        let run = house.begin(command).await;
        let asking = handed.wait_for(Option::is_some).await.unwrap().clone().unwrap();
        let session = house.tenant.runs.get(run).await.unwrap().run.session.unwrap();
        Self {
            house,
            run,
            session,
            asking,
            _folder: bed,
        }
    }

    async fn set(&self, mode: Mode) {
        let sessions = &self.house.tenant.sessions;
        let (by, set) = (operator(), Command::SetMode { mode });
        let answer = sessions.command(&by, self.session, &set).await;
        assert!(answer.unwrap().applied().is_some());
    }

    async fn gates(&self) -> usize {
        let page = self
            .house
            .tenant
            .gates
            .list(&GateFilter::default(), None, 100)
            .await;
        page.unwrap().rows.len()
    }

    async fn end(self) {
        self.house.supervisor.kill(self.run);
        self.house.supervisor.wait(self.run).await;
    }
}

fn pay(number: u32) -> Question {
    Question {
        input: Some(Canonical::parse(&format!("{{\"n\":{number}}}")).unwrap()),
        ..Question::new(GateKind::Approval, "pay")
    }
}

/// SG-69, with `a_worker_that_cannot_ask_is_not_started_under_a_mode_that_asks`.
#[tokio::test]
async fn a_command_without_an_endpoint_is_not_started_in_a_session_that_asks() {
    let bed = bed();
    let house = bed.open_with_alice_and(EngineOptions::default()).await;
    let new = NewTask {
        command: Some(sh("true")),
        ..NewTask::new(alice(), "a task")
    };
    let task = house.tenant.tasks.create(&operator(), new).await.unwrap();
    let refused = house.supervisor.start(&house.tenant, &operator(), task.id).await;
    assert!(
        matches!(refused, Err(CommandError::NoApprovalChannel { mode: "ask", .. })),
        "{refused:?}"
    );
    let task = house.tenant.tasks.get(task.id).await.unwrap();
    assert_eq!(
        (&task.state, task.last_run),
        (&TaskState::Ready, None),
        "nothing was claimed"
    );
}

#[tokio::test]
async fn the_mode_of_its_session_binds_each_call_of_a_run() {
    let rule = |tool: &str, effect| Rule {
        tool: tool.to_owned(),
        effect,
    };
    let rules = vec![rule("pay", RuleEffect::Allow), rule("burn*", RuleEffect::Deny)];
    let gates = GateOptions {
        modes: Modes::new(rules, true).unwrap(),
        ..GateOptions::default()
    };
    let worker = Worker::begin(gates, 60_000).await;
    let burn = || Question::new(GateKind::Approval, "burn it");
    let ask = async |question: &Question| worker.asking.ask(question).await.unwrap();
    worker.set(Mode::Rules).await;
    assert!(matches!(ask(&pay(1)).await, Asked::Allowed));
    assert!(matches!(ask(&burn()).await, Asked::Denied { mode: Mode::Rules }));
    worker.set(Mode::Deny).await;
    assert!(matches!(ask(&pay(1)).await, Asked::Denied { mode: Mode::Deny }));
    worker.set(Mode::Open).await;
    assert!(matches!(ask(&burn()).await, Asked::Allowed));
    assert_eq!(worker.gates().await, 0, "nobody was asked");
    let state = worker.house.tenant.sessions.state(worker.session).await.unwrap();
    let denied: Vec<_> = state.denials.iter().map(|denial| denial.tool.as_str()).collect();
    assert_eq!(denied, ["pay", "burn it"]);
    // A question is what a person is for, whatever the mode.
    worker.set(Mode::Deny).await;
    assert!(matches!(
        ask(&Question::new(GateKind::Question, "which?")).await,
        Asked::Person(_)
    ));
    worker.set(Mode::Ask).await;
    assert!(matches!(ask(&pay(1)).await, Asked::Person(_)));
    worker.end().await;
}

#[tokio::test]
async fn an_answer_is_to_what_was_asked_and_to_nothing_else() {
    let worker = Worker::begin(GateOptions::default(), 60_000).await;
    let Asked::Person(opened) = worker.asking.ask(&pay(1)).await.unwrap() else {
        panic!("nobody was asked")
    };
    let gates = &worker.house.tenant.gates;
    let read = gates.get(opened.gate.id).await.unwrap();
    let decide = Decide {
        gate: read.id,
        choice: Choice::Approve { edited: None },
        shown_version: read.version(),
        shown_digest: read.digest,
        scope: Scope::Once,
        comment: None,
    };
    gates.decide(&operator(), &decide).await.unwrap();
    for other in [pay(2), Question::new(GateKind::Approval, "pay")] {
        let refused = worker.asking.answer(read.id, &other).await;
        assert!(
            matches!(refused, Err(AskError::Capability(CapabilityError::Mismatch))),
            "{refused:?}"
        );
    }
    // It is as it was: the call it is for uses it.
    let answered = worker.asking.answer(read.id, &pay(1)).await.unwrap();
    assert_eq!(answered.word(), "approved");
    worker.end().await;
}

#[tokio::test]
async fn a_run_that_waits_for_longer_than_may_be_is_timed_again() {
    let gates = GateOptions {
        wait_max: Duration::from_millis(500),
        ..GateOptions::default()
    };
    let worker = Worker::begin(gates, 1_000).await;
    let question = pay(1);
    let Asked::Person(opened) = worker.asking.ask(&question).await.unwrap() else {
        panic!("nobody was asked")
    };
    let asking = worker.asking.clone();
    let waits = tokio::spawn(async move { asking.answer(opened.gate.id, &question).await });
    worker.house.supervisor.wait(worker.run).await;
    let row = worker.house.tenant.runs.get(worker.run).await.unwrap();
    assert_eq!(outcome(&row).name(), "timeout");
    assert_eq!(waits.await.unwrap().unwrap().word(), "invalidated");
}
