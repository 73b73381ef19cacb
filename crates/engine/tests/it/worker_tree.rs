//! Real process trees: however they hide, nothing of them is left.

use std::time::Duration;

use dormouse_engine::worker::{self, Ended, LiveEvent, ProcessId, Stop, orphans};
use rustix::process::{Pid, Signal};
use tokio::time::Instant;

use crate::worker_bed::{Bed, PATIENCE, finish, run, start};

const GRACE: Duration = Duration::from_millis(300);

fn stop() -> Stop {
    Stop {
        grace: GRACE,
        ..Stop::default()
    }
}

fn kill(process: ProcessId) {
    rustix::process::kill_process(Pid::from_raw(process.pid).unwrap(), Signal::KILL).unwrap();
}

#[tokio::test]
async fn a_worker_that_tidies_up_on_the_first_signal_has_the_time_to() {
    let bed = Bed::new();
    let live =
        start(&bed.sh("trap 'echo tidied; exit 7' TERM; echo up > up; while :; do sleep 0.01; done")).await;
    bed.written("up").await;
    live.stop(Stop {
        grace: PATIENCE,
        ..Stop::default()
    });
    let seen = finish(live).await;
    assert_eq!(seen.text(), "tidied\n");
    assert!(matches!(seen.gone.ended, Ended::Exited { exit, signalled: true } if exit.code == Some(7)));
}

#[tokio::test]
async fn a_program_that_leaves_on_the_interrupt_only_is_asked_by_it() {
    let bed = Bed::new();
    let live =
        start(&bed.sh("trap '' TERM; trap 'exit 8' INT; echo up > up; while :; do sleep 0.01; done")).await;
    bed.written("up").await;
    live.stop(Stop {
        first: worker::FirstSignal::Interrupt,
        grace: PATIENCE,
    });
    assert_eq!(finish(live).await.exit().code, Some(8));
}

/// WK-8
#[tokio::test]
async fn no_hiding_place_outlasts_the_grace_and_five_seconds() {
    for (case, script) in [
        (
            "a session of its own",
            "setsid sleep 300 & echo up > up; wait; sleep 300",
        ),
        (
            "a double fork",
            "(setsid sh -c 'sleep 300 & sleep 300' &) ; echo up > up; sleep 300",
        ),
        (
            "TERM ignored",
            "trap '' TERM; echo up > up; while :; do sleep 1; done",
        ),
        (
            "TERM ignored in another session",
            "setsid sh -c \"trap '' TERM; echo up > up; while :; do sleep 1; done\" & wait",
        ),
        (
            "a burst of forks",
            "f() { f & f & }; echo up > up; ulimit -u 2000; while [ $(ls -d /proc/[0-9]* | wc -l) -lt 600 ]; do (sleep 300 &) ; setsid sleep 300 & done; wait",
        ),
        (
            "a grandchild that holds stdout",
            "(setsid sh -c \"trap '' TERM HUP; while :; do sleep 1; done\" &); echo up > up; sleep 300",
        ),
        ("stopped by itself", "echo up > up; kill -STOP $$"),
    ] {
        let bed = Bed::new();
        let live = start(&bed.sh(script)).await;
        bed.written("up").await;
        let begun = Instant::now();
        live.stop(stop());
        let seen = finish(live).await;
        assert!(
            begun.elapsed() < GRACE + Duration::from_secs(5),
            "{case}: {:?}",
            begun.elapsed()
        );
        seen.assert_nothing_is_left();
        assert!(seen.exit().by_us, "{case}: {seen:?}");
    }
}

#[tokio::test]
async fn a_tree_that_forks_without_end_is_outrun() {
    let bed = Bed::new();
    // Each process starts the next one in a session of its own and goes; a few hundred chains at once.
    let chain = "c() { setsid sh -c \"$0\" & }; ";
    std::fs::write(bed.workspace().join("chain"), "#!/bin/sh\nsetsid ./chain &\n").unwrap();
    std::fs::set_permissions(
        bed.workspace().join("chain"),
        std::os::unix::fs::PermissionsExt::from_mode(0o700),
    )
    .unwrap();
    let script =
        format!("{chain} for i in $(seq 40); do ./chain & done; echo up > up; while :; do sleep 1; done");
    let live = start(&bed.sh(&script)).await;
    bed.written("up").await;
    let begun = Instant::now();
    live.kill();
    let seen = finish(live).await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    seen.assert_nothing_is_left();
}

