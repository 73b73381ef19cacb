//! The eight rules, in their order. The first that holds decides.

use jiff::fmt::rfc2822;

use super::address::Address;
use super::page::{Facts, REFUSAL_TEXT_MAX};
use super::rules::Rules;
use super::trace::{Rule, Step, Stop};
use super::vendors::{Found, Group, Place, Vendor};
use super::visit::Visit;
use super::{challenge as widgets, login, words};
use crate::outcome::BlockReason;

/// Statuses with which a visit is refused.
const REFUSALS: &[u16] = &[401, 403, 405, 429, 503, 999];
/// Further ones with which only a defence answers, so that one mark of it is enough.
const DEFENCES: &[u16] = &[202, 406, 418, 428];

/// A visit, read.
#[derive(Debug)]
pub(super) struct Case<'a> {
    visit: &'a Visit<'a>,
    rules: &'a Rules,
    facts: Option<Facts>,
    requested: Option<Address>,
    arrived: Option<Address>,
    found: Found,
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

enum Verdict {
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
        for name in vendors.headers().filter(|name| visit.header(name).is_some()) {
            vendors.compare(Place::Header, name, &mut found);
        }
        if let Some(arrived) = &arrived {
            vendors.begins(Place::Path, arrived.path(), &mut found);
        }
        Self {
            visit,
            rules,
            facts,
            requested: visit.requested_url.and_then(Address::parse),
            arrived,
            found,
        }
    }

    fn is_refusal(&self) -> bool {
        self.visit.status.is_some_and(|status| REFUSALS.contains(&status))
    }

    /// A page was served, as far as is known.
    fn is_served(&self) -> bool {
        matches!(self.visit.status, None | Some(200))
    }

    /// Answered as hardly anything but a defence answers.
    fn is_defence(&self) -> bool {
        self.visit.status.is_some_and(|status| DEFENCES.contains(&status))
    }

    /// How long to wait, where that is said.
    fn wait(&self) -> Option<u64> {
        seconds(self.visit.header("retry-after")?, self.visit.header("date"))
    }

    /// By which words a thin page says that too much was asked for: in the text of a refusal, or above a page that
    /// asks to come back later.
    fn limit(&self) -> Option<&'a str> {
        let facts = self.thin().filter(|facts| facts.fields == 0)?;
        let sayings = &self.rules.vendors().sayings;
        if self.is_refusal() {
            return words::in_text(&sayings.limits, facts).or_else(|| words::titled(&sayings.limits, facts));
        }
        let is_asked_to_wait = self.is_served() && words::in_text(&sayings.waits, facts).is_some();
        words::titled(&sayings.limits, facts).filter(|_| is_asked_to_wait)
    }

    fn thin(&self) -> Option<&Facts> {
        self.facts.as_ref().filter(|facts| facts.is_thin())
    }
}

impl Hit {
    fn new(rule: Rule, reason: BlockReason) -> Self {
        Self {
            rule,
            reason,
            markers: Vec::new(),
            headers: Vec::new(),
            needles: Vec::new(),
        }
    }

    fn header(mut self, name: &str) -> Self {
        self.headers.push(name.to_owned());
        self
    }

    fn marker(mut self, text: impl Into<String>) -> Self {
        self.markers.push(text.into());
        self
    }

