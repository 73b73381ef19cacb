//! What a page says in words, compared with what pages are known to say.
//!
//! Words of a title or heading are compared with a whole part of it: a sentence that has one in it speaks of it.

use std::iter;

use super::page::Facts;
use super::vendors::Sayings;

/// Ends the beginning of a word, whatever follows: languages bend the ends of their words.
pub(super) const OPEN: char = '*';
/// The first letter of scripts whose words are not told apart by spaces alone: Korean, then Chinese and Japanese.
pub(super) const FIRST_UNSPACED: char = '\u{1100}';

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

/// Whom and what in one sentence. It ends with its block at the latest; a point ends it only before a space: addresses have
/// points.
fn in_sentence<'a>(sayings: &'a Sayings, facts: &Facts) -> Option<&'a str> {
    let text = facts.lines.to_lowercase();
    let mut parts = text.split('\n').flat_map(sentences);
    parts.find_map(|part| {
        let is_in = |words: &&String| has(part, words);
        sayings.sentences.iter().find_map(|sentence| {
            sentence.who.iter().find(is_in)?;
            let what = sentence.what.iter().find(is_in)?;
            Some(what.trim_end_matches(OPEN))
        })
    })
}

/// The sentences of a line.
pub(super) fn sentences(line: &str) -> impl Iterator<Item = &str> {
    let parts = line.split(['!', '?', '。', '！', '？', '؟']);
    parts.flat_map(|part| part.split(". ")).flat_map(at_colons)
}

/// The parts between colons. One before a number ends none: it names an address.
fn at_colons(part: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(part);
    iter::from_fn(move || {
        let text = rest?;
        let mut colons = text.match_indices(": ").map(|(at, _)| at);
        let end = colons.find(|at| text[at + 2..].starts_with(char::is_alphabetic));
        rest = end.map(|at| &text[at + 2..]);
        Some(end.map_or(text, |at| &text[..at]))
    })
}

/// Whether the text has the words, and not as a part of longer ones: `your ip` is not in `your iphone`.
fn has(text: &str, words: &str) -> bool {
    let bare = words.trim_end_matches(OPEN);
    text.match_indices(bare).any(|(at, found)| {
        let before = text[..at].chars().next_back();
        let after = text[at + found.len()..].chars().next();
        let is_longer = bare.len() == words.len() && are_joined(found.chars().next_back(), after);
        !is_longer && !are_joined(before, found.chars().next())
    })
}

/// Both are letters of one word. Chinese, Japanese and Korean words have no borders to look at.
pub(super) fn are_joined(one: Option<char>, other: Option<char>) -> bool {
    let is_spaced = |c: char| c.is_alphanumeric() && c < FIRST_UNSPACED;
    one.is_some_and(is_spaced) && other.is_some_and(is_spaced)
}

#[cfg(test)]
mod tests {
    use super::{at_colons, has};

    #[test]
    fn a_colon_ends_a_part_before_a_word() {
        let parts: Vec<&str> = at_colons("your ip: 192.0.2.1 is blocked: go: ").collect();
        assert_eq!(parts, ["your ip: 192.0.2.1 is blocked", "go: "]);
    }

    #[test]
    fn words_are_whole_but_for_an_open_end() {
        for (text, words, is_in) in [
            ("your ip is blocked", "your ip", true),
            ("the app on your iphone", "your ip", false),
            ("unblocked", "blocked", false),
            ("unblocked, then blocked", "blocked", true),
            ("ihre ip-adresse", "ihre ip", true),
            ("ha sido bloqueada", "bloquead*", true),
            ("desbloqueada", "bloquead*", false),
            ("お客様のipアドレス", "お客様のip", true),
            ("귀하의 ip가 차단되었습니다", "차단", true),
        ] {
            assert_eq!(has(text, words), is_in, "{words} in {text}");
        }
    }
}
