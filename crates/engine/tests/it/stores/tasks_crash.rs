//! Tasks of processes that are killed, and of several that live: numbers, settlements, deliveries.

#![allow(
    clippy::print_stdout,
    reason = "a child tells its parent, and a random test says its seed"
)]

use std::collections::{BTreeSet, HashMap};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use dormouse_engine::ThreadId;
use dormouse_engine::agent::AgentConfig;
use dormouse_engine::event::EventAt;
use dormouse_engine::task::{DelegationState, NewTask, OnFailed, TaskFilter, TaskState, Tree};
use dormouse_engine::thread::NewThread;
use dormouse_filesystem::{Position, Records};
use futures::future::join_all;
use rand::rngs::{StdRng, SysRng};
use rand::{RngExt, SeedableRng, TryRng};

use super::house::{House, facts, failed, name, operator, success};
use super::place::Place;
use super::threads::post;

/// What makes [`a_process`] one: its store, its seat, and what it does.
const CHILD: &str = "DORMOUSE_TEST_TASKS_CHILD";

/// Not a test: the process of the tests below.
#[tokio::test]
#[ignore = "the process that the crash tests start and kill"]
async fn a_process() {
    let Ok(told) = std::env::var(CHILD) else {
        return;
    };
    let mut told = told.splitn(3, '|');
    let [place, seat, role] = [(); 3].map(|()| told.next().unwrap());
    let house = House::told(place, seat).await;
    println!("\nBEGUN");
    match role {
        "numbers" => makes_and_deletes(&house).await,
        "settles" => {
            house.engine.settle_once().await.unwrap();
            println!("\nDONE");
        }
        "delegates" => delegates(&house).await,
        other => panic!("there is no role {other}"),
    }
    std::future::pending::<()>().await;
}

/// Makes tasks for ever, some at once, and deletes some of them.
async fn makes_and_deletes(house: &House) {
    // Runs until it is killed.
    for round in 0.. {
        let made = (0..4).map(|n| house.task(NewTask::new(name("alice"), format!("{round} {n}"))));
        let made = join_all(made).await;
        house
            .tenant
            .tasks
            .delete(&operator(), made[round % 4].id)
            .await
            .unwrap();
    }
}

/// Gives tasks away, ends them, and takes the results, for ever.
async fn delegates(house: &House) {
    let threads = &house.tenant.threads;
    let thread = threads.create(&operator(), &NewThread::new(name("alice"))).await;
    let turn = post(house, thread.unwrap().id, "parent").await;
    let parent = house.tenant.tasks.get(turn.task.unwrap()).await.unwrap();
    let claimed = house.claim(&parent).await;
    let delegations = &house.tenant.delegations;
    println!("\nPARENT {}", parent.id);
    // Runs until it is killed, or until the tree is full.
    for round in 0..900 {
        let new = NewTask::new(name("alice"), format!("{round}"));
        let given = delegations
            .delegate(&operator(), claimed.run.id, new)
            .await
            .unwrap();
        let child = house.claim(&given.task).await;
        let runs = &house.tenant.runs;
        runs.finish(&child, &success(), &facts()).await.unwrap();
        house.engine.settle_once().await.unwrap();
        if round % 3 != 0 {
            let by = operator();
            let taken = delegations.consume(&by, claimed.run.id, given.task.id);
            taken.await.unwrap();
        }
    }
}

