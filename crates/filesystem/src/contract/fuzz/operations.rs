//! Operations on a store: of any of them the memory store makes what the model makes.

use futures::executor::block_on;

use super::Input;
use crate::Memory;
use crate::contract::model;

/// A history chosen by any bytes.
///
/// # Panics
/// When the store differs from the model.
pub fn operations(bytes: &[u8]) {
    let input = Input::new(bytes);
    let store = Memory::new(jiff::Timestamp::UNIX_EPOCH);
    block_on(model::chosen(
        &store,
        |bound| input.below(bound),
        || input.is_at_end(),
    ));
}
