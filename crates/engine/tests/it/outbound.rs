//! Calls over a network, made against a transport with a script, under paused time.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use dormouse_engine::outbound::{Answer, Attempt, Caller, Ended, Options, Repeat, Transport, Tried, Why};
use dormouse_engine::{Clock, Random};
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// The clock of the paused time.
#[derive(Debug)]
struct Paused(Instant, Timestamp);

impl Clock for Paused {
    fn now(&self) -> Timestamp {
        self.1 + SignedDuration::try_from(self.0.elapsed()).unwrap()
    }
}

fn start() -> Timestamp {
    "2026-11-27T03:00:00Z".parse().unwrap()
}

/// Answers by its script, and keeps when it was asked.
struct Scripted {
    answers: Mutex<VecDeque<Option<Answer>>>,
    sent: Mutex<Vec<Instant>>,
}

impl Scripted {
    /// None hangs for ever.
    fn new(answers: impl IntoIterator<Item = Option<Answer>>) -> Self {
        Self {
            answers: Mutex::new(answers.into_iter().collect()),
            sent: Mutex::default(),
        }
    }

    fn times(&self) -> usize {
        self.sent.lock().unwrap().len()
    }

    /// How long was waited before each attempt but the first.
    fn waits(&self) -> Vec<Duration> {
        let sent = self.sent.lock().unwrap();
        sent.windows(2).map(|two| two[1] - two[0]).collect()
    }
}

#[async_trait]
impl Transport for Scripted {
    async fn send(&self, _: Attempt) -> Answer {
        self.sent.lock().unwrap().push(Instant::now());
        let next = self.answers.lock().unwrap().pop_front();
        match next.expect("no more attempts than the script has") {
            Some(answer) => answer,
            None => std::future::pending().await,
        }
    }
}

fn caller(seed: u64) -> Caller {
    let clock = Arc::new(Paused(Instant::now(), start()));
    Caller::new(Options::default(), clock, Arc::new(Random::seeded(seed)))
}

fn status(status: u16) -> Option<Answer> {
    Some(Answer::Status {
        status,
        retry_after: None,
    })
}

fn busy(retry_after: &str) -> Option<Answer> {
    Some(Answer::Status {
        status: 429,
        retry_after: Some(retry_after.to_owned()),
    })
}

const SEEDS: std::ops::Range<u64> = 0..50;

#[tokio::test(start_paused = true)]
async fn what_is_asked_for_is_waited_and_nothing_is_retried_that_was_refused() {
    for seed in SEEDS {
        for (header, least, most) in [
            ("3", 3.0, 3.3),
            ("Fri, 27 Nov 2026 03:00:20 GMT", 19.0, 20.3),
            ("garbage", 0.0, 0.3),
            ("Fri, 27 Nov 2026 02:00:00 GMT", 0.0, 0.3),
        ] {
            let transport = Scripted::new([busy(header), status(200)]);
            let ended = caller(seed).call(Repeat::Never, &[&transport]).await;
            assert_eq!(ended, Ended::Done { channel: 0 }, "seed {seed}: {header}");
            let wait = transport.waits()[0].as_secs_f64();
            assert!((least..=most).contains(&wait), "seed {seed}: {header}: {wait}");
        }
        let transport = Scripted::new([status(400)]);
        let ended = caller(seed).call(Repeat::Keyed, &[&transport]).await;
        assert_eq!(ended, Ended::GivenUp(Why::Refused(400)));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_beyond_the_deadline_is_put_off_and_goes_on_where_it_was() {
    let transport = Scripted::new([busy("172800"), busy("1"), status(503), status(200)]);
    let caller = caller(7);
    let ended = caller.call(Repeat::Never, &[&transport]).await;
    let Ended::Later { at, channel, tried } = ended else {
        panic!("{ended:?}")
    };
    // Two days are one: the longest that is heeded.
    assert_eq!(at, start() + SignedDuration::from_hours(24));
    let once = Tried {
        attempts: 1,
        was_unanswered: false,
    };
    assert_eq!((channel, tried), (0, once));
    tokio::time::advance(Duration::from_secs(24 * 60 * 60)).await;
    let ended = caller.go_on(Repeat::Never, &[&transport], channel, tried).await;
    assert_eq!(ended, Ended::Done { channel: 0 });
    assert_eq!(transport.times(), 4, "four attempts in all");
}

#[tokio::test(start_paused = true)]
async fn four_attempts_within_a_minute_are_all_there_are() {
    for seed in SEEDS {
        let begun = Instant::now();
        let transport = Scripted::new([const { Some(Answer::NotSent) }; 4]);
        let ended = caller(seed).call(Repeat::Never, &[&transport]).await;
        assert_eq!(ended, Ended::GivenUp(Why::Attempts), "seed {seed}");
        let waits = transport.waits();
        for (wait, most) in waits.iter().zip([250, 500, 1000]) {
            assert!(*wait <= Duration::from_millis(most + 1), "seed {seed}: {waits:?}");
        }
        assert!(begun.elapsed() < Duration::from_secs(60));
    }
    let waits: std::collections::BTreeSet<u128> = {
        let mut found = std::collections::BTreeSet::new();
        for seed in SEEDS {
            let transport = Scripted::new([Some(Answer::NotSent), status(200)]);
            caller(seed).call(Repeat::Never, &[&transport]).await;
            found.insert(transport.waits()[0].as_millis());
        }
        found
    };
    assert!(waits.len() > 10, "drawn, not fixed: {waits:?}");
}

/// WK-75: sent and unanswered, it is repeated only with a key, and by no second channel.
#[tokio::test(start_paused = true)]
async fn a_call_that_was_sent_and_not_answered_goes_by_no_second_channel() {
    for (repeat, first) in [
        (Repeat::Never, vec![Some(Answer::Unanswered)]),
        (Repeat::Harmless, vec![Some(Answer::Unanswered)]),
        // One that hangs was sent, as far as anybody knows.
        (Repeat::Never, vec![None]),
        (Repeat::Keyed, vec![Some(Answer::Unanswered); 4]),
        (
            Repeat::Keyed,
            vec![
                Some(Answer::Unanswered),
                Some(Answer::NotSent),
                Some(Answer::NotSent),
                status(503),
            ],
        ),
        (Repeat::Keyed, vec![None]),
    ] {
        let attempts = first.len();
        let (one, two) = (Scripted::new(first), Scripted::new([]));
        let ended = caller(1).call(repeat, &[&one, &two]).await;
        assert_eq!(ended, Ended::Unknown { channel: 0 }, "{repeat:?}");
        assert_eq!((one.times(), two.times()), (attempts, 0), "{repeat:?}");
    }
    let one = Scripted::new([Some(Answer::Unanswered), status(200)]);
    let ended = caller(1).call(Repeat::Keyed, &[&one]).await;
    assert_eq!(ended, Ended::Done { channel: 0 }, "with a key it is sent again");
    // What was surely not sent goes by the next one.
    let (one, two) = (
        Scripted::new([const { Some(Answer::NotSent) }; 4]),
        Scripted::new([status(200)]),
    );
    let ended = caller(1).call(Repeat::Never, &[&one, &two]).await;
    assert_eq!(ended, Ended::Done { channel: 1 });
}
