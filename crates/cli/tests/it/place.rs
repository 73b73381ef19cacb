use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use dormouse_cli::environment::Environment;
use dormouse_cli::owner::token::ControlToken;
use dormouse_cli::place::{Places, Refusal, SOCKET_PATH_MAX, check_folder, ensure_folder};

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn places(variables: &[(&str, &str)]) -> Places {
    Places::find(&Environment::new(variables.iter().copied(), "/work")).unwrap()
}

#[test]
fn dormouse_home_replaces_every_other_rule() {
    let found = places(&[
        ("DORMOUSE_HOME", "/h"),
        ("HOME", "/x"),
        ("XDG_DATA_HOME", "/y"),
        ("STATE_DIRECTORY", "/z"),
    ]);
    let store = found.of_store(None, None, "dormouse");
    assert_eq!(found.config, Path::new("/h/config/config.toml"));
    assert_eq!(store.store.as_deref(), Some(Path::new("/h/data/store")));
    assert_eq!(store.url.to_string(), "sled:/h/data/store");
    assert!(store.lock.starts_with("/h/state") && store.token.starts_with("/h/state"));
    assert!(store.socket.starts_with("/h/run"));
}

#[test]
fn a_relative_home_is_meant_from_the_working_folder() {
    assert_eq!(places(&[("DORMOUSE_HOME", "h")]).data, Path::new("/work/h/data"));
}

#[test]
fn what_a_service_manager_gives_comes_before_xdg_and_that_before_home() {
    let all = [
        ("HOME", "/home/me"),
        ("XDG_DATA_HOME", "/xdg/data"),
        ("XDG_STATE_HOME", "/xdg/state"),
        ("XDG_CONFIG_HOME", "/xdg/config"),
        ("XDG_RUNTIME_DIR", "/run/user/1"),
        ("STATE_DIRECTORY", "/var/lib/dormouse"),
        ("RUNTIME_DIRECTORY", "/run/dormouse"),
        ("CONFIGURATION_DIRECTORY", "/etc/d"),
    ];
    let service = places(&all);
    assert_eq!(
        (service.data.as_path(), service.state.as_path()),
        (Path::new("/var/lib/dormouse"), Path::new("/var/lib/dormouse"))
    );
    assert_eq!(service.runtime.as_deref(), Some(Path::new("/run/dormouse")));
    assert_eq!(service.config, Path::new("/etc/d/config.toml"));
    let xdg = places(&all[..5]);
    assert_eq!(
        (xdg.data.as_path(), xdg.state.as_path()),
        (Path::new("/xdg/data/dormouse"), Path::new("/xdg/state/dormouse"))
    );
    assert_eq!(xdg.runtime.as_deref(), Some(Path::new("/run/user/1/dormouse")));
    let home = places(&all[..1]);
    assert_eq!(home.data, Path::new("/home/me/.local/share/dormouse"));
    assert_eq!(home.state, Path::new("/home/me/.local/state/dormouse"));
    assert_eq!(home.runtime, None);
    assert!(
        home.of_store(None, None, "dormouse")
            .socket
            .starts_with(&home.state),
        "never a shared tmp"
    );
}

#[test]
fn without_any_home_nothing_is_guessed() {
    let refused =
        Places::find(&Environment::new([("HOME", "not/absolute")], "/work")).expect_err("there is none");
    assert!(refused.detail.contains("HOME"), "{}", refused.detail);
}

#[test]
fn two_stores_share_no_lock_token_or_socket() {
    let places = places(&[("DORMOUSE_HOME", "/h")]);
    let (one, other) = (
        places.of_store(None, None, "dormouse"),
        places.of_store(Some(Path::new("/elsewhere")), None, "dormouse"),
    );
    assert!(one.lock != other.lock && one.token != other.token && one.socket != other.socket);
}

#[test]
fn a_store_that_is_named_has_a_lock_of_its_own_wherever_it_is() {
    let places = places(&[("DORMOUSE_HOME", "/h")]);
    let lock = |url: &str, schema: &str| {
        let url = url.parse().unwrap();
        places.of_store(None, Some(&url), schema).lock
    };
    let urls = [
        "sled:/h/data/store",
        "file:/h/data/store",
        "sled:/elsewhere",
        "postgres://u@db/d",
        "postgres://u@db/e",
    ];
    let mut locks: Vec<_> = urls.map(|url| lock(url, "dormouse")).into();
    assert_eq!(
        locks[0],
        places.of_store(None, None, "dormouse").lock,
        "the default by its name"
    );
    locks.push(lock("postgres://u@db/d", "another"));
    let different: std::collections::HashSet<_> = locks.iter().collect();
    assert_eq!(different.len(), locks.len());
    assert_eq!(
        lock("postgres://u:secret@db/d", "dormouse"),
        lock("postgresql://u:other@db/d", "dormouse"),
        "a password is no part of it"
    );
    let url = "postgres://u@db/d".parse().unwrap();
    let on_server = places.of_store(None, Some(&url), "dormouse");
    assert_eq!(on_server.store, None);
    assert!(on_server.workspaces.starts_with("/h/data"));
}

#[test]
fn a_socket_path_over_what_kernels_take_is_refused_by_name() {
    let long = format!("/{}", "x".repeat(SOCKET_PATH_MAX));
    let refused = places(&[("DORMOUSE_HOME", &long)])
        .of_store(None, None, "dormouse")
        .check_socket()
        .expect_err("it is too long");
    assert!(refused.detail.contains("107"), "{}", refused.detail);
}

#[test]
fn folders_are_ours_alone_from_creation() {
    let folder = tempfile::tempdir().unwrap();
    let deep = folder.path().join("a/b");
    ensure_folder(&deep).unwrap();
    assert_eq!((mode(&folder.path().join("a")), mode(&deep)), (0o700, 0o700));
}

#[test]
fn a_wide_folder_a_link_and_a_file_are_refused_with_the_fix() {
    let folder = tempfile::tempdir().unwrap();
    let [wide, link, file] = ["wide", "link", "file"].map(|name| folder.path().join(name));
    ensure_folder(&wide).unwrap();
    std::fs::set_permissions(&wide, std::fs::Permissions::from_mode(0o755)).unwrap();
    symlink(&wide, &link).unwrap();
    std::fs::write(&file, "").unwrap();
    let refused = ensure_folder(&wide).expect_err("wide");
    assert!(refused.fix().starts_with("chmod 700 "), "{}", refused.fix());
    assert!(matches!(check_folder(&link), Err(Refusal::Link { .. })));
    assert!(matches!(check_folder(&file), Err(Refusal::Kind { .. })));
    assert_eq!(mode(&wide), 0o755, "nothing is changed by looking");
}

#[test]
fn a_token_is_made_once_narrow_and_reads_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control.token");
    let made = ControlToken::ensure(&path).unwrap();
    assert_eq!(mode(&path), 0o600);
    let read = ControlToken::ensure(&path).unwrap();
    assert!(read.is(&made.expose()));
    assert_eq!(made.expose().len(), 64, "256 bits");
    assert!(!read.is("") && !read.is(&ControlToken::make().unwrap().expose()));
    assert_eq!(format!("{made:?}"), "ControlToken(***)");
}

#[test]
fn a_token_that_others_may_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control.token");
    ControlToken::ensure(&path).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(ControlToken::read(&path), Err(Refusal::Mode { .. })));
}
