//! The eight rules, in their order. The first that holds decides.

use jiff::fmt::rfc2822;

use super::address::Address;
use super::page::{Facts, REFUSAL_TEXT_MAX};
use super::rules::Rules;
use super::speech::Speech;
use super::trace::{Rule, Step, Stop};
use super::vendors::{Found, Place};
use super::visit::Visit;
use super::{captcha, defence, forms, login, refusal, words};
use crate::outcome::BlockReason;

/// Statuses with which a visit is refused.
const REFUSALS: &[u16] = &[401, 403, 405, 429, 503, 999];
/// Further ones with which only a defence answers, so that one mark of it is enough.
const DEFENCES: &[u16] = &[202, 406, 412, 418, 420, 428, 430, 444, 456];
/// Headers that say how many requests are left.
const LEFT: &[&str] = &[
    "x-ratelimit-remaining",
    "ratelimit-remaining",
    "x-rate-limit-remaining",
];
/// Most characters of text on a page that is nothing but what it says of a limit.
const LIMIT_TEXT_MAX: usize = 120;
/// Most characters of an answer to a program that is one.
const ANSWER_TEXT_MAX: usize = 500;

/// A visit, read.
#[derive(Debug)]
pub(super) struct Case<'a> {
    visit: &'a Visit<'a>,
    rules: &'a Rules,
    facts: Option<Facts>,
    /// What the page says, where it is short enough to be listened to.
    speech: Option<Speech>,
    pub(super) requested: Option<Address>,
    pub(super) arrived: Option<Address>,
    pub(super) found: Found,
}

/// What decided.
#[derive(Debug)]
pub(super) struct Hit {
    pub(super) rule: Rule,
    pub(super) reason: BlockReason,
    /// What shows it, in words of ours.
    pub(super) markers: Vec<String>,
    /// The headers that decided.
    pub(super) headers: Vec<String>,
    /// Where in the page to look for it.
    pub(super) needles: Vec<String>,
}

pub(super) enum Verdict {
    NotMet,
    Stopped(Stop),
    Decided(Hit),
}

impl<'a> Case<'a> {
    pub(super) fn new(visit: &'a Visit<'a>, facts: Option<Facts>, rules: &'a Rules) -> Self {
        let vendors = rules.vendors();
        let arrived = Address::parse(visit.final_url);
        let mut found = facts
            .as_ref()
            .map_or_else(|| vendors.nothing(), |facts| facts.found.clone());
        for (name, value) in visit.headers {
            vendors.header(name.trim(), value.trim(), &mut found);
        }
        if let Some(arrived) = &arrived {
            vendors.begins(Place::Path, arrived.path(), &mut found);
            vendors.compare(Place::Host, arrived.host(), &mut found);
        }
        let is_short = |facts: &&Facts| {
            let is_refusal = visit.status.is_some_and(|status| REFUSALS.contains(&status));
            facts.is_thin() || (is_refusal && facts.text_len <= REFUSAL_TEXT_MAX)
        };
        Self {
            visit,
            rules,
            speech: facts.as_ref().filter(is_short).map(Speech::of),
            facts,
            requested: visit.requested_url.and_then(Address::parse),
            arrived,
            found,
        }
    }

