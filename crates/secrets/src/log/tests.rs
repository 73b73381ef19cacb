//! What a process prints that panics with every lock held.

use std::io::{self, Write};
use std::process::{Command, Stdio};

use super::{OpenValues, PanicText, install_panic_hook};
use crate::{Secret, SecretName};

/// How the process that panics is to do so.
const HOW: &str = "DORMOUSE_TEST_PANICS";

const VALUE: &str = "correct horse battery";

/// Panics on a thread of the name, with the locks of a rebuild and of standard error held.
#[test]
#[ignore = "the process that panics, started by the test below"]
fn a_process_that_panics() {
    let Ok(thread) = std::env::var(HOW) else { return };
    let values = OpenValues::default();
    let name = SecretName::parse("HORSE").expect("a name");
    values.cover(&name, &Secret::new(VALUE.as_bytes().to_vec()));
    install_panic_hook(&values, |thread| match thread {
        Some("worker") => PanicText::PlaceOnly,
        Some(_) | None => PanicText::Whole,
    });
    let held = io::stderr().lock();
    let panics = move || {
        let _rebuild = values.0.held.lock();
        panic!("fell over {VALUE} with {} and a cause", "Bearer abc123def456");
    };
    let thread = std::thread::Builder::new().name(thread).spawn(panics);
    assert!(thread.expect("a thread").join().is_err(), "it panics");
    drop(held);
    writeln!(io::stdout(), "OVER").expect("a pipe");
}

fn printed(thread: &str) -> String {
    let child = Command::new(std::env::current_exe().expect("this program"))
        .args([
            "--exact",
            "log::tests::a_process_that_panics",
            "--ignored",
            "--nocapture",
        ])
        .env(HOW, thread)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .output()
        .expect("a process");
    let (out, err) = (
        String::from_utf8_lossy(&child.stdout),
        String::from_utf8_lossy(&child.stderr),
    );
    assert!(out.contains("OVER"), "it went on: {out}{err}");
    err.into_owned()
}

#[test]
fn a_panic_in_the_midst_of_a_rebuild_is_printed_scrubbed_and_waits_for_no_lock() {
    let said = printed("main loop");
    assert!(said.contains("thread 'main loop' panicked at "), "{said}");
    assert!(
        said.contains("fell over [redacted:HORSE] with Bearer *** and a cause"),
        "{said}"
    );
}

#[test]
fn a_panic_of_a_worker_is_printed_with_its_place_alone() {
    let said = printed("worker");
    assert!(
        said.contains("thread 'worker' panicked at ") && said.contains("tests.rs:"),
        "{said}"
    );
    assert!(!said.contains("fell over"), "{said}");
}

#[test]
fn a_rebuild_that_never_ran_keeps_no_other_from_it() {
    let values = OpenValues::default();
    let open = |from: usize, to: usize| {
        for number in from..to {
            let name = SecretName::parse("MANY").expect("a name");
            values.cover(&name, &Secret::new(format!("the value {number:05}").into_bytes()));
        }
    };
    // A runtime that is ending takes the work and drops it.
    let ended = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let handle = ended.handle().clone();
    drop(ended);
    {
        let _in = handle.enter();
        open(0, 40);
    }
    assert_eq!(values.0.held.lock().expect("nobody panicked").singly(), 40);
    open(40, 41);
    assert_eq!(values.0.held.lock().expect("nobody panicked").singly(), 0);
}
