//! `dormouse doctor` and `config path`: they tell, and change nothing.

use crate::home::Home;
use crate::modes::files_below;

#[test]
fn doctor_passes_on_a_good_home_and_changes_no_file() {
    let home = Home::new();
    home.type_line("run --agent alice -- true").exits(0);
    let contents = || {
        let files = files_below(&home.path()).into_iter();
        files
            .map(|path| (std::fs::read(&path).unwrap(), path))
            .collect::<Vec<_>>()
    };
    let before = contents();
    let ran = home.type_line("doctor");
    ran.exits(0);
    assert!(ran.stdout.contains("isolation"), "{ran:?}");
    assert!(before == contents(), "a file changed");
}

#[test]
fn doctor_names_the_programs_of_providers_their_versions_and_those_that_were_tested() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir_in("/tmp").unwrap();
    let file = folder.path().join("codex");
    std::fs::write(&file, "#!/bin/sh\necho codex-cli 0.170.1\n").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", folder.path().display());
    let ran = Home::new().with("PATH", path).type_line("doctor");
    let codex = ran.stdout.lines().find(|line| line.contains("codex-cli 0.170.1"));
    assert!(
        codex.is_some_and(|line| line.contains("tested with 0.169.0")),
        "{ran:?}"
    );
    assert!(ran.stdout.contains("gemini is not installed"), "{ran:?}");
}

#[test]
fn doctor_on_an_empty_home_makes_nothing() {
    let home = Home::new();
    home.type_line("doctor");
    home.type_line("config path").exits(0);
    assert!(!home.path().exists(), "{:?}", files_below(&home.path()));
}

#[test]
fn doctor_says_how_to_mend_a_folder_that_others_can_enter() {
    use std::os::unix::fs::PermissionsExt;
    let home = Home::new();
    home.type_line("agent add alice").exits(0);
    let data = home.path().join("data");
    std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o755)).unwrap();
    let ran = home.type_line("doctor");
    ran.exits(1);
    assert!(ran.stdout.contains("fix:"), "{ran:?}");
    let mode = std::fs::metadata(&data).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o755, "doctor mends nothing by itself");
}
