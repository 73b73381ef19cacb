use dormouse_cli::attach::LockFound::{Busy, Held, Untried};
use dormouse_cli::attach::SocketFound::{Live, Silent};
use dormouse_cli::attach::{Step, decide};
use dormouse_cli::owner::phase::{Answer, EVENTS, PHASES};

/// The order of program.md, section 6.
#[test]
fn a_command_looks_for_the_store_in_the_documented_order() {
    for (socket, lock, has_time, step) in [
        (Live, Untried, true, Step::UseSocket),
        (Silent, Untried, true, Step::TryLock),
        (Silent, Untried, false, Step::TryLock),
        (Silent, Held, true, Step::Own),
        (Silent, Held, false, Step::Own),
        (Silent, Busy, true, Step::Retry),
        (Silent, Busy, false, Step::GiveUp),
        (Live, Busy, true, Step::UseSocket),
        (Live, Busy, false, Step::UseSocket),
    ] {
        assert_eq!(
            decide(false, socket, lock, has_time),
            step,
            "{socket:?} {lock:?} {has_time}"
        );
    }
}

#[test]
fn a_named_server_is_used_whatever_else_is_there() {
    for socket in [Live, Silent] {
        for lock in [Untried, Held, Busy] {
            for has_time in [true, false] {
                assert_eq!(decide(true, socket, lock, has_time), Step::UseServer);
            }
        }
    }
}

#[test]
fn the_table_of_owners_is_the_golden_one() {
    let mut table = String::new();
    for phase in PHASES {
        for event in EVENTS {
            let answer = match phase.on(event) {
                Answer::Apply => "apply".to_owned(),
                Answer::Become(phase) => format!("apply → {}", format!("{phase:?}").to_lowercase()),
                Answer::Ignore(why) => format!("ignore({why})"),
                Answer::Reject(why) => format!("reject({why})"),
            };
            table.push_str(&format!("{phase:?} {event:?}: {answer}\n"));
        }
    }
    assert_eq!(table, include_str!("golden/owner.txt"));
}