fn start(place: &Place, seat: &str, role: &str) -> Process {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "stores::tasks_crash::a_process",
            "--exact",
            "--ignored",
            "--nocapture",
        ])
        .env(CHILD, format!("{}|{seat}|{role}", place.told()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let mut process = Process { child, output };
    process.says("BEGUN");
    process
}

struct Process {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
}

impl Process {
    /// Waits for this word, and returns what is behind it; none when the process has gone.
    fn says(&mut self, word: &str) -> Option<String> {
        let mut line = String::new();
        // Ends with the word or with the process.
        while self.output.read_line(&mut line).unwrap() > 0 {
            if let Some(rest) = line.trim().strip_prefix(word) {
                return Some(rest.trim().to_owned());
            }
            line.clear();
        }
        None
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn random() -> StdRng {
    let seed = SysRng.try_next_u64().unwrap();
    println!("seed {seed}");
    StdRng::seed_from_u64(seed)
}

/// Every event of the tenant, over all pages.
async fn events(house: &House) -> Vec<EventAt> {
    let (mut events, mut after) = (Vec::new(), Position::START);
    // Ends with the page that is not full.
    loop {
        let page = house.tenant.events.read_after(after, 1000).await.unwrap();
        let is_last = page.events.len() < 1000;
        events.extend(page.events);
        after = page.next;
        if is_last {
            return events;
        }
    }
}

/// The numbers in the order of the log, of what was made, and all that there are rise and none repeats.
async fn numbers_rise(house: &House) -> usize {
    let events = events(house).await;
    let created = events.iter().filter(|at| at.event.kind == "task.created");
    let numbers: Vec<u64> = created
        .map(|at| at.event.data["number"].as_u64().unwrap())
        .collect();
    assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
    let deleted = events.iter().filter(|at| at.event.kind == "task.deleted");
    let deleted: BTreeSet<u64> = deleted
        .map(|at| at.event.data["number"].as_u64().unwrap())
        .collect();
    let (mut left, mut after) = (BTreeSet::new(), None);
    // Ends with the last page.
    loop {
        let page = house
            .tenant
            .tasks
            .list(&TaskFilter::default(), after, 1000)
            .await
            .unwrap();
        left.extend(page.rows.iter().map(|task| task.number));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let all: BTreeSet<u64> = numbers.iter().copied().collect();
    assert_eq!(all, left.union(&deleted).copied().collect());
    assert!(left.is_disjoint(&deleted));
    numbers.len()
}

/// ST-20: several processes at once on a server.
#[tokio::test]
async fn numbers_rise_in_log_order_over_processes_that_delete_and_are_killed() {
    let Some(place) = Place::postgres() else {
        return;
    };
    let mut random = random();
    let house = House::at(place).await;
    house.agent("alice").await;
    for round in 0..2 {
        let place = house.place();
        let processes: Vec<Process> = (0..3)
            .map(|n| start(place, &format!("seat {round} {n}"), "numbers"))
            .collect();
        let before = events(&house).await.len();
        for (n, process) in processes.into_iter().enumerate() {
            // Until each round brought something; how much more is left to chance.
            let more = before + 20 * (n + 1) + random.random_range(0..20);
            while events(&house).await.len() < more {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            process.kill();
        }
    }
    let made = house.task(NewTask::new(name("alice"), "the last")).await;
    assert!(numbers_rise(&house).await >= 20);
    assert!(made.number >= 20);
}

/// ST-20: one process after the other in an embedded store.
#[tokio::test]
async fn numbers_rise_in_log_order_over_kills_of_an_embedded_store() {
    let mut random = random();
    let house = House::in_sled().await;
    house.agent("alice").await;
    let mut place = house.closed().await;
    for _ in 0..3 {
        let process = start(&place, "seat", "numbers");
        std::thread::sleep(Duration::from_millis(random.random_range(50..400)));
        process.kill();
        let house = House::at(place).await;
        numbers_rise(&house).await;
        place = house.closed().await;
    }
    let house = House::at(place).await;
    house.task(NewTask::new(name("alice"), "the last")).await;
    assert!(numbers_rise(&house).await > 1);
}

/// How many wait for one.
const DEPENDENTS: usize = 10_000;
/// How many where as many more would only take longer: what settles them is the same code.
const DEPENDENTS_ELSEWHERE: usize = 2_000;

/// So many that wait for one task, which ends.
async fn so_many_wait(house: &House, dependents: usize) {
    house.agent("alice").await;
    let first = house.task(NewTask::new(name("alice"), "first")).await;
    let claimed = house.claim(&first).await;
    // Fewer than wait for a commit at most.
    for part in 0..dependents / 500 {
        let made = (0..500).map(|n| {
            house.task(NewTask {
                after: vec![first.id],
                on_failed: OnFailed::ALL[n % 3],
                ..NewTask::new(name("alice"), format!("{part} {n}"))
            })
        });
        join_all(made).await;
    }
    let runs = &house.tenant.runs;
    let late = NewTask {
        after: vec![first.id],
        ..NewTask::new(name("alice"), "made while it ends")
    };
    let outcome = failed(true);
    let facts = facts();
    let (ended, late) = tokio::join!(runs.finish(&claimed, &outcome, &facts), house.task(late));
    ended.unwrap();
    assert_eq!(late.number, dependents as u64 + 2);
}

/// Each was told once, by what it says.
async fn all_were_told_once(house: &House, dependents: usize) {
    let mut told: HashMap<String, Vec<String>> = HashMap::new();
    for EventAt { event, .. } in events(house).await {
        if matches!(
            event.kind.as_str(),
            "task.ready" | "task.failed" | "task.cancelled"
        ) {
            told.entry(event.subject).or_default().push(event.kind);
        }
    }
    let (mut count, mut after) = (0, None);
    // Ends with the last page.
    loop {
        let page = house
            .tenant
            .tasks
            .list(&TaskFilter::default(), after, 1000)
            .await
            .unwrap();
        for task in page.rows.iter().filter(|task| task.number > 1) {
            let (kind, state) = match task.on_failed {
                OnFailed::Fail => ("task.failed", "failed"),
                OnFailed::Run => ("task.ready", "ready"),
                OnFailed::Cancel => ("task.cancelled", "cancelled"),
            };
            assert_eq!(told[&format!("task:{}", task.id)], [kind], "{}", task.number);
            assert_eq!((task.state.word(), task.open_dependencies.len()), (state, 0));
            count += 1;
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(count, dependents + 1);
    assert!(!house.stored_kinds().await.contains("settlement"));
}

impl House {
    async fn stored_kinds(&self) -> BTreeSet<String> {
        let entries = self.entries().await;
        entries
            .iter()
            .map(|entry| entry.kind.as_str().to_owned())
            .collect()
    }
}

/// The settler is killed again and again, and the next one goes on.
async fn settles_through_kills(mut place: Place, dependents: usize) {
    let mut random = random();
    let house = House::at(place).await;
    so_many_wait(&house, dependents).await;
    place = house.closed().await;
    for _ in 0..5 {
        let process = start(&place, "seat", "settles");
        std::thread::sleep(Duration::from_millis(random.random_range(1..150)));
        process.kill();
    }
    let mut process = start(&place, "seat", "settles");
    assert!(process.says("DONE").is_some());
    process.kill();
    let house = House::at(place).await;
    all_were_told_once(&house, dependents).await;
}

/// ST-30
#[tokio::test]
async fn ten_thousand_dependents_are_told_once_each_through_kills_in_an_embedded_store() {
    settles_through_kills(Place::sled(), DEPENDENTS).await;
}

/// ST-30, of fewer.
#[tokio::test]
async fn two_thousand_dependents_are_told_once_each_through_kills_on_a_server() {
    if let Some(place) = Place::postgres() {
        settles_through_kills(place, DEPENDENTS_ELSEWHERE).await;
    }
}

async fn settles_in_process(house: House, dependents: usize) {
    so_many_wait(&house, dependents).await;
    house.engine.settle_once().await.unwrap();
    all_were_told_once(&house, dependents).await;
}

/// ST-30, where nothing outlives the process.
#[tokio::test]
async fn ten_thousand_dependents_in_memory_are_told_once_each() {
    settles_in_process(House::in_memory().await, DEPENDENTS).await;
}

/// ST-30, of fewer, where no child of a test opens the store.
#[tokio::test]
async fn two_thousand_dependents_in_readable_files_are_told_once_each() {
    settles_in_process(House::in_local().await, DEPENDENTS_ELSEWHERE).await;
}

/// A process that gives, ends, and takes is killed: each end is delivered once, and no place in the tree is lost.
async fn delegates_through_kills(mut place: Place) {
    let mut random = random();
    let house = House::at(place).await;
    let agents = &house.tenant.agents;
    agents
        .create(&operator(), &name("alice"), AgentConfig::default())
        .await
        .unwrap();
    place = house.closed().await;
    let mut threads = Vec::new();
    for round in 0..4 {
        // On the seat of the next process, which takes over what it leaves.
        let mut process = start(&place, "under the oak", "delegates");
        let parent = process.says("PARENT").unwrap().parse().unwrap();
        std::thread::sleep(Duration::from_millis(random.random_range(20..300)));
        process.kill();
        let house = House::at(place).await;
        let held = held(&house, parent).await;
        let tree = Records::<Tree>::new(house.tenant.space())
            .get(&parent)
            .await
            .unwrap();
        assert_eq!(tree.as_ref().map_or(0, |tree| tree.open), held, "round {round}");
        house.engine.settle_once().await.unwrap();
        // The run is lost, its task is tried again, and the next run takes what was delivered.
        house.recover().await;
        let task = house.tenant.tasks.get(parent).await.unwrap().into_inner();
        assert_eq!(task.state, TaskState::Ready);
        let claimed = house.claim(&task).await;
        let delegations = &house.tenant.delegations;
        for row in delegations.delivered(parent).await.unwrap() {
            let by = operator();
            let taken = delegations.consume(&by, claimed.run.id, row.child);
            taken.await.unwrap();
        }
        let runs = &house.tenant.runs;
        runs.finish(&claimed, &success(), &facts()).await.unwrap();
        house.engine.settle_once().await.unwrap();
        let tree = Records::<Tree>::new(house.tenant.space())
            .get(&parent)
            .await
            .unwrap();
        assert_eq!(tree.map_or(0, |tree| tree.open), 0, "no place is lost");
        threads.push(task.turn.unwrap().thread);
        place = house.closed().await;
    }
    let house = House::at(place).await;
    let events = events(&house).await;
    let delivered = events.iter().filter(|at| at.event.kind == "delegation.delivered");
    let subjects: Vec<&str> = delivered.map(|at| at.event.subject.as_str()).collect();
    let once: BTreeSet<&str> = subjects.iter().copied().collect();
    assert_eq!(once.len(), subjects.len(), "each is delivered once");
    let mut said = Vec::new();
    for thread in threads {
        said.extend(told(&house, thread).await);
    }
    said.sort();
    assert_eq!(
        said,
        once.into_iter().map(str::to_owned).collect::<Vec<_>>(),
        "by one message each"
    );
}

/// The tasks of which messages of a thread say that they ended.
async fn told(house: &House, thread: ThreadId) -> Vec<String> {
    let (mut told, mut after) = (Vec::new(), 0);
    // Ends with the last page.
    loop {
        let page = house.tenant.threads.messages(thread, after, 1000).await.unwrap();
        let Some(last) = page.rows.last() else {
            return told;
        };
        after = last.sequence;
        let notes = page
            .rows
            .iter()
            .filter_map(|message| message.provider.get("delegation"));
        told.extend(notes.map(|child| format!("task:{}", child.as_str().unwrap())));
    }
}

/// How many delegations of this task take a place.
async fn held(house: &House, parent: dormouse_engine::TaskId) -> u32 {
    let filter = TaskFilter {
        parent: Some(parent),
        ..TaskFilter::default()
    };
    let mut held = 0;
    let page = house.tenant.tasks.list(&filter, None, 1000).await.unwrap();
    for child in page.rows {
        let row = house.tenant.delegations.get(child.id).await.unwrap();
        let is_held = match row.state {
            DelegationState::Open | DelegationState::Settled | DelegationState::Delivered => true,
            DelegationState::Consumed | DelegationState::Abandoned => false,
        };
        held += u32::from(is_held);
    }
    held
}

/// ST-32
#[tokio::test]
async fn delegations_survive_kills_in_an_embedded_store() {
    delegates_through_kills(Place::sled()).await;
}

/// ST-32
#[tokio::test]
async fn delegations_survive_kills_on_a_server() {
    if let Some(place) = Place::postgres() {
        delegates_through_kills(place).await;
    }
}
