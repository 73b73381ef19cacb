//! A run that goes on behind a park: what its provider shows goes on where it was, and what is new of it is told.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use dormouse_engine::adapter::Tokens;
use dormouse_engine::budget::{AccountPath, Dimension, Setting};
use dormouse_engine::command::Stdin;
use dormouse_engine::outcome::Outcome;
use dormouse_filesystem::Memory;
use dormouse_filesystem::wrapper::{Fault, FaultKind, Operation};

use super::*;
use crate::stores::until;

/// A program of this name in the bed's folder.
pub(super) fn program(bed: &Bed, name: &str, script: &str) -> PathBuf {
    let folder = bed.folder().join("programs");
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join(name);
    std::fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    file
}

fn command(argv: &[&str]) -> CommandSpec {
    CommandSpec {
        grace_ms: Some(500),
        ..CommandSpec::new(argv.iter().map(|word| (*word).to_owned()).collect())
    }
}

impl Worker {
    /// Waits until the run has parked, approves what it asked, and lets it go on to its end.
    pub(super) async fn parks_and_ends(&mut self) -> dormouse_engine::run::RunRow {
        self.house.supervisor.wait(self.run).await;
        let tenant = &self.house.tenant;
        let row = tenant.runs.get(self.run).await.unwrap();
        assert_eq!(row.run.state, RunState::Waiting, "{row:?}");
        let gates = tenant.gates.list(&GateFilter::default(), None, 10).await.unwrap();
        let [gate] = &gates.rows[..] else {
            panic!("{gates:?}")
        };
        self.approve(gate).await;
        let task = row.run.task.unwrap();
        let started = self.house.supervisor.start(tenant, &operator(), task).await;
        assert_eq!(started.unwrap(), self.run, "it is the same run");
        self.house.supervisor.wait(self.run).await;
        tenant.runs.get(self.run).await.unwrap()
    }
}

/// An app-server whose thread has used 1,000 tokens when it asks, and 1,500 in the end.
const CODEX: &str = r#"
    hear() { IFS= read -r line || exit 9; }
    used() { echo '{"method":"thread/tokenUsage/updated","params":{"threadId":"t1","tokenUsage":{"total":{"inputTokens":'$1',"outputTokens":10}}}}'; }
    while [ ! -e go ]; do sleep 0.01; done
    hear; echo '{"id":0,"result":{}}'; hear; hear
    echo '{"id":1,"result":{"thread":{"id":"t1"}}}'
    hear; echo '{"id":2,"result":{"turn":{"id":"u1"}}}'
    echo '{"method":"turn/started","params":{"turn":{"id":"u1"}}}'
    if [ -e began ]; then
        used 1500
        echo '{"method":"turn/completed","params":{"turn":{"id":"u1","status":"completed"}}}'
    else
        touch began; used 1000
        echo '{"method":"item/started","params":{"item":{"type":"commandExecution","id":"c0","command":"rm x","status":"inProgress"}}}'
        echo '{"id":0,"method":"item/commandExecution/requestApproval","params":{"itemId":"c0","command":"rm x","availableDecisions":["accept","decline","cancel"]}}'
    fi
    hear
"#;

/// With WK-35: what a thread showed before its run parked is counted once.
#[tokio::test]
async fn what_a_thread_showed_before_a_park_is_not_counted_again_behind_it() {
    let bed = bed();
    let codex = program(&bed, "codex", CODEX);
    let words = bed.folder().join("words");
    std::fs::write(&words, "count").unwrap();
    let command = CommandSpec {
        stdin: Stdin::File(words),
        ..command(&[codex.to_str().unwrap(), "app-server"])
    };
    let engine = asking_options(GateOptions::default());
    let mut worker = Worker::begin_in(bed, engine, command, OnGate::Park).await;
    // Without a limit nothing is counted.
    let (path, setting) = (
        AccountPath::Agent(alice()),
        Setting {
            limits: vec![(Dimension::InputTokens, Some(1_000_000))],
            ..Setting::default()
        },
    );
    let budgets = worker.house.tenant.budgets.clone();
    budgets.set(&operator(), &path, &setting).await.unwrap();
    std::fs::write(worker.bed.folder().join("workspaces/default/alice/go"), "").unwrap();
    let row = worker.parks_and_ends().await;
    assert!(matches!(outcome(&row), Outcome::Success { .. }), "{row:?}");
    let stream = facts(&row).stream.unwrap();
    let used = Tokens {
        input: 1_500,
        output: 10,
        ..Tokens::default()
    };
    assert_eq!(stream.used, used, "of the run, not of its last process alone");
    assert_eq!(stream.counters["t1"], used);
    let account = budgets.get(&path).await.unwrap().unwrap();
    assert_eq!(account.used.get(Dimension::InputTokens), 1_500);
    assert!(account.reserved.get(Dimension::InputTokens) == 0, "{account:?}");
}

