//! What a page has, from one pass over its bytes.
//!
//! A tokenizer feeds `reader`, which keeps the open elements (`open`) on a bounded stack of its own: no tree is built, so
//! neither depth nor tag soup costs more than the bytes do.

mod open;
mod reader;
mod tag;
#[cfg(test)]
mod tests;

use std::convert::Infallible;

use html5gum::emitters::callback::{CallbackEmitter, CallbackEvent};
use html5gum::{Span, Tokenizer};

pub(super) use tag::Tag;

use super::challenge::Provider;
use super::lexicon::folded;
use super::rules::Rules;
use super::vendors::{Found, Place};
use super::words::FIRST_UNSPACED;

/// Most characters of text on a thin page.
const THIN_TEXT_MAX: usize = 2_000;
/// Most links on a thin page.
const THIN_LINKS_MAX: usize = 20;
/// Most characters of text on a bare page.
const BARE_TEXT_MAX: usize = 200;
/// Most characters of text beside a challenge on a refusal; no more are counted.
pub(super) const REFUSAL_TEXT_MAX: usize = 8_000;

/// What the rules look at.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    /// The page was longer than what was read.
    pub(super) is_cut: bool,
    /// Characters of visible text, each run of space as one; counted to [`REFUSAL_TEXT_MAX`] and one more.
    pub(super) text_len: usize,
    /// The beginning of that text.
    pub(super) text: String,
    /// The same, and a line for each block: what ends with one is no sentence with what follows.
    pub(super) lines: String,
    /// Visible links.
    pub(super) links: usize,
    /// Visible fields that are not the challenge's own answer.
    pub(super) fields: usize,
    /// Those of them that are for a password.
    pub(super) passwords: usize,
    /// Those of them that are boxes to tick, dots to choose, or sliders.
    pub(super) choices: usize,
    /// Those of them that are for a line of text of any kind.
    pub(super) typed: usize,
    /// Visible fields for a challenge's answer.
    pub(super) answers: usize,
    /// The title, each run of space as one.
    pub(super) title: String,
    /// The first heading.
    pub(super) heading: String,
    /// What the first refresh says: after how long, and where to.
    pub(super) refresh: String,
    /// Elements, scripts and frames too.
    pub(super) elements: usize,
    /// The first visible challenge.
    pub(super) challenge: Option<Provider>,
    /// A visible element is named after a test for humans.
    pub(super) names_challenge: bool,
    /// A visible element is named after a test of any kind.
    pub(super) names_test: bool,
    /// Who makes such tests, if scripts of one maker alone are on the page.
    pub(super) maker: Option<Provider>,
    /// A widget that nobody sees.
    pub(super) has_invisible_widget: bool,
    /// Marks of vendors.
    pub(super) found: Found,
}

impl Facts {
    pub(super) fn is_thin(&self) -> bool {
        self.text_len <= THIN_TEXT_MAX && self.links <= THIN_LINKS_MAX
    }

    /// How much there is to read: scripts that need no spaces say twice as much with a character.
    pub(super) fn read_len(&self) -> usize {
        let dense = self
            .text
            .chars()
            .filter(|&c| c >= FIRST_UNSPACED && c.is_alphabetic());
        self.text_len + dense.count()
    }

    pub(super) fn is_bare(&self) -> bool {
        self.text_len <= BARE_TEXT_MAX && self.fields == 0
    }

    /// Nothing is there to see or to run.
    pub(super) fn is_empty(&self) -> bool {
        self.text_len == 0 && self.elements == 0
    }
}

/// Reads a page, at most `rules.html_max` bytes of it.
pub(super) fn read(html: &[u8], rules: &Rules) -> Facts {
    let length = html.len().min(rules.html_max);
    let mut reader = reader::Reader::new(rules.vendors());
    let mut emitter = CallbackEmitter::new(|event: CallbackEvent<'_>, _: Span<()>| {
        reader.take(&event);
        None::<Infallible>
    });
    emitter.naively_switch_states(true);
    let Ok(()) = Tokenizer::new_with_emitter(&html[..length], emitter).finish();
    let mut facts = reader.finish();
    facts.is_cut = length < html.len();
    let vendors = rules.vendors();
    let title = folded(&facts.title);
    vendors.compare(Place::Title, &title, &mut facts.found);
    vendors.search(Place::Titled, title.as_bytes(), &mut facts.found);
    if facts.is_thin() {
        vendors.search(Place::Text, facts.text.as_bytes(), &mut facts.found);
        vendors.compare(Place::Whole, &folded(&facts.text), &mut facts.found);
    }
    facts
}