    pub(super) const fn rules(&self) -> &'a Rules {
        self.rules
    }

    pub(super) const fn status(&self) -> Option<u16> {
        self.visit.status
    }

    pub(super) const fn facts(&self) -> Option<&Facts> {
        self.facts.as_ref()
    }

    pub(super) const fn speech(&self) -> Option<&Speech> {
        self.speech.as_ref()
    }

    pub(super) fn is_refusal(&self) -> bool {
        self.visit.status.is_some_and(|status| REFUSALS.contains(&status))
    }

    /// A page was served, as far as is known.
    pub(super) fn is_served(&self) -> bool {
        matches!(self.visit.status, None | Some(200))
    }

    /// Answered as hardly anything but a defence answers.
    pub(super) fn is_defence(&self) -> bool {
        self.visit.status.is_some_and(|status| DEFENCES.contains(&status))
    }

    /// How long to wait, where that is said.
    fn wait(&self) -> Option<u64> {
        seconds(self.visit.header("retry-after")?, self.visit.header("date"))
    }

    /// By which words a thin page says that too much was asked for: in the text of a refusal, above a page that asks to come
    /// back later or is nothing else, or in an answer to a program.
    pub(super) fn limit(&self) -> Option<Vec<&'a str>> {
        let facts = self.thin().filter(|facts| facts.fields == 0)?;
        let speech = self.speech()?;
        let sayings = &self.rules.vendors().sayings;
        let one = |words: &'a str| vec![words];
        if self.is_refusal() {
            let known =
                words::in_text(&sayings.limits, facts).or_else(|| words::titled(&sayings.limits, facts));
            return known.map(one).or_else(|| speech.limit());
        }
        if !self.is_served() {
            return None;
        }
        if facts.text_len <= ANSWER_TEXT_MAX && self.is_answer_to_a_program() {
            return speech.limit();
        }
        if words::in_text(&sayings.waits, facts).is_none() && !speech.asks_to_wait() {
            return None;
        }
        let known = words::titled(&sayings.limits, facts).map(one);
        known
            .or_else(|| speech.limit_as_title())
            .or_else(|| speech.limit().filter(|_| facts.read_len() <= LIMIT_TEXT_MAX))
    }

    /// Not a page: names and values, one of which says what went wrong.
    fn is_answer_to_a_program(&self) -> bool {
        let start = self.visit.html.map(<[u8]>::trim_ascii_start);
        let is_object = start.is_some_and(|html| html.starts_with(b"{"));
        let names = ["\"error", "\"message\"", "\"code\"", "\"errors\""];
        let text = self.facts.as_ref().map_or("", |facts| facts.text.as_str());
        is_object && names.iter().any(|name| text.contains(name))
    }

    /// The header that says that no more requests are left, on an answer that refuses.
    fn spent(&self) -> Option<&'static str> {
        let mut names = LEFT.iter().copied();
        let is_refused = matches!(self.visit.status, Some(403 | 429 | 503));
        names.find(|name| is_refused && self.visit.header(name) == Some("0"))
    }

    pub(super) fn thin(&self) -> Option<&Facts> {
        self.facts.as_ref().filter(|facts| facts.is_thin())
    }
}

impl Hit {
    pub(super) fn new(rule: Rule, reason: BlockReason) -> Self {
        Self {
            rule,
            reason,
            markers: Vec::new(),
            headers: Vec::new(),
            needles: Vec::new(),
        }
    }

    pub(super) fn header(mut self, name: &str) -> Self {
        self.headers.push(name.to_owned());
        self
    }

    pub(super) fn marker(mut self, text: impl Into<String>) -> Self {
        self.markers.push(text.into());
        self
    }

    pub(super) fn needle(mut self, text: impl Into<String>) -> Self {
        self.needles.push(text.into());
        self
    }
}

/// What decided, and in `trace` each rule that was met.
pub(super) fn first(case: &Case<'_>, trace: &mut Vec<Step>) -> Option<Hit> {
    type Judge = fn(&Case<'_>) -> Verdict;
    const RULES: [(Rule, Judge); 8] = [
        (Rule::RetryAfter, retry_after),
        (Rule::Mitigated, mitigated),
        (Rule::VendorPage, defence::vendor_page),
        (Rule::Challenge, captcha::challenge),
        (Rule::Unauthorized, unauthorized),
        (Rule::LoginRedirect, login_redirect),
        (Rule::TooManyRequests, too_many_requests),
        (Rule::Refused, refusal::refused),
    ];
    for (rule, judge) in RULES {
        let mut met = |stopped_by| trace.push(Step { rule, stopped_by });
        match judge(case) {
            Verdict::NotMet => {}
            Verdict::Stopped(stop) => met(Some(stop)),
            Verdict::Decided(hit) => {
                met(None);
                return Some(hit);
            }
        }
    }
    None
}

fn retry_after(case: &Case<'_>) -> Verdict {
    let (Some(429), Some(value)) = (case.visit.status, case.visit.header("retry-after")) else {
        return Verdict::NotMet;
    };
    match seconds(value, case.visit.header("date")) {
        Some(seconds) => {
            let reason = BlockReason::RateLimit {
                retry_after_seconds: Some(seconds),
            };
            Verdict::Decided(Hit::new(Rule::RetryAfter, reason).header("retry-after"))
        }
        None => Verdict::Stopped(Stop::RetryAfterUnreadable),
    }
}

/// Seconds as they stand, or from the answer's own date to the given one; what is past is 0. There is no clock here.
fn seconds(value: &str, date: Option<&str>) -> Option<u64> {
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return value.parse().ok();
    }
    let at = rfc2822::parse(value).ok()?.timestamp();
    let from = rfc2822::parse(date?).ok()?.timestamp();
    let seconds = at.as_second().saturating_sub(from.as_second());
    Some(u64::try_from(seconds).unwrap_or(0))
}

