//! Every kind of record the engine stores.

use dormouse_filesystem::Kind;

use crate::bad;

/// Every kind of record the engine stores, those of its secrets included, for a catalogue of the store. The engine itself
/// enlists none of them yet.
#[must_use]
pub fn kinds() -> Vec<Kind> {
    bad::enlisted().chain(dormouse_secrets::kinds()).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::kinds;

    /// The kinds that files of a folder declare as records.
    fn declared(folder: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                declared(&path, found);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let kinds = text.split("const KIND: RecordKind = RecordKind::of(\"").skip(1);
                found.extend(kinds.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
            }
        }
    }

    #[test]
    fn every_kind_that_is_stored_is_enlisted() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut found = BTreeSet::new();
        declared(&here.join("src"), &mut found);
        declared(&here.join("../secrets/src"), &mut found);
        found.retain(|kind| kind.as_bytes()[0].is_ascii_lowercase());
        let enlisted: BTreeSet<String> = kinds().iter().map(|kind| kind.name().to_string()).collect();
        assert_eq!(enlisted, found);
        assert_eq!(enlisted.len(), kinds().len(), "each is there once");
    }
}
