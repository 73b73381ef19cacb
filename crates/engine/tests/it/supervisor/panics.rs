//! What is kept and printed of a run's future that panics with the value of a secret in its text.

use std::num::NonZeroUsize;
use std::process::{Command, Stdio};

use dormouse_engine::step::{Failure, StepContext, WORKER_THREAD, WorkerThreads};
use dormouse_secrets::{Holder, LeaseOptions, OpenValues, PanicText, Purpose, install_panic_hook};

use super::*;

/// How the process that panics is to poll the future.
const HOW: &str = "DORMOUSE_TEST_PANICS";

/// The value, as who does the run's work gets it.
async fn leased(house: &House, claimed: &Claimed) -> String {
    let call = house.tenant.credentials.call(&operator());
    let secrets = house.tenant.credentials.secrets();
    let holder = Holder::Run(claimed.run.id.to_string());
    let at = "agent:alice:GH_TOKEN".parse().unwrap();
    let lease = secrets.lease(&call, &at, &Purpose::Reference, &holder, LeaseOptions::default());
    let id = lease.await.unwrap().id();
    let lease = secrets.use_lease(&call, id, &holder).await.unwrap();
    lease.expose(call.now).unwrap().expose_text().unwrap().to_owned()
}

/// No 8 bytes of the value.
#[track_caller]
fn is_clean(what: &str, text: &str) {
    for piece in VALUE.as_bytes().windows(8) {
        let piece = std::str::from_utf8(piece).unwrap();
        assert!(!text.contains(piece), "{piece} in {what}: {text}");
    }
}

/// A future of a run that panics, in a process with the program's hook, whose values are told to it as they open.
#[tokio::test]
#[ignore = "the process that panics, started by the test below"]
async fn a_process_whose_future_panics_with_a_value() {
    let Ok(how) = std::env::var(HOW) else { return };
    let values = OpenValues::default();
    install_panic_hook(&values, |thread| match thread {
        Some(WORKER_THREAD) => PanicText::PlaceOnly,
        Some(_) | None => PanicText::Whole,
    });
    let bed = bed();
    let options = EngineOptions {
        registrar: Arc::new(values),
        worker_threads: match how.as_str() {
            "own" => WorkerThreads::Own(NonZeroUsize::MIN),
            _ => WorkerThreads::OfCaller,
        },
        ..open_to_all()
    };
    let house = bed.open_with_alice_and(options).await;
    house.with_secret("GH_TOKEN").await;
    let claimed = house.claimed(NewTask::new(alice(), "a task")).await;
    let (run, value) = (claimed.run.id, leased(&house, &claimed).await);
    assert_eq!(value, VALUE);
    let encoded = data_encoding::BASE64.encode(value.as_bytes());
    let work = async move |_: StepContext| -> Result<(), Failure> { panic!("fell over {value}, {encoded}") };
    house.tenant.runs.drive(claimed, work).await;
    let row = house.tenant.runs.get(run).await.unwrap();
    let Outcome::Failed { message, .. } = outcome(&row) else {
        panic!("another end")
    };
    assert_eq!(message.as_str(), "the work panicked");
    is_clean("the store", &crate::stores::stored_in(&bed.store).await);
    println!("OVER");
}

/// What such a process prints to standard error.
fn printed(how: &str) -> String {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--ignored", "--nocapture"])
        .arg("supervisor::panics::a_process_whose_future_panics_with_a_value")
        .env(HOW, how)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let out = String::from_utf8_lossy(&child.stdout);
    let err = String::from_utf8_lossy(&child.stderr).into_owned();
    assert!(child.status.success() && out.contains("OVER"), "{out}{err}");
    is_clean("standard output", &out);
    err
}

/// SE-66: of a panic. Of blocks with their reason, URL and HTML it is `no_text_of_a_report_has_a_value`; of the other outcomes,
/// reasons, titles and gate texts `a_worker_prints_no_value_and_its_texts_have_none` and its neighbours, and
/// `what_a_worker_says_of_its_end_has_no_value_in_outcome_log_event_stderr_and_answers` of the program.
#[test]
fn what_is_printed_of_a_future_that_panics_has_no_value_and_its_outcome_none_of_its_text() {
    let said = printed("of_caller");
    assert!(said.contains("panicked at "), "{said}");
    assert!(
        said.contains("fell over [redacted:GH_TOKEN], [redacted:GH_TOKEN]"),
        "{said}"
    );
    is_clean("what is printed", &said);
    let encoded = data_encoding::BASE64.encode(VALUE.as_bytes());
    for piece in encoded.as_bytes().windows(8) {
        assert!(!said.contains(std::str::from_utf8(piece).unwrap()), "{said}");
    }

    let said = printed("own");
    assert!(
        said.contains(&format!("thread '{WORKER_THREAD}' panicked at ")),
        "{said}"
    );
    assert!(!said.contains("fell over"), "{said}");
    is_clean("what is printed", &said);
}