/// Says much and does nothing when it is resumed; what it then begins anew is not allowed a call.
const CLAUDE: &str = r#"
    result='{"type":"result","subtype":"success","is_error":false,"session_id":"s","total_cost_usd":0'
    case "$*" in
    *--resume*)
        for at in 1 2 3 4 5 6 7 8; do
            echo '{"type":"system","subtype":"status","status":"compacting"}'
            echo '{"type":"system","subtype":"compact_boundary"}'
        done
        exit 1 ;;
    esac
    if [ -e began ]; then
        echo '{"type":"system","subtype":"init","session_id":"s","model":"m"}'
        echo '{"type":"system","subtype":"permission_denied","tool_use_id":"t2","tool_name":"Bash"}'
        echo "$result"',"result":"done","stop_reason":"end_turn"}'
    else
        touch began
        echo '{"type":"assistant","message":{"id":"a","role":"assistant","content":[{"type":"tool_use","id":"t1","name":"Bash","input":{"command":"rm x"}}]},"session_id":"s"}'
        echo "$result"',"result":"","stop_reason":"tool_deferred"}'
    fi
"#;

#[tokio::test]
async fn a_session_that_is_begun_anew_is_heard_from_its_first_event_on() {
    let bed = bed();
    let claude = program(&bed, "claude", CLAUDE);
    let command = command(&[claude.to_str().unwrap(), "-p", "clean up"]);
    let engine = asking_options(GateOptions::default());
    let mut worker = Worker::begin_in(bed, engine, command, OnGate::Park).await;
    let row = worker.parks_and_ends().await;
    assert!(matches!(outcome(&row), Outcome::Success { .. }), "{row:?}");
    assert_eq!(facts(&row).spawns, 2, "the refused one, and another");
    let session = worker
        .house
        .tenant
        .sessions
        .require(worker.session)
        .await
        .unwrap();
    let denied: Vec<_> = session.state.denials.iter().map(|denial| &*denial.tool).collect();
    assert_eq!(denied, ["Bash"], "it is among the first that the new one says");
}

/// It begins from its beginning behind a park, so it waits for what it was told first.
#[tokio::test]
async fn a_script_behind_a_park_hears_its_first_line_again() {
    let script = "IFS= read -r line; echo \"$line\" >>heard; [ -e began ] && exit 0; touch began; sleep 60";
    let command = CommandSpec {
        stdin: Stdin::Stream,
        // One that hears nothing waits for ever.
        wall_clock_ms: Some(20_000),
        ..sh(script)
    };
    let engine = asking_options(GateOptions::default());
    let mut worker = Worker::begin_in(bed(), engine, command, OnGate::Park).await;
    let workspace = worker.bed.folder().join("workspaces/default/alice");
    until("it has begun", async || workspace.join("began").exists()).await;
    worker.asks(&pay(1)).await;
    let row = worker.parks_and_ends().await;
    assert!(matches!(outcome(&row), Outcome::Success { .. }), "{row:?}");
    let heard = std::fs::read_to_string(workspace.join("heard")).unwrap();
    assert_eq!(heard, "do it\ndo it\n");
}

/// Does nothing for a while when it is resumed, and then fails; what it then begins anew answers each text.
const HEARING_CLAUDE: &str = r#"
    case "$*" in
    *--resume*)
        touch resumed
        while [ ! -e go ]; do sleep 0.02; done
        exit 1 ;;
    esac
    hear() { IFS= read -r line || exit 0; printf '%s\n' "$line" >>said; }
    init() { echo '{"type":"system","subtype":"init","session_id":"s","model":"m"}'; }
    result() { echo '{"type":"result","subtype":"success","is_error":false,"session_id":"s","total_cost_usd":0,'"$1"'}'; }
    if [ -e began ]; then
        rm said; n=0
        while :; do hear; init; n=$((n+1)); result '"result":"answer '$n'","stop_reason":"end_turn"'; done
    fi
    touch began
    hear; init
    echo '{"type":"assistant","message":{"id":"a","role":"assistant","content":[{"type":"tool_use","id":"t1","name":"Bash","input":{"command":"rm x"}}]},"session_id":"s"}'
    result '"result":"","stop_reason":"tool_deferred"'
    hear
"#;

