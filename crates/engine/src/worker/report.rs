//! What a worker says on its report channel: a line of JSON for each thing, at most 64 KiB.
//!
//! ```text
//! {"segment":"fetch"}      a part of the work begins
//! {"done":"fetch"}         a part is completed
//! {"checkpoint":{"page":7}}  what the next attempt is to know
//! {"partial":"so far …"}   what there is to show, should it be stopped
//! {"result":"all done"}    the result: it is finished
//! {"block":{"reason":"captcha","url":"https://a.example/","detail":"after the third page"}}
//! ```
//!
//! Pure. What is none of these is bad, and counted by whoever reads.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::outcome::BlockReason;

/// Longest line, in bytes.
pub const REPORT_LINE_MAX: usize = 64 * 1024;

/// One report.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reported {
    /// A part of the work begins. The one before counts only if it was completed.
    Segment(String),
    /// A part of the work is completed.
    Done(String),
    /// What the next attempt is to know, as it was written.
    Checkpoint(Box<RawValue>),
    /// What there is to show by now.
    Partial(String),
    /// The result.
    Result(String),
    /// An outside defence was met.
    Block(BlockReport),
}

/// A block, as a worker says it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlockReport {
    reason: ReasonSaid,
    /// Where.
    #[serde(default)]
    pub url: Option<String>,
    /// What else.
    #[serde(default)]
    pub detail: Option<String>,
}

/// A word, or the reason with what belongs to it.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum ReasonSaid {
    Whole(BlockReason),
    Word(String),
}

impl BlockReport {
    /// The reason. A word nobody knows is a block all the same, by what is not known.
    #[must_use]
    pub fn reason(&self) -> BlockReason {
        let word = match &self.reason {
            ReasonSaid::Whole(reason) => return reason.clone(),
            ReasonSaid::Word(word) => word,
        };
        let letters = word.chars().filter(char::is_ascii_alphanumeric);
        match letters.collect::<String>().to_ascii_lowercase().as_str() {
            "captcha" => BlockReason::Captcha { provider: None },
            "loginwall" => BlockReason::LoginWall,
            "ratelimit" => BlockReason::RateLimit {
                retry_after_seconds: None,
            },
            "frauddetect" => BlockReason::FraudDetect { vendor: None },
            _ => BlockReason::Unknown,
        }
    }
}

/// A line, without its end; none for what is no report.
#[must_use]
pub fn parse(line: &[u8]) -> Option<Reported> {
    serde_json::from_slice(line).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn block(line: &str) -> BlockReport {
        match parse(line.as_bytes()) {
            Some(Reported::Block(block)) => block,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn a_reason_is_a_word_or_the_whole() {
        for (said, reason) in [
            (r#""captcha""#, BlockReason::Captcha { provider: None }),
            (r#""LoginWall""#, BlockReason::LoginWall),
            (r#""login_wall""#, BlockReason::LoginWall),
            (
                r#"{"kind":"rate_limit","retry_after_seconds":30}"#,
                BlockReason::RateLimit {
                    retry_after_seconds: Some(30),
                },
            ),
            (
                r#"{"kind":"captcha","provider":"turnstile"}"#,
                BlockReason::Captcha {
                    provider: Some("turnstile".to_owned()),
                },
            ),
            (r#""a moat""#, BlockReason::Unknown),
        ] {
            assert_eq!(
                block(&format!(r#"{{"block":{{"reason":{said}}}}}"#)).reason(),
                reason
            );
        }
    }

    #[test]
    fn what_is_no_report_is_none() {
        for line in [
            "",
            "words",
            "{}",
            "[]",
            r#"{"segment":7}"#,
            r#"{"segment":"a","done":"b"}"#,
            r#"{"unknown":"a"}"#,
            r#"{"block":{}}"#,
            r#"{"block":{"reason":"captcha","more":1}}"#,
        ] {
            assert!(parse(line.as_bytes()).is_none(), "{line}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_harm(line in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&line);
        }
    }
}
