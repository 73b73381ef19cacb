//! A store that does not answer: no stop waits for it, and what only the latest of counts is not lost behind what waits.

use dormouse_engine::budget::{AccountPath, Dimension, Setting};
use tokio::sync::Notify;

use super::streams::Programs;
use super::*;
use crate::stores::hooked::Hooked;

/// Everything is over long before.
const PATIENCE: Duration = Duration::from_secs(60);

/// A house over a store that a test can hold up, whose workers find this program first.
async fn held(program: &str, script: &str) -> (Bed, Arc<Hooked>, Programs, House) {
    let store = Hooked::new();
    let bed = bed_over(Arc::clone(&store) as Arc<dyn RecordStore>);
    let house = bed.open_with_alice().await;
    let programs = Programs::with(program, script);
    let house = programs.first(&bed, house);
    (bed, store, programs, house)
}

fn app_server() -> CommandSpec {
    CommandSpec::new(["codex", "app-server"].map(str::to_owned).to_vec())
}

/// A turn of alice's: its task waits to be started.
async fn turn(house: &House) -> dormouse_engine::TaskId {
    let threads = &house.tenant.threads;
    let new = NewThread::new(alice());
    let thread = threads.create(&operator(), &new).await.unwrap().id;
    let message = NewMessage {
        command: Some(app_server()),
        ..NewMessage::user("count")
    };
    let append = Append::submit(message);
    let posted = threads.append(&operator(), thread, &append).await.unwrap();
    threads.message_of(posted.message).await.unwrap().task.unwrap()
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_store_that_keeps_what_a_worker_begins_with() {
    // What it is lent, and the words of its turn.
    for kind in ["secret_vault", "message"] {
        let (_bed, store, _programs, house) = held("codex", "touch ran; exec sleep 60").await;
        let task = turn(&house).await;
        // The first read behind the claim gets no answer, ever.
        let (reads, asked) = (Arc::clone(&store), Arc::new(Notify::new()));
        let told = Arc::clone(&asked);
        store.before_nth_commit(0, async move {
            reads.after_read(kind, async move {
                told.notify_one();
                std::future::pending::<()>().await;
            });
        });
        let by = operator();
        let run = house.supervisor.start(&house.tenant, &by, task).await.unwrap();
        asked.notified().await;
        let stopped = tokio::time::timeout(PATIENCE, house.supervisor.shutdown());
        stopped.await.expect(kind);
        let row = house.tenant.runs.get(run).await.unwrap();
        assert_eq!(cancelled_by(&row), Some(CancelledBy::Shutdown), "{kind}: {row:?}");
        assert_eq!(facts(&row).spawns, 0, "{kind}: nothing ran");
    }
}

/// Says more than waits to be told while nobody is told anything, and then what it used and which thread it is at.
const FLOOD: &str = r#"
    hear() { IFS= read -r line || { touch left; exit 0; }; }
    hear; echo '{"id":0,"result":{}}'; hear; hear
    echo '{"id":1,"result":{"thread":{"id":"t1"}}}'
    hear; echo '{"method":"turn/started","params":{"turn":{"id":"u1"}}}'
    while [ ! -e go ]; do sleep 0.01; done
    i=0; while [ $i -lt 2000 ]; do
        echo '{"method":"item/started","params":{"item":{"type":"commandExecution","id":"c'$i'","command":"ls","status":"inProgress"}}}'
        i=$((i+1))
    done
    echo '{"method":"thread/tokenUsage/updated","params":{"threadId":"t9","tokenUsage":{"total":{"inputTokens":777,"outputTokens":1}}}}'
    echo '{"method":"thread/started","params":{"thread":{"id":"t9"}}}'
    echo '{"method":"turn/completed","params":{"turn":{"id":"u1","status":"completed"}}}'
    hear
"#;

#[tokio::test]
async fn what_is_used_and_bound_is_kept_though_more_waits_to_be_told_than_may() {
    let (bed, store, _programs, house) = held("codex", FLOOD).await;
    let account = AccountPath::Agent(alice());
    let setting = Setting {
        limits: vec![(Dimension::InputTokens, Some(1_000_000))],
        ..Setting::default()
    };
    let budgets = &house.tenant.budgets;
    budgets.set(&operator(), &account, &setting).await.unwrap();
    let task = turn(&house).await;
    let by = operator();
    let run = house.supervisor.start(&house.tenant, &by, task).await.unwrap();
    house.printed(run, "turn/started").await;
    // Whoever tells the session waits from here on.
    let (goes_on, wait) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (release, asked) = (Arc::clone(&goes_on), Arc::clone(&wait));
    store.after_read("session", async move {
        asked.notify_one();
        release.notified().await;
    });
    let workspace = bed.folder().join("workspaces/default/alice");
    std::fs::write(workspace.join("go"), "").unwrap();
    wait.notified().await;
    // Its input is closed when its end was heard.
    until("all of it was heard", async || workspace.join("left").exists()).await;
    goes_on.notify_one();
    let row = house.ended(run).await;
    assert_eq!(outcome(&row).name(), "success", "{row:?}");
    let bound = row.run.provider_session.as_ref().map(|bound| bound.as_str());
    assert_eq!(bound, Some("t9"));
    let account = budgets.get(&account).await.unwrap().unwrap();
    assert_eq!(account.used.get(Dimension::InputTokens), 777);
}
