//! What `doctor` says of keys that lie where others may ask for them.

use super::doctor::Check;
use crate::api::VaultView;

/// The slots whose keys are in the system's key store; none where there is no such slot.
pub(super) fn in_system(vault: &VaultView) -> Option<Check> {
    let slots = vault.slots.iter().filter(|slot| slot.source == "keyring");
    let ids: Vec<String> = slots.map(|slot| slot.id.to_string()).collect();
    let (what, first) = match ids.as_slice() {
        [] => return None,
        [one] => (format!("the key of slot {one} is"), one),
        [first, ..] => (format!("the keys of slots {} are", ids.join(", ")), first),
    };
    Some(Check::warn(
        "key store",
        format!("{what} in the system's key store, which every process of this user can ask, workers too"),
        format!("dormouse secret slots remove {first}, or give workers a user of their own"),
    ))
}