fn mitigated(case: &Case<'_>) -> Verdict {
    let says = |name: &str, values: &[&str]| {
        let value = case.visit.header(name);
        value.is_some_and(|value| values.iter().any(|known| value.eq_ignore_ascii_case(known)))
    };
    let fraud = |vendor: &str, header: &str| {
        let reason = BlockReason::FraudDetect {
            vendor: Some(vendor.to_owned()),
        };
        Verdict::Decided(Hit::new(Rule::Mitigated, reason).header(header))
    };
    if says("cf-mitigated", &["challenge"]) {
        fraud("cloudflare", "cf-mitigated")
    } else if case.visit.header("x-vercel-mitigated").is_some() {
        fraud("vercel", "x-vercel-mitigated")
    } else if says("x-amzn-waf-action", &["captcha"]) {
        let provider = Some("aws_waf".to_owned());
        let hit = Hit::new(Rule::Mitigated, BlockReason::Captcha { provider });
        Verdict::Decided(hit.header("x-amzn-waf-action"))
    } else if case.visit.header("x-amzn-waf-action").is_some() {
        fraud("aws_waf", "x-amzn-waf-action")
    } else {
        Verdict::NotMet
    }
}

fn unauthorized(case: &Case<'_>) -> Verdict {
    let status = case.visit.status;
    if status == Some(401) && case.visit.header("www-authenticate").is_some() {
        let hit = Hit::new(Rule::Unauthorized, BlockReason::LoginWall);
        return Verdict::Decided(hit.header("www-authenticate"));
    }
    if !matches!(status, Some(401 | 403)) {
        return Verdict::NotMet;
    }
    let Some(facts) = &case.facts else {
        return Verdict::NotMet;
    };
    let hit = Hit::new(Rule::Unauthorized, BlockReason::LoginWall);
    let sent_on = login::sent_on(case.requested.as_ref(), case.arrived.as_ref(), &facts.refresh);
    match sent_on.filter(|_| facts.is_thin()) {
        Some(Ok(shown)) => Verdict::Decided(hit.marker(shown).needle("refresh")),
        Some(Err(stop)) if facts.passwords == 0 => Verdict::Stopped(stop),
        Some(Err(_)) | None if facts.passwords == 0 => match login_asked(case) {
            Some(words) => {
                let hit = hit.marker("login asked for");
                Verdict::Decided(words.into_iter().fold(hit, Hit::needle))
            }
            None => Verdict::Stopped(Stop::NoPassword),
        },
        Some(Err(_)) | None if !facts.is_thin() => Verdict::Stopped(Stop::NotThin),
        Some(Err(_)) | None => Verdict::Decided(hit.marker("password field").needle("password")),
    }
}

/// A thin refusal says that a login is needed, and nothing of a defence.
fn login_asked(case: &Case<'_>) -> Option<Vec<&'static str>> {
    let facts = case.thin()?;
    let speech = case.speech()?;
    let sayings = &case.rules.vendors().sayings;
    let is_defended = speech.told(true).is_some() || words::told(sayings, facts).is_some();
    let is_free = case.visit.status == Some(401) || !is_defended;
    speech.login(false).filter(|_| is_free)
}

fn login_redirect(case: &Case<'_>) -> Verdict {
    let (requested, arrived) = (case.requested.as_ref(), case.arrived.as_ref());
    let decided = |shown: &str| {
        let hit = Hit::new(Rule::LoginRedirect, BlockReason::LoginWall);
        Verdict::Decided(hit.marker(shown).needle("password"))
    };
    match login::judge(requested, arrived, case.facts.as_ref()) {
        Some(Ok(shown)) => decided(shown),
        Some(Err(stop)) => Verdict::Stopped(stop),
        None => {
            let page = case.thin().zip(case.speech()).filter(|_| case.is_served());
            let shown = page.and_then(|(facts, speech)| forms::instead(requested, arrived?, facts, speech));
            shown.map_or(Verdict::NotMet, decided)
        }
    }
}

fn too_many_requests(case: &Case<'_>) -> Verdict {
    let reason = BlockReason::RateLimit {
        retry_after_seconds: case.wait(),
    };
    let hit = Hit::new(Rule::TooManyRequests, reason);
    if let Some(words) = case.limit() {
        let hit = hit.marker(words.join(", "));
        return Verdict::Decided(words.into_iter().fold(hit, Hit::needle));
    }
    if let Some(header) = case.spent() {
        return Verdict::Decided(hit.header(header));
    }
    match case.visit.status {
        Some(429) => Verdict::Decided(hit),
        _ => Verdict::NotMet,
    }
}