    fn needle(mut self, text: impl Into<String>) -> Self {
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
        (Rule::VendorPage, vendor_page),
        (Rule::Challenge, challenge),
        (Rule::Unauthorized, unauthorized),
        (Rule::LoginRedirect, login_redirect),
        (Rule::TooManyRequests, too_many_requests),
        (Rule::Refused, refused),
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

fn vendor_page(case: &Case<'_>) -> Verdict {
    let Some(facts) = &case.facts else {
        return Verdict::NotMet;
    };
    // A limit that a vendor keeps for its customer is a limit.
    if case.visit.status == Some(429) && case.limit().is_some() {
        return Verdict::NotMet;
    }
    let met = |vendor: &'_ Vendor| -> usize { groups(case, facts, vendor).count() };
    let by_count = case
        .rules
        .vendors()
        .vendors
        .iter()
        .max_by_key(|vendor| met(vendor));
    let Some((vendor, count)) = by_count
        .map(|vendor| (vendor, met(vendor)))
        .filter(|(_, count)| *count > 0)
    else {
        return Verdict::NotMet;
    };
    if !facts.is_thin() {
        return Verdict::Stopped(Stop::NotThin);
    }
    if count == 1 && !case.is_refusal() && !case.is_defence() {
        return Verdict::Stopped(Stop::OneMark);
    }
    let name = Some(vendor.name.clone());
    // A vendor whose own captcha is the page asks for that.
    let is_captcha = facts
        .challenge
        .is_some_and(|provider| provider.name() == vendor.name);
    let reason = match is_captcha {
        true => BlockReason::Captcha { provider: name },
        false => BlockReason::FraudDetect { vendor: name },
    };
    let mut hit = Hit::new(Rule::VendorPage, reason);
    for group in groups(case, facts, vendor) {
        hit = hit.marker(group.name.clone());
        for needle in case.rules.vendors().needles(group, &case.found) {
            hit = hit.needle(needle);
        }
    }
    for name in case.rules.vendors().headers_of(vendor, &case.found) {
        hit = hit.header(name);
    }
    Verdict::Decided(hit)
}

fn groups<'a>(case: &'a Case<'_>, facts: &'a Facts, vendor: &'a Vendor) -> impl Iterator<Item = &'a Group> {
    let groups = vendor.groups.iter();
    groups.filter(|group| (!group.is_bare || facts.is_bare()) && case.found.has(group))
}

fn challenge(case: &Case<'_>) -> Verdict {
    let Some(facts) = &case.facts else {
        return Verdict::NotMet;
    };
    let Some(provider) = facts.challenge else {
        if facts.is_thin() && facts.fields == 0 && is_unnamed_challenge(case, facts) {
            let provider = facts.maker.map(|maker| maker.name().to_owned());
            let reason = BlockReason::Captcha { provider };
            let hit = Hit::new(Rule::Challenge, reason).marker("named captcha");
            return Verdict::Decided(hit.needle("captcha"));
        }
        return match facts.has_invisible_widget {
            true => Verdict::Stopped(Stop::InvisibleWidget),
            false => Verdict::NotMet,
        };
    };
    if facts.fields > 0 {
        return Verdict::Stopped(Stop::HasField);
    }
    let is_short = facts.is_thin() || (case.is_refusal() && facts.text_len <= REFUSAL_TEXT_MAX);
    if !is_short {
        return Verdict::Stopped(Stop::NotThin);
    }
    let reason = BlockReason::Captcha {
        provider: Some(provider.name().to_owned()),
    };
    let hit = Hit::new(Rule::Challenge, reason).marker(provider.name());
    Verdict::Decided(hit.needle("captcha").needle("turnstile"))
}

/// A test of a maker without marks: what is named so on a page that says so, is refused or has its address; or a page that
/// one was sent to, named so and titled as a refusal is.
fn is_unnamed_challenge(case: &Case<'_>, facts: &Facts) -> bool {
    let named = |address: &Address| address.path().to_ascii_lowercase().contains("captcha");
    let is_address = case.arrived.as_ref().is_some_and(named);
    let texts = [&facts.title, &facts.heading];
    let sayings = &case.rules.vendors().sayings;
    let is_phrase = [&sayings.phrases, &sayings.questions]
        .iter()
        .any(|phrases| words::titled(phrases, facts).is_some());
    if facts.names_challenge {
        return is_address
            || case.is_refusal()
            || is_phrase
            || texts.iter().any(|text| widgets::speaks_of(text));
    }
    let was_sent = case.requested.as_ref().is_some_and(|requested| !named(requested));
    was_sent && is_address && is_phrase
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
        Some(Err(_)) | None if facts.passwords == 0 => Verdict::Stopped(Stop::NoPassword),
        Some(Err(_)) | None if !facts.is_thin() => Verdict::Stopped(Stop::NotThin),
        Some(Err(_)) | None => Verdict::Decided(hit.marker("password field").needle("password")),
    }
}

fn login_redirect(case: &Case<'_>) -> Verdict {
    let arrived = case.arrived.as_ref();
    match login::judge(case.requested.as_ref(), arrived, case.facts.as_ref()) {
        None => Verdict::NotMet,
        Some(Err(stop)) => Verdict::Stopped(stop),
        Some(Ok(shown)) => {
            let hit = Hit::new(Rule::LoginRedirect, BlockReason::LoginWall);
            Verdict::Decided(hit.marker(shown).needle("password"))
        }
    }
}

fn too_many_requests(case: &Case<'_>) -> Verdict {
    let reason = BlockReason::RateLimit {
        retry_after_seconds: case.wait(),
    };
    let hit = Hit::new(Rule::TooManyRequests, reason);
    if let Some(words) = case.limit() {
        return Verdict::Decided(hit.marker(words).needle(words));
    }
    match case.visit.status {
        Some(429) => Verdict::Decided(hit),
        _ => Verdict::NotMet,
    }
}

fn refused(case: &Case<'_>) -> Verdict {
    let hit = Hit::new(Rule::Refused, BlockReason::Unknown);
    if case.visit.status == Some(999) {
        return Verdict::Decided(hit.marker("status 999"));
    }
    let Some(facts) = &case.facts else {
        return Verdict::NotMet;
    };
    if case.rules.empty_is_block && case.is_served() && facts.is_empty() {
        return Verdict::Decided(hit.marker("empty page"));
    }
    let sayings = &case.rules.vendors().sayings;
    let titled = words::titled(&sayings.phrases, facts).or_else(|| said(case, facts));
    let Some(phrase) = titled else {
        return Verdict::NotMet;
    };
    if case.thin().is_none() {
        return Verdict::Stopped(Stop::NotThin);
    }
    if facts.fields > 0 {
        return Verdict::Stopped(Stop::HasField);
    }
    if !case.is_refusal() && !case.is_defence() && !case.is_served() {
        return Verdict::Stopped(Stop::NotRefusal);
    }
    Verdict::Decided(hit.marker(phrase).needle(phrase))
}

/// What a refusal says in its text: that it takes the visitor for a machine or for an attack, or what became of the visitor.
/// A server that merely forbids a page says neither. What was served is prose, but under a title or heading that asks
/// whether one is a machine; that alone is enough on a refusal, and not on what was served.
fn said<'a>(case: &Case<'a>, facts: &Facts) -> Option<&'a str> {
    if !facts.is_thin() {
        return None;
    }
    let sayings = &case.rules.vendors().sayings;
    let asked = words::titled(&sayings.questions, facts);
    let told = words::told(sayings, facts);
    if case.is_refusal() || case.is_defence() {
        return told.or(asked);
    }
    told.filter(|_| asked.is_some())
}
