//! What a page says in words, compared with what pages are known to say.
//!
//! Words of a title or heading are compared with a whole part of it: a sentence that has one in it speaks of it.

use super::page::Facts;
use super::vendors::Sayings;

/// Which of the phrases the title or the first heading is, or a part of it between bars, dashes or colons.
pub(super) fn titled<'a>(phrases: &'a [String], facts: &Facts) -> Option<&'a str> {
    let texts = [&facts.title, &facts.heading];
    texts.iter().find_map(|text| {
        let text = text.to_lowercase();
        let parts = text.split(['|', '–', '—', '·', ':', '，', '。']);
        let mut parts = parts.flat_map(|part| part.split(" - ")).chain([text.as_str()]);
        parts.find_map(|part| whole(phrases, part))
    })
}

fn whole<'a>(phrases: &'a [String], text: &str) -> Option<&'a str> {
    let bare = text.trim_matches(|c: char| !c.is_alphanumeric());
    let known = phrases.iter().find(|known| known.as_str() == bare);
    known.map(String::as_str)
}

/// Which of the words are in the text.
pub(super) fn in_text<'a>(words: &'a [String], facts: &Facts) -> Option<&'a str> {
    let text = facts.text.to_lowercase();
    let found = words.iter().find(|words| text.contains(words.as_str()));
    found.map(String::as_str)
}

/// By which words the text says that it takes the visitor for a machine or an attack, or what became of the visitor.
pub(super) fn told<'a>(sayings: &'a Sayings, facts: &Facts) -> Option<&'a str> {
    in_text(&sayings.words, facts).or_else(|| in_sentence(sayings, facts))
}

/// Whom and what in one sentence. A point ends one only before a space: addresses have points.
fn in_sentence<'a>(sayings: &'a Sayings, facts: &Facts) -> Option<&'a str> {
    let text = facts.text.to_lowercase();
    let parts = text.split(['!', '?', '。', '！', '？']);
    parts.flat_map(|part| part.split(". ")).find_map(|part| {
        let is_in = |words: &&String| part.contains(words.as_str());
        sayings.sentences.iter().find_map(|sentence| {
            sentence.who.iter().find(is_in)?;
            sentence.what.iter().find(is_in).map(String::as_str)
        })
    })
}
