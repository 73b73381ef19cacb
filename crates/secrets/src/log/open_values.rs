//! The values that are open in this process, and what finds them in a line of its log.
//!
//! A value is covered before anybody has it: [`Registrar::opened`] publishes a scrubber of that one value, and after
//! some more of these they are taken together into sets, which find many at the cost of one. Readers take what is
//! published and wait for nobody, so a panic in the midst of a rebuild is scrubbed like any other text.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;

use super::held::{Held, Rebuild, Step};
use super::mask::{MaskKeys, Under};
use crate::{Formats, Registrar, Scrubbed, Scrubber, Secret, SecretName, detect};

/// The most values that are covered. Of more, those that were opened longest ago are let go; a spawn or a lease opens
/// its values anew each time.
pub const OPEN_MAX: usize = 4_096;

/// Takes the values that are open in this process out of its own logs and panics. A clone is the same.
///
/// Give it to [`Secrets`](crate::Secrets) as their registrar, to [`scrub_layer`](crate::scrub_layer) and to
/// [`install_panic_hook`](crate::install_panic_hook). A value is kept in memory from when it opens to when the process
/// ends, or is let go for newer ones ([`OPEN_MAX`]): whoever has it may log it at any time.
#[derive(Clone)]
pub struct OpenValues(pub(super) Arc<Inner>);

pub(super) struct Inner {
    now: ArcSwap<Scrubber>,
    pub(super) held: Mutex<Held>,
    keys: MaskKeys,
}

impl Default for OpenValues {
    fn default() -> Self {
        Self::new(MaskKeys::default())
    }
}

impl fmt::Debug for OpenValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OpenValues")
    }
}

impl OpenValues {
    /// None is open yet. What stands under a key of `keys` is masked too.
    #[must_use]
    pub fn new(keys: MaskKeys) -> Self {
        // What a hook of panics needs is made before there is a panic.
        detect::prepare();
        Self(Arc::new(Inner {
            now: ArcSwap::from_pointee(Scrubber::empty().with_formats(Formats::Strict)),
            held: Mutex::default(),
            keys,
        }))
    }

    /// The text as a log may have it: without open values, without credentials of a known shape, and `***` under keys
    /// that say so. It waits for no lock.
    #[must_use]
    pub fn clean(&self, text: &str) -> Scrubbed {
        let clean = self.scrub(text);
        match self.0.keys.in_text(clean.as_str()) {
            None => clean,
            // What is masked may bring together what it stood between.
            Some(masked) => self.scrub(&masked),
        }
    }

    /// Whether the whole value under this key is masked.
    #[must_use]
    pub fn masks(&self, key: &str) -> bool {
        self.0.keys.masks(key)
    }

    #[cfg_attr(
        not(feature = "tracing"),
        allow(dead_code, reason = "fields are of the layer")
    )]
    pub(super) fn under(&self, key: &str) -> Under {
        self.0.keys.under(key)
    }

    /// The text without open values and credentials of a known shape.
    #[must_use]
    pub fn scrub(&self, text: &str) -> Scrubbed {
        self.0.now.load().scrub(text)
    }

    /// How many values are covered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.held().len()
    }

    /// Whether no value is covered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Covers this value from here on. One that is too short to be scrubbed, and was accepted as such, is not.
    pub fn cover(&self, name: &SecretName, value: &Secret) {
        let mut held = self.held();
        match held.open(name, value) {
            Step::Known => {}
            Step::Covered => self.publish(&held),
            Step::Due(work) => {
                self.publish(&held);
                drop(held);
                self.rebuild(work);
            }
        }
    }

    fn rebuild(&self, work: Rebuild) {
        let building = Building(self.clone());
        let build = move || building.run(work);
        // Some milliseconds for each hundred values: nothing to make a task of the runtime wait for.
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(build)),
            Err(_) => build(),
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, held: &Held) {
        self.0.now.store(Arc::new(held.scrubber()));
    }
}

/// A rebuild at work. Whatever becomes of it, a panic or a runtime that ends before it begins, the next may follow.
struct Building(OpenValues);

impl Building {
    fn run(&self, work: Rebuild) {
        let mut next = Some(work);
        // Ends when few values are searched singly: it makes sets of them faster than they are opened.
        while let Some(work) = next {
            let taken = work.build();
            let mut held = self.0.held();
            next = held.built(taken);
            self.0.publish(&held);
        }
    }
}

impl Drop for Building {
    fn drop(&mut self) {
        self.0.held().rests();
    }
}

impl Registrar for OpenValues {
    fn opened(&self, name: &SecretName, value: &Secret) {
        self.cover(name, value);
    }
}
