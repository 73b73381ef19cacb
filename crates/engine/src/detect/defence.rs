//! Rule 3: a thin page with a vendor's marks.

use super::judge::{Case, Hit, Verdict};
use super::trace::{Rule, Stop};
use super::vendors::{Group, Vendor};
use crate::outcome::BlockReason;

pub(super) fn vendor_page(case: &Case<'_>) -> Verdict {
    // A limit that a vendor keeps for its customer is a limit.
    if case.status() == Some(429) && case.limit().is_some() {
        return Verdict::NotMet;
    }
    let Some((vendor, count)) = found(case, true) else {
        return Verdict::NotMet;
    };
    if case.facts().is_some_and(|facts| !facts.is_thin()) {
        return Verdict::Stopped(Stop::NotThin);
    }
    if count == 1 && !case.is_refusal() && !case.is_defence() {
        return Verdict::Stopped(Stop::OneMark);
    }
    let name = Some(vendor.name.clone());
    // A vendor whose own captcha is the page asks for that.
    let challenge = case.facts().and_then(|facts| facts.challenge);
    let reason = match challenge.is_some_and(|provider| provider.name() == vendor.name) {
        true => BlockReason::Captcha { provider: name },
        false => BlockReason::FraudDetect { vendor: name },
    };
    Verdict::Decided(shown(case, vendor, Hit::new(Rule::VendorPage, reason)))
}

/// A defence that has no name of ours, by its marks: it is unknown whose it is, not that it is one.
pub(super) fn nameless(case: &Case<'_>) -> Option<Hit> {
    let (vendor, count) = found(case, false)?;
    let is_enough = count > 1 || case.is_refusal() || case.is_defence();
    let hit = Hit::new(Rule::Refused, BlockReason::Unknown);
    (is_enough && case.thin().is_some()).then(|| shown(case, vendor, hit))
}

/// The vendor of which most groups of marks were found, and how many.
fn found<'a>(case: &'a Case<'_>, is_named: bool) -> Option<(&'a Vendor, usize)> {
    let vendors = case.rules().vendors().vendors.iter();
    let counted = vendors
        .filter(|vendor| vendor.is_named == is_named)
        .map(|vendor| (vendor, groups(case, vendor).count()));
    let most = counted.max_by_key(|(_, count)| *count);
    most.filter(|(_, count)| *count > 0)
}

fn groups<'a>(case: &'a Case<'_>, vendor: &'a Vendor) -> impl Iterator<Item = &'a Group> {
    let is_bare = case.facts().is_none_or(super::page::Facts::is_bare);
    let is_refused = case.is_refusal() || case.is_defence();
    let groups = vendor.groups.iter();
    groups.filter(move |group| {
        (!group.is_bare || is_bare) && (!group.is_prose || is_refused) && case.found.has(group)
    })
}

fn shown(case: &Case<'_>, vendor: &Vendor, mut hit: Hit) -> Hit {
    let vendors = case.rules().vendors();
    for group in groups(case, vendor) {
        hit = hit.marker(group.name.clone());
        for needle in vendors.needles(group, &case.found) {
            hit = hit.needle(needle);
        }
    }
    vendors.headers_of(vendor, &case.found).fold(hit, Hit::header)
}
