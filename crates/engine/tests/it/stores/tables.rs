//! The pure tables, printed whole: every state × event of agents, tasks, runs and leases, and what a run's end
//! makes of its task.

use std::fmt::Debug;

use dormouse_engine::agent::{AgentEvent, AgentState};
use dormouse_engine::lease::{LeaseEvent, LeaseState};
use dormouse_engine::limits::LEASE_TTL;
use dormouse_engine::outcome::{BlockReason, CancelledBy, ClockKind, FailReason, Outcome};
use dormouse_engine::run::{Checkpoint, OutcomeKind, RunEvent, RunNext, RunState, StopReason, reported};
use dormouse_engine::step::{Effect, StepEnd, StepRow, decide_call, decide_end};
use dormouse_engine::task::{
    Counters, DelegationEvent, DelegationState, DependencyEnd, Lapse, OnFailed, Settled, TaskEvent,
    TaskFacts, TaskState, Wait, backoff, decide_delegation, decide_delete, decide_dependent, settle_lapse,
    settle_outcome,
};
use dormouse_engine::{Decision, GateId, PrefixedId, Random, agent, lease, run, task};
use dormouse_secrets::Scrubbed;
use jiff::{SignedDuration, Timestamp};

use super::golden::{aligned, check};
use super::house::{failed, operator, partial, success};

fn cell<S>(decision: &Decision<S>, state: impl Fn(&S) -> String) -> String {
    match decision {
        Decision::Apply(next) => state(next),
        Decision::Same => "·".to_owned(),
        Decision::Ignore(reason) => format!("i:{}", reason.word()),
        Decision::Reject(reason) => format!("x:{}", reason.word()),
    }
}

fn table<S: Debug + Copy, E: Copy, N>(
    states: &[S],
    events: &[E],
    words: &(impl Fn(S) -> String, impl Fn(E) -> String, impl Fn(&N) -> String),
    decide: impl Fn(S, E) -> Decision<N>,
) -> String {
    let head = std::iter::once(String::new()).chain(events.iter().map(|event| (words.1)(*event)));
    let mut rows = vec![head.collect()];
    for state in states {
        let cells = events.iter().map(|event| cell(&decide(*state, *event), &words.2));
        rows.push(std::iter::once((words.0)(*state)).chain(cells).collect());
    }
    aligned(&rows)
}

#[test]
fn agents_move_as_the_table_says() {
    let states = [None]
        .into_iter()
        .chain(AgentState::ALL.map(Some))
        .collect::<Vec<_>>();
    let found = table(
        &states,
        &AgentEvent::ALL,
        &(
            |state: Option<AgentState>| state.map_or("none", AgentState::word).to_owned(),
            |event: AgentEvent| event.word().to_owned(),
            |next: &AgentState| next.word().to_owned(),
        ),
        agent::decide,
    );
    check("agents.txt", &found);
}

#[test]
fn steps_are_called_and_ended_as_the_tables_say() {
    let mut rows = vec![vec![String::new()]];
    let effects = Effect::ALL.map(|effect| (effect.word(), effect, false));
    let columns: Vec<_> = effects
        .into_iter()
        .chain([("another input", Effect::External, true)])
        .collect();
    rows[0].extend(columns.iter().map(|(word, ..)| (*word).to_owned()));
    for row in StepRow::ALL {
        let cells = columns
            .iter()
            .map(|(_, effect, is_changed)| decide_call(row, *effect, *is_changed).word().to_owned());
        rows.push(std::iter::once(row.word().to_owned()).chain(cells).collect());
    }
    check("step_calls.txt", &aligned(&rows));

    let head = StepEnd::ALL.iter().map(|end| end.word().to_owned());
    let mut rows = vec![std::iter::once(String::new()).chain(head).collect::<Vec<_>>()];
    for effect in Effect::ALL {
        let cells = StepEnd::ALL
            .iter()
            .map(|end| decide_end(effect, *end).word().to_owned());
        rows.push(std::iter::once(effect.word().to_owned()).chain(cells).collect());
    }
    check("step_ends.txt", &aligned(&rows));
}

