//! The tables of messages and threads, printed whole.

use dormouse_engine::Decision;
use dormouse_engine::thread::{MessageEvent, MessageStatus, ThreadEvent, ThreadState, decide, decide_thread};

use super::golden::{aligned, check};

fn cell<S>(decision: &Decision<S>, word: impl Fn(&S) -> String) -> String {
    match decision {
        Decision::Apply(next) => word(next),
        Decision::Same => "·".to_owned(),
        Decision::Ignore(reason) => format!("i:{}", reason.word()),
        Decision::Reject(reason) => format!("x:{}", reason.word()),
    }
}

#[test]
fn messages_move_as_the_table_says() {
    let words = MessageEvent::ALL.map(|event| match event {
        MessageEvent::Finalise { is_replay: true } => "finalise again".to_owned(),
        event => event.word().to_owned(),
    });
    let mut rows = vec![std::iter::once(String::new()).chain(words).collect::<Vec<_>>()];
    for status in MessageStatus::ALL {
        let cells =
            MessageEvent::ALL.map(|event| cell(&decide(status, event), |next| next.word().to_owned()));
        rows.push(std::iter::once(status.word().to_owned()).chain(cells).collect());
    }
    check("messages.txt", &aligned(&rows));
}

#[test]
fn threads_move_as_the_table_says() {
    let words = ThreadEvent::ALL.map(|event| match event {
        ThreadEvent::Delete { has_turn: true } => "delete in a turn".to_owned(),
        event => event.word().to_owned(),
    });
    let mut rows = vec![std::iter::once(String::new()).chain(words).collect::<Vec<_>>()];
    for state in [None].into_iter().chain(ThreadState::ALL.map(Some)) {
        let cells =
            ThreadEvent::ALL.map(|event| cell(&decide_thread(state, event), |next| next.word().to_owned()));
        let word = state.map_or("none", ThreadState::word).to_owned();
        rows.push(std::iter::once(word).chain(cells).collect());
    }
    check("threads.txt", &aligned(&rows));
}