/// Whoever said it was told that it waits.
#[tokio::test]
async fn what_was_said_to_a_refused_session_is_said_to_the_one_that_is_begun_anew() {
    let bed = bed();
    let claude = program(&bed, "claude", HEARING_CLAUDE);
    let workspace = bed.folder().join("workspaces/default/alice");
    let command = CommandSpec {
        stdin: Stdin::Stream,
        ..command(&[claude.to_str().unwrap(), "-p"])
    };
    let engine = asking_options(GateOptions::default());
    let mut worker = Worker::begin_in(bed, engine, command, OnGate::Park).await;
    let (supervisor, tenant, run) = (
        worker.house.supervisor.clone(),
        worker.house.tenant.clone(),
        worker.run,
    );
    let saying = async {
        until("its session is asked for", async || {
            workspace.join("resumed").exists()
        })
        .await;
        supervisor.send(&tenant, run, "and then rest").await.unwrap();
        std::fs::write(workspace.join("go"), "").unwrap();
    };
    let (row, ()) = tokio::join!(worker.parks_and_ends(), saying);
    let Outcome::Success { text: Some(text) } = outcome(&row) else {
        panic!("{row:?}")
    };
    assert_eq!((text.as_str(), facts(&row).spawns), ("answer 2", 2));
    let said = std::fs::read_to_string(workspace.join("said")).unwrap();
    let words = said.lines().map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        line.pointer("/message/content/0/text")
            .unwrap()
            .as_str()
            .unwrap()
            .to_owned()
    });
    assert_eq!(words.collect::<Vec<_>>(), ["do it", "and then rest"]);
}

/// Uses more and more until it may stop, and says once meanwhile what it plans.
const USING_CODEX: &str = r#"
    hear() { IFS= read -r line || exit 9; }
    hear; echo '{"id":0,"result":{}}'; hear; hear
    echo '{"id":1,"result":{"thread":{"id":"t1"}}}'
    hear; echo '{"id":2,"result":{"turn":{"id":"u1"}}}'
    echo '{"method":"turn/started","params":{"turn":{"id":"u1"}}}'
    n=0; planned=
    while [ ! -e stop ]; do
        n=$((n+1))
        echo '{"method":"thread/tokenUsage/updated","params":{"threadId":"t1","tokenUsage":{"total":{"inputTokens":'$n',"outputTokens":1}}}}'
        if [ -e plan ] && [ -z "$planned" ]; then
            planned=yes
            echo '{"method":"turn/plan/updated","params":{"plan":[{"step":"count the sheep","status":"pending"}]}}'
        fi
        [ -e up ] || touch up
        sleep 0.005
    done
    echo '{"method":"turn/completed","params":{"turn":{"id":"u1","status":"completed"}}}'
    hear
"#;

/// Each reading is written down while the next comes: what else is said does not wait for a pause between them.
#[tokio::test]
async fn events_are_told_however_often_something_is_used() {
    let store = Arc::new(Fault::scripted(Memory::new(SystemClock.now())));
    let bed = bed_over(Arc::clone(&store) as Arc<dyn RecordStore>);
    let codex = program(&bed, "codex", USING_CODEX);
    let workspace = bed.folder().join("workspaces/default/alice");
    let words = bed.folder().join("words");
    std::fs::write(&words, "count").unwrap();
    let command = CommandSpec {
        stdin: Stdin::File(words),
        ..command(&[codex.to_str().unwrap(), "app-server"])
    };
    let engine = asking_options(GateOptions::default());
    let worker = Worker::begin_in(bed, engine, command, OnGate::Wait).await;
    // Without a limit nothing is counted.
    let setting = Setting {
        limits: vec![(Dimension::InputTokens, Some(1_000_000))],
        ..Setting::default()
    };
    let tenant = &worker.house.tenant;
    let path = AccountPath::Agent(alice());
    tenant.budgets.set(&operator(), &path, &setting).await.unwrap();
    until("it uses something", async || workspace.join("up").exists()).await;
    // Longer than from one reading to the next.
    store.always(
        Operation::Commit,
        Some(FaultKind::Delay(Duration::from_millis(50))),
    );
    std::fs::write(workspace.join("plan"), "").unwrap();
    let planned = async || {
        let state = tenant.sessions.state(worker.session).await.unwrap();
        state.todo.items.iter().any(|item| item.text == "count the sheep")
    };
    until("its plan is told", planned).await;
    store.always(Operation::Commit, None);
    std::fs::write(workspace.join("stop"), "").unwrap();
    worker.house.supervisor.wait(worker.run).await;
    let row = tenant.runs.get(worker.run).await.unwrap();
    assert!(matches!(outcome(&row), Outcome::Success { .. }), "{row:?}");
}
