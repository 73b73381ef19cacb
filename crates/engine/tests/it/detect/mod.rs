//! Block detection: the labelled corpus, the contract's cases, and properties.

mod contract;
mod corpus;
mod properties;

use dormouse_engine::detect::{Block, Detection, Rules, Visit, detect};
use dormouse_engine::outcome::BlockReason;
use dormouse_secrets::Scrubber;

fn judged(visit: &Visit<'_>) -> Detection {
    detect(visit, &Rules::default(), &Scrubber::empty())
}

/// What is said of a visit, in a word or two: `none`, `captcha turnstile`, `rate_limit 30`.
fn said(visit: &Visit<'_>) -> String {
    words(judged(visit).block.as_ref())
}

fn words(block: Option<&Block>) -> String {
    let Some(block) = block else {
        return "none".to_owned();
    };
    let with =
        |word: &str, what: Option<String>| what.map_or(word.to_owned(), |what| format!("{word} {what}"));
    match &block.reason {
        BlockReason::Captcha { provider } => with("captcha", provider.clone()),
        BlockReason::LoginWall => "login_wall".to_owned(),
        BlockReason::RateLimit { retry_after_seconds } => with(
            "rate_limit",
            retry_after_seconds.map(|seconds| seconds.to_string()),
        ),
        BlockReason::FraudDetect { vendor } => with("fraud", vendor.clone()),
        BlockReason::Unknown => "unknown".to_owned(),
    }
}

fn headers(headers: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = headers.iter();
    owned
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

/// A page that has more than a block has.
fn content(extra: &str) -> String {
    let sentence =
        "The kettle on the window sill was older than the house, and nobody knew who had brought it. ";
    format!(
        "<!doctype html><title>Kettles</title><h1>Kettles</h1><p>{}</p>{extra}",
        sentence.repeat(40)
    )
}
