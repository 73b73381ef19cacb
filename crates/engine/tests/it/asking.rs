//! What a run may ask, by the mode of its session, and what an answer is an answer to.

mod alike;
mod clocks;
mod resumed;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use dormouse_engine::capability::{CapabilityError, CapabilityState};
use dormouse_engine::command::{CommandSpec, Timer};
use dormouse_engine::gate::{
    Approvers, Asked, AuthorKind, Canonical, Choice, Decide, Gate, GateError, GateFilter, GateOptions, Modes,
    Rule, RuleEffect, Scope, Timeout,
};
use dormouse_engine::outcome::{CancelledBy, Outcome};
use dormouse_engine::run::RunState;
use dormouse_engine::step::{Begun, Effect, StepError, StepKey, StepReport, Ticket};
use dormouse_engine::supervisor::{AskError, Asking, Endpoint, Endpoints, OnGate, Question, Supervisor};
use dormouse_engine::task::{NewTask, Steps, TaskState};
use dormouse_engine::{
    AgentName, Clock, CommandError, EngineOptions, Principal, RunId, SessionId, SystemClock,
};
use dormouse_filesystem::RecordStore;
use dormouse_state::{Command, EndReason, GateKind, Mode};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::stores::hooked::Hooked;
use super::supervisor::{
    Bed, House, alice, bed, bed_over, facts, open_to_all, operator, options, outcome, sh, wall_timeout,
};

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
    handed: watch::Receiver<Option<Asking>>,
    bed: Bed,
}

fn asking_options(gates: GateOptions) -> EngineOptions {
    EngineOptions {
        gates,
        ..EngineOptions::default()
    }
}

/// Nobody may decide.
#[derive(Debug)]
struct Nobody;

#[async_trait]
impl Approvers for Nobody {
    async fn may_decide(&self, _: &Principal, _: &AgentName) -> bool {
        false
    }
}

impl Worker {
    async fn begin(gates: GateOptions, wall_ms: u64) -> Self {
        let command = CommandSpec {
            wall_clock_ms: Some(wall_ms),
            ..sh("sleep 60")
        };
        Self::begin_in(bed(), asking_options(gates), command, OnGate::Wait).await
    }

    async fn begin_in(bed: Bed, engine: EngineOptions, mut command: CommandSpec, on_gate: OnGate) -> Self {
        let mut house = bed.open_with_alice_and(engine).await;
        let (sender, mut handed) = watch::channel(None);
        let endpoints: Arc<dyn Endpoints> = Arc::new(Handed(sender));
        house.supervisor = Supervisor::with_endpoints(&house.engine, options(bed.folder()), endpoints);
        command.idle_timeout_ms = Some(Timer::Off);
        let run = house.begin_with(command, on_gate).await;
        let asking = handed.wait_for(Option::is_some).await.unwrap().clone().unwrap();
        let session = house.tenant.runs.get(run).await.unwrap().run.session.unwrap();
        Self {
            house,
            run,
            session,
            asking,
            handed,
            bed,
        }
    }

    /// The next attempt at its task, once this one's worker was killed.
    async fn again(&mut self) {
        self.house.supervisor.kill(self.run);
        self.house.supervisor.wait(self.run).await;
        let tenant = &self.house.tenant;
        let task = tenant.runs.get(self.run).await.unwrap().run.task.unwrap();
        tenant.tasks.retry(&operator(), task, Steps::Kept).await.unwrap();
        self.handed.mark_unchanged();
        let started = self.house.supervisor.start(tenant, &operator(), task).await;
        self.run = started.unwrap();
        self.handed.changed().await.unwrap();
        self.asking = self.handed.borrow().clone().unwrap();
        assert_eq!(self.asking.run(), self.run);
    }

