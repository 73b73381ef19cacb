//! The words by which pages in many languages say that they refuse, ask, limit or want a login, from `lexicon.json`.
//!
//! Not sentences but what words stand for: a page says that it takes its visitor for a machine in more ways than a list of
//! phrases has, yet in each a word for a machine stands beside one for the visitor or for what was done. Which of them mean
//! something together is said in `speech`.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::OnceLock;

use aho_corasick::AhoCorasick;
use serde::Deserialize;

use super::words::{FIRST_UNSPACED, OPEN, are_joined};

/// What a word stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// A person.
    Human,
    /// A program that acts like one.
    Machine,
    /// Asks the visitor to show something.
    Prove,
    /// Says that a test is going on.
    Checking,
    /// A test.
    Check,
    /// What a visitor comes with.
    Browser,
    /// Security.
    Secure,
    /// The visitor.
    You,
    /// The visitor's address, network, access.
    Visitor,
    /// The visitor's request.
    Asked,
    /// Shut out.
    Deny,
    /// Not let in: by a defence or for want of a right.
    Barred,
    /// Out of the ordinary.
    Suspect,
    /// What visitors do.
    Traffic,
    /// Found out.
    Seen,
    /// A defence against machines and attacks.
    Defence,
    /// What may be one.
    Guard,
    /// Where the visitor is.
    Country,
    /// Not to be had.
    Absent,
    /// A way around.
    Vpn,
    /// Says that one is in use.
    Using,
    /// More than there should be.
    Many,
    /// What there is too much of.
    Requests,
    /// Went beyond.
    Exceed,
    /// What one may go beyond.
    Limit,
    /// Both at once.
    Limited,
    /// Asks to come later.
    Wait,
    /// Asks to do.
    Do,
    /// What is to be done.
    Puzzle,
    /// Both at once.
    Task,
    /// Says what it is good for.
    See,
    /// A login.
    Login,
    /// It is needed.
    Need,
    /// A login that failed, or with another name.
    Another,
    /// Asks to turn on.
    Enable,
    /// What is to be turned on.
    Javascript,
    /// A right that one has or has not.
    Permit,
    /// What was asked for.
    Request,
    /// Stands between the others.
    Filler,
}

/// A set of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Kinds(u64);

impl Kinds {
    pub(super) const fn has(self, kind: Kind) -> bool {
        self.0 & (1 << kind as u64) != 0
    }

    pub(super) fn any(self, kinds: &[Kind]) -> bool {
        kinds.iter().any(|&kind| self.has(kind))
    }

    const fn with(self, kind: Kind) -> Self {
        Self(self.0 | (1 << kind as u64))
    }
}

/// A word or its stem, folded.
#[derive(Debug)]
struct Stem {
    kind: Kind,
    text: String,
    /// The word may begin before it, and end after it.
    is_open: (bool, bool),
}

/// All words.
#[derive(Debug)]
pub(super) struct Lexicon {
    stems: Vec<Stem>,
    search: AhoCorasick,
}

/// What a piece of text is made of.
#[derive(Debug, Clone, Default)]
pub(super) struct Part {
    pub(super) kinds: Kinds,
    /// Of each kind the first word that was met.
    words: Vec<(Kind, &'static str)>,
    /// Letters outside of words that are known, in scripts with and without spaces, and digits.
    left: (usize, usize, usize),
    /// All letters.
    letters: usize,
}

impl Part {
    /// It is made of known words and nothing else; in scripts without spaces but for the ends of words.
    pub(super) const fn is_whole(&self) -> bool {
        let (spaced, unspaced, digits) = self.left;
        self.letters > 0 && spaced == 0 && digits == 0 && unspaced <= 2 && 4 * unspaced <= self.letters
    }

    /// Its words of these kinds.
    pub(super) fn words_of<'a>(&'a self, kinds: &'a [Kind]) -> impl Iterator<Item = &'static str> + 'a {
        let words = self.words.iter().filter(|(kind, _)| kinds.contains(kind));
        words.map(|(_, word)| *word)
    }
}

