//! A process that is at a turn of a thread, killed between any two of its commits: every row is legal, and when the turn
//! has come to its end nothing was charged twice and nothing was answered twice.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dormouse_engine::budget::{AccountPath, Chain, Dimension, Reserve};
use dormouse_engine::idempotency::ClientKey;
use dormouse_engine::step::{Effect, Failure, StepContext, StepFault};
use dormouse_engine::supervisor::RunEnd;
use dormouse_engine::task::{Steps, Task, TaskState};
use dormouse_engine::thread::{Append, Appended, MessageKind, MessageStatus, NewMessage, NewThread};
use dormouse_engine::{AgentName, CommandError, Tenant, ThreadId};
use dormouse_filesystem::RecordStore;
use dormouse_secrets::Scrubber;

use super::budgets::{limit, of, set, tokens};
use super::cut::{self, Cut, say};
use super::house::{House, operator};
use super::place::Place;
use super::threads::row;

/// What a child is told: its store, its thread, where the provider writes down that it was called, and before which of
/// the commits it stands still.
const CHILD: &str = "DORMOUSE_TEST_TURNS_CUT_CHILD";
/// More commits than there are here.
const COMMITS_MAX: u64 = 40;
/// What is held for a call, and what it takes.
const EXPECTED: u64 = 10;
const TAKEN: u64 = 7;
/// Longer than any lease and any delay of a task.
const LATER_SECONDS: i64 = 2 * 60 * 60;
/// More attempts than a turn takes here.
const ATTEMPTS_MAX: usize = 6;

/// ST-72
#[tokio::test]
async fn no_kill_in_a_turn_charges_or_answers_twice_in_sled() {
    killed_everywhere(Place::sled()).await;
}

/// ST-72
#[tokio::test]
async fn no_kill_in_a_turn_charges_or_answers_twice_in_readable_files() {
    killed_everywhere(Place::local()).await;
}

/// ST-72
#[tokio::test]
async fn no_kill_in_a_turn_charges_or_answers_twice_on_a_server() {
    if let Some(place) = Place::postgres() {
        killed_everywhere(place).await;
    }
}

/// Does nothing but as a child of the tests here.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_child_at_a_turn() {
    let Ok(told) = std::env::var(CHILD) else { return };
    let [place, thread, provider, commits] = told.split('|').collect::<Vec<_>>()[..] else {
        panic!("{told}")
    };
    let store = Cut::over(Place::open_told(place).await);
    let house = House::over_shared(Arc::clone(&store) as Arc<dyn RecordStore>).await;
    let thread: ThreadId = thread.parse().unwrap();
    store.before(commits.parse().unwrap());
    let submitted = submit(&house, thread).await;
    let task = house.tenant.tasks.get(submitted.task.unwrap()).await.unwrap();
    let end = attempt(&house, &task, Path::new(provider)).await;
    assert!(matches!(end, RunEnd::Recorded(_)), "{end:?}");
    say("done");
    std::future::pending::<()>().await;
}

/// The user's message, under the key of its client.
async fn submit(house: &House, thread: ThreadId) -> Appended {
    let key: ClientKey = format!("the question of {thread}").parse().unwrap();
    let question = Append::submit(NewMessage::user("what is it all about?"));
    let threads = &house.tenant.threads;
    threads
        .append_once(&operator(), thread, &question, &key)
        .await
        .unwrap()
}

async fn attempt(house: &House, task: &Task, provider: &Path) -> RunEnd {
    let claimed = house.claim(task).await;
    let (tenant, provider) = (house.tenant.clone(), provider.to_owned());
    house
        .tenant
        .runs
        .drive(claimed, |steps| answers(tenant, steps, provider))
        .await
}

/// Calls its provider, writes something down, and answers.
async fn answers(tenant: Tenant, steps: StepContext, provider: PathBuf) -> Result<String, Failure> {
    let chain = Chain::of_run(&steps.claimed().run);
    let of = tenant.clone();
    let call = |_| async move {
        called(&of, chain, &provider)
            .await
            .map_err(|error| StepFault::Unknown(error.to_string()))
    };
    let said: String = steps
        .step("call", &"what is it all about?", Effect::External, call)
        .await?;
    let length = said.len();
    let _: usize = steps
        .step("measure", &said, Effect::Pure, |_| async move { Ok(length) })
        .await?;
    if let Some(mut writer) = tenant.threads.writer(steps.claimed()) {
        writer.write(Scrubber::empty().scrub("it is about")).await?;
    }
    Ok(said)
}

/// A call of a provider, which is paid for.
async fn called(tenant: &Tenant, chain: Chain, provider: &Path) -> Result<String, CommandError> {
    let wanted = Reserve {
        hold: None,
        chain,
        estimate: tokens(EXPECTED),
        is_in_flight: true,
    };
    let reserved = tenant.budgets.reserve(&operator(), &wanted).await?;
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(provider)
        .unwrap();
    file.write_all(b"called\n").unwrap();
    let hold = reserved.hold.unwrap();
    tenant
        .budgets
        .reconcile(&operator(), hold, &tokens(TAKEN))
        .await?;
    Ok("it is about sleep".to_owned())
}

