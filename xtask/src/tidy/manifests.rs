//! What every package takes from the workspace, and where dependencies come from.

use std::path::Path;

use cargo_metadata::{Metadata, Package};
use toml::{Table, Value};

use super::Finding;

/// Keys of `[package]` that are written once, in the root manifest.
const INHERITED: &[&str] = &["version", "edition", "rust-version", "license", "authors"];

/// Checks every manifest, and that nothing comes from elsewhere than the registry or this workspace.
pub(super) fn check(root: &Path, metadata: &Metadata) -> Vec<Finding> {
    let packages = metadata.workspace_packages();
    let own = packages.iter().flat_map(|package| of_package(root, package));
    let foreign = metadata.packages.iter().filter_map(|package| {
        let source = package.source.as_ref()?.repr.as_str();
        source_finding(&package.name, source)
    });
    own.chain(foreign).collect()
}

fn of_package(root: &Path, package: &Package) -> Vec<Finding> {
    let path = package.manifest_path.as_std_path();
    let place = path.strip_prefix(root).unwrap_or(path).display().to_string();
    match std::fs::read_to_string(path) {
        Ok(text) => of_manifest(&place, &text),
        Err(error) => vec![Finding::new(place, error.to_string())],
    }
}

fn of_manifest(place: &str, text: &str) -> Vec<Finding> {
    let manifest: Table = match text.parse() {
        Ok(manifest) => manifest,
        Err(error) => return vec![Finding::new(place, error.to_string())],
    };
    let lints = (!is_inherited(manifest.get("lints"))).then(|| missing(place, "lints"));
    let package = manifest.get("package");
    let keys = INHERITED
        .iter()
        .filter(|key| !is_inherited(package.and_then(|package| package.get(**key))))
        .map(|key| missing(place, &format!("package.{key}")));
    lints
        .into_iter()
        .chain(keys)
        .chain(name_finding(place, package))
        .collect()
}

fn missing(place: &str, key: &str) -> Finding {
    Finding::new(place, format!("{key}.workspace = true is missing"))
}

fn is_inherited(value: Option<&Value>) -> bool {
    value
        .and_then(|value| value.get("workspace"))
        .and_then(Value::as_bool)
        == Some(true)
}

/// `crates/NAME` holds `dormouse-NAME`.
fn name_finding(place: &str, package: Option<&Value>) -> Option<Finding> {
    let folder = place.strip_prefix("crates/")?.strip_suffix("/Cargo.toml")?;
    let name = package?.get("name")?.as_str()?;
    (name != format!("dormouse-{folder}")).then(|| {
        Finding::new(
            place,
            format!("the package is called {name}, not dormouse-{folder}"),
        )
    })
}

fn source_finding(name: &str, source: &str) -> Option<Finding> {
    let is_registry = source.starts_with("registry+") || source.starts_with("sparse+");
    (!is_registry).then(|| Finding::new(name, format!("comes from {source}, not from the registry")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
        [package]
        name = "dormouse-a"
        version.workspace = true
        edition.workspace = true
        rust-version.workspace = true
        license.workspace = true
        authors.workspace = true
        [lints]
        workspace = true
    "#;

    #[track_caller]
    fn check_manifest(text: &str, found: &[&str]) {
        let findings = of_manifest("crates/a/Cargo.toml", text);
        let found_now: Vec<&str> = findings.iter().map(|finding| finding.what.as_str()).collect();
        assert_eq!(found_now, found);
    }

    #[test]
    fn a_package_that_inherits_all_is_good() {
        check_manifest(GOOD, &[]);
    }

    #[test]
    fn what_is_not_inherited_is_found() {
        check_manifest(
            &GOOD.replace("edition.workspace = true", "edition = \"2021\""),
            &["package.edition.workspace = true is missing"],
        );
        check_manifest(
            &GOOD.replace("[lints]\n        workspace = true", ""),
            &["lints.workspace = true is missing"],
        );
        check_manifest(
            &GOOD.replace(
                "[lints]\n        workspace = true",
                "[lints]\n        workspace = false",
            ),
            &["lints.workspace = true is missing"],
        );
    }

    #[test]
    fn a_folder_has_the_short_name_of_its_package() {
        check_manifest(
            &GOOD.replace("dormouse-a", "dormouse-b"),
            &["the package is called dormouse-b, not dormouse-a"],
        );
    }

    #[test]
    fn only_the_registry_is_a_source() {
        assert!(source_finding("a", "git+https://example.org/a?rev=1#1").is_some());
        assert!(source_finding("a", "registry+https://example.org/index").is_none());
        assert!(source_finding("a", "sparse+https://example.org/index").is_none());
    }
}
