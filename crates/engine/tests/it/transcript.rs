//! Transcripts: bounded, durable in order, and followed without a gap or a repeat.

use std::sync::Arc;

use dormouse_engine::transcript::{
    Channel, Followed, Follower, HEAD_MAX, TAIL_MAX, Transcript, TranscriptLogs,
};
use dormouse_filesystem::{Memory, Namespace, Opener, Requirements, Segment, System, Tenant};
use dormouse_secrets::Scrubber;
use jiff::Timestamp;

async fn tenant() -> Namespace<Tenant> {
    let store = Arc::new(Memory::new(Timestamp::UNIX_EPOCH));
    let system = Namespace::<System>::open(
        store,
        &Requirements::volatile(),
        Opener::at(Timestamp::UNIX_EPOCH, 1),
    )
    .await
    .unwrap();
    system.tenant(&Segment::parse("default").unwrap())
}

fn run() -> Segment {
    Segment::parse("run_1").unwrap()
}

fn push(transcript: &Transcript, channel: Channel, text: &[u8]) {
    transcript.push(Timestamp::UNIX_EPOCH, channel, Scrubber::empty().bytes(text));
}

/// Everything a follower sees: its bytes, and how many were left out between.
async fn read(mut follower: Follower, from: u64) -> (Vec<u8>, u64) {
    let (mut bytes, mut at, mut missing) = (Vec::new(), from, 0);
    while let Followed::Frames(frames) = follower.next().await.unwrap() {
        for frame in frames {
            assert!(frame.offset >= at, "no byte is seen twice");
            missing += frame.offset - at;
            at = frame.end();
            bytes.extend_from_slice(&frame.bytes);
        }
    }
    (bytes, missing)
}

fn spawn_writer(transcript: &Transcript, tenant: &Namespace<Tenant>) -> tokio::task::JoinHandle<u64> {
    let (transcript, tenant) = (transcript.clone(), tenant.clone());
    tokio::spawn(async move { transcript.write(&tenant, |_| {}).await.unwrap().elided_bytes })
}

#[tokio::test(start_paused = true)]
async fn what_was_printed_is_read_back_from_the_store_alone() {
    let (tenant, run) = (tenant().await, run());
    let transcript = Transcript::new(&tenant, &run);
    let writer = spawn_writer(&transcript, &tenant);
    push(&transcript, Channel::Stdout, b"hello ");
    push(&transcript, Channel::Stderr, b"from alice\n");
    transcript.close();
    assert_eq!(writer.await.unwrap(), 0);
    let durable = Follower::of_durable(&TranscriptLogs::of(&tenant, &run), 3);
    assert_eq!(read(durable, 3).await, (b"lo from alice\n".to_vec(), 0));
}

#[tokio::test(start_paused = true)]
async fn a_follower_sees_output_before_it_is_durable_and_every_byte_once() {
    let (tenant, run) = (tenant().await, run());
    let transcript = Transcript::new(&tenant, &run);
    let mut follower = transcript.follow_from(0);
    push(&transcript, Channel::Stdout, b"a");
    let Followed::Frames(frames) = follower.next().await.unwrap() else {
        panic!("not the end")
    };
    assert_eq!(frames[0].bytes, "a");
    let writer = spawn_writer(&transcript, &tenant);
    let rest = tokio::spawn(read(follower, 1));
    for _ in 0..2_000 {
        push(&transcript, Channel::Stdout, &[b'x'; 777]);
        tokio::task::yield_now().await;
    }
    transcript.close();
    let elided = writer.await.unwrap();
    let (bytes, missing) = rest.await.unwrap();
    assert_eq!((bytes.len() as u64 + missing, missing), (2_000 * 777, elided));
}

#[tokio::test(start_paused = true)]
async fn of_a_long_transcript_the_beginning_and_the_end_are_kept_and_the_rest_is_counted() {
    let (tenant, run) = (tenant().await, run());
    let transcript = Transcript::new(&tenant, &run);
    let writer = spawn_writer(&transcript, &tenant);
    let total: u64 = 20 * 1024 * 1024;
    let mut printed = 0_u64;
    while printed < total {
        let line = format!("{printed:>1023}\n");
        push(&transcript, Channel::Stdout, line.as_bytes());
        printed += 1024;
        if printed.is_multiple_of(256 * 1024) {
            tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        }
    }
    transcript.close();
    let elided = writer.await.unwrap();
    let (bytes, missing) = read(Follower::of_durable(&TranscriptLogs::of(&tenant, &run), 0), 0).await;
    assert_eq!(missing, elided);
    assert_eq!(bytes.len() as u64 + missing, total);
    assert!((HEAD_MAX + TAIL_MAX..HEAD_MAX + TAIL_MAX + 2 * 1024 * 1024).contains(&(bytes.len() as u64)));
    assert!(bytes.ends_with(format!("{:>1023}\n", total - 1024).as_bytes()));
}