async fn killed_everywhere(mut place: Place) {
    let folder = tempfile::tempdir().unwrap();
    // Ends with the child that comes to its end.
    for commits in 0..COMMITS_MAX {
        let provider = folder.path().join(format!("calls-{commits}"));
        let house = House::at(place).await;
        let agent = house.agent(&format!("agent-{commits}")).await;
        set(&house, &of(&agent), &limit(1000)).await;
        let new = NewThread::new(agent.clone());
        let thread = house.tenant.threads.create(&operator(), &new).await.unwrap().id;
        place = house.closed().await;
        let told = format!("{}|{thread}|{}|{commits}", place.told(), provider.display());
        let said = cut::killed("stores::turns_cut::a_child_at_a_turn", CHILD, &told);
        let house = House::at(place).await;
        assert_eq!(
            house.engine.check_records(false).await.unwrap().bad,
            [],
            "after {commits} commits"
        );
        house.recover().await;
        assert_eq!(
            house.engine.check_records(false).await.unwrap().bad,
            [],
            "recovered"
        );
        let at = Turn {
            house: &house,
            agent,
            thread,
            provider,
            commits,
        };
        at.ends().await;
        place = house.closed().await;
        if said == "done" {
            assert!(commits >= 10, "each step is a commit at least: {commits}");
            return;
        }
    }
    panic!("it was never done");
}

/// A turn that somebody was killed at.
struct Turn<'h> {
    house: &'h House,
    agent: AgentName,
    thread: ThreadId,
    provider: PathBuf,
    commits: u64,
}

impl Turn<'_> {
    /// The client asks again, and the next process goes on.
    async fn ends(&self) {
        let (house, tasks) = (self.house, &self.house.tenant.tasks);
        let submitted = submit(house, self.thread).await;
        let (mut before, mut was_asked) = (0, false);
        for _ in 0..ATTEMPTS_MAX {
            house.clock.advance(LATER_SECONDS);
            house.engine.serve_due_once().await.unwrap();
            let task = tasks.get(submitted.task.unwrap()).await.unwrap();
            match &task.state {
                TaskState::Ready => drop(attempt(house, &task, &self.provider).await),
                TaskState::Waiting { .. } => {}
                TaskState::Failed { .. } => {
                    // Whether the provider did it is not known: only a person's word has it called again.
                    assert!(!was_asked, "after {} commits: {task:?}", self.commits);
                    (before, was_asked) = (self.used().await, true);
                    self.nothing_is_answered_and_what_is_known_is_charged(before)
                        .await;
                    tasks.retry(&operator(), task.id, Steps::Kept).await.unwrap();
                }
                TaskState::Done { .. } => return self.is_over(before, was_asked).await,
                other => panic!("after {} commits: {other:?}", self.commits),
            }
        }
        panic!("after {} commits it does not end", self.commits);
    }

    async fn used(&self) -> u64 {
        let path = AccountPath::Agent(self.agent.clone());
        let account = self.house.tenant.budgets.get(&path).await.unwrap().unwrap();
        assert!(
            account.reserved.is_zero(),
            "after {} commits: {:?}",
            self.commits,
            account.reserved
        );
        account.used.get(Dimension::InputTokens)
    }

    fn calls(&self) -> usize {
        let text = std::fs::read_to_string(&self.provider).unwrap_or_default();
        text.lines().count()
    }

    async fn nothing_is_answered_and_what_is_known_is_charged(&self, used: u64) {
        let calls = self.calls();
        assert!(calls <= 1, "it was called again by nobody's word");
        // Not begun, in flight, or known.
        assert!(
            [0, EXPECTED, TAKEN].contains(&used),
            "after {} commits: {used}",
            self.commits
        );
        assert!(calls == 0 || used > 0, "a call that was made is paid for");
        assert_eq!(
            self.messages(MessageKind::Assistant, Some(MessageStatus::Final))
                .await,
            0
        );
    }

    async fn is_over(&self, before: u64, was_asked: bool) {
        let place = format!("after {} commits", self.commits);
        assert_eq!(self.used().await, before + TAKEN, "{place}: charged once");
        let calls = self.calls();
        assert!(
            calls == 1 || (calls == 2 && was_asked),
            "{place}: called {calls} times"
        );
        assert_eq!(
            self.messages(MessageKind::User, None).await,
            1,
            "{place}: asked once"
        );
        let answers = self
            .messages(MessageKind::Assistant, Some(MessageStatus::Final))
            .await;
        assert_eq!(answers, 1, "{place}: answered once");
        let row = row(self.house, self.thread).await;
        assert_eq!(
            (row.active_run, row.turn),
            (None, None),
            "{place}: free for the next turn"
        );
        assert_eq!(self.house.engine.check_records(false).await.unwrap().bad, []);
    }

    async fn messages(&self, kind: MessageKind, status: Option<MessageStatus>) -> usize {
        let threads = &self.house.tenant.threads;
        let page = threads.messages(self.thread, 0, 100).await.unwrap();
        let is_wanted = |status_of: MessageStatus| status.is_none_or(|wanted| status_of == wanted);
        let wanted = page
            .rows
            .iter()
            .filter(|message| message.kind == kind && is_wanted(message.status));
        wanted.count()
    }
}