#[test]
fn runs_move_as_the_table_says() {
    let event = |event: RunEvent| match event {
        RunEvent::Finish { is_replay: true } => "finish again".to_owned(),
        event => event.word().to_owned(),
    };
    let next = |next: &RunNext| match next {
        RunNext::Live(state) => state.word().to_owned(),
        RunNext::Reported => "ended(reported)".to_owned(),
        RunNext::Stopped => "ended(stop)".to_owned(),
        RunNext::Lost => "ended(lost)".to_owned(),
    };
    let state = |state: RunState| state.word().to_owned();
    check(
        "runs.txt",
        &table(&RunState::ALL, &RunEvent::ALL, &(state, event, next), run::decide),
    );
}

#[test]
fn leases_move_as_the_table_says() {
    let words = (
        |state: LeaseState| state.word().to_owned(),
        |event: LeaseEvent| event.word().to_owned(),
        |next: &LeaseState| next.word().to_owned(),
    );
    check(
        "leases.txt",
        &table(&LeaseState::ALL, &LeaseEvent::ALL, &words, lease::decide),
    );
}

#[test]
fn delegations_move_as_the_table_says() {
    let words = (
        |state: DelegationState| state.word().to_owned(),
        |event: DelegationEvent| event.word().to_owned(),
        |next: &DelegationState| next.word().to_owned(),
    );
    let found = table(
        &DelegationState::ALL,
        &DelegationEvent::ALL,
        &words,
        decide_delegation,
    );
    check("delegations.txt", &found);
}

#[test]
fn an_end_is_for_those_that_wait_for_it_what_the_table_says() {
    let ends: Vec<(DependencyEnd, OnFailed)> = DependencyEnd::ALL
        .into_iter()
        .flat_map(|end| OnFailed::ALL.map(|on_failed| (end, on_failed)))
        .collect();
    let head = ends
        .iter()
        .map(|(end, on_failed)| format!("{}, {}", end.word(), on_failed.word()));
    let mut rows = vec![std::iter::once(String::new()).chain(head).collect::<Vec<_>>()];
    for state in task_states() {
        let cells = ends
            .iter()
            .map(|(end, on_failed)| decide_dependent(&state, *on_failed, *end).word().to_owned());
        rows.push(std::iter::once(task_word(&state)).chain(cells).collect());
    }
    check("dependents.txt", &aligned(&rows));
}

fn now() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

fn after(seconds: i64) -> Timestamp {
    now() + SignedDuration::from_secs(seconds)
}

fn facts() -> TaskFacts {
    TaskFacts {
        now: now(),
        not_before: None,
        has_open_dependencies: false,
        needs_approval: false,
        has_parked_run: false,
        counters: Counters {
            failures: 2,
            reclaims: 1,
        },
        roll: 7_000,
    }
}

fn task_states() -> Vec<TaskState> {
    let gate = GateId::make(now(), &Random::seeded(1));
    let waiting = |on| TaskState::Waiting { on };
    vec![
        TaskState::PendingApproval,
        TaskState::Backlog,
        TaskState::Ready,
        TaskState::Running,
        waiting(Wait::Until { until: after(-1) }),
        waiting(Wait::Until { until: after(60) }),
        waiting(Wait::Gate { gate }),
        waiting(Wait::Tasks),
        TaskState::Done {
            outcome: OutcomeKind::Success,
        },
        TaskState::Failed {
            outcome: OutcomeKind::Blocked,
        },
        TaskState::Quarantined,
        TaskState::Cancelled,
    ]
}

/// A state with what it waits for, times as seconds from now.
fn task_word(state: &TaskState) -> String {
    match state {
        TaskState::Waiting {
            on: Wait::Gate { .. },
        } => "waiting(gate)".to_owned(),
        TaskState::Waiting { on: Wait::Tasks } => "waiting(tasks)".to_owned(),
        TaskState::Waiting {
            on: Wait::Until { until },
        } => format!("waiting({:+}s)", until.duration_since(now()).as_secs()),
        TaskState::Done { outcome } | TaskState::Failed { outcome } => format!("{}({outcome})", state.word()),
        TaskState::PendingApproval
        | TaskState::Backlog
        | TaskState::Ready
        | TaskState::Running
        | TaskState::Quarantined
        | TaskState::Cancelled => state.word().to_owned(),
    }
}

fn settled_word(settled: &Settled, facts: &TaskFacts) -> String {
    let counted = |name: &str, before: u32, after: u32| {
        if before == after {
            String::new()
        } else {
            format!(" {name}={after}")
        }
    };
    task_word(&settled.state)
        + &counted("failures", facts.counters.failures, settled.counters.failures)
        + &counted("reclaims", facts.counters.reclaims, settled.counters.reclaims)
}

