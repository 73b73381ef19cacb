//! `worker.pass`: names of variables that workers get as the owner has them.

use dormouse_engine::worker::environment::{NameClass, name_class};

use crate::args::{is_variable, looks_like_credential};

/// Most names.
const NAMES_MAX: usize = 64;

/// Names with commas between them.
///
/// # Errors
/// What is wrong with the first that is none, or that nobody may set.
pub(super) fn variables(value: &str) -> Result<Vec<&str>, String> {
    let names: Vec<&str> = value
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .collect();
    if names.len() > NAMES_MAX {
        return Err(format!("too many names, at most {NAMES_MAX} are taken"));
    }
    for name in &names {
        if !is_variable(name) {
            return Err(format!(
                "not a list of variables: {name:?} is no name of letters, digits and _"
            ));
        }
        if looks_like_credential(name) {
            return Err(format!(
                "not to be passed: {name} looks like a credential; dormouse secret set {name} puts it where workers find it"
            ));
        }
        match name_class(name) {
            NameClass::Free => {}
            class @ (NameClass::Ours | NameClass::LoadsCode) => {
                return Err(format!("not to be passed: nobody may set {name}, {class}"));
            }
        }
    }
    Ok(names)
}
