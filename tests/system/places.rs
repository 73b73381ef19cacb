//! Stores that are not ours to use.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::home::{Home, Ran};
use crate::modes::files_below;

/// The folder with the `FORMAT` file that the first command made.
fn store_of(home: &Home) -> PathBuf {
    home.type_line("agent add alice").exits(0);
    let files = files_below(&home.path());
    let format = files.iter().find(|path| path.ends_with("FORMAT"));
    format
        .expect("a store says its format")
        .parent()
        .unwrap()
        .to_owned()
}

fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let files = files_below(folder);
    files
        .into_iter()
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect()
}

#[test]
fn a_folder_of_another_program_is_refused_and_left_alone() {
    let home = Home::new();
    let store = store_of(&home);
    fs::remove_dir_all(&store).unwrap();
    fs::create_dir(&store).unwrap();
    fs::set_permissions(&store, fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(store.join("somebody-elses.txt"), "precious").unwrap();
    let before = contents(&store);
    home.type_line("task list")
        .exits(2)
        .errs(&[&store.display().to_string()])
        .hints();
    assert_eq!(contents(&store), before);
}

#[test]
fn a_store_of_a_newer_format_is_refused_untouched() {
    let home = Home::new();
    let store = store_of(&home);
    let format = store.join("FORMAT");
    let text = fs::read_to_string(&format).unwrap();
    let newer = text.replacen('1', "999", 1);
    assert_ne!(text, newer, "the format file has a number: {text:?}");
    fs::write(&format, newer).unwrap();
    let before = contents(&store);
    home.type_line("task list")
        .exits(1)
        .errs(&["format 999", "upgrade"])
        .hints();
    assert_eq!(contents(&store), before);
}

#[test]
fn a_home_that_cannot_be_written_is_refused_with_its_path() {
    let home = Home::new();
    let parent = home.path().parent().unwrap().to_owned();
    // For root no mode forbids anything; a file in the folder's place does.
    fs::write(parent.join("a-file"), "").unwrap();
    let mut command = home.command(["task", "list"]);
    let place = parent.join("a-file/home");
    command.env("DORMOUSE_HOME", &place);
    Ran::of(&mut command)
        .exits(2)
        .errs(&[&place.display().to_string()])
        .hints();
}

#[test]
fn a_home_that_others_can_enter_is_refused_with_the_fix() {
    let home = Home::new();
    home.type_line("agent add alice").exits(0);
    let data = home.path().join("data");
    fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).unwrap();
    home.type_line("task list")
        .exits(2)
        .errs(&[&data.display().to_string(), "chmod"])
        .hints();
}
