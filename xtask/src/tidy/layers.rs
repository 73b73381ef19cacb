//! Who may know whom, from cargo's own metadata.

use cargo_metadata::{Dependency, DependencyKind, Metadata, Package};

use super::Finding;

/// A layer, and the packages of ours it may know.
const LAYERS: &[(&str, &[&str])] = &[
    ("dormouse-filesystem", &[]),
    ("dormouse-state", &[]),
    ("dormouse-secrets", &["dormouse-filesystem"]),
    (
        "dormouse-engine",
        &["dormouse-filesystem", "dormouse-state", "dormouse-secrets"],
    ),
    (
        "dormouse-cli",
        &[
            "dormouse-filesystem",
            "dormouse-state",
            "dormouse-secrets",
            "dormouse-engine",
        ],
    ),
    (
        "dormouse-tests",
        &[
            "dormouse-filesystem",
            "dormouse-state",
            "dormouse-secrets",
            "dormouse-engine",
            "dormouse-cli",
        ],
    ),
    ("xtask", &[]),
];

/// A library of others, and the only packages that may know it.
const RESERVED: &[(&str, &[&str])] = &[
    ("clap", &["dormouse-cli", "xtask"]),
    ("axum", &["dormouse-cli"]),
    ("hyper", &["dormouse-cli", "dormouse-tests"]),
    ("hyper-util", &["dormouse-cli", "dormouse-tests"]),
    ("tower", &["dormouse-cli"]),
    ("anstream", &["dormouse-cli"]),
    // What the program logs through is made where the values are known.
    ("tracing-subscriber", &["dormouse-cli", "dormouse-secrets"]),
    ("sled", &["dormouse-filesystem"]),
    ("statig", &["dormouse-state"]),
    ("cargo_metadata", &["xtask"]),
];

/// Every edge that should not be.
pub(super) fn check(metadata: &Metadata) -> Vec<Finding> {
    metadata
        .workspace_packages()
        .into_iter()
        .flat_map(of_package)
        .collect()
}

fn of_package(package: &Package) -> Vec<Finding> {
    let name = package.name.as_str();
    let Some((_, may_know)) = LAYERS.iter().find(|(layer, _)| *layer == name) else {
        return vec![Finding::new(
            name,
            "is no layer: give it a place in xtask's table of layers",
        )];
    };
    package
        .dependencies
        .iter()
        .filter_map(|dependency| edge(name, may_know, dependency))
        .collect()
}

/// What is wrong with a dependency. A package may name itself in its own tests, to test itself with a feature.
fn edge(name: &str, may_know: &[&str], dependency: &Dependency) -> Option<Finding> {
    let other = dependency.name.as_str();
    let is_own_test = other == name && dependency.kind == DependencyKind::Development;
    let is_ours = LAYERS.iter().any(|(layer, _)| *layer == other);
    if is_ours && !is_own_test && !may_know.contains(&other) {
        return Some(Finding::new(name, format!("must not know {other}")));
    }
    let is_state_on_tokio =
        name == "dormouse-state" && other == "tokio" && dependency.kind == DependencyKind::Normal;
    if is_state_on_tokio && !dependency.optional {
        return Some(Finding::new(
            name,
            "must not need tokio: it does no input and output",
        ));
    }
    // What only tests need is not in what is shipped.
    if dependency.kind == DependencyKind::Development {
        return None;
    }
    let (_, keepers) = RESERVED.iter().find(|(library, _)| *library == other)?;
    (!keepers.contains(&name)).then(|| {
        Finding::new(
            name,
            format!("must not know {other}: only {} may", keepers.join(" and ")),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dependency(name: &str, kind: &str, is_optional: bool) -> Dependency {
        let json = serde_json::json!({
            "name": name, "req": "*", "kind": kind, "optional": is_optional,
            "uses_default_features": true, "features": [], "target": null,
        });
        serde_json::from_value(json).unwrap()
    }

    #[track_caller]
    fn check_edge(from: &str, to: &str, kind: &str, is_optional: bool, is_allowed: bool) {
        let (_, may_know) = LAYERS.iter().find(|(layer, _)| *layer == from).unwrap();
        let found = edge(from, may_know, &dependency(to, kind, is_optional));
        assert_eq!(found.is_none(), is_allowed, "{from} -> {to} ({kind}): {found:?}");
    }

    #[test]
    fn a_layer_knows_only_what_is_below() {
        check_edge("dormouse-engine", "dormouse-filesystem", "normal", false, true);
        check_edge("dormouse-filesystem", "dormouse-engine", "normal", false, false);
        check_edge("dormouse-secrets", "dormouse-state", "normal", false, false);
        check_edge("dormouse-state", "dormouse-filesystem", "dev", false, false);
        check_edge("xtask", "dormouse-filesystem", "build", false, false);
    }

    #[test]
    fn a_package_may_test_itself_with_a_feature() {
        check_edge("dormouse-filesystem", "dormouse-filesystem", "dev", false, true);
    }

    #[test]
    fn the_edge_keeps_its_libraries_for_itself() {
        check_edge("dormouse-engine", "clap", "normal", false, false);
        check_edge("dormouse-engine", "axum", "build", false, false);
        check_edge("dormouse-filesystem", "tracing-subscriber", "dev", false, true);
        check_edge("dormouse-cli", "axum", "normal", false, true);
        check_edge("dormouse-engine", "sled", "normal", true, false);
        check_edge("dormouse-engine", "tokio", "normal", false, true);
    }

    #[test]
    fn state_may_have_a_driver_and_does_not_need_one() {
        check_edge("dormouse-state", "tokio", "normal", false, false);
        check_edge("dormouse-state", "tokio", "normal", true, true);
    }
}