#[tokio::test]
async fn what_outlives_the_first_process_is_ended_and_counted_and_the_exit_code_stands() {
    let seen = run(&Bed::new().sh("setsid sleep 300 & (sleep 300 &) ; exit 6")).await;
    assert_eq!((seen.exit().code, seen.gone.strays), (Some(6), 2));
    seen.assert_nothing_is_left();
}

#[tokio::test]
async fn the_exit_is_known_while_strays_are_still_ended() {
    let bed = Bed::new();
    let mut live = start(&bed.sh("setsid sh -c \"trap '' TERM; echo up > up; while :; do sleep 1; done\" & while ! test -e up; do :; done; exit 0")).await;
    bed.written("up").await;
    let exit = tokio::time::timeout(PATIENCE, async {
        loop {
            if let Some(LiveEvent::Exited(exit)) = live.next().await {
                return exit;
            }
        }
    });
    assert_eq!(exit.await.unwrap().code, Some(0));
    assert_eq!(live.exit().unwrap().code, Some(0));
    finish(live).await.assert_nothing_is_left();
}

#[tokio::test]
async fn a_dropped_worker_is_killed() {
    let bed = Bed::new();
    let live =
        start(&bed.sh("trap '' TERM; setsid sleep 300 & echo up > up; while :; do sleep 1; done")).await;
    bed.written("up").await;
    let row = live.row().clone();
    drop(live);
    gone(&row, Duration::from_secs(3)).await;
}

#[tokio::test]
async fn what_was_prepared_and_dropped_never_ran() {
    let bed = Bed::new();
    let prepared = worker::prepare(&bed.sh("echo ran > ran")).await.unwrap();
    let row = prepared.row().clone();
    assert!(orphans::lives(&row).unwrap());
    drop(prepared);
    gone(&row, Duration::from_secs(3)).await;
    assert!(!bed.workspace().join("ran").exists());
}

#[tokio::test]
async fn a_tree_whose_keeper_is_killed_is_killed_by_its_row() {
    let bed = Bed::new();
    let script = "setsid sh -c 'sleep 300 & (setsid sleep 300 &); echo up > up; sleep 300' & wait; sleep 300";
    let live = start(&bed.sh(script)).await;
    bed.written("up").await;
    kill(live.row().keeper);
    let seen = finish(live).await;
    assert_eq!(seen.gone.ended, Ended::KeeperLost);
    seen.assert_nothing_is_left();
}

#[tokio::test]
async fn a_spawn_that_hangs_is_given_up_and_ended_by_its_row() {
    let bed = Bed::new();
    let prepared = worker::prepare(&bed.sh("echo ran > ran")).await.unwrap();
    let row = prepared.row().clone();
    let keeper = Pid::from_raw(row.keeper.pid).unwrap();
    rustix::process::kill_process(keeper, Signal::STOP).unwrap();
    let hung = tokio::time::timeout(GRACE, prepared.go()).await;
    assert!(hung.is_err(), "a keeper that is halted starts nothing");
    assert_eq!(orphans::end(&row).await.unwrap(), orphans::Swept::Killed(1));
    assert!(!orphans::lives(&row).unwrap() && !bed.workspace().join("ran").exists());
}

#[tokio::test]
async fn ctrl_c_of_the_terminal_reaches_no_keeper() {
    let live = start(&Bed::new().sh("sleep 300")).await;
    let keeper = Pid::from_raw(live.row().keeper.pid);
    assert_ne!(
        rustix::process::getpgid(keeper).unwrap(),
        rustix::process::getpgrp()
    );
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        rustix::process::kill_process(keeper.unwrap(), signal).unwrap();
    }
    live.stop(stop());
    assert!(matches!(finish(live).await.gone.ended, Ended::Exited { .. }));
}

/// Nothing of the run lives any more, in time. The keeper leaves last, and is cheap to look at.
pub(crate) async fn gone(row: &worker::ProcessRow, within: Duration) {
    let begun = Instant::now();
    while runs(row.keeper) {
        assert!(begun.elapsed() < within, "the keeper lives: {row:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(!orphans::lives(row).unwrap(), "something lives: {row:?}");
}

fn runs(process: ProcessId) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.pid));
    ProcessId::of(process.pid) == Some(process) && stat.is_ok_and(|stat| !stat.contains(") Z "))
}