/// WK-10, of a run that is carried by several processes: the bound and the count are those of all they print.
#[tokio::test(start_paused = true)]
async fn a_transcript_that_goes_on_keeps_its_bounds_and_its_count() {
    let (tenant, run) = (tenant().await, run());
    let each: u64 = 12 * 1024 * 1024;
    let mut elided = Vec::new();
    for process in 0..3 {
        let transcript = match process {
            0 => Transcript::new(&tenant, &run),
            _ => Transcript::resumed(&tenant, &run).await.unwrap(),
        };
        let writer = spawn_writer(&transcript, &tenant);
        for line in 1..=each / 1024 {
            push(&transcript, Channel::Stdout, format!("{line:>1023}\n").as_bytes());
            if line.is_multiple_of(256) {
                tokio::time::sleep(std::time::Duration::from_secs(2)).await;
            }
        }
        transcript.close();
        elided.push(writer.await.unwrap());
        let (bytes, missing) = read(Follower::of_durable(&TranscriptLogs::of(&tenant, &run), 0), 0).await;
        assert_eq!(missing, elided[process], "process {process}");
        assert_eq!(bytes.len() as u64 + missing, each * (process as u64 + 1));
        let most = HEAD_MAX + TAIL_MAX + 2 * 1024 * 1024;
        assert!(
            (TAIL_MAX..most).contains(&(bytes.len() as u64)),
            "{}",
            bytes.len()
        );
    }
    assert!(elided.is_sorted() && elided[0] > 0, "{elided:?}");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_takes_nothing_costs_bounded_memory_and_never_a_wait() {
    let (tenant, run) = (tenant().await, run());
    let transcript = Transcript::new(&tenant, &run);
    for _ in 0..64 {
        push(&transcript, Channel::Stdout, &[b'x'; 64 * 1024]);
    }
    transcript.close();
    let elided = spawn_writer(&transcript, &tenant).await.unwrap();
    let kept = 64 * 64 * 1024 - elided;
    assert!(
        (960 * 1024..=1024 * 1024).contains(&kept),
        "{kept} of at most 1 MiB waited"
    );
}

#[tokio::test(start_paused = true)]
async fn output_that_comes_while_a_chunk_is_on_its_way_is_neither_lost_nor_doubled() {
    let (tenant, run) = (tenant().await, run());
    let transcript = Transcript::new(&tenant, &run);
    let writer = spawn_writer(&transcript, &tenant);
    for round in 0..50_u32 {
        for byte in 0..1000_u32 {
            push(
                &transcript,
                Channel::Stdout,
                &[u8::try_from((round * 7 + byte) % 251).unwrap()],
            );
            if byte % 97 == 0 {
                tokio::task::yield_now().await;
            }
        }
        tokio::time::sleep(std::time::Duration::from_millis(1000)).await;
    }
    transcript.close();
    assert_eq!(writer.await.unwrap(), 0);
    let expected: Vec<u8> = (0..50_u32)
        .flat_map(|round| (0..1000_u32).map(move |byte| u8::try_from((round * 7 + byte) % 251).unwrap()))
        .collect();
    let (bytes, missing) = read(Follower::of_durable(&TranscriptLogs::of(&tenant, &run), 0), 0).await;
    assert_eq!((bytes == expected, missing), (true, 0));
}

#[tokio::test(start_paused = true)]
async fn a_transcript_that_was_never_written_ends_its_followers_and_counts_what_is_missing() {
    let (tenant, run) = (tenant().await, run());
    let transcript = Transcript::new(&tenant, &run);
    let follower = transcript.follow_from(0);
    push(&transcript, Channel::Stdout, b"lost");
    let end = transcript.end();
    assert_eq!((end.bytes, end.elided_bytes), (4, 4));
    assert_eq!(transcript.end(), end);
    assert_eq!(read(follower, 0).await.0, b"lost");
}