    /// Its endpoint is there a little before its process, which alone has effects.
    async fn is_running(&self) {
        let runs = &self.house.tenant.runs;
        while runs.get(self.run).await.unwrap().run.state == RunState::Starting {
            tokio::task::yield_now().await;
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

    /// Asks a person.
    async fn asks(&self, question: &Question) -> Gate {
        match self.asking.ask(question).await.unwrap() {
            Asked::Person(opened) => opened.gate,
            unasked => panic!("nobody was asked: {unasked:?}"),
        }
    }

    async fn approve(&self, gate: &Gate) {
        let gates = &self.house.tenant.gates;
        let read = gates.get(gate.id).await.unwrap();
        let decide = Decide {
            gate: read.id,
            choice: Choice::Approve { edited: None },
            shown_version: read.version(),
            shown_digest: read.digest,
            scope: Scope::Once,
            comment: None,
        };
        gates.decide(&operator(), &decide).await.unwrap();
    }

    async fn capability(&self, gate: &Gate) -> CapabilityState {
        let capabilities = &self.house.tenant.capabilities;
        capabilities.get(gate.id).await.unwrap().unwrap().state
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
async fn a_task_whose_session_ended_meanwhile_goes_on_in_another() {
    let bed = bed();
    let house = bed.open_with_alice_and(open_to_all()).await;
    let run = house.begin(sh("exit 3")).await;
    house.supervisor.wait(run).await;
    let former = house.tenant.runs.get(run).await.unwrap().run;
    let (task, session) = (former.task.unwrap(), former.session.unwrap());
    let ended = house
        .tenant
        .sessions
        .end(&operator(), session, EndReason::Stale)
        .await;
    assert!(ended.unwrap().applied().is_some());
    let tasks = &house.tenant.tasks;
    tasks.retry(&operator(), task, Steps::Kept).await.unwrap();
    let again = house
        .supervisor
        .start(&house.tenant, &operator(), task)
        .await
        .unwrap();
    house.supervisor.wait(again).await;
    let again = house.tenant.runs.get(again).await.unwrap().run;
    assert!(again.session.is_some_and(|again| again != session), "{again:?}");
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
    let gate = worker.asks(&pay(1)).await;
    worker.approve(&gate).await;
    for other in [pay(2), Question::new(GateKind::Approval, "pay")] {
        let refused = worker.asking.answer(gate.id, &other).await;
        assert!(
            matches!(refused, Err(AskError::Capability(CapabilityError::Mismatch))),
            "{refused:?}"
        );
    }
    // It is as it was: the call it is for uses it.
    let answered = worker.asking.answer(gate.id, &pay(1)).await.unwrap();
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
    let gate = worker.asks(&question).await;
    let asking = worker.asking.clone();
    let waits = tokio::spawn(async move { asking.answer(gate.id, &question).await });
    worker.house.supervisor.wait(worker.run).await;
    let row = worker.house.tenant.runs.get(worker.run).await.unwrap();
    assert_eq!(outcome(&row).name(), "timeout");
    assert_eq!(waits.await.unwrap().unwrap().word(), "invalidated");
}

#[tokio::test]
async fn an_approval_is_told_once_also_to_who_asks_again_under_its_key() {
    let worker = Worker::begin(GateOptions::default(), 60_000).await;
    let question = Question {
        key: Some("p".to_owned()),
        ..pay(1)
    };
    let gate = worker.asks(&question).await;
    worker.approve(&gate).await;
    let answer = || worker.asking.answer(gate.id, &question);
    // At once: one is told, the other not.
    let (one, other) = tokio::join!(answer(), answer());
    assert_eq!(
        [one.is_ok(), other.is_ok()]
            .into_iter()
            .filter(|is_ok| *is_ok)
            .count(),
        1,
        "{one:?} {other:?}"
    );
    let again = worker.asks(&question).await;
    assert_eq!(
        (again.id, again.word()),
        (gate.id, "approved"),
        "nobody is asked twice"
    );
    let refused = answer().await;
    assert!(
        matches!(
            refused,
            Err(AskError::Capability(CapabilityError::Refused {
                reason: "under_way"
            }))
        ),
        "{refused:?}"
    );
    worker.end().await;
}

#[tokio::test]
async fn an_approval_is_used_after_the_machine_slept() {
    let worker = Worker::begin(GateOptions::default(), 3_600_000).await;
    let gate = worker.asks(&pay(1)).await;
    worker.approve(&gate).await;
    worker.bed.slept(1800);
    let answered = worker.asking.answer(gate.id, &pay(1)).await.unwrap();
    assert_eq!(answered.word(), "approved");
    worker.end().await;
}

#[tokio::test]
async fn who_waits_keeps_the_place_while_an_expiry_is_not_written() {
    let store = Hooked::new();
    let bed = bed_over(Arc::clone(&store) as Arc<dyn RecordStore>);
    let engine = asking_options(GateOptions::default());
    let worker = Worker::begin_in(bed, engine, sh("sleep 60"), OnGate::Wait).await;
    let question = Question {
        timeout: Timeout::After(Duration::from_secs(1)),
        ..pay(1)
    };
    let gate = worker.asks(&question).await;
    let waits = tokio::spawn({
        let (asking, question, gate) = (worker.asking.clone(), question.clone(), gate.id);
        async move { asking.answer(gate, &question).await }
    });
    let gates = &worker.house.tenant.gates;
    while gates.waiting() == 0 {
        tokio::task::yield_now().await;
    }
    store.is_full.store(true, Ordering::SeqCst);
    // Until its time has been up for half a second.
    let until = gate.expires_at.unwrap() + jiff::SignedDuration::from_millis(500);
    while SystemClock.now() < until {
        assert_eq!(gates.waiting(), 1);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    store.is_full.store(false, Ordering::SeqCst);
    assert_eq!(waits.await.unwrap().unwrap().word(), "expired");
    worker.end().await;
}

#[tokio::test]
async fn a_run_that_rejects_every_gate_does_so_whoever_started_it() {
    let engine = EngineOptions {
        approvers: Arc::new(Nobody),
        ..EngineOptions::default()
    };
    let worker = Worker::begin_in(bed(), engine, sh("sleep 60"), OnGate::Reject).await;
    let gate = worker.asks(&pay(1)).await;
    assert_eq!(gate.word(), "rejected");
    assert_eq!(gate.end.unwrap().by.kind, AuthorKind::Rule);
    worker.end().await;
}

#[tokio::test]
async fn what_is_approved_while_a_run_parks_is_left_to_its_next_process() {
    let command = CommandSpec {
        grace_ms: Some(1500),
        ..sh("trap '' TERM; sleep 60")
    };
    let engine = asking_options(GateOptions::default());
    let worker = Worker::begin_in(bed(), engine, command, OnGate::Park).await;
    let gate = worker.asks(&pay(1)).await;
    let waits = tokio::spawn({
        let asking = worker.asking.clone();
        async move { asking.answer(gate.id, &pay(1)).await }
    });
    let gate = worker.house.tenant.gates.get(gate.id).await.unwrap().into_inner();
    worker.approve(&gate).await;
    worker.house.supervisor.wait(worker.run).await;
    let row = worker.house.tenant.runs.get(worker.run).await.unwrap();
    assert_eq!(row.run.state, RunState::Waiting);
    assert!(!waits.is_finished(), "nothing begins under the signal to leave");
    assert_eq!(worker.capability(&gate).await, CapabilityState::Active);
    waits.abort();
}

/// An exit after our signal is no success: also where that was to leave for a gate, and the run is called off before it
/// is parked.
#[tokio::test]
async fn a_run_that_is_cancelled_as_it_parks_is_cancelled() {
    let store = Hooked::new();
    let bed = bed_over(Arc::clone(&store) as Arc<dyn RecordStore>);
    let command = sh("trap 'exit 0' TERM; while :; do sleep 0.05; done");
    let engine = asking_options(GateOptions::default());
    let worker = Worker::begin_in(bed, engine, command, OnGate::Park).await;
    worker.is_running().await;
    let tenant = &worker.house.tenant;
    let task = tenant.runs.get(worker.run).await.unwrap().run.task.unwrap();
    // Behind its exit, and before what is read for the park is written.
    store.after_read("process", {
        let tasks = tenant.tasks.clone();
        async move {
            tasks.cancel(&operator(), task, None).await.unwrap();
        }
    });
    let gate = worker.asks(&pay(1)).await;
    let waits = tokio::spawn({
        let asking = worker.asking.clone();
        async move { asking.answer(gate.id, &pay(1)).await }
    });
    worker.house.supervisor.wait(worker.run).await;
    assert!(store.was_met());
    let row = tenant.runs.get(worker.run).await.unwrap();
    let ended = outcome(&row);
    assert!(
        matches!(
            ended,
            Outcome::Cancelled {
                by: CancelledBy::Principal,
                ..
            }
        ),
        "{ended:?}"
    );
    let task = tenant.tasks.get(task).await.unwrap();
    assert_eq!(task.state, TaskState::Cancelled);
    waits.abort();
}

#[tokio::test]
async fn only_what_was_opened_is_counted() {
    let gates = GateOptions {
        modes: Modes::new(
            vec![Rule {
                tool: "pay".to_owned(),
                effect: RuleEffect::Allow,
            }],
            true,
        )
        .unwrap(),
        ..GateOptions::default()
    };
    let worker = Worker::begin(gates, 60_000).await;
    worker.set(Mode::Rules).await;
    for number in 0..3 {
        assert!(matches!(
            worker.asking.ask(&pay(number)).await.unwrap(),
            Asked::Allowed
        ));
    }
    worker.set(Mode::Ask).await;
    let (first, second) = (worker.asks(&pay(0)).await, worker.asks(&pay(0)).await);
    assert_ne!(first.id, second.id);
    assert_eq!(
        (first.call.as_deref(), second.call.as_deref()),
        (Some("count/1"), Some("count/2")),
        "those that nobody was asked about took no number"
    );
    worker.end().await;
}

#[tokio::test]
async fn an_approval_stands_though_the_store_failed_as_it_was_looked_for() {
    let store = Hooked::new();
    let bed = bed_over(Arc::clone(&store) as Arc<dyn RecordStore>);
    let engine = asking_options(GateOptions::default());
    let mut worker = Worker::begin_in(bed, engine, sh("sleep 60"), OnGate::Wait).await;
    let gate = worker.asks(&pay(1)).await;
    worker.approve(&gate).await;
    worker.again().await;
    let row = store.key_of("capability", &gate.id).await;
    // The first is read as the gate is found, the second as it is asked whether it stands.
    *store.failing.lock().unwrap() = Some((row, 1));
    let failed = worker.asking.ask(&pay(1)).await;
    assert!(store.failing.lock().unwrap().is_none(), "{failed:?}");
    assert!(
        matches!(
            failed,
            Err(AskError::Gate(GateError::Command(CommandError::Unavailable(_))))
        ),
        "{failed:?}"
    );
    let again = worker.asks(&pay(1)).await;
    assert_eq!(
        (again.id, again.word()),
        (gate.id, "approved"),
        "nobody is asked twice"
    );
    worker.end().await;
}

#[tokio::test]
async fn a_question_keeps_its_number_though_the_store_failed_as_it_was_rejected() {
    let store = Hooked::new();
    let bed = bed_over(Arc::clone(&store) as Arc<dyn RecordStore>);
    let engine = asking_options(GateOptions::default());
    let worker = Worker::begin_in(bed, engine, sh("sleep 60"), OnGate::Reject).await;
    *store.failing_kind.lock().unwrap() = Some("gate");
    let failed = worker.asking.ask(&pay(1)).await;
    assert!(
        matches!(
            failed,
            Err(AskError::Gate(GateError::Command(CommandError::Unavailable(_))))
        ),
        "{failed:?}"
    );
    assert_eq!(worker.gates().await, 1, "it was opened, and not rejected");
    let again = worker.asks(&pay(1)).await;
    assert_eq!(
        (again.call.as_deref(), again.word()),
        (Some("count/1"), "rejected")
    );
    assert_eq!(worker.gates().await, 1, "it is the same question");
    worker.end().await;
}

/// Begins a step in the name of the worker that is to be done.
async fn begins(asking: &Asking, key: Option<&str>, effect: Effect) -> (Ticket, StepKey) {
    let input = Canonical::parse("7").unwrap();
    match asking.begin_step("mail", key, &input, effect).await.unwrap() {
        Begun::Do { ticket, key } => (ticket, key),
        done @ Begun::Done(_) => panic!("{done:?}"),
    }
}

#[tokio::test]
async fn a_step_of_a_client_that_is_gone_can_be_called_again_and_one_of_a_live_client_cannot() {
    let worker = Worker::begin(GateOptions::default(), 60_000).await;
    let (asking, input) = (&worker.asking, Canonical::parse("7").unwrap());
    for key in [Some("a@example.org"), None] {
        let (gone, first) = begins(asking, key, Effect::Idempotent).await;
        let second = asking.begin_step("mail", key, &input, Effect::Idempotent).await;
        assert!(
            matches!(second, Err(StepError::StepInProgress { .. })),
            "{second:?}"
        );
        // That it is gone is heard of while another waits for it.
        let again = begins(asking, key, Effect::Idempotent);
        let (again, ()) = tokio::join!(again, async { asking.abandon_step(gone) });
        assert_eq!(again.1, first, "the same step, under the same key");
        let late = asking.end_step(gone, StepReport::Result("late".into())).await;
        assert!(
            matches!(late, Err(StepError::Command(CommandError::NotFound { .. }))),
            "{late:?}"
        );
        let ended = asking.end_step(again.0, StepReport::Result("sent".into())).await;
        assert_eq!(ended.unwrap(), "\"sent\"");
        asking.abandon_step(again.0);
    }
    // Under its key it is done; without one the next call is the next step.
    let done = asking
        .begin_step("mail", Some("a@example.org"), &input, Effect::Idempotent)
        .await;
    assert_eq!(done.unwrap(), Begun::Done("\"sent\"".to_owned()));
    begins(asking, None, Effect::Idempotent).await;
    worker.end().await;
}

#[tokio::test]
async fn an_external_step_of_a_client_that_is_gone_is_not_called_again_without_a_person() {
    for key in [Some("a@example.org"), None] {
        let mut worker = Worker::begin(GateOptions::default(), 60_000).await;
        worker.is_running().await;
        let (gone, _) = begins(&worker.asking, key, Effect::External).await;
        worker.asking.abandon_step(gone);
        tokio::select! {
            again = begins(&worker.asking, key, Effect::External) => panic!("it may have happened: {again:?}"),
            _ = worker.house.supervisor.wait(worker.run) => {}
        }
        let row = worker.house.tenant.runs.get(worker.run).await.unwrap();
        assert_eq!(outcome(&row).name(), "lost");
        worker.again().await;
        worker.is_running().await;
        begins(&worker.asking, key, Effect::External).await;
        worker.end().await;
    }
}

#[tokio::test]
async fn a_run_that_parks_asks_nobody_in_the_middle_of_an_external_step() {
    let engine = asking_options(GateOptions::default());
    let worker = Worker::begin_in(bed(), engine, sh("sleep 60"), OnGate::Park).await;
    worker.is_running().await;
    let (ticket, _) = begins(&worker.asking, None, Effect::External).await;
    let refused = worker.asking.ask(&pay(1)).await;
    assert!(matches!(refused, Err(AskError::WithinStep)), "{refused:?}");
    assert_eq!(worker.gates().await, 0);
    // Behind its end it is asked, and the run waits without it.
    worker
        .asking
        .end_step(ticket, StepReport::Result("sent".into()))
        .await
        .unwrap();
    worker.asks(&pay(1)).await;
    worker.house.supervisor.wait(worker.run).await;
    let row = worker.house.tenant.runs.get(worker.run).await.unwrap();
    assert_eq!(row.run.state, RunState::Waiting);
}
