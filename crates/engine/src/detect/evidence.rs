//! What is kept of a block, for a person to look at. Scrubbed first, then cut.

use std::collections::BTreeMap;

use dormouse_secrets::{Scrubbed, Scrubber};
use serde::{Deserialize, Serialize};

use super::address::{decoded, without_user};
use super::judge::Hit;
use super::rules::Rules;
use super::trace::Rule;
use super::visit::Visit;
use crate::outcome::{self, BlockReason};

/// Longest address in evidence, in bytes.
const URL_MAX: usize = 2 * 1024;
/// Longest value of a header in evidence, in bytes.
const HEADER_MAX: usize = 256;
/// How much more than what is read is scrubbed, in bytes, so that a value across the end of it is found: more than twice
/// the longest value in its longest form.
const MARGIN: usize = 256 * 1024;
/// How often an address is decoded to look for values in it; deeper than this nobody reads it either.
const DECODED_MAX: usize = 8;
/// How much of a snippet stands before what it shows, in bytes.
const BEFORE: usize = 512;

/// A block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// Which defence.
    pub reason: BlockReason,
    /// What shows it.
    pub evidence: Evidence,
}

/// What shows a block. All of the page's and the visit's text is [`Scrubbed`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The rule that decided.
    pub rule: Rule,
    /// The version of the vendors' marks.
    pub rules_version: u32,
    /// What was found, in the detector's words.
    pub markers: Vec<String>,
    /// The address that was asked for, without user info, at most 2 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_url: Option<Scrubbed>,
    /// The address that came of it, without user info, at most 2 KiB.
    pub final_url: Scrubbed,
    /// The HTTP status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The headers that decided; their values at most 256 bytes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Scrubbed>,
    /// The piece of the page around what decided, else its beginning, at most [`Rules::snippet_max`] bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub html_snippet: Option<Scrubbed>,
}

impl From<&Evidence> for outcome::BlockEvidence {
    /// What an outcome keeps: the final address, and in words which rule decided by what.
    fn from(evidence: &Evidence) -> Self {
        let markers = evidence.markers.join(", ");
        let rule = evidence.rule;
        // The detector's own words: nothing of the page is in them.
        let detail = format!("rule {} ({}) {markers}", rule.number(), rule.name());
        Self {
            url: (!evidence.final_url.is_empty()).then(|| evidence.final_url.clone()),
            detail: Some(Scrubber::empty().scrub(detail.trim_end())),
        }
    }
}

pub(super) fn block(hit: Hit, visit: &Visit<'_>, rules: &Rules, scrubber: &Scrubber) -> Block {
    let named = hit.headers.iter().filter_map(|name| {
        let value = visit.header(name)?;
        Some((name.clone(), scrubber.scrub(value).truncate_to(HEADER_MAX)))
    });
    Block {
        evidence: Evidence {
            rule: hit.rule,
            rules_version: rules.version(),
            requested_url: visit.requested_url.map(|url| address(url, scrubber)),
            final_url: address(visit.final_url, scrubber),
            status: visit.status,
            headers: named.collect(),
            html_snippet: visit
                .html
                .map(|html| snippet(html, &hit.needles, rules, scrubber)),
            markers: hit.markers,
        },
        reason: hit.reason,
    }
}

/// An address without user info, scrubbed whole, then cut. Where a value only shows once `%` is decoded, however it was
/// written, the decoded address is what is kept.
pub(crate) fn address(url: &str, scrubber: &Scrubber) -> Scrubbed {
    let clean = scrubber.scrub(&without_user(url));
    let mut plain = clean.as_str().to_owned();
    for _ in 0..DECODED_MAX {
        plain = decoded(&plain);
        let found = scrubber.scrub(&plain);
        if found.as_str() != plain {
            return found.truncate_to(URL_MAX);
        }
        if !plain.contains('%') {
            break;
        }
    }
    clean.truncate_to(URL_MAX)
}

fn snippet(html: &[u8], needles: &[String], rules: &Rules, scrubber: &Scrubber) -> Scrubbed {
    let whole = html.len().min(rules.html_max.saturating_add(MARGIN));
    let clean = scrubber.scrub_lossy(&html[..whole]);
    let mut text = clean.as_str();
    if whole < html.len() {
        text = &text[..text.floor_char_boundary(text.len().saturating_sub(MARGIN / 2))];
    }
    let lower = text.to_ascii_lowercase();
    let shown = needles
        .iter()
        .filter_map(|needle| lower.find(&needle.to_ascii_lowercase()));
    let start = shown
        .min()
        .map_or(0, |at| at.saturating_sub(BEFORE.min(rules.snippet_max / 4)));
    // A window into text that is clean: scrubbing it again changes nothing and makes it of the type.
    let window = &text[text.floor_char_boundary(start)..];
    let window = &window[..window.floor_char_boundary(rules.snippet_max.saturating_mul(2))];
    scrubber.scrub(window).truncate_to(rules.snippet_max)
}
