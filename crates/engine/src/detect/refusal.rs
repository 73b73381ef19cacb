//! Rule 8: refused, by whom is not known.

use super::defence::nameless;
use super::judge::{Case, Hit, Verdict};
use super::page::{Facts, REFUSAL_TEXT_MAX};
use super::speech::{Speech, Title};
use super::trace::{Rule, Stop};
use super::words;
use crate::outcome::BlockReason;

/// Most characters of text on a page that was served under a title of a refusal and tells nothing more.
const BARE_TITLE_MAX: usize = 160;
/// Most characters of text on a page that was served and is a refusal by its words.
const SERVED_TEXT_MAX: usize = 1_000;
/// Most links there.
const SERVED_LINKS_MAX: usize = 8;
/// Most characters of text on an answer that refuses and speaks of machines, to whomever.
const NAMED_TEXT_MAX: usize = 200;
/// Most fields on a refusal that says what became of its visitor: some ask for an address to write to.
const FIELDS_MAX: usize = 2;

/// By what a page was found to refuse.
struct Said<'a> {
    marker: &'a str,
    needles: Vec<String>,
    /// It tells the visitor so, on an answer that refuses.
    is_plain: bool,
}

pub(super) fn refused(case: &Case<'_>) -> Verdict {
    let hit = Hit::new(Rule::Refused, BlockReason::Unknown);
    if case.status() == Some(999) {
        return Verdict::Decided(hit.marker("status 999"));
    }
    let Some(facts) = case.facts() else {
        return Verdict::NotMet;
    };
    if case.rules().empty_is_block && case.is_served() && facts.is_empty() {
        return Verdict::Decided(hit.marker("empty page"));
    }
    if let Some(hit) = nameless(case) {
        return Verdict::Decided(hit);
    }
    let sayings = &case.rules().vendors().sayings;
    let phrase = words::titled(&sayings.phrases, facts).or_else(|| said(case, facts));
    // What was served under such a title is prose, but if it is short or tells the visitor so.
    let is_told = |speech: &Speech| speech.tellings() > 0 || speech.task().is_some();
    let is_prose = || {
        let is_long = case.is_served() && facts.is_thin() && facts.read_len() > BARE_TITLE_MAX;
        is_long && words::told(sayings, facts).is_none() && !case.speech().is_some_and(is_told)
    };
    let known = phrase.filter(|_| !is_prose()).map(|phrase| Said {
        marker: phrase,
        needles: vec![phrase.to_owned()],
        is_plain: false,
    });
    let spoken = case.speech().and_then(|speech| spoken(case, facts, speech));
    let mut verdict = Verdict::NotMet;
    for said in known.into_iter().chain(spoken) {
        let Some(stop) = guard(case, facts, if said.is_plain { FIELDS_MAX } else { 0 }) else {
            return Verdict::Decided(
                said.needles
                    .into_iter()
                    .fold(hit.marker(said.marker), Hit::needle),
            );
        };
        if matches!(verdict, Verdict::NotMet) {
            verdict = Verdict::Stopped(stop);
        }
    }
    verdict
}

fn guard(case: &Case<'_>, facts: &Facts, fields_max: usize) -> Option<Stop> {
    let is_short = facts.is_thin() || (case.is_refusal() && facts.text_len <= REFUSAL_TEXT_MAX);
    if !is_short {
        Some(Stop::NotThin)
    } else if facts.fields > fields_max || facts.passwords > 0 {
        Some(Stop::HasField)
    } else if !case.is_refusal() && !case.is_defence() && !case.is_served() {
        Some(Stop::NotRefusal)
    } else {
        None
    }
}

/// What a refusal says in its text: that it takes the visitor for a machine or for an attack, or what became of the visitor.
/// A server that merely forbids a page says neither. What was served is prose, but under a title or heading that asks
/// whether one is a machine; that alone is enough on a refusal, and not on what was served.
fn said<'a>(case: &Case<'a>, facts: &Facts) -> Option<&'a str> {
    if !facts.is_thin() {
        return None;
    }
    let sayings = &case.rules().vendors().sayings;
    let asked = words::titled(&sayings.questions, facts);
    let told = words::told(sayings, facts);
    if case.is_refusal() || case.is_defence() {
        return told.or(asked);
    }
    told.filter(|_| asked.is_some())
}

/// The same in any words: what stands for the visitor, for a machine, for being shut out, in one sentence or as a title.
fn spoken(case: &Case<'_>, facts: &Facts, speech: &Speech) -> Option<Said<'static>> {
    let title = speech.title();
    let by_title = || Said {
        marker: "title of a refusal",
        needles: Vec::new(),
        is_plain: false,
    };
    if case.is_refusal() || case.is_defence() {
        if !facts.is_thin() {
            return (title == Title::Strong).then(by_title);
        }
        if let Some((telling, words)) = speech.told(true) {
            return Some(Said {
                marker: telling.name(),
                needles: words.into_iter().map(str::to_owned).collect(),
                is_plain: true,
            });
        }
        let is_short = facts.read_len() <= NAMED_TEXT_MAX;
        if is_short && speech.names_machines() {
            return Some(Said {
                is_plain: true,
                ..by_title()
            });
        }
        let is_case = title > Title::Other && speech.names_visitor() && speech.has_case();
        return (title == Title::Strong || is_case).then(by_title);
    }
    let tellings = speech.tellings();
    let is_short = facts.read_len() <= SERVED_TEXT_MAX && facts.links <= SERVED_LINKS_MAX;
    let is_told = match title {
        Title::Other => false,
        Title::Weak => speech.speaks_to_visitor() && (tellings > 1 || (tellings == 1 && speech.has_case())),
        Title::Strong => tellings > 0 || facts.read_len() <= BARE_TITLE_MAX,
    };
    (case.is_served() && is_short && is_told).then(by_title)
}
