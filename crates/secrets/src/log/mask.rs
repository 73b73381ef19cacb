//! Masking by keys: what stands under a key that says so is a credential, whatever it looks like.

use crate::log_keys;

use super::text;

/// What stands in place of what is masked: no prefix of it, and nothing of its length.
pub const MASK: &str = "***";

/// What lies within more brackets than this is masked.
pub const LOG_DEPTH: usize = 32;

/// Under these a number is a number.
const COUNTS: [&str; 3] = ["count", "limit", "budget"];

/// The keys whose values are masked: those with a word such as `token` or `password` or a pair such as `api key`, and
/// more of one's own. Words are cut at `_ - . space` and at the humps of camel case.
#[derive(Clone, Debug, Default)]
pub struct MaskKeys {
    more: Vec<Vec<String>>,
}

/// What a key says of what stands under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Under {
    /// Anything.
    Shown,
    /// A credential, if it is no number.
    NumberShown,
    /// A credential.
    Masked,
}

impl MaskKeys {
    /// Those of the house, and these, each one or more words that stand next to each other in a key.
    #[must_use]
    pub fn and<'a>(more: impl IntoIterator<Item = &'a str>) -> Self {
        let more = more.into_iter().map(log_keys::words);
        Self {
            more: more.filter(|words| !words.is_empty()).collect(),
        }
    }

    /// Whether the whole value under this key is masked. Of `token_count`, `token_limit` and `token_budget` it is not,
    /// if it is a number.
    #[must_use]
    pub fn masks(&self, key: &str) -> bool {
        self.under(key) == Under::Masked
    }

    /// The text with `***` for what stands under keys that say so, and for what is deeper than [`LOG_DEPTH`] in
    /// brackets; `None` if there is nothing to mask. It reads JSON, what `Debug` prints, `key=value`, headers and
    /// queries of URLs, inside of strings too.
    #[must_use]
    pub fn in_text(&self, text: &str) -> Option<String> {
        text::masked(text, self)
    }

    pub(super) fn under(&self, key: &str) -> Under {
        let mut words = log_keys::words(key);
        if self.are_masked(&words) {
            let count = |pair: &[String]| pair[0] == "token" && COUNTS.contains(&pair[1].as_str());
            let Some(at) = words.windows(2).position(count) else {
                return Under::Masked;
            };
            words.drain(at..at + 2);
            return match self.are_masked(&words) {
                true => Under::Masked,
                false => Under::NumberShown,
            };
        }
        Under::Shown
    }

    fn are_masked(&self, words: &[String]) -> bool {
        let has = |more: &Vec<String>| words.windows(more.len()).any(|some| some == more.as_slice());
        log_keys::are_credential(words) || self.more.iter().any(has)
    }
}