impl Lexicon {
    /// What the program was built with.
    pub(super) fn built_in() -> &'static Self {
        static LEXICON: OnceLock<Lexicon> = OnceLock::new();
        LEXICON.get_or_init(|| {
            Self::parse(include_str!("lexicon.json")).expect("the data file is tested with the program")
        })
    }

    fn parse(text: &str) -> Result<Self, String> {
        let file: BTreeMap<String, BTreeMap<Kind, String>> =
            serde_json::from_str(text).map_err(|error| error.to_string())?;
        let mut stems = Vec::new();
        for (kind, words) in file.values().flatten() {
            stems.extend(words.split('|').map(|word| Stem::new(*kind, word)));
        }
        if stems.iter().any(|stem| stem.text.is_empty()) {
            return Err("a word is empty".to_owned());
        }
        let search =
            AhoCorasick::new(stems.iter().map(|stem| &stem.text)).map_err(|error| error.to_string())?;
        Ok(Self { stems, search })
    }

    /// What a folded text is made of.
    pub(super) fn hear(&'static self, text: &str) -> Part {
        let mut part = Part::default();
        let mut is_known = vec![false; text.len()];
        for hit in self.search.find_overlapping_iter(text) {
            let stem = &self.stems[hit.pattern().as_usize()];
            let Some(word) = stem.word_at(text, hit.range()) else {
                continue;
            };
            is_known[word].fill(true);
            if !part.kinds.has(stem.kind) {
                part.kinds = part.kinds.with(stem.kind);
                part.words.push((stem.kind, &stem.text));
            }
        }
        for (at, letter) in text.char_indices().filter(|(_, c)| c.is_alphanumeric()) {
            part.letters += 1;
            match letter {
                _ if is_known[at] => {}
                letter if letter.is_ascii_digit() => part.left.2 += 1,
                letter if letter < FIRST_UNSPACED => part.left.0 += 1,
                _ => part.left.1 += 1,
            }
        }
        part
    }
}

impl Stem {
    fn new(kind: Kind, word: &str) -> Self {
        Self {
            kind,
            text: folded(word.trim_matches(OPEN)),
            is_open: (word.starts_with(OPEN), word.ends_with(OPEN)),
        }
    }

    /// The word at this place, if it is no part of another one.
    fn word_at(&self, text: &str, found: Range<usize>) -> Option<Range<usize>> {
        let (before, after) = (&text[..found.start], &text[found.end..]);
        let is_longer_before = are_joined(before.chars().next_back(), self.text.chars().next());
        let is_longer_after = are_joined(self.text.chars().next_back(), after.chars().next());
        if (is_longer_before && !self.is_open.0) || (is_longer_after && !self.is_open.1) {
            return None;
        }
        let is_inside = |c: char| c.is_alphanumeric() && c < FIRST_UNSPACED;
        let start = match is_longer_before {
            true => before.trim_end_matches(is_inside).len(),
            false => found.start,
        };
        let more = match is_longer_after {
            true => after.len() - after.trim_start_matches(is_inside).len(),
            false => 0,
        };
        Some(start..found.end + more)
    }
}

/// In lower case, with one sign for each of those that pages use in turn, and without those that nobody sees.
pub(super) fn folded(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for letter in text.chars().flat_map(char::to_lowercase) {
        match letter {
            '’' | '‘' | 'ʼ' | '`' => folded.push('\''),
            '“' | '”' | '„' | '«' | '»' => folded.push('"'),
            '…' => folded.push_str("..."),
            '\u{a0}' | '\u{3000}' | '\u{202f}' => folded.push(' '),
            'ё' => folded.push('е'),
            'أ' | 'إ' | 'آ' => folded.push('ا'),
            // Soft hyphens, marks of direction and joining, vowel signs, the dot of a Turkish letter.
            '\u{ad}'
            | '\u{200b}'..='\u{200f}'
            | '\u{feff}'
            | '\u{307}'
            | '\u{640}'
            | '\u{64b}'..='\u{652}' => {}
            letter => folded.push(letter),
        }
    }
    folded
}

#[cfg(test)]
mod tests {
    use super::{Kind, Lexicon, folded};

    #[test]
    fn the_data_file_is_read_whole() {
        let lexicon = Lexicon::built_in();
        assert!(lexicon.stems.len() > 4_000, "{}", lexicon.stems.len());
    }

    #[test]
    fn a_text_is_what_its_words_stand_for() {
        for (text, kind, is_in) in [
            ("You are a robot", Kind::Machine, true),
            ("Robotics club", Kind::Machine, false),
            ("Die Sperrung Ihrer IP-Adressen", Kind::Visitor, true),
            ("der gesamte Netzwerkverkehr", Kind::Traffic, true),
            ("İnsan olduğunuzu doğrulayın", Kind::Human, true),
            ("подтвердите, что вы не робот", Kind::Prove, true),
            ("인증을 완료해 주세요", Kind::Check, true),
            ("أكمل الاختبار", Kind::Check, true),
        ] {
            let part = Lexicon::built_in().hear(&folded(text));
            assert_eq!(part.kinds.has(kind), is_in, "{text}");
        }
    }

    #[test]
    fn a_title_is_whole_where_nothing_else_is_in_it() {
        for (text, is_whole) in [
            ("Please verify that you’re a human", true),
            ("Human verification with hardware keys", false),
            ("Robot check-up", false),
            ("Vérification de sécurité", true),
            ("Zugriff auf diese Seite verweigert", true),
            ("アクセスが制限されています", true),
            ("あなたがロボットではないことを確認してください", true),
            ("机器人大赛", false),
            ("보안 확인", true),
            ("403", false),
            ("...", false),
        ] {
            let part = Lexicon::built_in().hear(&folded(text));
            assert_eq!(part.is_whole(), is_whole, "{text}: {part:?}");
        }
    }
}
