//! The calls of a provider that asks: what is stored of one before it is told yes, and who goes on from there.

use dormouse_engine::adapter::ToolKind;
use dormouse_engine::run::{CallFate, Checkpoint};

use super::streams::Programs;
use super::*;
use crate::stores::hooked::Hooked;

/// Asks for `rm x` once it may `go`, keeps its answer in `told`, has its result when it is `done`, and then ends its turn if it
/// is to `finish`, else when it is called off. Its thread has used 1,000 tokens by then, and 1,500 when it is resumed.
const ASKS: &str = r#"
    hear() { IFS= read -r line || exit 9; printf '%s\n' "$line" >>said; }
    await() { while [ ! -e "$1" ]; do sleep 0.01; done; }
    used() { echo '{"method":"thread/tokenUsage/updated","params":{"threadId":"t1","tokenUsage":{"total":{"inputTokens":'$1',"outputTokens":10}}}}'; }
    ends() { echo '{"method":"turn/completed","params":{"turn":{"id":"u1","status":"'$1'"}}}'; hear; }
    hear; echo '{"id":0,"result":{}}'; hear; hear
    echo '{"id":1,"result":{"thread":{"id":"t1"}}}'
    hear; echo '{"method":"turn/started","params":{"turn":{"id":"u1"}}}'
    if [ -e began ]; then used 1500; ends completed; exit; fi
    touch began; used 1000; await go
    echo '{"method":"item/started","params":{"item":{"type":"commandExecution","id":"c0","command":"rm x","status":"inProgress"}}}'
    echo '{"id":7,"method":"item/commandExecution/requestApproval","params":{"itemId":"c0","command":"rm x","availableDecisions":["accept","decline","cancel"]}}'
    hear; printf '%s\n' "$line" >answer; mv answer told
    await done
    echo '{"method":"item/completed","params":{"item":{"type":"commandExecution","id":"c0","command":"rm x","status":"completed","exitCode":0}}}'
    if [ -e finish ]; then ends completed; exit; fi
    hear; ends interrupted
"#;

/// A run that is about to ask, over a store that a test can hold up.
struct Asks {
    bed: Bed,
    store: Arc<Hooked>,
    programs: Programs,
    house: House,
    run: RunId,
}

impl Asks {
    async fn begin() -> Self {
        let store = Hooked::new();
        let bed = bed_over(Arc::clone(&store) as Arc<dyn RecordStore>);
        let house = bed.open_with_alice().await;
        let programs = Programs::with("codex", ASKS);
        let house = programs.first(&bed, house);
        let argv = ["codex", "app-server"].map(str::to_owned).to_vec();
        let run = house.begin(CommandSpec::new(argv)).await;
        let asks = Self {
            bed,
            store,
            programs,
            house,
            run,
        };
        let is_bound = async || asks.row().await.run.provider_session.is_some();
        until("its thread is kept", is_bound).await;
        assert!(matches!(asks.row().await.run.checkpoint, Checkpoint::Safe { .. }));
        asks
    }

    async fn row(&self) -> RunRow {
        self.house.tenant.runs.get(self.run).await.unwrap()
    }

    fn workspace(&self) -> std::path::PathBuf {
        self.bed.folder().join("workspaces/default/alice")
    }

    fn touch(&self, file: &str) {
        std::fs::write(self.workspace().join(file), "").unwrap();
    }

    fn told(&self) -> Option<String> {
        std::fs::read_to_string(self.workspace().join("told")).ok()
    }

    async fn answer(&self) -> String {
        until("it is told", async || self.told().is_some()).await;
        self.told().unwrap()
    }
}

#[tokio::test]
async fn a_call_that_was_allowed_is_open_until_its_result() {
    let asks = Asks::begin().await;
    asks.touch("go");
    assert!(asks.answer().await.contains("accept"));
    let run = asks.row().await.run;
    assert!(matches!(run.checkpoint, Checkpoint::SideEffect { .. }), "{run:?}");
    let [call] = &run.calls[..] else { panic!("{run:?}") };
    assert_eq!((call.id.as_str(), call.title.as_str()), ("c0", "rm x"));
    assert_eq!((call.kind, call.fate), (ToolKind::Execute, CallFate::Open));
    asks.touch("finish");
    asks.touch("done");
    let row = asks.house.ended(asks.run).await;
    assert_eq!(outcome(&row).name(), "success", "{row:?}");
    assert!(matches!(row.run.checkpoint, Checkpoint::Safe { .. }), "{row:?}");
    assert!(row.run.calls.is_empty(), "{row:?}");
}

#[tokio::test]
async fn a_call_of_which_it_cannot_be_stored_that_it_begins_is_not_allowed() {
    let asks = Asks::begin().await;
    asks.store.is_full.store(true, Ordering::SeqCst);
    asks.touch("go");
    assert!(asks.answer().await.contains("decline"));
    asks.store.is_full.store(false, Ordering::SeqCst);
    let run = asks.row().await.run;
    assert!(matches!(run.checkpoint, Checkpoint::Safe { .. }), "{run:?}");
    asks.touch("finish");
    asks.touch("done");
    let row = asks.house.ended(asks.run).await;
    assert_eq!(outcome(&row).name(), "success", "{row:?}");
}

#[tokio::test]
async fn an_engine_that_leaves_between_two_calls_is_followed_by_who_goes_on_and_counts_what_is_new() {
    let asks = Asks::begin().await;
    asks.touch("go");
    assert!(asks.answer().await.contains("accept"));
    asks.touch("done");
    let is_safe = async || matches!(asks.row().await.run.checkpoint, Checkpoint::Safe { .. });
    until("its result is known", is_safe).await;
    asks.house.supervisor.shutdown().await;
    let row = asks.row().await;
    assert_eq!(cancelled_by(&row), Some(CancelledBy::Shutdown), "{row:?}");
    assert_eq!(asks.house.task_state(&row).await, TaskState::Ready);
    let (task, house) = (row.run.task.unwrap(), asks.programs.first(&asks.bed, asks.house));
    let next = house.supervisor.start(&house.tenant, &operator(), task).await;
    let next = house.ended(next.unwrap()).await;
    assert_eq!(outcome(&next).name(), "success", "{next:?}");
    assert_eq!(next.run.continues, Some(asks.run));
    let stream = facts(&next).stream.unwrap();
    assert_eq!(
        stream.used.input, 500,
        "what its thread had used was the former's"
    );
    let said = std::fs::read_to_string(asks.bed.folder().join("workspaces/default/alice/said")).unwrap();
    let resumed = said.lines().filter(|line| line.contains("thread/resume"));
    assert_eq!(resumed.count(), 1, "{said}");
}
