//! The slot of a run for a block: the first that is told fills it, and a run whose slot is filled ends as blocked,
//! whatever else it says.

use std::sync::{Arc, OnceLock};

use dormouse_secrets::{Scrubbed, Scrubber};

use crate::detect::{Block, address};
use crate::outcome::{BlockEvidence, BlockReason, OUTCOME_TEXT_MAX};

/// Longest name of a maker or vendor, in bytes.
const NAME_MAX: usize = 64;

/// A block that was met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Met {
    /// Which defence.
    pub reason: BlockReason,
    /// What was seen of it.
    pub evidence: BlockEvidence,
}

impl Met {
    /// As somebody says it: names, address and words pass the scrubber, the address without user info, and are cut then.
    #[must_use]
    pub fn said(reason: BlockReason, url: Option<&str>, detail: Option<&str>, scrubber: &Scrubber) -> Self {
        let name = |name: String| scrubber.scrub(&name).truncate_to(NAME_MAX).into_string();
        let reason = match reason {
            BlockReason::Captcha { provider } => BlockReason::Captcha {
                provider: provider.map(name),
            },
            BlockReason::FraudDetect { vendor } => BlockReason::FraudDetect {
                vendor: vendor.map(name),
            },
            plain @ (BlockReason::LoginWall | BlockReason::RateLimit { .. } | BlockReason::Unknown) => plain,
        };
        Self {
            reason,
            evidence: BlockEvidence {
                url: url
                    .filter(|url| !url.is_empty())
                    .map(|url| address(url, scrubber)),
                detail: detail.map(|detail| scrubber.scrub(detail).truncate_to(OUTCOME_TEXT_MAX)),
            },
        }
    }

    /// As the detector found it, with the piece of the page that shows it.
    #[must_use]
    pub fn found(block: &Block) -> Self {
        let kept = BlockEvidence::from(&block.evidence);
        let detail = match (&kept.detail, &block.evidence.html_snippet) {
            (Some(rule), Some(snippet)) => Some(joined(rule, snippet)),
            (detail, None) => detail.clone(),
            (None, Some(snippet)) => Some(snippet.clone()),
        };
        Self {
            reason: block.reason.clone(),
            evidence: BlockEvidence { detail, ..kept },
        }
    }
}

/// Two clean texts as one.
fn joined(first: &Scrubbed, second: &Scrubbed) -> Scrubbed {
    let text = format!("{first}\n{second}");
    Scrubber::empty().scrub(&text).truncate_to(OUTCOME_TEXT_MAX)
}

/// What a run was told of a block, once. Cloning is cheap, and every clone is the same slot.
///
/// ```
/// use dormouse_engine::block::{BlockSlot, Met};
/// use dormouse_engine::outcome::BlockReason;
/// use dormouse_secrets::Scrubber;
///
/// let slot = BlockSlot::default();
/// let met = |reason| Met::said(reason, None, None, &Scrubber::empty());
/// assert!(slot.fill(met(BlockReason::LoginWall)));
/// assert!(!slot.fill(met(BlockReason::Unknown)));
/// assert_eq!(slot.get().map(|met| &met.reason), Some(&BlockReason::LoginWall));
/// ```
#[derive(Debug, Clone, Default)]
pub struct BlockSlot(Arc<OnceLock<Met>>);

impl BlockSlot {
    /// Fills it; false when it was filled already, and stays as it is.
    pub fn fill(&self, met: Met) -> bool {
        self.0.set(met).is_ok()
    }

    /// What fills it.
    #[must_use]
    pub fn get(&self) -> Option<&Met> {
        self.0.get()
    }
}

#[cfg(test)]
mod tests {
    use dormouse_secrets::{Redaction, Secret, SecretName};

    use super::*;

    #[test]
    fn what_is_said_of_a_block_is_clean_in_every_part() {
        let name = SecretName::parse("KEY").unwrap();
        let redaction = Redaction::new(name, Secret::new("swordfish-99".into())).unwrap();
        let scrubber = Scrubber::new(vec![redaction]).unwrap();
        let met = Met::said(
            BlockReason::Captcha {
                provider: Some("swordfish-99".to_owned()),
            },
            Some("https://me:swordfish-99@a.example/?key=swordfish%2D99"),
            Some("said swordfish-99"),
            &scrubber,
        );
        let text = format!("{met:?}");
        assert!(!text.contains("swordfish"), "{text}");
        assert!(!text.contains("me:"), "{text}");
    }
}
