//! Whether a visited page is a block: a captcha, a login wall, a limit, a refusal. It says so, and fights none of them.
//!
//! ```
//! use dormouse_engine::detect::{Rules, Visit, detect};
//! use dormouse_engine::outcome::BlockReason;
//! use dormouse_secrets::Scrubber;
//!
//! let visit = Visit {
//!     requested_url: Some("https://shop.example/orders"),
//!     final_url: "https://shop.example/login",
//!     ..Visit::default()
//! };
//! let found = detect(&visit, &Rules::default(), &Scrubber::empty());
//! assert_eq!(found.block.map(|block| block.reason), Some(BlockReason::LoginWall));
//! ```
//!
//! Pure: a visit goes in, a [`Detection`] comes out. The page is read once into facts (`page`), which the eight
//! rules of `judge` look at in their order; the first that holds decides, and `trace` says what stopped the others.
//! What vendors leave on a page is data (`vendors.json`), and structure comes before words, so that translated pages
//! are found too. Words are heard by what they stand for (`lexicon.json`), not as phrases: what means something together
//! is said in `speech`. There are no errors: what cannot be read is no evidence.

mod address;
mod captcha;
mod challenge;
mod defence;
mod evidence;
mod forms;
mod judge;
mod lexicon;
mod login;
mod page;
mod place;
mod refusal;
mod rules;
mod speech;
#[cfg(test)]
mod tests;
mod trace;
mod vendors;
mod visit;
mod words;

use dormouse_secrets::Scrubber;
use serde::{Deserialize, Serialize};

pub use address::is_address;
pub(crate) use evidence::address;
pub use evidence::{Block, Evidence};
pub use rules::{HTML_MAX, Marks, Rules, SNIPPET_MAX};
pub use trace::{Rule, Step, Stop};
pub use visit::Visit;

/// What a visit turned out to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detection {
    /// The block, where it is one.
    pub block: Option<Block>,
    /// Each rule that was met, in order, with the guard that stopped it.
    pub trace: Vec<Step>,
    /// Whether the page was longer than [`Rules::html_max`] and only its beginning was read.
    pub html_cut: bool,
}

/// Judges a visit. Texts of the evidence have passed the scrubber before they were cut.
#[must_use]
pub fn detect(visit: &Visit<'_>, rules: &Rules, scrubber: &Scrubber) -> Detection {
    let facts = visit.html.map(|html| page::read(html, rules));
    let html_cut = facts.as_ref().is_some_and(|facts| facts.is_cut);
    let case = judge::Case::new(visit, facts, rules);
    let mut trace = Vec::new();
    let block = judge::first(&case, &mut trace).map(|found| evidence::block(found, visit, rules, scrubber));
    Detection {
        block,
        trace,
        html_cut,
    }
}
