//! Who goes with whom, and who waits.

use super::forming::GROUP_MAX;
use super::*;
use crate::{Expected, RecordKind, Segment, Stream, Version};

fn key(name: &str) -> Key {
    Key::parse(name).unwrap()
}

fn write(lane: &str, name: &str) -> Batch {
    let mut batch = Batch::new(Lane::Tenant(Segment::parse(lane).unwrap()));
    batch.put(key(name), Expected::Absent, RecordKind::of("test"), "value");
    batch
}

fn append(name: &str) -> Batch {
    let mut batch = Batch::new(Lane::System);
    batch.append(Stream::new(key(name)), "entry");
    batch
}

fn submit(queue: &Queue, batch: Batch) -> Arc<Ticket> {
    let deadline = crate::Deadline::after(Duration::from_secs(10)).instant();
    queue.submit(batch, deadline).unwrap().0
}

fn names(group: &[Waiting]) -> Vec<String> {
    let name = |w: &Waiting| w.batch.puts.first().map_or("log".into(), |p| p.key.to_string());
    group.iter().map(name).collect()
}

#[test]
fn commits_of_one_key_go_one_after_another_and_others_beside_them() {
    let queue = Queue::default();
    for name in ["hot", "hot", "cold"] {
        submit(&queue, write("a", name));
    }
    let first = queue.take().commits;
    assert_eq!(names(&first), ["hot", "cold"]);
    assert!(queue.take().commits.is_empty(), "the key is under way");
    queue.release(first.iter().map(|w| w.claims.clone()));
    assert_eq!(names(&queue.take().commits), ["hot"]);
    assert_eq!(queue.unanswered(), 1);
}

#[test]
fn appends_to_one_log_share_a_transaction_and_wait_for_the_one_before() {
    let queue = Queue::default();
    submit(&queue, append("log"));
    let first = queue.take().commits;
    for _ in 0..100 {
        submit(&queue, append("log"));
    }
    assert!(queue.take().commits.is_empty());
    queue.release(first.iter().map(|w| w.claims.clone()));
    assert_eq!(queue.take().commits.len(), GROUP_MAX);
}

#[test]
fn a_commit_of_several_keys_is_not_overtaken_for_ever() {
    let queue = Queue::default();
    submit(&queue, write("a", "hot"));
    let first = queue.take().commits;
    let mut both = write("a", "hot");
    both.put(key("beside"), Expected::Absent, RecordKind::of("test"), "");
    submit(&queue, both);
    submit(&queue, write("a", "beside"));
    assert!(
        queue.take().commits.is_empty(),
        "the one behind would overtake it"
    );
    queue.release(first.iter().map(|w| w.claims.clone()));
    assert_eq!(names(&queue.take().commits), ["hot"]);
}

#[test]
fn a_flooding_lane_leaves_room_for_another() {
    let queue = Queue::default();
    for n in 0..1000 {
        submit(&queue, write("flood", &format!("flood/{n}")));
    }
    submit(&queue, write("other", "other"));
    assert!(names(&queue.take().commits).contains(&"other".to_owned()));
}

#[test]
fn what_was_withdrawn_is_forgotten_and_makes_room() {
    let queue = Queue::default();
    let ticket = submit(&queue, write("a", "a"));
    assert!(ticket.withdraw() && !ticket.send());
    queue.sweep(&Lane::Tenant(Segment::parse("a").unwrap()));
    assert_eq!((queue.waiting(), queue.take().commits.len()), (0, 0));
    for n in 0..COMMIT_QUEUE_MAX {
        submit(&queue, write("a", &n.to_string()));
    }
    let over = queue.submit(write("a", "over"), Instant::now());
    assert!(matches!(
        over,
        Err(CommitError::Busy {
            cause: BusyCause::Queue
        })
    ));
}

#[tokio::test]
async fn who_lost_while_waiting_needs_no_transaction_to_be_told() {
    let queue = Queue::default();
    let at = |version| {
        let mut batch = Batch::new(Lane::System);
        batch.put(
            key("hot"),
            Expected::At(Version::new(version)),
            RecordKind::of("test"),
            "",
        );
        batch
    };
    let deadline = crate::Deadline::after(Duration::from_secs(10)).instant();
    submit(&queue, at(4));
    let (_, waited) = queue.submit(at(4), deadline).unwrap();
    let group = queue.take();
    submit(&queue, at(4));
    let mut settled = group.settled();
    settled.add(&group.commits[0], Version::new(5));
    let later = queue.settle(&settled);
    let Ok(Err(CommitError::Conflict { failed })) = waited.await else {
        panic!("it lost")
    };
    assert_eq!(
        (&failed[0].key, failed[0].actual),
        (&key("hot"), Some(Version::new(5)))
    );
    assert_eq!((queue.waiting(), later.len()), (0, 1), "who came later lost too");
}
