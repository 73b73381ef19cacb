//! What the detector is set to.

use std::sync::{Arc, OnceLock};

use super::vendors::Vendors;

/// Most of a page that is read, in bytes (`detect.html_max`).
pub const HTML_MAX: usize = 2 * 1024 * 1024;

/// Longest piece of a page in evidence, in bytes (`detect.snippet_max`).
pub const SNIPPET_MAX: usize = 4 * 1024;

/// Limits of the detector, and what it knows of vendors. Cheap to clone; made once, used for every page.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Most of a page that is read, in bytes; [`HTML_MAX`].
    pub html_max: usize,
    /// Longest piece of a page in evidence, in bytes; [`SNIPPET_MAX`].
    pub snippet_max: usize,
    /// Whether an empty page that was served is taken for a block (`detect.empty_is_block`); no.
    pub empty_is_block: bool,
    /// What vendors leave on the pages that refuse.
    pub marks: Marks,
}

/// What the program knows of vendors, made once. Opaque: it is data of the program.
#[derive(Debug, Clone)]
pub struct Marks(Arc<Vendors>);

impl Default for Marks {
    fn default() -> Self {
        static VENDORS: OnceLock<Arc<Vendors>> = OnceLock::new();
        Self(Arc::clone(VENDORS.get_or_init(|| Arc::new(Vendors::built_in()))))
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            html_max: HTML_MAX,
            snippet_max: SNIPPET_MAX,
            empty_is_block: false,
            marks: Marks::default(),
        }
    }
}

impl Rules {
    /// The version of the vendors' marks.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.vendors().version
    }

    pub(super) fn vendors(&self) -> &Vendors {
        &self.marks.0
    }
}
