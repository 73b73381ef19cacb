//! Workers that are not started: nothing of them runs, and the outcome says why.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use dormouse_engine::worker::isolation::Policy;
use dormouse_secrets::SecretName;

use super::*;
use crate::stores::hooked::Hooked;

/// An executable script.
fn script(path: &Path, text: &str, mode: u32) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// The keeper is killed, and nobody waits for that: it takes a moment.
async fn until_gone(mark: &str) {
    for _ in 0..1000 {
        if !is_running(mark) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("a keeper that said nothing lives: {mark}");
}

fn argv(program: &str) -> CommandSpec {
    CommandSpec::new(vec![program.to_owned()])
}

/// Why it failed, and whether for good.
fn failure(row: &RunRow) -> (FailReason, bool, String) {
    match outcome(row) {
        Outcome::Failed {
            reason,
            permanent,
            message,
            ..
        } => (reason, permanent, message.into_string()),
        other => panic!("{other:?}"),
    }
}

/// Alice's workspace, which her first run makes.
async fn workspace(bed: &Bed, house: &House) -> PathBuf {
    house.run(sh("true")).await;
    bed.folder().join("workspaces/default/alice")
}

/// WK-9, but for EAGAIN, which no test can order of a kernel: it is a row of
/// `a_spawn_that_lacked_what_passes_is_tried_again_and_any_other_is_not`.
#[tokio::test]
async fn what_cannot_be_started_is_row_11_and_a_start_that_hangs_is_row_3() {
    let bed = bed();
    let house = bed.open_with_alice().await;
    let workspace = workspace(&bed, &house).await;
    script(&workspace.join("plain"), "#!/bin/sh\n", 0o600);
    fs::copy("/bin/true", workspace.join("busy")).unwrap();
    let writer = fs::File::options()
        .append(true)
        .open(workspace.join("busy"))
        .unwrap();
    let outside = CommandSpec {
        cwd: Some("/usr".into()),
        ..argv("true")
    };
    for (command, is_permanent, word) in [
        (argv("no-such-program"), true, "was not found"),
        (argv("./missing"), true, "was not found"),
        (argv("./plain"), true, "permission denied"),
        (outside, true, "outside of the workspace"),
        (argv("./busy"), false, "busy"),
    ] {
        let row = house.run(command).await;
        let (reason, permanent, message) = failure(&row);
        assert_eq!(
            (reason, permanent),
            (FailReason::Spawn, is_permanent),
            "{message}"
        );
        assert!(message.contains(word), "{message}");
        let facts = facts(&row);
        assert_eq!(facts.exit, None, "nothing ran: {message}");
        let state = house.task_state(&row).await;
        assert_eq!(
            matches!(state, TaskState::Failed { .. }),
            is_permanent,
            "{state:?}"
        );
        assert_eq!(
            matches!(state, TaskState::Waiting { .. }),
            !is_permanent,
            "{state:?}"
        );
    }
    drop(writer);

    // A keeper that says nothing: the clock has run since the claim.
    let mark = unique_sleep();
    let hangs = bed.folder().join("hangs");
    script(&hangs, &format!("#!/bin/sh\nexec sleep {mark}\n"), 0o700);
    let supervisor = Supervisor::new(
        &house.engine,
        SupervisorOptions {
            keeper: hangs,
            ..options(bed.folder())
        },
    );
    let house = House { supervisor, ..house };
    let row = house
        .run(CommandSpec {
            wall_clock_ms: Some(1000),
            ..argv("true")
        })
        .await;
    assert_eq!(outcome(&row), wall_timeout(1000));
    assert!(matches!(house.task_state(&row).await, TaskState::Failed { .. }));
    until_gone(&mark).await;
}

/// WK-3
#[tokio::test]
async fn a_name_in_two_layers_is_a_conflict_and_no_other_value_stands_for_a_locked_secret() {
    let store = Hooked::new();
    let bed = bed_over(Arc::clone(&store) as Arc<dyn RecordStore>);
    let house = bed.open_with_alice().await;
    let workspace = workspace(&bed, &house).await;
    house.with_secret("GH_TOKEN").await;
    let call = house.tenant.credentials.call(&operator());
    let wider = Secret::new(b"a wider value of the same name".to_vec());
    let secrets = house.tenant.credentials.secrets();
    secrets
        .put(
            &call,
            &"shared:GH_TOKEN".parse().unwrap(),
            &wider,
            SecretCategory::Tool,
            &PutMeta::default(),
            Expect::Any,
        )
        .await
        .unwrap();
    let shows = || CommandSpec {
        secrets: vec![SecretName::parse("GH_TOKEN").unwrap()],
        ..sh("echo ${GH_TOKEN:-none} > ran; echo ran")
    };

    let mut conflict = shows();
    conflict.env.insert("GH_TOKEN".into(), "mine".into());
    let row = house.run(conflict).await;
    let (reason, permanent, message) = failure(&row);
    assert_eq!((reason, permanent), (FailReason::Spawn, true), "{message}");
    assert!(
        message.contains("`GH_TOKEN` is set by the secrets of its agent and by the profile"),
        "{message}"
    );

    // Locked after it was looked at, and before it is lent: as it is claimed, behind the making of its task.
    let vault = house.engine.vault().clone();
    let locker = house.tenant.credentials.call(&operator());
    store.before_nth_commit(1, async move { vault.lock(&locker).await.unwrap() });
    let row = house.run(shows()).await;
    assert!(store.was_met());
    let (reason, permanent, message) = failure(&row);
    assert_eq!(
        (reason, permanent),
        (FailReason::SecretUnavailable, false),
        "{message}"
    );
    assert!(matches!(house.task_state(&row).await, TaskState::Waiting { .. }));
    assert!(!workspace.join("ran").exists(), "nothing ran");

    // One that is locked already is not claimed for.
    let task = NewTask {
        command: Some(shows()),
        ..NewTask::new(alice(), "a task")
    };
    let task = house.tenant.tasks.create(&operator(), task).await.unwrap();
    let refused = house.supervisor.start(&house.tenant, &operator(), task.id).await;
    assert!(
        matches!(refused, Err(CommandError::SecretsLocked { .. })),
        "{refused:?}"
    );
}

/// A part of case 5 of the page: with the policy that is set, none and each.
#[tokio::test]
async fn the_outcome_has_the_level_it_ran_with() {
    let house = bed().open_with_alice().await;
    for (policy, word) in [(Some(Policy::Off), "off"), (None, "")] {
        let command = CommandSpec {
            isolation: policy,
            ..sh("true")
        };
        let row = house.run(command).await;
        let facts = facts(&row);
        assert!(
            facts.isolation.starts_with(word) && !facts.isolation.is_empty(),
            "{facts:?}"
        );
    }
}
