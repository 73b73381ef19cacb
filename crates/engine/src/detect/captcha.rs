//! Rule 4: a test for humans is the page.

use super::address::Address;
use super::challenge::{Provider, speaks_of};
use super::judge::{Case, Hit, Verdict};
use super::page::{Facts, REFUSAL_TEXT_MAX};
use super::speech::{Speech, Title};
use super::trace::{Rule, Stop};
use super::words;
use crate::outcome::BlockReason;

/// Most characters of text on a page that was served and whose words alone make it a test.
const SERVED_TEXT_MAX: usize = 800;
/// Most links there.
const SERVED_LINKS_MAX: usize = 10;
/// Fewest boxes to tick that are a puzzle: fewer are a choice.
const PUZZLE_BOXES: usize = 6;

pub(super) fn challenge(case: &Case<'_>) -> Verdict {
    let Some(facts) = case.facts() else {
        return Verdict::NotMet;
    };
    let Some(provider) = facts.challenge else {
        return match without_element(case, facts) {
            Some(hit) => Verdict::Decided(hit.needle("captcha")),
            None if facts.has_invisible_widget => Verdict::Stopped(Stop::InvisibleWidget),
            None => Verdict::NotMet,
        };
    };
    if facts.fields > 0 && !is_answered_there(case, facts, provider) {
        return Verdict::Stopped(Stop::HasField);
    }
    let is_short = facts.is_thin() || (case.is_refusal() && facts.text_len <= REFUSAL_TEXT_MAX);
    if !is_short {
        return Verdict::Stopped(Stop::NotThin);
    }
    let hit = captcha(Some(provider.name())).marker(provider.name());
    Verdict::Decided(hit.needle("captcha").needle("turnstile"))
}

fn captcha(provider: Option<&str>) -> Hit {
    let provider = provider.map(str::to_owned);
    Hit::new(Rule::Challenge, BlockReason::Captcha { provider })
}

/// The one field is for what the picture shows, whatever it is named: the page asks for that.
fn is_answered_there(case: &Case<'_>, facts: &Facts, provider: Provider) -> bool {
    let is_alone = facts.fields == 1 && facts.typed == 1 && facts.answers == 0;
    let asks = |speech: &Speech| speech.task().is_some() || speech.names_puzzle();
    provider == Provider::Image && is_alone && case.speech().is_some_and(asks)
}

/// A test of which no element is known: drawn by a script, named so, or told in words.
fn without_element(case: &Case<'_>, facts: &Facts) -> Option<Hit> {
    let speech = case.speech().filter(|_| facts.is_thin())?;
    let drawn = case.rules().vendors().drawn(&case.found);
    if facts.fields == 0 && drawn.is_some() && is_before_a_page(case, speech) {
        return Some(captcha(drawn).marker("drawn by a script"));
    }
    let maker = facts.maker.map(Provider::name);
    if facts.fields == 0 && maker.is_some() && is_said_to_be_one(case, speech) {
        return Some(captcha(maker).marker("script of a maker"));
    }
    if facts.fields == 0 && (is_unnamed_challenge(case, facts) || is_named_task(facts, speech)) {
        return Some(captcha(maker).marker("named captcha"));
    }
    let words = told(case, facts, speech)?;
    let hit = captcha(maker).marker("asked to solve something");
    Some(words.into_iter().fold(hit, Hit::needle))
}

/// The page is refused, or says that it stands before another one.
fn is_before_a_page(case: &Case<'_>, speech: &Speech) -> bool {
    case.is_refusal()
        || case.is_defence()
        || speech.title() > Title::Other
        || speech.task().is_some()
        || speech.is_test()
}

/// The page says itself that it is a test, of those that it loads the script of.
fn is_said_to_be_one(case: &Case<'_>, speech: &Speech) -> bool {
    let is_refused = case.is_refusal() || case.is_defence();
    speech.title() == Title::Strong || (is_refused && (speech.is_test() || speech.task().is_some()))
}

fn is_named_task(facts: &Facts, speech: &Speech) -> bool {
    facts.names_challenge && speech.task().is_some() && speech.has_purpose()
}

/// A test in words: what to do, and what that is good for. What was served is prose, but under a title that says so, or with
/// something to do it with.
fn told(case: &Case<'_>, facts: &Facts, speech: &Speech) -> Option<Vec<&'static str>> {
    let is_answer_only = facts.fields == 1 && facts.typed == 1 && facts.answers == 0;
    if facts.fields != facts.choices && !is_answer_only {
        return None;
    }
    let words = speech.task().filter(|_| speech.has_purpose())?;
    if case.is_refusal() || case.is_defence() {
        return Some(words);
    }
    let has_means = speech.title() > Title::Other
        || facts.names_test
        || facts.choices >= PUZZLE_BOXES
        || facts.answers > 0;
    let is_short = facts.read_len() <= SERVED_TEXT_MAX && facts.links <= SERVED_LINKS_MAX;
    (case.is_served() && has_means && is_short).then_some(words)
}

/// A test of a maker without marks: what is named so on a page that says so, is refused or has its address; or a page that
/// one was sent to, named so and titled as a refusal is.
fn is_unnamed_challenge(case: &Case<'_>, facts: &Facts) -> bool {
    let named = |address: &Address| address.path().to_ascii_lowercase().contains("captcha");
    let is_address = case.arrived.as_ref().is_some_and(named);
    let texts = [&facts.title, &facts.heading];
    let sayings = &case.rules().vendors().sayings;
    let is_phrase = [&sayings.phrases, &sayings.questions]
        .iter()
        .any(|phrases| words::titled(phrases, facts).is_some());
    if facts.names_challenge {
        return is_address || case.is_refusal() || is_phrase || texts.iter().any(|text| speaks_of(text));
    }
    let was_sent = case.requested.as_ref().is_some_and(|requested| !named(requested));
    was_sent && is_address && is_phrase
}
