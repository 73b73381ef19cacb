//! A kernel that has nothing to wall workers in.

use dormouse_engine::worker::isolation::{Offered, Policy};

use super::*;

/// WK-5, with `a_wall_that_is_missing_is_said_by_the_log_and_by_health` and, of `doctor`,
/// `a_wall_that_is_missing_is_a_warning_and_one_that_was_required_a_failure` of the program, and
/// `every_version_names_what_it_leaves_open`.
#[tokio::test]
async fn a_worker_that_is_not_walled_in_though_it_was_wanted_is_told_by_its_event() {
    let bed = bed();
    let house = bed.open_with_alice().await;
    let supervisor = Supervisor::new(
        &house.engine,
        SupervisorOptions {
            offered: Some(Offered::Nothing),
            ..options(bed.folder())
        },
    );
    let house = House { supervisor, ..house };
    let ran = bed.folder().join("workspaces/default/alice/ran");
    let required = CommandSpec {
        isolation: Some(Policy::Required),
        ..sh("touch ran")
    };
    let row = house.run(required).await;
    let Outcome::Failed {
        reason, permanent, ..
    } = outcome(&row)
    else {
        panic!("{row:?}")
    };
    assert_eq!((reason, permanent), (FailReason::Isolation, true));
    assert!(!ran.exists(), "nothing ran");
    let off = CommandSpec {
        isolation: Some(Policy::Off),
        ..sh("touch ran")
    };
    for (command, level) in [
        (sh("touch ran"), "degraded: this kernel has no Landlock"),
        (off, "off"),
    ] {
        let row = house.run(command).await;
        assert!(matches!(outcome(&row), Outcome::Success { .. }), "{row:?}");
        assert_eq!(facts(&row).isolation, level);
        let page = house
            .tenant
            .events
            .read_after(Position::START, 1000)
            .await
            .unwrap();
        let ended = page
            .events
            .into_iter()
            .map(|at| at.event)
            .rfind(|event| event.kind == "run.ended");
        let told = serde_json::to_value(ended.unwrap().data).unwrap();
        let wanted = (level != "off").then(|| serde_json::json!(level));
        assert_eq!(told.get("isolation"), wanted.as_ref(), "{told:#}");
    }
    assert!(ran.exists());
}
