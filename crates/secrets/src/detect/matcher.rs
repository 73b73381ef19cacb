//! The rules, compiled once: where a literal stands, and whether a credential does.

use std::{ops::Range, sync::LazyLock};

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind, StartKind};
use regex_automata::{Anchored, Input, meta::Regex};

use super::{
    encoded,
    heads::Heads,
    rules::{Anchor, Check, RULES, Rule},
};

/// The compiled rules.
pub(super) static MATCHER: LazyLock<Matcher> = LazyLock::new(Matcher::new);

/// What a literal announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hint {
    /// A match of the rule.
    Plain(usize),
    /// A match of the rule, in base64.
    Base64(usize),
    /// A match of the rule, with percent signs.
    Percent(usize),
    /// A private key's block begins behind it.
    KeyBlock,
}

/// The literals and patterns of all rules.
pub(super) struct Matcher {
    heads: Heads,
    literals: AhoCorasick,
    hints: Vec<Hint>,
    /// For each literal, the rules of which one may stand where it does.
    rules: Vec<Vec<usize>>,
    patterns: Vec<Regex>,
}

/// A literal in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Literal {
    pub(super) place: Range<usize>,
    /// What it announces.
    pub(super) hint: Hint,
    index: usize,
}

/// A credential: its place, and the rule's kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hit {
    pub(super) place: Range<usize>,
    pub(super) kind: &'static str,
}

impl Matcher {
    fn new() -> Matcher {
        let mut literals: Vec<Vec<u8>> = Vec::new();
        let mut hints = Vec::new();
        let mut add = |literal: Vec<u8>, hint: Hint| {
            if !literals.contains(&literal) {
                literals.push(literal);
                hints.push(hint);
            }
        };
        for (index, rule) in RULES.iter().enumerate() {
            for literal in rule.literals {
                add(literal.as_bytes().to_vec(), Hint::Plain(index));
                for form in encoded::percent(literal.as_bytes()) {
                    add(form, Hint::Percent(index));
                }
            }
        }
        for (index, rule) in RULES.iter().enumerate() {
            let long = rule
                .literals
                .iter()
                .filter(|literal| literal.len() >= LITERAL_MIN);
            for form in long.flat_map(|literal| encoded::base64(literal.as_bytes())) {
                add(form, Hint::Base64(index));
            }
        }
        add(KEY_BLOCK.to_vec(), Hint::KeyBlock);
        let rules = literals.iter().map(|literal| rules_at(literal)).collect();
        Matcher {
            heads: Heads::new(literals.iter().map(Vec::as_slice)),
            rules,
            literals: AhoCorasick::builder()
                .match_kind(MatchKind::LeftmostFirst)
                // It is asked only at places that the heads tell.
                .start_kind(StartKind::Anchored)
                // Built once a process; five times as fast as what is chosen by size.
                .kind(Some(AhoCorasickKind::DFA))
                .build(&literals)
                .expect("few short literals"),
            hints,
            patterns: RULES
                .iter()
                .map(|rule| Regex::new(rule.pattern).expect("the patterns are tried by the tests"))
                .collect(),
        }
    }

    /// The first literal from `at` on.
    pub(super) fn next(&self, text: &[u8], mut at: usize) -> Option<Literal> {
        // Ends with the text.
        loop {
            at = self.heads.next(text, at)?;
            let here = aho_corasick::Input::new(text)
                .range(at..)
                .anchored(aho_corasick::Anchored::Yes);
            if let Some(found) = self.literals.find(here) {
                let index = found.pattern().as_usize();
                return Some(Literal {
                    place: found.range(),
                    hint: self.hints[index],
                    index,
                });
            }
            at += 1;
        }
    }

