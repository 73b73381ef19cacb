//! Where the built program is.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// The program: what `cargo xtask test` built, or else built now.
pub(crate) fn program() -> &'static PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| std::env::var_os("DORMOUSE_TEST_PROGRAM").map_or_else(build, PathBuf::from))
}

/// Cargo does nothing where nothing changed, and lets one build wait for another.
fn build() -> PathBuf {
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["build", "--quiet", "--package", "dormouse-cli"])
        .arg("--message-format=json-render-diagnostics")
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    // What a test runner says of this package is no other build: build scripts that look at it would run again, and all
    // that stands on them.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CARGO_PKG_")
            || name.to_string_lossy().starts_with("CARGO_MANIFEST_")
        {
            cargo.env_remove(&name);
        }
    }
    let output = cargo.output().expect("cargo starts");
    assert!(
        output.status.success(),
        "the program does not build: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    executable(&output.stdout).expect("cargo says where the program is")
}

fn executable(messages: &[u8]) -> Option<PathBuf> {
    let messages = serde_json::Deserializer::from_slice(messages).into_iter::<serde_json::Value>();
    let executables =
        messages.filter_map(|message| message.ok()?.get("executable")?.as_str().map(PathBuf::from));
    executables.last()
}