const TASK_EVENTS: [&str; 14] = [
    "approve", "refuse", "shelve", "enqueue", "claim", "park", "due", "finish", "lapse", "cancel", "retry",
    "assign", "edit", "delete",
];

fn task_cell(state: &TaskState, event: &str, facts: &TaskFacts) -> String {
    let (outcome, checkpoint) = (success(), Checkpoint::None);
    let lapse = Lapse {
        checkpoint: &checkpoint,
        stop: None,
        holder_is_dead: true,
        lease_ttl: LEASE_TTL,
    };
    let event = match event {
        "approve" => TaskEvent::Approve,
        "refuse" => TaskEvent::Refuse,
        "shelve" => TaskEvent::Shelve,
        "enqueue" => TaskEvent::Enqueue,
        "claim" => TaskEvent::Claim,
        "park" => TaskEvent::Park(Wait::Until { until: after(30) }),
        "due" => TaskEvent::Due,
        "finish" => TaskEvent::Finish {
            outcome: &outcome,
            checkpoint: &checkpoint,
        },
        "lapse" => TaskEvent::Lapse(lapse),
        "cancel" => TaskEvent::Cancel,
        "retry" => TaskEvent::Retry,
        "assign" => TaskEvent::Assign,
        "edit" => TaskEvent::Edit,
        "delete" => return cell(&decide_delete(state, facts), |_| "gone".to_owned()),
        other => panic!("no event {other}"),
    };
    cell(&task::decide(state, &event, facts), |settled| {
        settled_word(settled, facts)
    })
}

#[test]
fn tasks_move_as_the_table_says() {
    let variants = [
        ("plain", facts()),
        (
            "its time has not come",
            TaskFacts {
                not_before: Some(after(90)),
                ..facts()
            },
        ),
        (
            "tasks it depends on are open",
            TaskFacts {
                has_open_dependencies: true,
                ..facts()
            },
        ),
        (
            "an approval is due",
            TaskFacts {
                needs_approval: true,
                ..facts()
            },
        ),
        (
            "a run of it is parked",
            TaskFacts {
                has_parked_run: true,
                ..facts()
            },
        ),
    ];
    let mut found = String::new();
    for (title, facts) in variants {
        let head = std::iter::once(String::new()).chain(TASK_EVENTS.map(str::to_owned));
        let mut rows = vec![head.collect::<Vec<_>>()];
        for state in task_states() {
            let cells = TASK_EVENTS.map(|event| task_cell(&state, event, &facts));
            rows.push(std::iter::once(task_word(&state)).chain(cells).collect());
        }
        found += &format!("{title}\n\n{}\n", aligned(&rows));
    }
    check("tasks.txt", &found);
}

fn cancelled(by: CancelledBy) -> Outcome {
    Outcome::Cancelled { by, reason: None }
}

fn outcomes() -> Vec<(&'static str, Outcome)> {
    let failed_until = |seconds| Outcome::Failed {
        reason: FailReason::RateLimited,
        permanent: false,
        retry_at: Some(after(seconds)),
        message: Scrubbed::constant("slow down"),
        hint: None,
    };
    vec![
        ("success", success()),
        ("partial", partial()),
        (
            "blocked",
            Outcome::Blocked {
                reason: BlockReason::LoginWall,
                evidence: None,
            },
        ),
        (
            "timeout",
            Outcome::Timeout {
                clock: ClockKind::Wall,
                limit_ms: 1_000,
            },
        ),
        ("failed, permanent", failed(true)),
        ("failed", failed(false)),
        ("failed, retry in 1 h", failed_until(3_600)),
        ("failed, retry in 30 d", failed_until(30 * 86_400)),
        ("cancelled by principal", cancelled(CancelledBy::Principal)),
        ("cancelled by shutdown", cancelled(CancelledBy::Shutdown)),
        ("cancelled by agent pause", cancelled(CancelledBy::AgentPause)),
    ]
}