    /// The longest match of any rule for what stands at `literal`, within `run`.
    pub(super) fn plain(&self, text: &[u8], found: &Literal, run: &Range<usize>) -> Option<Hit> {
        let literal = found.place.start;
        let rest = &text[literal..run.end];
        let fits = self.rules[found.index].iter().filter_map(|index| {
            let (index, rule) = (*index, &RULES[*index]);
            let stands = |literal: &&&str| rest.starts_with(literal.as_bytes());
            let longest = rule
                .literals
                .iter()
                .filter(stands)
                .map(|literal| literal.len())
                .max()?;
            Some((self.fit(index, text, literal, run)?, longest))
        });
        // Of equal matches the one of the more telling literal.
        fits.max_by_key(|(hit, literal)| (hit.place.len(), *literal))
            .map(|(hit, _)| hit)
    }

    /// The match of one rule whose literal stands at `literal`.
    pub(super) fn fit(&self, index: usize, text: &[u8], literal: usize, run: &Range<usize>) -> Option<Hit> {
        let rule = &RULES[index];
        let start = match rule.anchor {
            Anchor::Literal | Anchor::Line => literal,
            Anchor::Digits => digits_before(text, literal, run.start),
        };
        if rule.literals[0] != "://" && !is_border(text, start) {
            return None;
        }
        let end = run.end.min(start + rule.length_max);
        // Most addresses have no user: no need to ask the pattern.
        if rule.literals[0] == "://" && !text[start..end].contains(&b'@') {
            return None;
        }
        let input = Input::new(text).range(start..end).anchored(Anchored::Yes);
        // Most of what has a literal is no match, and captures are dear.
        self.patterns[index].search_half(&input)?;
        let mut captures = self.patterns[index].create_captures();
        self.patterns[index].captures(input, &mut captures);
        let whole = captures.get_match()?.range();
        let place = captures.get_group(1).map_or(whole, |group| group.range());
        passes(rule, &text[place.clone()]).then_some(Hit {
            place,
            kind: rule.kind,
        })
    }
}

/// Shorter literals are not sought in base64: their three spellings would stand in any of it.
const LITERAL_MIN: usize = 4;

/// What the BEGIN line of a private key ends with.
pub(super) const KEY_BLOCK: &[u8] = b"KEY-----";

/// The rules of which a literal may stand where this one does: it begins with it, or the other way round.
fn rules_at(literal: &[u8]) -> Vec<usize> {
    let meets = |other: &&str| literal.starts_with(other.as_bytes()) || other.as_bytes().starts_with(literal);
    let rules = RULES.iter().enumerate();
    rules
        .filter(|(_, rule)| rule.literals.iter().any(meets))
        .map(|(index, _)| index)
        .collect()
}

fn digits_before(text: &[u8], at: usize, floor: usize) -> usize {
    let digits = text[floor..at]
        .iter()
        .rev()
        .take_while(|byte| byte.is_ascii_digit());
    at - digits.count()
}

/// Whether a credential may begin at `at`: not within a word, but behind an escape such as `\n`.
fn is_border(text: &[u8], at: usize) -> bool {
    let Some(before) = text[..at].last() else {
        return true;
    };
    let is_escape = at >= 2 && text[at - 2] == b'\\' && matches!(before, b'n' | b'r' | b't');
    is_escape || !(before.is_ascii_alphanumeric() || *before == b'_')
}

fn passes(rule: &Rule, found: &[u8]) -> bool {
    match rule.check {
        Check::Shape => true,
        Check::Entropy(least) => {
            let literal = rule
                .literals
                .iter()
                .map(|literal| literal.len())
                .min()
                .unwrap_or(0);
            entropy(&found[literal.min(found.len())..]) * 100.0 >= f64::from(least)
        }
    }
}

/// Bits a byte, by how often each occurs.
fn entropy(bytes: &[u8]) -> f64 {
    let mut counts = [0_u32; 256];
    for byte in bytes {
        counts[usize::from(*byte)] += 1;
    }
    let total = bytes.len() as f64;
    let shares = counts
        .iter()
        .filter(|count| **count > 0)
        .map(|count| f64::from(*count) / total);
    -shares.map(|share| share * share.log2()).sum::<f64>()
}