fn checkpoints() -> [(&'static str, Checkpoint); 3] {
    [
        ("none", Checkpoint::None),
        ("safe", Checkpoint::Safe { label: None }),
        ("side effect", Checkpoint::SideEffect { what: None }),
    ]
}

fn counted(failures: u32, reclaims: u32) -> TaskFacts {
    TaskFacts {
        counters: Counters { failures, reclaims },
        ..facts()
    }
}

#[test]
fn an_outcome_settles_its_task_as_table_b_says() {
    let mut rows = vec![
        ["outcome", "checkpoint", "counted 0", "the last time"]
            .map(str::to_owned)
            .to_vec(),
    ];
    for (name, outcome) in outcomes() {
        for (mark, checkpoint) in checkpoints() {
            let settle =
                |facts: TaskFacts| settled_word(&settle_outcome(&outcome, &checkpoint, &facts), &facts);
            rows.push(vec![
                name.to_owned(),
                mark.to_owned(),
                settle(counted(0, 0)),
                settle(counted(4, 3)),
            ]);
        }
    }
    check("table_b.txt", &aligned(&rows));
}

fn stops() -> Vec<(&'static str, Option<StopReason>)> {
    let clock = StopReason::Clock {
        clock: ClockKind::Idle,
        limit_ms: 5,
    };
    let cancel = StopReason::Cancel {
        by: operator(),
        reason: None,
    };
    vec![
        ("not stopping", None),
        ("cancel", Some(cancel)),
        ("idle clock", Some(clock)),
        ("shutdown", Some(StopReason::Shutdown)),
        ("agent pause", Some(StopReason::AgentPause)),
    ]
}

#[test]
fn a_lapse_settles_its_task_as_table_c_says() {
    let head = ["stop", "checkpoint", "holder", "reclaims 0", "reclaims 3"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for (stopping, stop) in stops() {
        for (mark, checkpoint) in checkpoints() {
            for holder_is_dead in [true, false] {
                let settle = |facts: TaskFacts| {
                    let lapse = Lapse {
                        checkpoint: &checkpoint,
                        stop: stop.as_ref(),
                        holder_is_dead,
                        lease_ttl: LEASE_TTL,
                    };
                    settled_word(&settle_lapse(lapse, &facts), &facts)
                };
                rows.push(vec![
                    stopping.to_owned(),
                    mark.to_owned(),
                    if holder_is_dead { "dead" } else { "unknown" }.to_owned(),
                    settle(counted(0, 0)),
                    settle(counted(0, 3)),
                ]);
            }
        }
    }
    check("table_c.txt", &aligned(&rows));
}

#[test]
fn a_finished_result_stands_and_all_else_after_a_stop_is_the_stops() {
    let head = std::iter::once(String::new()).chain(stops().into_iter().map(|(name, _)| name.to_owned()));
    let mut rows = vec![head.collect::<Vec<_>>()];
    for (name, outcome) in outcomes() {
        let ends = stops().into_iter().map(|(_, stop)| {
            let outcome = reported(stop.as_ref(), outcome.clone());
            OutcomeKind::of(&outcome).word().to_owned()
        });
        rows.push(std::iter::once(name.to_owned()).chain(ends).collect());
    }
    check("after_stop.txt", &aligned(&rows));
}

proptest::proptest! {
    #[test]
    fn a_delay_is_within_its_doubled_bound(failures in 0_u32..100, roll: u64) {
        let ceiling = 10_000_u64.checked_shl(failures).unwrap_or(u64::MAX).min(3_600_000);
        let ceiling = if failures > 40 { 3_600_000 } else { ceiling };
        proptest::prop_assert!(u64::try_from(backoff(failures, roll).as_millis()).unwrap() <= ceiling);
    }
}

#[test]
fn wake_rows_move_as_the_table_says() {
    use dormouse_engine::wake::{WakeEvent, WakeFacts, WakeState, decide};
    let states: Vec<Option<WakeState>> = [None].into_iter().chain(WakeState::ALL.map(Some)).collect();
    let word = |state: Option<WakeState>| state.map_or("absent", WakeState::word).to_owned();
    let facts = [
        ("as usual", WakeFacts::default()),
        (
            "early, rung again, paused",
            WakeFacts {
                is_early: true,
                again: true,
                is_paused: true,
            },
        ),
    ];
    let found: String = facts
        .iter()
        .map(|(how, facts)| {
            let words = (
                word,
                |event: WakeEvent| event.word().to_owned(),
                |next: &Option<WakeState>| word(*next),
            );
            let found = table(&states, &WakeEvent::ALL, &words, |state, event| {
                decide(state, event, *facts)
            });
            format!("{how}\n{found}")
        })
        .collect();
    check("wakes.txt", &found);
}
